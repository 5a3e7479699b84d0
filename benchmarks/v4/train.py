"""Train a student: one network that learns the labels, and what three frozen networks see.

    python benchmarks/v4/train.py --runs runs/v4 --name without02 --hold 02

Half of what it sees are training photos as they are, hardly changed, half is the pool. A second,
linear output (only in training) repeats the teacher's features. Both begin as regressions on the
network's own ImageNet features, so that training begins where a linear head ends. Weights are
averaged over the last steps, and the finished ones lie between these and the first. A checkpoint
every ``EVERY`` steps lets a run go on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import heads
import measure
import networks
import numpy as np
import teacher
import torch
from numpy.typing import NDArray
from photos import Photos
from sampler import Recipe, Sampler
from torch import nn
from torch.nn import functional

EVERY = 100
TOGETHER = 12
"""Pictures that pass through the network at once: of more, the maps leave the processor's cache."""

SMOOTHING = 0.05
TOO_FEW = ("hornbill_casque", "shark_fin")
"""Labels of one or two photos: the network sees them, the exported one does not name them."""


class Student(nn.Module):
    """A fused backbone and a linear head on its pooled features."""

    def __init__(self, network: int, labels: int, features: int) -> None:
        super().__init__()
        self.backbone = networks.backbone(f"tf_efficientnet_lite{network}")
        self.head = nn.Linear(1280, labels)
        self.imitation = nn.Linear(1280, features) if features else None

    def forward(self, images: torch.Tensor, freeze: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pooled features and logits of uint8 images, (N, size, size, 3)."""
        b = self.backbone
        x = images.permute(0, 3, 1, 2).float().contiguous(memory_format=networks.MEMORY)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not freeze):
            x = b.bn1(b.conv_stem(x))
            x = b.blocks[:freeze](x)
        x = b.bn2(b.conv_head(b.blocks[freeze:](x)))
        with torch.autocast("cpu", enabled=False):
            embedding = networks.root(x.float().mean((2, 3)))
            return embedding, self.head(embedding)


def initial_head(
    runs: Path, recipe: Recipe, given: teacher.Material, labels: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias of a logistic regression on the network's own plain features."""
    rows = given.table[: given.photos]
    kept = (~rows.fold.isin(recipe.held)).to_numpy()
    x = networks.root(heads.load(runs, [teacher.PLAIN[recipe.network]], rows.row.to_numpy()))[kept]
    mean, std = x.mean(0), x.std(0) + 1e-6
    y = np.array([labels.index(n) for n in rows.label[kept]])
    w = heads.fit(
        (x - mean) / std, y, heads.weights_of(rows[kept], 0.5, 0.25), len(labels), 1e-2, 60
    )
    weight = w[:-1] / torch.from_numpy(std)[:, None]
    return weight.T.contiguous(), w[-1] - torch.from_numpy(mean) @ weight


@torch.no_grad()
def predict(
    student: Student, photos: Photos, places: NDArray[np.int64], size: int
) -> NDArray[np.float32]:
    """Return logits of photos as they are served."""
    student.eval()
    found = []
    for first in range(0, len(places), 32):
        batch = np.stack([photos.square(int(i), size) for i in places[first : first + 32]])
        with torch.autocast("cpu", torch.bfloat16):
            found.append(student(torch.from_numpy(batch))[1].float().numpy())
    return np.concatenate(found)


class Run:
    """A run and its state."""

    def __init__(self, runs: Path, name: str, recipe: Recipe) -> None:
        self.runs, self.folder, self.recipe = runs, runs / "students" / name, recipe
        self.folder.mkdir(parents=True, exist_ok=True)
        self.given = teacher.material(runs)
        self.labels = sorted(self.given.table.label.unique())
        self.features = None
        if recipe.teacher:
            x = teacher.load(runs, recipe.teacher, self.given.table)
            self.features = x / x.std(0).clip(min=0.3 * x.std(0).max())
        width = self.features.shape[1] if self.features is not None and recipe.imitate else 0
        torch.manual_seed(recipe.seed)
        self.student = Student(recipe.network, len(self.labels), width)
        weight, bias = initial_head(runs, recipe, self.given, self.labels)
        with torch.no_grad():
            self.student.head.weight.copy_(weight)
            self.student.head.bias.copy_(bias)
        if self.student.imitation is not None:
            self._begin_imitation()
        b = self.student.backbone
        for part in (b.conv_stem, b.bn1, *b.blocks[: recipe.freeze]):
            part.requires_grad_(False)
        self.start = {n: p.detach().clone() for n, p in self.student.named_parameters()}
        self.averaged = {n: p.detach().clone() for n, p in self.student.named_parameters()}
        body = [p for p in b.parameters() if p.requires_grad]
        rest = [p for p in self.student.parameters() if p.requires_grad]
        rest = [p for p in rest if all(p is not q for q in body)]
        self.optimizer = torch.optim.AdamW(
            [{"params": body, "peak": recipe.rate}, {"params": rest, "peak": recipe.head_rate}],
            weight_decay=0.0,
        )
        self.sampler = Sampler(runs, recipe, self.given, self.labels)
        self.step = 0
        if recipe.begin:
            self._begin(recipe.begin.split(","))
        self._resume()

    @torch.no_grad()
    def _begin(self, names: list[str]) -> None:
        """Begin with the mean of the averaged weights of other runs."""
        paths = [self.runs / "students" / name / "checkpoint.pt" for name in names]
        others = [torch.load(path, weights_only=True)["averaged"] for path in paths]
        for name, value in self.student.named_parameters():
            value.copy_(torch.stack([other[name] for other in others]).mean(0))
            self.averaged[name].copy_(value)

    @torch.no_grad()
    def _begin_imitation(self) -> None:
        """Set the imitation to a ridge regression on the network's own plain features."""
        rows = self.given.table[: self.given.photos]
        x = networks.root(
            heads.load(self.runs, [teacher.PLAIN[self.recipe.network]], rows.row.to_numpy())
        )
        y = torch.from_numpy(self.features[: len(x)])
        x = torch.cat([torch.from_numpy(x), torch.ones(len(x), 1)], 1)
        gram = x.T @ x
        gram.diagonal().add_(0.003 * float(gram.diagonal().mean()))
        w = torch.linalg.solve(gram, x.T @ y)
        print(f"imitation by ridge regression: MSE {functional.mse_loss(x @ w, y):.4f}", flush=True)
        self.student.imitation.weight.copy_(w[:-1].T)
        self.student.imitation.bias.copy_(w[-1])

    @property
    def steps(self) -> int:
        """How many steps the run has."""
        return self.recipe.samples // self.recipe.batch

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.student.load_state_dict(state["student"])
            self.averaged, self.step = state["averaged"], state["step"]
            self.optimizer.load_state_dict(state["optimizer"])

    def save(self) -> None:
        """Write recipe and checkpoint."""
        (self.folder / "recipe.json").write_text(
            json.dumps({s: getattr(self.recipe, s) for s in Recipe.__slots__}, indent=1)
        )
        state = {
            "student": self.student.state_dict(),
            "averaged": self.averaged,
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, self.folder / "checkpoint.part")
        os.replace(self.folder / "checkpoint.part", self.folder / "checkpoint.pt")

    def target_of(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the smoothed labels, (N, labels)."""
        target = torch.from_numpy(self.sampler.target[rows])
        hard = functional.one_hot(target, len(self.labels)).float()
        return (1 - SMOOTHING) * hard + SMOOTHING / len(self.labels)

    def train(self) -> None:
        """Run all steps that are left."""
        with ThreadPoolExecutor(1) as ahead:
            self._train(ahead)

    def _train(self, ahead: ThreadPoolExecutor) -> None:
        r, started, first, total = self.recipe, time.monotonic(), self.step, 0.0
        coming = ahead.submit(self.sampler.batch, self.step)
        while self.step < self.steps:
            images, rows = coming.result()
            coming = ahead.submit(self.sampler.batch, self.step + 1)
            warm = min(1.0, (self.step + 1) / 100)
            factor = warm * 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            self.optimizer.zero_grad(set_to_none=True)
            for part in range(0, len(images), TOGETHER):
                some = slice(part, part + TOGETHER)
                loss = self._loss(images[some], rows[some]) * (len(images[some]) / len(images))
                loss.backward()
                total += float(loss.detach())
            nn.utils.clip_grad_norm_(self.student.parameters(), 2.0)
            self.optimizer.step()
            self.step += 1
            self._average(factor)
            if self.step % EVERY == 0 or self.step == self.steps:
                self.save()
                speed = (self.step - first) * r.batch / (time.monotonic() - started)
                print(
                    f"{self.step}/{self.steps} loss {total / EVERY:.4f} {speed:.1f}/s", flush=True
                )
                total = 0.0

    def _loss(self, images: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            embedding, logits = self.student(images, self.recipe.freeze)
        loss = functional.cross_entropy(logits, self.target_of(rows))
        if self.student.imitation is not None and self.features is not None:
            goal = torch.from_numpy(self.features[rows])
            imitated = functional.mse_loss(self.student.imitation(embedding), goal)
            loss = loss + self.recipe.imitate * imitated
        return loss

    @torch.no_grad()
    def _average(self, factor: float) -> None:
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        for name, value in self.student.named_parameters():
            if value.requires_grad:
                if name.startswith("backbone") and self.recipe.decay:
                    value.lerp_(self.start[name], self.recipe.decay * factor * 0.01)
                self.averaged[name].lerp_(value, 1 - decay)

    def finished(self) -> Student:
        """Return the student, ``share`` of the way from its beginning to its averaged weights."""
        with torch.no_grad():
            for name, value in self.student.named_parameters():
                value.copy_(self.start[name].lerp(self.averaged[name], self.recipe.share))
        return self.student.eval()

    def measure(self, size: int = 0) -> dict[str, Any]:
        """Predict the folds that were left out, keep the logits, and return the figures.

        Args:
            size: side of the input; 0 for that of the recipe, kept in ``held.npz``, another
                one's in ``held-SIZE.npz``.
        """
        photos = self.sampler.photos
        places = np.flatnonzero(photos.table.fold.isin(self.recipe.held))
        logits = predict(self.finished(), photos, places, size or self.recipe.size)
        table = photos.table.iloc[places].reset_index(drop=True)
        np.savez(
            self.folder / (f"held-{size}.npz" if size else "held.npz"),
            logits=logits,
            row=table.row.to_numpy(),
            labels=np.array(self.labels),
        )
        found = measure.table_of(table, heads.softmax(logits).astype(float), self.labels)
        print(measure.line(found), flush=True)
        return {n: str(f) for n, f in found.items()}


def recipe_of(folder: Path) -> Recipe:
    """Return the recipe of a run."""
    return Recipe(**json.loads((folder / "recipe.json").read_text()))


def main() -> None:
    """Train, then measure where a fold was left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--at", type=int, default=0, help="measure a finished run at this size")
    defaults = Recipe()
    for key in Recipe.__slots__:
        value = getattr(defaults, key)
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value), default=value)
    asked = vars(parser.parse_args())
    runs, name, at = asked.pop("runs"), asked.pop("name"), asked.pop("at")
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    cv2.setNumThreads(1)
    recipe = recipe_of(runs / "students" / name) if at else Recipe(**asked)
    run = Run(runs, name, recipe)
    run.train()
    if not run.steps:  # the mean of other runs, and nothing else
        run.save()
    if run.recipe.hold:
        run.measure(at)


if __name__ == "__main__":
    main()
