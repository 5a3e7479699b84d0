import copy

import numpy as np
import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torchvision.transforms.v2.functional import normalize

from recognizer.errors import TrainingError
from recognizer.lab.training.model import (
    ROOT_FLOOR,
    build_network,
    fold_batch_norm,
    fold_normalization,
    keep_depthwise_exact,
)
from recognizer.lab.training.onnx_export import export_fp32
from recognizer.lab.training.quantization import quantize, run_file
from tests.lab.training.conftest import small_config


def test_folding_the_normalization_changes_nothing_but_the_border():
    torch.manual_seed(0)
    stem, norm = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4).eval()
    norm.running_mean.normal_()
    pixels = torch.randint(0, 256, (2, 3, 9, 9)).float()
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.2, 0.1)
    normal = normalize(pixels / 255, mean, std)
    with torch.no_grad():
        before = norm(stem(normal))
        fold_normalization(stem, norm, mean, std)
        assert torch.allclose(before, norm(stem(pixels)), atol=1e-4)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])
def test_other_networks_normalise_pixels_themselves(backbone, tmp_path):
    network = build_network(small_config(backbone=backbone), 3).eval()
    plain = timm.create_model(backbone, num_classes=0).eval()
    plain.load_state_dict(network.backbone.state_dict())
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    about = plain.default_cfg
    with torch.no_grad():
        features = plain.forward_features(normalize(pixels, about["mean"], about["std"]))
        found = network(torch.from_numpy(images)).embedding
    assert torch.allclose(features.mean(dim=(2, 3)), found, atol=1e-4)
    export_fp32(network, 32, tmp_path / "model.onnx")
    exported = run_file(tmp_path / "model.onnx", images, "embedding")
    assert np.allclose(exported, found.numpy(), atol=1e-4)
    quantize(tmp_path / "model.onnx", tmp_path / "int8.onnx", images)
    assert run_file(tmp_path / "int8.onnx", images, "embedding").shape == exported.shape


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_efficientnet"])
def test_folding_batch_normalization_changes_nothing(backbone):
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "test_efficientnet3000"}, "Unknown model"),
        ({"backbone": "test_vit"}, "'test_vit' is not supported: its features are no maps"),
        ({"pooling": "sqrt_mean"}, "features of 'test_efficientnet' may be negative"),
    ],
)
def test_a_backbone_that_does_not_fit_is_named(changes, words):
    with pytest.raises(TrainingError, match=words):
        build_network(small_config(**changes), 3)


@pytest.mark.parametrize("pooling", ["mean", "sqrt_mean"])
def test_the_logit_is_the_mean_of_its_map(pooling):
    config = small_config(backbone="tf_efficientnet_lite0", pooling=pooling)
    network = build_network(config, 5).eval()
    torch.nn.init.normal_(network.head.weight)
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = network(images)
    assert torch.allclose(found.maps.mean(dim=(2, 3)), found.logits, rtol=1e-3, atol=1e-3)
    by_hand = network.head(found.embedding[:, :, None, None]).flatten(1)
    assert torch.allclose(by_hand, found.logits, rtol=1e-3, atol=1e-3)
    assert bool((found.embedding >= ROOT_FLOOR**0.5 - 1e-6).all()) == (pooling == "sqrt_mean")


@pytest.mark.parametrize("make", [torch.nn.Conv2d, Conv2dSame])
def test_depthwise_layers_are_exact_under_autocast(make):
    torch.manual_seed(0)
    plain = make(32, 32, 5, 2, padding=2 if make is torch.nn.Conv2d else 0, groups=32)
    exact = copy.deepcopy(plain)
    others = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), exact)
    keep_depthwise_exact(others)
    assert type(others[0]) is torch.nn.Conv2d
    images, found = torch.randn(2, 32, 15, 18), []
    for layer, is_half in ((plain, False), (exact, True)):
        x = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            y = layer(x)
        (y**2).sum().backward()
        found.append((y, x.grad, layer.weight.grad, layer.bias.grad))
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected)
