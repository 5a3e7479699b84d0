"""A cascade: who reaches its second stage, and the file that decides it."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from recognizer.lab.enrolment.onnx_head import Head, add_head
from recognizer.lab.training.cascade import (
    Cascade,
    Gate,
    build_ensemble_network,
    pass_gate,
    set_gate,
    torch_log_odds,
)
from recognizer.lab.training.config import CascadeConfig
from recognizer.lab.training.model import build_network, log_odds_of
from recognizer.lab.training.onnx_export import export_fp32, parity, write_cascade
from recognizer.lab.training.quantization import run_file
from tests.lab.training.conftest import small_config

SECOND = CascadeConfig(["test_efficientnet"], share=0.25)
IS_PRODUCT = np.array([True, True, False, False])


def any_product(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(1)[:, torch.from_numpy(IS_PRODUCT)].sum(1)


def test_a_share_of_the_photos_without_a_product_passes() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(2000, 4, generator=generator) * s for s in (1.0, 3.0))
    first[:, 1] -= 2  # a product that is hardly ever suspected
    gate = set_gate(first, second, IS_PRODUCT, 0.1)
    passed = gate.suspects(first)
    assert passed.float().mean() == pytest.approx(0.1, abs=0.002)
    assert gate.bars[1] < gate.bars[0] < np.inf, "the bar of a rarer product is lower"
    found = pass_gate(gate, first, second)
    assert torch.equal(found[passed], second[passed])
    # Below the bars, few photos rank higher than the ensemble would rank one there.
    assert any_product(found[~passed]).quantile(0.95) < any_product(second).quantile(0.9)


def test_the_file_of_a_cascade_says_what_its_networks_say(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config, rng = small_config(cascade=SECOND), np.random.default_rng(0)
    first = build_network(config, 4).eval()
    strong = build_ensemble_network(config, "test_efficientnet", 4)
    for network in (first, strong):
        torch.nn.init.normal_(network.head.weight, std=0.3)
    cascade = Cascade(first, [strong, strong], Gate(np.zeros(4), 1.5)).eval()
    inputs = rng.integers(0, 256, (40, 32, 32, 3), np.uint8) // rng.integers(1, 9, (40, 1, 1, 1))
    inputs = inputs.astype(np.uint8)
    with torch.no_grad():
        weak = cascade.first(torch.from_numpy(inputs)).logits
    # Bars between two photos far apart, where rounding changes no decision.
    odds = log_odds_of(weak).sort(0).values[10:30]
    gaps = odds.diff(dim=0).argmax(0)
    bars = [float(odds[g : g + 2, label].mean()) for label, g in enumerate(gaps)]
    cascade.gate = replace(cascade.gate, bars=np.where(IS_PRODUCT, bars, np.inf))
    files = [tmp_path / f"{i}.onnx" for i in range(3)]
    export_fp32(first, 32, files[0])
    export_fp32(strong, 32, files[1])
    # Another member of the ensemble, which differs in its head alone.
    model, another = onnx.load(str(files[1])), copy.deepcopy(strong)
    torch.nn.init.normal_(another.head.weight, std=0.3)
    weight = next(t for t in model.graph.initializer if t.name == "network.head.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(another.head.weight.detach().numpy(), weight.name))
    onnx.save(model, str(files[2]))
    cascade.second[1] = another
    path = tmp_path / "cascade.onnx"
    write_cascade(cascade, files[0], files[1:], path)
    said = torch_log_odds(cascade, lambda one: one(torch.from_numpy(inputs)).logits)
    assert parity(said, path, path, inputs).fp32.largest < 0.05
    together, maps = (run_file(path, inputs, name) for name in ("scores", "maps"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for image, scores, own in zip(inputs, together, maps, strict=True):
        alone = session.run(["scores", "maps"], {"images": image[None]})
        assert alone[0][0] == pytest.approx(scores, abs=1e-4), "each image is decided by itself"
        assert alone[1][0] == pytest.approx(own, abs=1e-4)
        logits = torch.from_numpy(own.mean((1, 2)))
        log_odds = logits.log_softmax(0) - torch.log1p(-logits.softmax(0))
        assert scores == pytest.approx(log_odds.numpy(), abs=1e-4), "maps pool to the score"
    channels = run_file(path, inputs[:1], "embedding").shape[1]
    head = Head(weight=np.full(channels, 0.1, np.float32), bias=-1.0)
    grown = tmp_path / "grown.onnx"
    grown.write_bytes(add_head(path.read_bytes(), head, labels=4, softmax=True))
    assert run_file(grown, inputs[:2])[:, :4] == pytest.approx(together[:2], abs=1e-4)
    own = run_file(grown, inputs[:2], "maps")
    assert own.shape == (2, 5, *maps.shape[2:])
    assert own[:, 4].mean((1, 2)) == pytest.approx(run_file(grown, inputs[:2])[:, 4], abs=1e-4)
