"""How much of what a buyer sees is scored: photos of products that are leads, in other forms.

    python -m benchmarks.evasion --data DATA          # the split test, the default bundle
    python -m benchmarks.evasion --data DATA --fold 0 --onnx fold0.onnx --by-source --photos 30
    python -m benchmarks.evasion --picture            # the forms, drawn on a rendering

Every form of benchmarks/forms.py and tricks.py is made of the photos that are leads as they are,
with the default policy, and of photos without a product. Nothing is chosen by the split test: that
is what folds are for. With ``--onnx``, the network that has not seen a fold stands in for that of
the bundle, with the same labels and the threshold of 1 % of the photos without a product.
"""

import argparse
import hashlib
import io
import itertools
import json
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from benchmarks.forms import FORMS as EDITS
from benchmarks.forms import RGB, Form, Material, encoded
from benchmarks.pictures import PICTURES, SAMPLES, record
from benchmarks.speed import write_figures
from benchmarks.tricks import TRICKS
from recognizer import Decision, Recognizer
from recognizer.imaging import DETAIL_SIDE, Limits
from recognizer.imaging.sources import Refused
from recognizer.intervals import share_by_source
from recognizer.lab.dataset.folds import read_folds
from recognizer.lab.dataset.manifest import BACKDROP_LABELS, Photo, load_data, read_photo
from recognizer.model.bundle import load_bundle
from recognizer.model.description import ModelFile, percent
from recognizer.model.folders import MODEL_FILE
from recognizer.scan.expansion import expand
from recognizer.scan.worker import Reader

