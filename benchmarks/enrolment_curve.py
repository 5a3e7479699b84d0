r"""How good a product is that is enrolled from 3, 5 or 10 photos of one source.

For each product with at least 20 photos of at least 3 sources, photos of one training source are
enrolled as if the product were new, five times each, and tested on the test split: other sources,
against all test photos without a product. It is compared with the bundle's own, fully trained
label, and with a linear head on the same features that all training photos went into.

    python -m benchmarks.enrolment_curve --data DATA --output docs/enrolment.svg
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, load_photos
from recognizer.dataset.splits import prepare
from recognizer.enrolment.examples import Examples, read_examples
from recognizer.enrolment.head import Learner
from recognizer.evaluation.metrics import average_precision
from recognizer.evaluation.thresholds import expected_log_odds
from recognizer.model.negatives import NegativeBank, read_negatives
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.config import config_from_dict
from recognizer.training.negative_bank import build_bank

COUNTS = (3, 5, 10)
DRAWS = 5
MIN_PHOTOS, MIN_SOURCES = 20, 3


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", help="folder or name; default: the released one")
    parser.add_argument("--output", type=Path, help="the chart, an SVG file")
    options = parser.parse_args()
    recognizer = Recognizer.load(options.bundle)
    if recognizer.bundle.training is None:
        parser.error(f"{recognizer.bundle.title} does not say how it was trained")
    config = config_from_dict(dict(recognizer.bundle.training.recipe))
    photos = prepare(load_photos(options.data), config)
    bank = read_negatives(recognizer.bundle) or build_bank(recognizer, photos)
    curves = measure(recognizer, photos, bank)
    if options.output is not None:
        draw(curves, options.output)


def measure(
    recognizer: Recognizer, photos: list[Photo], bank: NegativeBank
) -> dict[str, tuple[dict[int, list[float]], float]]:
    """Print the table; return for each product its APs by count, and that of all photos."""
    kinds = load_taxonomy().labels
    real = [p for p in photos if p.is_evidence]
    tested = [p for p in real if p.split == "test"]
    test = embed(recognizer, tested)
    truth = np.array([p.label for p in tested])
    negative = np.array([kinds[p.label].kind is not Kind.PRODUCT for p in tested])
    curves = {}
    print(
        f"{recognizer.bundle.title}: {len(tested)} test photos, {negative.sum()} of them no "
        "product\nproduct | photos | AP (lowest-highest) | own label | linear, all photos | "
        "promised recall at 1 % | found | FPR"
    )
    for name in products(real):
        train = [p for p in real if p.label == name and p.split != "test"]
        own = [p for p in train if p.split == "train"]
        others = bank[bank.labels != name]
        used = (truth == name) | negative
        positive = (truth == name)[used]
        full = None
        if name in recognizer.labels:
            column = recognizer.labels.index(name)
            full = average_precision(positive, test.log_odds[used, 0, column])
        everything = embed(recognizer, own)
        linear = scores(learner(everything, others, name), test)[used]
        all_photos = average_precision(positive, linear)
        by_count: dict[int, list[float]] = {}
        for count in COUNTS:
            found = [
                one(draw_photos(train, count, seed), recognizer, others, name, test, used, positive)
                for seed in range(DRAWS)
                if draw_photos(train, count, seed)
            ]
            if not found:
                print(f"{name} | {count} | no source has as many")
                continue
            table = np.array(found)
            by_count[count] = table[:, 0].tolist()
            mean = table.mean(axis=0)
            print(
                f"{name} | {count} | {mean[0]:.3f} ({table[:, 0].min():.2f}-"
                f"{table[:, 0].max():.2f}) | {'-' if full is None else f'{full:.3f}'} | "
                f"{all_photos:.3f} | {mean[1]:.2f} | {mean[2]:.2f} | {mean[3]:.4f}",
                flush=True,
            )
        curves[name] = by_count, all_photos if full is None else full
    return curves


def products(photos: list[Photo]) -> list[str]:
    """Return the products with photos and sources enough, those with the most photos first."""
    kinds = load_taxonomy().labels
    counts = Counter(p.label for p in photos if kinds[p.label].kind is Kind.PRODUCT)
    return [
        name
        for name, count in counts.most_common()
        if count >= MIN_PHOTOS and len({p.source for p in photos if p.label == name}) >= MIN_SOURCES
    ]


def draw_photos(photos: list[Photo], count: int, seed: int) -> list[Photo]:
    """Draw photos of one source; the draws take turns among the sources that have as many."""
    sizes = Counter(p.source for p in photos)
    sources = [source for source, size in sizes.most_common() if size >= count]
    if not sources:
        return []
    members = [p for p in photos if p.source == sources[seed % len(sources)]]
    chosen = np.random.default_rng(seed).permutation(len(members))[:count]
    return [members[i] for i in chosen]


def one(
    photos: list[Photo],
    recognizer: Recognizer,
    bank: NegativeBank,
    name: str,
    test: Examples,
    used: NDArray[np.bool_],
    positive: NDArray[np.bool_],
) -> tuple[float, float, float, float]:
    """Enrol some photos; return AP, promised recall, recall and false-positive rate at 1 %."""
    paths = [str(p.path) for p in photos]
    examples = read_examples(recognizer, paths, mirrored=True)
    made = learner(examples, bank, name)
    learned = made.learn(None)
    threshold = expected_log_odds(learned.negatives, 0.01)
    found = (test.embeddings[:, 0] @ learned.head.weight + learned.head.bias)[used]
    return (
        average_precision(positive, found),
        learned.found(0.01) / len(photos),
        float((found[positive] > threshold).mean()),
        float((found[~positive] > threshold).mean()),
    )


def learner(examples: Examples, bank: NegativeBank, name: str) -> Learner:
    """Return a learner for a product, as enrolment sets it up."""
    taxonomy = load_taxonomy()
    family = taxonomy.labels[name].family
    return Learner(
        examples,
        bank,
        name=name,
        family=[label.name for label in taxonomy.members(family)] if family else [],
        products=[label.name for label in taxonomy.products],
    )


def scores(made: Learner, test: Examples) -> NDArray[np.float64]:
    """Return the log-odds of photos by a head of a learner."""
    head = made.fit()
    return np.asarray(test.embeddings[:, 0] @ head.weight + head.bias, np.float64)


def embed(recognizer: Recognizer, photos: list[Photo]) -> Examples:
    """Embed photos as they are."""
    return read_examples(recognizer, [str(p.path) for p in photos], mirrored=False)


def draw(curves: dict[str, tuple[dict[int, list[float]], float]], path: Path) -> None:
    """Draw average precision over the number of photos, with the full label as a dashed line."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    plt.rcParams["svg.hashsalt"] = "enrolment"  # the same chart is the same file
    figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for i, (name, (by_count, full)) in enumerate(curves.items()):
        counts = sorted(by_count)
        means = [float(np.mean(by_count[count])) for count in counts]
        low = [m - min(by_count[c]) for m, c in zip(means, counts, strict=True)]
        high = [max(by_count[c]) - m for m, c in zip(means, counts, strict=True)]
        places = [c * (1 + 0.02 * (i - 2)) for c in counts]
        axis.errorbar(places, means, [low, high], color=f"C{i}", marker="o", ms=4, lw=1.4,
                      elinewidth=0.8, label=name)  # fmt: skip
        axis.axhline(full, color=f"C{i}", lw=0.8, ls="--")
    axis.set(xscale="log", xlabel="photos enrolled, of one source", ylabel="average precision",
             ylim=(0, 1.02), xlim=(2.6, 11.5))  # fmt: skip
    axis.set_xticks(COUNTS, [str(count) for count in COUNTS])
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title("on other sources; dashed: the fully trained label", fontsize=9, loc="left")
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
