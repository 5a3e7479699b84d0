"""What a run makes of the sources that it left out."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recognizer.dataset.manifest import Photo
from recognizer.errors import TrainingError
from recognizer.model.evidence import TrainingImages
from recognizer.training.fit import fit
from recognizer.training.model import Outputs
from recognizer.training.runs import (
    CHECKPOINT,
    check_data,
    check_recipe,
    load_run,
    measure_unseen,
    probabilities,
)
from tests.labelled import deal
from tests.training.conftest import FinishedRun, small_config

LABELS = ["ceramic", "ivory_worked", "listing_other"]
LEFT_OUT = small_config(exclude_sources=["excluded"])


class Reddish(torch.nn.Module):
    """Takes what is red for ivory, and all else for ceramic or a listing."""

    def forward(self, images: torch.Tensor) -> Outputs:
        red, green, blue = images.float().mean(dim=(1, 2)).T
        logits = torch.stack([green, red, blue], dim=1) / 20
        return Outputs(logits, logits[:, :, None, None], logits)


@pytest.fixture
def held(labelled_photos: list[Photo]) -> list[Photo]:
    """Of each label a third to train on, a third held out, a third of a source that is left out."""
    return deal(labelled_photos, "train", "validation", "excluded")


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_only_left_out_photos_count_as_found(held: list[Photo], loss: str) -> None:
    patch = replace(held[0], label="ivory_worked", split="train", outline=((0, 0), (1, 0), (1, 1)))
    run = small_config(loss=loss, exclude_sources=["excluded", "patch/tusk"])
    found = measure_unseen(Reddish(), run, LABELS, [*held, patch], rounds=20)
    assert found.sources == ("excluded",)
    assert found.negatives == 16  # ceramics and listings, held out and left out
    assert [f.name for f in found.figures] == ["ivory", "ivory_worked"]
    for figures in found.figures:
        assert (figures.photos, figures.sources) == (4, 1)
        assert figures.average_precision.value == 1
        assert figures.ranks == (1, 1, 1, 1)
        assert found.taught_by[figures.name] == TrainingImages(photos=4, sources=1, patches=1)
    assert found.lookalikes is not None
    assert (found.lookalikes.photos, found.lookalikes.accuracy.value) == (8, 1)
    assert found.animals == {}
    json.dumps(asdict(found))


def test_living_animals_that_are_taken_for_products_are_counted(held: list[Photo]) -> None:
    living = {"ivory_worked": "animal_rhino", "ceramic": "animal_pangolin"}
    turned = [replace(p, label=living.get(p.label, p.label)) for p in held]
    found = measure_unseen(Reddish(), LEFT_OUT, LABELS, turned)
    assert found.animals == {"animal_rhino": 8, "animal_pangolin": 8}
    assert found.called_product == {"animal_rhino": 8, "animal_pangolin": 0}
    assert (found.figures, found.lookalikes) == ((), None)


def test_a_rank_counts_the_negatives_that_score_as_high(held: list[Photo]) -> None:
    reds = [p for p in held if p.label == "ivory_worked" and p.split == "excluded"]
    wrong = {reds[0].sha256, reds[1].sha256}
    turned = [replace(p, label="ceramic") if p.sha256 in wrong else p for p in held]
    found = measure_unseen(Reddish(), LEFT_OUT, LABELS, turned)
    scores = dict(
        zip((p.path for p in turned), probabilities(Reddish(), LEFT_OUT, turned)[:, 1], strict=True)
    )
    ours = sorted((scores[p.path] for p in reds[2:]), reverse=True)
    theirs = [scores[p.path] for p in reds[:2]]  # all other negatives are far below
    expected = tuple(1 + sum(other >= own for other in theirs) for own in ours)
    assert found.figures[-1].ranks == expected


def test_a_product_that_the_run_has_no_label_for_is_told_of(held: list[Photo]) -> None:
    horn = replace(held[2], label="rhino_horn", split="excluded", source="excluded")
    found = measure_unseen(Reddish(), LEFT_OUT, LABELS, [*held, horn], rounds=20)
    figures = next(f for f in found.figures if f.name == "rhino_horn")
    assert (figures.photos, figures.average_precision, figures.recall) == (1, None, {})
    assert found.taught_by["rhino_horn"] == TrainingImages()


def test_the_loss_of_the_run_says_what_its_outputs_mean(held: list[Photo]) -> None:
    softmax, sigmoid = (
        probabilities(Reddish(), small_config(loss=loss), held) for loss in ("softmax", "sigmoid")
    )
    assert softmax.sum(axis=1) == pytest.approx(np.ones(len(held)))
    assert (sigmoid.sum(axis=1) > 1.2).all()


def test_what_the_run_left_out_must_be_all_that_differs(tmp_path: Path) -> None:
    released = small_config(seed=3)
    check_recipe(replace(released, seed=4, exclude_sources=["a"]), released, tmp_path)
    shorter = replace(released, exclude_sources=["a"])
    for left_out, other, words in [
        (replace(released, seed=4), released, "no source was left out"),
        (shorter, shorter, "no source was left out"),
        (replace(released, exclude_sources=["a", "patch/tusk"]), released, "another recipe"),
        (small_config(epochs=9, exclude_sources=["a"]), released, "another recipe"),
    ]:
        with pytest.raises(TrainingError, match=words):
            check_recipe(left_out, other, tmp_path)


def test_a_run_knows_its_photos(run: FinishedRun, split: list[Photo]) -> None:
    check_data(run.folder, split[::-1])
    with pytest.raises(TrainingError, match="other photos"):
        check_data(run.folder, [p for p in split if p.label != "ceramic"])


def test_runs_of_several_seeds_are_averaged(
    run: FinishedRun, split: list[Photo], tmp_path: Path
) -> None:
    other = fit(replace(run.config, seed=1), split, tmp_path / "1")
    mean, found, _ = load_run(run.folder, tmp_path / "1")
    assert found.seed == 0
    one, two = (network.state_dict() for network in (run.network, other))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    for name, value in mean.state_dict().items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, (one[name] + two[name]) / 2)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("learning_rate", 0.1, "more than its seed"),
        ("probe", True, r"with version 0\.1\.0"),  # a run of two branches
    ],
)
def test_runs_of_other_recipes_are_not_averaged(
    run: FinishedRun, tmp_path: Path, key: str, value: object, words: str
) -> None:
    state = torch.load(run.folder / CHECKPOINT, weights_only=True)
    state["config"][key] = value
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(TrainingError, match=words):
        load_run(tmp_path, run.folder)