FORMS = (*EDITS, *TRICKS)
TABLES = Path(__file__).resolve().parents[1] / "datasets"
LIMITS = TABLES.parent / "docs" / "limits.md"
SEED = 39
RATE = 0.01
AIMS = {  # per cent of the products that stay leads in each form of a group
    "frames": 85,
    "collage of 2": 80,
    "collage of 4": 65,
    "collage of 9": 40,
    "inset": 60,
    "quarter turns": 90,
    "hue, casts": 75,
    "text, watermark, stickers, bars": 55,
    "blur, small, JPEG": 80,
    "best of 16 mild edits": 55,
    "format tricks": 95,
}
_SHOWN_SIDE = 150  # pixels of a form in the picture
_GROUND = (225, 228, 232)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a form: products that stayed leads, and others that became one."""

    form: Form
    stayed: NDArray[np.bool_]
    false: NDArray[np.bool_]


class Bench:
    """A model, and the photos that are measured, the first ones of those in their order."""

    def __init__(self, recognizer: Recognizer, photos: Sequence[Photo], most: int, others: int):
        self.recognizer = recognizer
        negatives = [photo for photo in photos if not photo.is_product]
        self.harmless = [photo for photo in negatives if photo.label in BACKDROP_LABELS]
        self.negatives = negatives[:others]
        if recognizer.bundle.any_product_thresholds[RATE] >= 1:
            self._set_threshold()
        products = (photo for photo in photos if photo.is_product)
        self.products = [*itertools.islice(filter(self.is_lead, products), most)]

    def _set_threshold(self) -> None:
        scores = [max(self.recognizer.predict(p.path).families.values()) for p in self.negatives]
        threshold = float(np.quantile(scores, 1 - RATE, method="higher"))
        rates = dict.fromkeys(self.recognizer.bundle.any_product_thresholds, threshold)
        self.recognizer.bundle = replace(self.recognizer.bundle, any_product_thresholds=rates)

    def is_lead(self, image: Photo | bytes) -> bool:
        source = image.path if isinstance(image, Photo) else image
        decision = self.recognizer.decide(self.recognizer.predict(source)).decision
        return decision in {Decision.REVIEW, Decision.PRIORITY}

    def measure(self, form: Form) -> Outcome:
        """Score a form of all products, and of the photos without one."""
        leads = self._leads(form, self.products[: form.photos])
        # Of what the seller of a product would choose from, others have one.
        false = self._leads(replace(form, best_of=1), self.negatives[: form.photos])
        return Outcome(form=form, stayed=leads, false=false)

    def _leads(self, form: Form, photos: Sequence[Photo]) -> NDArray[np.bool_]:
        if form.name.startswith("photo.zip"):  # by its name it is what it is taken for
            return _scanned([self.draw(form, photo) for photo in photos], self.is_lead)
        copies = range(form.best_of)
        return np.array([all(self.is_lead(self.draw(form, p, n)) for n in copies) for p in photos])

    def draw(self, form: Form, photo: Photo, number: int = 0) -> bytes:
        """Return the file of a form, the same one in each run."""
        key = [int(photo.sha256[:15], 16), zlib.crc32(form.name.encode()), number]
        rng = np.random.default_rng(key)
        material = Material(rng, partial(self._harmless, rng), self.recognizer.bundle.input.size)
        made = form.draw(read_photo(photo, DETAIL_SIDE), material)
        return made if isinstance(made, bytes) else encoded(made)

    def _harmless(self, rng: np.random.Generator) -> RGB:
        return read_photo(self.harmless[int(rng.integers(len(self.harmless)))], DETAIL_SIDE)


def _scanned(files: Sequence[bytes], is_lead: Any) -> NDArray[np.bool_]:
    """Name each file photo.zip in a folder of its own, and see what a scan makes of it."""
    found, reader = np.zeros(len(files), bool), Reader(Limits())
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number), "photo.zip") for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.parent.mkdir()
            path.write_bytes(data)
        for item in expand(paths):
            number = int(Path(item.source).relative_to(folder).parts[0])
            try:
                found[number] |= is_lead(reader.read(item))
            except Refused:
                continue
    return found


def load_bench(options: argparse.Namespace) -> Bench:
    """Load the bundle and the photos."""
    split = options.split if options.fold is None else "train"
    photos = [photo for photo in load_data([options.data]) if photo.split == split]
    if options.fold is not None:
        folds = read_folds(TABLES / "folds.csv")
        photos = [p for p in photos if p.source in folds and folds[p.source][1] == options.fold]
    bundle = load_bundle(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        if options.onnx is not None:
            model = options.onnx.read_bytes()
            Path(folder, MODEL_FILE).write_bytes(model)
            (given,) = onnxruntime.InferenceSession(model).get_inputs()
            bundle = replace(
                bundle,
                path=Path(folder),
                model=ModelFile(sha256=hashlib.sha256(model).hexdigest()),
                input=replace(bundle.input, size=given.shape[1]),
                any_product_thresholds=dict.fromkeys(bundle.any_product_thresholds, 1.0),
            )
        recognizer = Recognizer(bundle, threads=1)
    photos = [photos[i] for i in np.random.default_rng(SEED).permutation(len(photos))]
    if options.by_source:
        seen: Counter[str] = Counter()
        turns = {p.sha256: seen.update([p.source]) or seen[p.source] for p in photos}
        photos.sort(key=lambda photo: turns[photo.sha256])
    return Bench(recognizer, photos, options.photos, options.negatives)


def figures(outcomes: Sequence[Outcome], bench: Bench) -> dict[str, Any]:
    """Return the figures of some forms together, ready for JSON."""
    photos = [photo for outcome in outcomes for photo in bench.products[: len(outcome.stayed)]]
    stayed = np.concatenate([outcome.stayed for outcome in outcomes])
    false = np.concatenate([outcome.false for outcome in outcomes])
    families = np.array([str(photo.taxonomy.labels[photo.label].family) for photo in photos])
    found = share_by_source(stayed, np.array([photo.source for photo in photos]))
    return {
        "stay": [round(value, 4) for value in (found.value, found.low, found.high)],
        "by_family": {
            str(name): round(float(stayed[families == name].mean()), 4)
            for name in np.unique(families)
        },
        "false_leads": [int(false.sum()), len(false)],
    }


def summary(
    outcomes: Sequence[Outcome], bench: Bench, options: argparse.Namespace
) -> dict[str, Any]:
    """Return all figures, by form and by group; the groups are the lines of the model card."""
    bundle = bench.recognizer.bundle
    families = [photo.taxonomy.labels[photo.label].family for photo in bench.products]
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.form.group, []).append(outcome)
    return {
        "bundle": bundle.title if options.onnx is None else str(options.onnx),
        "digest": bundle.digest,
        "split": options.split if options.fold is None else "train",
        "fold": options.fold,
        "leads": len(bench.products),
        "sources": len({photo.source for photo in bench.products}),
        "families": {name: families.count(name) for name in sorted({*map(str, families)})},
        "negatives": len(bench.negatives),
        "false_leads": sum(map(bench.is_lead, bench.negatives)),
        "groups": {name: figures(found, bench) for name, found in groups.items()},
        "forms": {outcome.form.name: figures([outcome], bench) for outcome in outcomes},
    }


def table(found: dict[str, Any], before: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield the lines of a table in Markdown, groups first among their forms."""
    of = f"{found['leads']} leads of {found['sources']} sources"
    yield (
        f"{found['bundle']}: {of}, {found['families'].get('ivory', 0)} of them ivory. Leads among "
        f"{found['negatives']} photos without a product, as they are: {found['false_leads']}."
    )
    yield ""
    yield "| form | " + "before | " * bool(before) + "stay leads | ivory | false leads |"
    yield "|---|" + "---:|" * (3 + bool(before))
    for name, forms in _by_group(found["forms"]):
        rows = [(name, found["groups"].get(name), before and before["groups"].get(name))]
        if len(forms) == 1:
            rows = []
        rows += [(f, found["forms"][f], before and before["forms"].get(f)) for f in forms]
        for number, (title, own, earlier) in enumerate(rows):
            cell = f"**{title}**" if number == 0 else f"{title}"
            if number or len(rows) == 1:
                cell += "" if _form(title).is_trained else " \u2020"
            yield "| " + " | ".join([cell, *_cells(own, earlier, bool(before))]) + " |"
    yield ""
    yield "\u2020 has no counterpart in training's augmentation."


