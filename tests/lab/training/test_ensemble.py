"""Networks that look at each photo together, and their file."""

import shutil

import numpy as np
import onnx
import pytest
import torch

from recognizer.lab.training.config import EnsembleConfig
from recognizer.lab.training.ensemble import Ensemble, mean_of, set_gate
from recognizer.lab.training.model import build_network, log_odds_of, torch_log_odds
from recognizer.lab.training.onnx_export import export_fp32, parity, put_behind_gate
from recognizer.lab.training.quantization import quantize, run_file
from recognizer.lab.training.runs import fold_network, open_recipe, train_recipe
from recognizer.lab.training.weights import read_parent
from tests.lab.training.conftest import small_config
from tests.labelled import write_split_photos


def test_the_file_of_an_ensemble_says_the_weighted_mean_of_what_its_networks_say(tmp_path):
    rng, networks = np.random.default_rng(0), []
    for seed in range(2):
        network = build_network(small_config(input_size=64), 4).eval()
        torch.nn.init.normal_(network.head.weight, generator=torch.manual_seed(seed))
        networks.append(network)
    inputs = rng.integers(0, 256, (16, 64, 64, 3), np.uint8)
    ensemble, files = Ensemble(networks).eval(), (tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    export_fp32(ensemble, 64, files[0])
    quantize(*files, inputs[:8])
    found = parity(torch_log_odds(ensemble, inputs), *files, inputs)
    assert found.fp32.largest < 1e-3
    first, frozen = (n(torch.from_numpy(inputs)).maps.detach().numpy() for n in networks)
    maps = (first + 2 * frozen) / 3
    np.testing.assert_allclose(run_file(files[0], inputs, "maps"), maps, atol=1e-3)
    assert np.corrcoef(run_file(files[1], inputs, "maps").ravel(), maps.ravel())[0, 1] > 0.9
    embedding = networks[0](torch.from_numpy(inputs)).embedding.detach().numpy()
    np.testing.assert_allclose(run_file(files[0], inputs, "embedding"), embedding, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_behind_a_gate_the_other_networks_look_at_suspects_alone(tmp_path, precision):
    rng = np.random.default_rng(0)
    networks = [build_network(small_config(input_size=64), 4).eval() for _ in range(2)]
    for seed, network in enumerate(networks):
        torch.nn.init.normal_(network.head.weight, generator=torch.manual_seed(seed))
    inputs = rng.integers(0, 256, (40, 64, 64, 3), np.uint8) // rng.integers(
        1, 9, (40, 1, 1, 1), np.uint8
    )
    first, other = (n(torch.from_numpy(inputs)).logits.detach() for n in networks)
    mean = mean_of([first, other])
    gate = set_gate(first, mean, np.array([True, True, False, False]), 0.25)
    network = Ensemble(networks, gate).eval()
    logits = gate(first[..., None, None], mean[..., None, None]).flatten(1)
    expected = log_odds_of(logits).numpy()
    assert torch.isclose(logits, mean).all(1).sum() == 10
    np.testing.assert_allclose(torch_log_odds(network, inputs), expected, atol=1e-3)
    ungated, files = tmp_path / "ungated", {name: tmp_path / name for name in ("fp32", "int8")}
    export_fp32(network, 64, files["fp32"])
    quantize(files["fp32"], files["int8"], inputs[:8])
    shutil.copy(files[precision], ungated)
    put_behind_gate(files[precision])
    one_by_one = np.concatenate([run_file(files[precision], row[None]) for row in inputs])
    np.testing.assert_allclose(one_by_one, run_file(ungated, inputs), atol=1e-4)
    if precision == "fp32":
        np.testing.assert_allclose(one_by_one, expected, atol=1e-3)
        for output in ("maps", "embedding"):
            found, before = (run_file(file, inputs, output) for file in (files["fp32"], ungated))
            np.testing.assert_allclose(found, before, atol=1e-4)
    graph = onnx.load(files[precision]).graph
    (chosen,) = [node for node in graph.node if node.op_type == "If"]
    behind = next(a.g for a in chosen.attribute if a.name == "then_branch")
    convolutions = [sum(n.op_type == "Conv" for n in g.node) for g in (graph, behind)]
    assert convolutions[0] == convolutions[1]


def test_all_networks_learn_from_rendered_pictures(split, tmp_path):
    write_split_photos(tmp_path / "rendered")
    made = []
    for rendered, own in (("", {}), (str(tmp_path / "rendered"), {"photos": 24})):
        ensemble = EnsembleConfig(["test_efficientnet"], own, rendered=rendered)
        config = small_config(folds=2, ensemble=ensemble, distill=0.5)
        with (recipe := open_recipe(config, split, tmp_path / f"run{len(made)}")).cache:
            train_recipe(recipe)
            made.append(fold_network(recipe, 1))
    plain, more = made
    assert not torch.equal(plain.networks[0].head.weight, more.networks[0].head.weight)
    assert not torch.equal(plain.networks[1].head.weight, more.networks[1].head.weight)
    # The network beside it learns if its recipe has photos; otherwise only its head is fitted.
    stems = [network.networks[1].backbone.conv_stem.weight for network in (plain, more)]
    assert not torch.equal(*stems)
    # Another recipe can begin with the trained one.
    file = str(tmp_path / "run1" / "network.safetensors")
    parent = read_parent(small_config(weights=file))
    assert parent is not None
    assert "head.weight" in parent.tensors
