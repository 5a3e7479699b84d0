"""Predictions of a bundle: a self-contained HTML report, and a Parquet file for analyses.

The page shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markdown_it import MarkdownIt
from markupsafe import Markup
from numpy.typing import NDArray

from recognizer._files import replacing
from recognizer.engine import Recognizer
from recognizer.imaging.thumbnail import draw_heatmap
from recognizer.lab.dataset.manifest import Photo, read_photo
from recognizer.lab.dataset.similar import embed_photos
from recognizer.lab.evaluation import plots
from recognizer.lab.evaluation.evaluate import Measured, highest, targets
from recognizer.lab.evaluation.figures import Truth
from recognizer.lab.templates import picture_uri, render
from recognizer.policy.values import Decision

MAX_ERRORS = 60  # of each kind that are shown, the surest first
_NEAREST = 3  # training photos beside each
_WIDTH, _SMALL = 480, 120  # pixels, of a photo beside its heat-map, and of a training photo

# Names of sources and labels are the data's: no HTML, links or images of theirs.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN.disable(["link", "image", "autolink", "reference"])


@dataclass(frozen=True)
class Sight:
    """How a network sees photos, and the photos that it has learned from."""

    # A photo, RGB, uint8 (height, width, 3), and the heat-map of a label, float32 (h, w), 0 to 1.
    explain: Callable[[Photo, str], tuple[NDArray[np.uint8], NDArray[np.float32]]]
    embed: Callable[[Sequence[Photo]], NDArray[np.float32]]  # of unit length, (N, channels)
    learned: Sequence[Photo]

    @cached_property
    def known(self) -> NDArray[np.float32]:
        """The embeddings of what it has learned from."""
        return self.embed(self.learned)


def sight_of_bundle(recognizer: Recognizer, learned: Sequence[Photo]) -> Sight:
    """Return how a bundle sees photos; ``learned`` are those of the split ``train``."""

    def explain(photo: Photo, label: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        found = recognizer.explain(photo.path, label)
        return found.rgb, found.heatmap

    return Sight(explain, partial(embed_photos, recognizer), learned)


def write_report(output: Path, measured: Measured, sight_of: Callable[[Photo], Sight]) -> None:
    """Write the report of a bundle on a split; ``sight_of`` says what scored a photo."""
    evaluation, bundle = measured.evaluation, measured.bundle
    truth = Truth.of(measured.photos)
    scores = np.array([[*p.scores.values()] for p in measured.predictions])
    products = np.isin([*measured.predictions[0].scores], bundle.products)
    missed, false_leads = find_errors(measured)
    page = render(
        "evaluation/report.html.j2",
        style=Markup(render("evaluation/report.css.j2")),  # noqa: S704 - ours
        tables=Markup(_MARKDOWN.render(render("evaluation/evaluation.md.j2", found=evaluation))),  # noqa: S704 - escaped
        title=evaluation.bundle,
        digest=evaluation.digest,
        split=evaluation.split,
        curves=plots.curves(targets(bundle, truth, measured.predictions), truth.negative),
        reliability=plots.reliability(
            ~truth.negative, scores[:, products].sum(axis=1) / scores.sum(axis=1)
        ),
        confusion=plots.confusion(truth.labels, [*map(highest, measured.predictions)]),
        errors={
            "Missed products: the default policy clears them": _show(missed, sight_of),
            "False leads: no product, and sent to review": _show(false_leads, sight_of),
        },
        counts=(len(missed), len(false_leads)),
    )
    with replacing(output) as partial_file:
        partial_file.write_text(page, encoding="utf-8", newline="\n")


class Mistake(NamedTuple):
    """A photo that the default policy decides wrongly, and the label that the model believed."""

    rank: float
    photo: Photo
    believed: str
    score: float
    decision: str


def find_errors(measured: Measured) -> tuple[list[Mistake], list[Mistake]]:
    """Return missed products, the lowest scores of products first, and false leads, the highest."""
    missed, false_leads = list[Mistake](), list[Mistake]()
    products = {label.name for label in measured.photos[0].taxonomy.products}
    for photo, said, triage in zip(*measured[2:], strict=True):
        if photo.is_product is not (is_clear := triage.decision is Decision.CLEAR):
            continue
        product = max(said.scores.keys() & products, key=said.scores.__getitem__)
        believed = highest(said) if is_clear else product
        rank = said.scores[product] * (1 if is_clear else -1)
        found = Mistake(rank, photo, believed, said.scores[believed], str(triage.decision))
        (missed if is_clear else false_leads).append(found)
    return sorted(missed, key=itemgetter(0)), sorted(false_leads, key=itemgetter(0))


def _show(mistakes: Sequence[Mistake], sight_of: Callable[[Photo], Sight]) -> list[dict[str, Any]]:
    shown = []
    for _, photo, believed, score, decision in mistakes[:MAX_ERRORS]:
        sight, nearest = sight_of(photo), []
        if sight.learned:
            cosines = sight.known @ sight.embed([photo])[0]
            for place in np.argsort(-cosines)[:_NEAREST].tolist():
                near = sight.learned[place]
                words = f"{near.label}, {near.source}: {cosines[place]:.2f}"
                nearest.append((words, picture_uri(read_photo(near, _SMALL), _SMALL)))
        words = f"{photo.label}: {decision}, {believed} {score:.2f}"
        rgb, heatmap = sight.explain(photo, believed)
        picture = picture_uri(np.hstack([rgb, draw_heatmap(rgb, heatmap)]), _WIDTH)
        shown.append({"photo": photo, "words": words, "picture": picture, "nearest": nearest})
    return shown


def write_predictions(measured: Measured, path: Path) -> None:
    """Write a row for each photo; ``highest`` is the label with the highest score.

    Columns of the manifest that have no other use are there, too.
    """
    import pandas as pd  # noqa: PLC0415 - takes a while

    rows = []
    for photo, said, triage in zip(*measured[2:], strict=True):
        words = {
            **photo.columns,
            "path": str(photo.path),
            "sha256": photo.sha256,
            "split": measured.evaluation.split,
            "label": photo.label,
            "kind": str(photo.taxonomy.labels[photo.label].kind),
            "source": photo.source,
            "highest": highest(said),
            "decision": str(triage.decision),
            "leads": " ".join(lead.name for lead in triage.leads),
        }
        scores = {"any_product": max(said.families.values(), default=0.0)}
        scores |= {f"family.{name}": score for name, score in said.families.items()}
        scores |= {f"score.{name}": score for name, score in said.scores.items()}
        rows.append({**words, **scores})
    with replacing(path) as unfinished:
        pd.DataFrame(rows).to_parquet(unfinished, compression="zstd", index=False)