def _by_group(names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_form(name).group, []).append(name)
    yield from groups.items()


def _form(name: str) -> Form:
    return next(form for form in FORMS if form.name == name)


def _cells(own: dict[str, Any], before: dict[str, Any] | None, is_compared: bool) -> Iterator[str]:
    if is_compared:
        yield f"{100 * before['stay'][0]:.0f} %" if before else "-"
    value, low, high = (100 * value for value in own["stay"])
    yield f"{value:.0f} % ({low:.0f}-{high:.0f})"
    ivory = own["by_family"].get("ivory")
    yield "-" if ivory is None else f"{100 * ivory:.0f} %"
    count, of = own["false_leads"]
    yield f"{count} of {of:,} ({percent(count / of)} %)" if of else "-"


def below_aims(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each group with forms in which too few products stay leads."""
    for group, forms in _by_group(found["forms"]):
        shares = {name: round(100 * found["forms"][name]["stay"][0]) for name in forms}
        below = [f"{n} {share}" for n, share in shares.items() if share < AIMS.get(group, 0)]
        if below:
            yield f"- aim {AIMS[group]}: {'; '.join(below)}"


def draw_picture() -> bytes:
    """Return a JPEG: the forms of a rendering, with other renderings as what is harmless."""
    photo, *others = (
        np.asarray(Image.open(SAMPLES / f"{name}.jpg").convert("RGB").reduce(2))
        for name in ("ivory-figure", "mug", "wooden-bowl", "toy-bricks", "almonds", "bananas")
    )
    shown = EDITS[1:]  # without the mirrored one
    columns = 11
    tiles = []
    for form in shown:
        rng = np.random.default_rng([SEED, zlib.crc32(form.name.encode())])
        made = form.draw(photo, Material(rng, lambda: others[int(rng.integers(len(others)))], 320))  # noqa: B023
        image = Image.open(io.BytesIO(made)) if isinstance(made, bytes) else Image.fromarray(made)
        image = image.convert("RGB")
        image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        tile = Image.new("RGB", (_SHOWN_SIDE + 8, _SHOWN_SIDE + 8), _GROUND)
        tile.paste(image, ((tile.width - image.width) // 2, (tile.height - image.height) // 2))
        tiles.append(np.asarray(tile))
    tiles += [np.asarray(Image.new("RGB", tile.size, _GROUND))] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return encoded(np.vstack(rows), quality=82, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="a data folder with a manifest")
    add("--bundle", help="a bundle: a folder or a name (the default one of the package)")
    add("--onnx", type=Path, help="a network in place of the bundle's, such as that of a fold")
    add("--split", default="test", choices=["train", "validation", "test"])
    add("--fold", type=int, help="of datasets/folds.csv: only its photos, for choices")
    add("--by-source", action="store_true", help="draw a photo of each source, then a second one")
    add("--photos", type=int, default=100, help="products at most (100)")
    add("--negatives", type=int, default=100, help="photos without a product at most (100)")
    add("--form", action="append", help="only forms whose name has this in it; repeatable")
    add("--before", type=Path, help="an earlier --json file, for a column beside")
    add("--json", type=Path, help="write the figures, for the model card and for --before")
    add("--markdown", type=Path, help="write the table into a page")
    add("--limits", type=Path, metavar="JSON", help="only write docs/limits.md, of such a file")
    add("--picture", action="store_true", help="only draw docs/pictures/evasion.jpg")
    options = parser.parse_args(arguments)
    if options.picture:
        (PICTURES / "evasion.jpg").write_bytes(draw_picture())
        record(PICTURES / "evasion.jpg", "python -m benchmarks.evasion --picture")
        return
    if options.limits is not None:
        write_figures(LIMITS, below_aims(json.loads(options.limits.read_text("utf-8"))))
        return
    if options.data is None:
        parser.error("--data: the folder of the photos")
    wanted = [f for f in FORMS if not options.form or any(part in f.name for part in options.form)]
    bench, outcomes = load_bench(options), []
    if not bench.products:
        parser.error("no photo of a product is a lead")
    for number, form in enumerate(wanted, 1):
        outcomes.append(bench.measure(form))
        stayed = outcomes[-1].stayed.mean()
        print(f"{number}/{len(wanted)} {form.name}: {stayed:.0%}", file=sys.stderr, flush=True)
    found = summary(outcomes, bench, options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    before = json.loads(options.before.read_text("utf-8")) if options.before else None
    lines = [*table(found, before)]
    if options.markdown:
        write_figures(options.markdown, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
