"""Evaluation with the tiny bundle, for which red is ivory, green ceramic and blue anything else."""

import base64
import csv
import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sklearn.metrics import classification_report

from recognizer.cli import ExitCode
from recognizer.errors import DatasetError
from recognizer.lab.dataset.manifest import at_one_quality, fingerprint, load_data
from recognizer.lab.evaluation.evaluate import ANY_PRODUCT, evaluate
from recognizer.lab.evaluation.learned import (
    DIGESTS_FILE,
    count_learned,
    short_digests,
    write_digests,
)
from recognizer.lab.evaluation.looks import record_look
from recognizer.model.bundle import load_bundle
from tests.conftest import encoded, invoke, picture
from tests.labelled import photo, store, write_manifest
from tests.tiny import edit_description, write_tiny_bundle

ROOT = Path(__file__).parents[3]
HOSTILE = "<script>alert(1)</script>"

# label, color, source, split, how many
PHOTOS = [
    ("ivory_worked", "red", "fitz/netsuke", "test", 4),
    ("ivory_worked", "green", HOSTILE, "test", 1),  # a miss: the model takes it for ceramic
    ("ceramic", "green", "shop/pots", "test", 6),
    ("listing_other", "blue", "market/stall", "test", 6),
    ("ivory_worked", "red", "met/ivory", "train", 6),
    ("ivory_worked", "red", "tony/collections", "train", 3),
    ("ceramic", "green", "met/ivory", "train", 6),
    ("ceramic", "green", "pots/two", "train", 4),
    ("listing_other", "blue", "board/one", "train", 6),
    ("listing_other", "blue", "board/two", "train", 6),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for label, color, source, split, count in PHOTOS:
        for _ in range(count):
            content = encoded(picture(color, seed=len(rows)))
            about = {"label": label, "source": source, "split": split}
            rows.append(store(folder, f"{len(rows):03}.jpg", content, **about))
    write_manifest(folder, rows)
    return folder


@pytest.fixture(scope="module")
def photos(data):
    return load_data([data])


def run(*args, code=ExitCode.DONE):
    """Evaluate on the command line; return what is printed."""
    result = invoke("evaluate", "--rounds", 20, *args, code=code)
    return result.stdout if "--json" in args else result.output


def test_the_figures(recognizer, photos):
    evaluation = evaluate(recognizer, photos, "test", rounds=20).evaluation
    (ivory,) = evaluation.families
    assert (ivory.name, ivory.photos, ivory.sources) == ("ivory", 5, 2)
    assert evaluation.negatives == 12
    assert ivory.recall[0.01].value == 0.8
    # The two sources differ in all, so five photos are worth two, and of two little is known.
    assert ivory.recall[0.01].low < 0.01
    assert 0.8 < ivory.average_precision.value < 1
    assert (ivory.average_precision.low, ivory.average_precision.high) == (0, 1)
    found = evaluation.leads["ivory_worked"]
    assert (found.photos, found.sources, found.leads, found.named) == (5, 2, 4, 4)
    assert (found.share.value, found.by_source) == (0.8, 0.5)  # one of two sources is missed
    kinds = {one.name: one for one in evaluation.slices["kind"]}
    assert kinds["product"].products.leads.value == 0.8
    assert (kinds["lookalike"].negatives.photos, kinds["lookalike"].negatives.leads.value) == (6, 0)
    assert evaluation.accuracy.value == pytest.approx(16 / 17)
    points = evaluation.operating_points[ANY_PRODUCT]
    assert [point.rate for point in points] == [0.05, 0.01, 0.001]
    assert (points[0].false_positives, points[0].recall.value) == (0, 0.8)


def test_a_product_the_model_does_not_know(recognizer, photos):
    renamed = [
        replace(p, label="rhino_horn") if p.label == "ivory_worked" and p.split == "test" else p
        for p in photos
    ]
    found = evaluate(recognizer, renamed, "test", rounds=20).evaluation
    assert (found.leads["rhino_horn"].leads, found.leads["rhino_horn"].named) == (4, 0)
    rhino = next(f for f in found.labels if f.name == "rhino_horn")
    assert (rhino.photos, rhino.average_precision, rhino.recall) == (5, None, {})


def test_a_table_by_source_slice_and_column(recognizer, photos, tmp_path):
    lines = ("source,group,slice", "fitz/netsuke,,museum", "x,shop/pots,shop", f"{HOSTILE},,shop")
    (slices := tmp_path / "slices.csv").write_text("\n".join(lines))
    red = [replace(p, label="ceramic") if p.path.stem in {"000", "001"} else p for p in photos]
    columns = {"subtype": "comb", "kind": "x"}
    red = [replace(p, columns=columns if p.is_product else {}) for p in red]
    with pytest.raises(DatasetError, match="source, label, kind, subtype; or name a CSV file"):
        evaluate(recognizer, red, "test", rounds=20, by=["shop"])
    by = ["source", str(slices), "kind", "subtype"]
    found = evaluate(recognizer, red, "test", rounds=20, by=by).evaluation.slices
    first, *rest = found["source"]
    assert (first.name, first.negatives.photos, first.products.photos) == ("fitz/netsuke", 2, 2)
    assert first.negatives.leads.value == 1  # both false leads are of this source
    assert all(one.negatives.leads is None or one.negatives.leads.value == 0 for one in rest)
    rows = {one.name: one for one in found[str(slices)]}
    assert set(rows) == {"museum", "shop", "(not in the table)"}
    assert (rows["shop"].products.photos, rows["shop"].negatives.photos) == (1, 6)
    assert {one.name for one in found["kind"]} == {"product", "lookalike", "other"}
    assert {one.name for one in found["subtype"]} == {"comb", "(empty)"}
    for rows_of in found.values():
        assert sum(one.products.photos + one.negatives.photos for one in rows_of) == 17


def test_photos_of_the_training_are_noticed(tiny_bundle, data, photos, tmp_path):
    digests = [p.sha256 for p in photos if p.split == "test"]
    parent = {"name": "tiny", "version": 1, "digest": "0" * 64}
    step = {"step": "enrolled", "label": "ivory_worked", "photos": digests[:2], "penalty": 1.0}
    step |= {"parent": parent, "date": "2026-11-28", "program": "0.3"}
    grown = write_tiny_bundle(tmp_path / "grown-v1", name="grown")
    write_digests(short_digests([*digests[1:4], "f" * 64, "0" * 64]), grown)
    edit_description(grown, lambda content: content.update(lineage=[step]))
    page = run(grown, "--data", data, "--output", tmp_path / "x.html")
    assert "4 of these photos were in training: the figures" in " ".join(page.split())
    assert "4 of these photos were in training</strong>" in (tmp_path / "x.html").read_text()
    unknown = run(tiny_bundle, "--data", data)
    assert "does not say which photos it was trained on" in unknown
    pairs = " ".join(run(tiny_bundle, "--data", data, "--against", grown).split())
    assert "4 of these photos were in the training of grown-v1" in pairs
    assert "training of tiny-v1" not in pairs
    (grown / DIGESTS_FILE).write_bytes(b"\x93NUMPY nonsense")
    words = invoke("evaluate", grown, "--data", data, code=ExitCode.MODEL).stderr
    assert DIGESTS_FILE in words


def test_the_released_model_knows_its_training_photos():
    bundle = load_bundle()
    rows = csv.DictReader((ROOT / "datasets" / "wildlife-v6.csv").open(encoding="utf-8"))
    trained = [r for r in rows if r["split"] == "train" and r["correction"] != "exclude"]
    photos = [replace(photo(0), sha256=row["sha256"]) for row in trained]
    assert count_learned(bundle, [*photos, photo(1)]) == len(photos) == bundle.training.photos


def test_each_photo_has_a_row(tiny_bundle, recognizer, data, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "x.parquet"
    run(tiny_bundle, "--data", data, "--predictions", table)
    rows = parquet.read_table(table).to_pylist()
    assert len(rows) == 17
    (missed,) = [row for row in rows if row["label"] != row["highest"]]
    assert (missed["source"], missed["split"], missed["decision"]) == (HOSTILE, "test", "clear")
    assert (missed["kind"], missed["leads"], missed["subtype"]) == ("product", "", "")
    assert missed["any_product"] == missed["family.ivory"] < 0.1
    file, digest = Path(missed["path"]), missed["sha256"]
    said = recognizer.predict(at_one_quality(replace(photo(0), path=file, sha256=digest)))
    assert {name: missed[f"score.{name}"] for name in said.scores} == pytest.approx(said.scores)
    truth, highest = ([row[name] for row in rows] for name in ("label", "highest"))
    report = classification_report(truth, highest, output_dict=True)  # as docs/evaluation.md has it
    assert report["ivory_worked"]["recall"] == 0.8


def test_the_report_shows_errors_and_needs_nothing_else(tiny_bundle, data, photos, tmp_path):
    page = tmp_path / "report.html"
    said = run(tiny_bundle, "--data", data, "--output", page, "--by", "source")
    assert said.endswith("report.html\n")  # below the tables, where it is seen
    text = page.read_text(encoding="utf-8")
    assert "<strong>By source</strong>" in text
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in text
    svg = base64.b64decode(re.search(r'base64,([^"]+)" alt="Share of', text)[1])
    assert ElementTree.fromstring(svg).find(".//*[@id='axes_1']//*[@id='legend_1']") is None
    assert HOSTILE not in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    # The miss: what the model believed, the file, and the training photos that are most alike.
    missed = photos[4]
    error = text[text.index("Missed products") : text.index("False leads")]
    assert error.count('<figure class="error">') == 1
    assert "<strong>ivory_worked: clear, ceramic " in error
    assert f"{missed.path}<br>&lt;script&gt;" in error
    assert f"<code>{missed.sha256}</code>" in error
    nearest = re.findall(r"<figcaption>(\w+), ([\w/]+): [01]\.\d\d</figcaption>", error)
    assert [label for label, _ in nearest] == ["ceramic"] * 3
    assert {source for _, source in nearest} <= {"met/ivory", "pots/two"}
    assert "<p>None.</p>" in text[text.index("False leads") :]


def test_looks_at_the_test_split_are_counted(tiny_bundle, data, photos, tmp_path):
    file = tmp_path / "looks.csv"
    args = (tiny_bundle, "--data", data, "--looks", file)
    assert "Look 1 at this test split" in run(*args, "--purpose", "a try, with\nlines")
    assert "Look 2 at this test split" in run(*args, "--against", tiny_bundle)
    run(tiny_bundle, "--data", data, "--looks", file, "--split", "all")  # is none
    rows = [*csv.DictReader(file.open(newline=""))]
    assert [row["bundle"] for row in rows] == ["tiny-v1", "tiny-v1 and tiny-v1"]
    tested = [photo for photo in photos if photo.split == "test"]
    assert {row["data"] for row in rows} == {fingerprint(tested)}
    assert rows[0]["purpose"] == "a try, with\nlines"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", rows[0]["date"])
    assert record_look(file, tested[1:], "", "") == 1  # fresh data begin at zero
    file.chmod(0o400)
    if os.geteuid():
        assert "--looks" in run(*args, code=ExitCode.USAGE)


@pytest.mark.skipif(os.name == "nt", reason="there are no FIFOs")
@pytest.mark.parametrize("make", [os.mkfifo, Path, lambda path: path.write_bytes(b"<html>")])
def test_a_photo_that_cannot_be_scored_is_named(tiny_bundle, data, tmp_path, make):
    header, row = (data / "manifest.csv").read_text().splitlines()[:2]
    make(tmp_path / "odd.jpg")  # a FIFO, nothing or a page
    (tmp_path / "manifest.csv").write_text(f"{header}\n{re.sub('000.jpg', 'odd.jpg', row)}\n")
    output = run(tiny_bundle, "--data", tmp_path, code=ExitCode.USAGE)
    assert "odd.jpg" in output
    assert "Traceback" not in output
