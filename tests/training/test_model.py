from types import SimpleNamespace

import pytest
import timm
import torch

from recognizer.errors import TrainingError
from recognizer.training.config import TrainingConfig
from recognizer.training.model import (
    ROOT_FLOOR,
    build_network,
    feature_map,
    fold_batch_norm,
    fold_normalization,
)
from tests.training.conftest import TINY_DINOV3, needs_tiny_dinov3, small_config


def test_folding_the_normalization_changes_nothing_but_the_border() -> None:
    torch.manual_seed(0)
    stem, norm = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4).eval()
    norm.running_mean.normal_()
    pixels = torch.randint(0, 256, (2, 3, 9, 9)).float()
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.2, 0.1)
    normal = (pixels / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(
        1, 3, 1, 1
    )
    with torch.no_grad():
        before = norm(stem(normal))
        fold_normalization(SimpleNamespace(conv_stem=stem, bn1=norm), mean, std)
        assert torch.allclose(before, norm(stem(pixels)), atol=1e-4)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_efficientnet"])
def test_folding_batch_normalization_changes_nothing(backbone: str) -> None:
    torch.manual_seed(0)
    plain = timm.create_model(backbone, num_classes=0).eval()
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = plain.forward_features(images)
        fold_batch_norm(plain)
        torch.testing.assert_close(plain.forward_features(images), expected, atol=1e-4, rtol=1e-3)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in plain.modules())


def test_where_it_cannot_be_folded_pixels_are_normalized_all_the_same() -> None:
    network = build_network(small_config(backbone="test_resnet", input_size=64), 3).eval()
    settings = network.backbone.default_cfg
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(settings[key]) for key in ("mean", "std"))
    normal = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network.backbone.forward_features(normal).mean(dim=(2, 3))
        assert torch.allclose(network(pixels).embedding, expected, atol=1e-4)


TRANSFORMERS = {
    "test_vit": 1,  # with a class token
    "test_vit2": 1,  # with a register
    TINY_DINOV3: 5,  # rotary positions, a class token and four registers
    "eva02_tiny_patch14_224": 1,  # normalises after pooling
    "swin_tiny_patch4_window7_224": 0,  # channels last
}
"""Small ones of each make -> tokens that are not patches."""


def transformer(name: str, **changes: object) -> TrainingConfig:
    size = {"eva02_tiny_patch14_224": 28, "swin_tiny_patch4_window7_224": 224}.get(name, 32)
    return small_config(backbone=name, input_size=size, **changes)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=needs_tiny_dinov3 if n == TINY_DINOV3 else ()) for n in TRANSFORMERS],
)
def test_the_map_of_a_transformer_is_that_of_its_patches(name: str) -> None:
    network = build_network(transformer(name), 3).eval()
    torch.nn.init.normal_(network.head.weight)
    size = transformer(name).input_size
    images = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = network(images)
        tokens = network.backbone.forward_features(network.normalize(images.permute(0, 3, 1, 2)))
        features = feature_map(network.backbone, network.normalize(images.permute(0, 3, 1, 2)))
    height, width = found.maps.shape[2:]
    assert height == width > 1
    torch.testing.assert_close(found.maps.mean(dim=(2, 3)), found.logits)
    if tokens.ndim == 3:
        assert tokens.shape[1] == TRANSFORMERS[name] + height * width
    if name == "test_vit":  # the second patch of the first row
        torch.testing.assert_close(features[:, :, 0, 1], tokens[:, 2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "test_vit", "input_size": 40}, "a multiple of 16, as 32"),
        ({"backbone": "test_vit3000"}, "Unknown model"),
        (
            {"backbone": "test_vit", "pooling": "sqrt_mean"},
            "features of 'test_vit' may be negative",
        ),
        ({"backbone": "naflexvit_base_patch16_siglip"}, "gives no map of features"),
    ],
)
def test_a_backbone_that_does_not_fit_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        build_network(small_config(**changes), 3)


@pytest.mark.parametrize("pooling", ["mean", "sqrt_mean"])
def test_the_logit_is_the_mean_of_its_map(pooling: str) -> None:
    config = small_config(backbone="tf_efficientnet_lite0", pooling=pooling)
    network = build_network(config, 5).eval()
    torch.nn.init.normal_(network.head.weight)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = network(images)
    assert torch.allclose(found.maps.mean(dim=(2, 3)), found.logits, rtol=1e-3, atol=1e-3)
    by_hand = network.head(found.embedding[:, :, None, None]).flatten(1)
    assert torch.allclose(by_hand, found.logits, rtol=1e-3, atol=1e-3)
    least = ROOT_FLOOR**0.5 - 1e-6
    assert bool((found.embedding >= least).all()) == (pooling == "sqrt_mean")
