import json
import shlex
from pathlib import Path

import pytest

from recognizer import __version__
from recognizer.cli import ExitCode
from recognizer.cli.scan import default_output
from recognizer.rows import ScanFile
from tests.conftest import encoded, invoke, picture, read_rows, refuse, run_python, succeed
from tests.tiny import write_tiny_bundle


def test_version_and_usage():
    assert invoke("--version").stdout == f"recognizer {__version__}\n"
    for wrong in (("scam",), ("scan",), ("scan", "x", "--workers", "-1")):
        refuse(*wrong)
    assert "Did you mean 'scan'" in invoke("scam").stderr


def test_a_scan_prints_a_line_for_each_photo(scan, photo_folder, tmp_path):
    folder = photo_folder("red", "green")
    (folder / "notes.txt").touch()
    red, green, *rest = scan(folder, code=ExitCode.DONE).stdout.splitlines()
    assert red.split()[:2] == ["priority", "ivory_worked"]
    assert green.split()[:2] == ["clear", "ceramic"]
    assert (red.split()[3], green.split()[3]) == tuple(map(str, sorted(folder.glob("*.jpg"))))
    told = "\n".join(rest)
    leads = "Images to review: priority 1. They may show: ivory_worked 1."
    for words in (leads, "2 images, in", "not a verdict", "1 other file"):
        assert words in told
    assert f"Scan: {tmp_path}/scan.sqlite" in told
    again = scan(folder)
    found = json.loads(scan(folder, "--json").stdout)
    leads = {"ivory_worked": 1}
    assert (found["images"], found["scanned"], found["leads"]) == (2, 0, leads)
    assert found["scan"] == str(tmp_path / "scan.sqlite")
    assert again.stdout.splitlines()[:2] == [red, green]
    assert "2 of them done before" in again.stdout
    looser = {0.05: 0.1, 0.01: 0.2, 0.001: 0.3}
    other = write_tiny_bundle(tmp_path / "b-v1", name="b", any_product_thresholds=looser)
    assert "Scored by tiny-v1 before, now by b-v1" in scan(folder, "--model", other).stderr
    assert "before, now" not in again.stderr + scan(folder, "--model", other).stderr
    assert len(read_rows(tmp_path / "scan.sqlite")) == 2


def test_of_many_photos_only_leads_are_shown(scan, photo_folder, tmp_path):
    folder = photo_folder(*["red"] * 22, *["green"] * 31)
    assert scan(f"{folder}/*_green.jpg").stdout.startswith("31 images, in")
    result = scan(folder)
    assert "The first 20 of 22 images to review" in result.stdout
    assert result.stdout.count("_red.jpg") == 20
    assert "_green.jpg" not in result.stdout
    assert "53 images, 31 of them done before, in" in result.stdout
    (tmp_path / "empty").mkdir()
    assert "No images found." in scan(tmp_path / "empty", code=ExitCode.DONE).stdout


def test_failed_inputs(scan, tmp_path):
    photos = (tmp_path / "gone.jpg", __file__)
    result = scan(*photos, "--quiet")
    output = f"2 images failed: see 'reason' in {tmp_path / 'scan.sqlite'}\n"
    assert (result.exit_code, result.output) == (0, output)
    assert scan(*photos, "--strict").exit_code == ExitCode.SOME_FAILED
    result = scan(*photos, code=ExitCode.DONE)
    assert "failed: not_found" in result.stdout
    assert "unscored" in result.stdout
    assert "Failed, and so not cleared: not_found 1, not_an_image 1." in result.stdout


def test_the_chosen_columns_are_printed_and_a_listing_of_text_is_no_failure(
    scan, photo_folder, tmp_path
):
    (photo,) = photo_folder("green").iterdir()
    table = tmp_path / "t.csv"
    rows = (
        f"1,https://x,{photo},\n2,https://y,,\n1,https://z,{photo},\n"  # of two, the first counts
    )
    table.write_text(f"id,url,main_image,Image 1\n{rows}")
    policy = tmp_path / "p.toml"
    policy.write_text("[keywords]\nsubstrings = ['2']\ncolumns = ['id']\n")
    done = scan(table, "--policy", policy, code=ExitCode.DONE)
    for words in (f"{table}: images from 'main_image', 'Image 1'.", "once: 1; the first counts."):
        assert words in done.stdout
    assert "review    keyword '2', failed: no_image " in done.stdout
    scored, text = read_rows(tmp_path / "scan.sqlite")
    keys = ("decision", "reason")
    assert [scored[key] for key in keys] == ["clear", None]
    assert scored["item"]["url"] == "https://x"
    assert [text[key] for key in keys] == ["review", "no_image"]
    assert text["keywords"] == [{"keyword": "2", "column": "id"}]


def test_rows_without_image_or_utf8_are_counted(scan, listed):
    photo, table = listed
    table.write_bytes(f"image,title\n{photo},Défense\n".encode("cp1252") + b",\n" * 4)
    result = scan(table, "--image-root", photo.parent, "--quiet", code=ExitCode.DONE)
    notes = f"{table}: 4 rows without an image\n{table}: 1 row not in UTF-8, where keywords may not"
    assert result.stderr.startswith(notes)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_table_without_rows_is_named(scan, photo_folder, tmp_path, name):
    table = tmp_path / name
    table.write_text("id,image\n" if name == "t.csv" else "")
    alone = scan(table)
    assert (alone.exit_code, alone.stdout) == (ExitCode.USAGE, "")
    assert f"{table}: a table without rows" in alone.stderr
    result = scan(table, photo_folder("green"), "--quiet")
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, f"{table}: no rows\n")


def test_the_column_of_listings_has_to_exist(scan, photo_folder, tmp_path):
    (photo,) = photo_folder("green").iterdir()
    table, other, output = (tmp_path / name for name in ("t.csv", "u.jsonl", "scan.sqlite"))
    table.write_text(f"id,image,title\n1,{photo},vase\n")
    other.write_text(f'{{"sku": 7, "image": "{photo}"}}\n')
    for option in ("--listing-column", "--image-column"):
        refused = scan(table, option, "sku", code=ExitCode.USAGE)
        assert "no column 'sku', but 'id', 'image', 'title'" in refused.stderr
        assert not output.exists()
    # Which tables a list or a pattern names is known at the end, as are the keys of JSON.
    for given, names in ((["-"], f"{table}\n"), ([photo, table], None), ([tmp_path / "t*"], None)):
        listed = scan(*given, "--listing-column", "sku", "--quiet", input=names)
        assert listed.exit_code == ExitCode.DONE
        assert "1 image of listings without a value in 'sku'" in listed.stderr
        output.unlink()
    scan(table, other, "--listing-column", "sku", "--quiet", code=ExitCode.DONE)
    with ScanFile(output) as file:
        assert file.listing_column == "sku"
        assert {*file.select("SELECT listing FROM image")} == {(None,), ("7",)}


@pytest.fixture
def listed(photo_folder, tmp_path):
    """A photo, and the place of a table in another folder."""
    (photo,) = photo_folder("green").iterdir()
    (tmp_path / "sent").mkdir()
    return photo, tmp_path / "sent" / "t.csv"


def test_tables_name_images_where_the_options_say(scan, listed, tmp_path):
    photo, table = listed
    table.write_text(f"image\n{photo}\n{photo}\n{photo.parent}/../{photo.parent.name}/x.jpg\n")
    result = scan(table, code=ExitCode.DONE)
    assert "source_refused 2" in result.stdout
    assert f"{photo}: a table may name images in its own folder alone" in result.stdout
    assert "could be read" not in result.stdout  # a new --output is not needed
    assert "not_found 1" in scan(table, "--image-root", photo.parent).stdout
    table.write_text("image\nhttps://photos.example/1.jpg\n")
    assert "1.jpg: the web needs --allow-host photos.example." in scan(table).stdout
    for other in ("/etc/2.jpg", photo):  # and not one of an earlier table, kept or not
        table.write_text(f"image\n{other}\n")
        assert f"Refused: {other}" in scan(table).stdout
    place = f"{photo.parent.name}/{photo.name}"
    table.write_text(f"id,image\n1,{place}\n2,/{place}\n3,t.csv\n")  # which is no image
    result = scan(table, "--strict", code=ExitCode.SOME_FAILED)
    assert f"No image of {table} could be read" in result.stdout
    assert "--image-root" in result.stdout
    assert "Nothing to review" not in result.stdout
    own = "--image-root", tmp_path, "--output", tmp_path / "own.sqlite"
    assert "--image-root" not in scan(table, *own).stdout
    photo.unlink()
    assert "could be read" not in scan(table, *own).stdout  # what was scored stays


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *((f"photo.jpg --image-root {x}", f"{x}: not a folder; name") for x in ("no", __file__)),
        ("photo.jpg --decode half", "'half' is not one of 'auto', 'whole'"),
        ("photo.jpg --memory-limit -1", "--memory-limit"),
        ("photo.jpg --policy nowhere.toml", "nowhere.toml: no such file, nor a policy"),
        ("photo.jpg --provider abacus", "abacus"),
        ("photo.jpg --shard 3/2", "shard"),
        ("photo.jpg --output nowhere/scan.sqlite", "nowhere does not exist; make it first"),
        (f"photo.jpg --output {__file__}", "not the file of a scan"),
        ("photo.jpg --model nowhere", "no bundle 'nowhere'"),
        ("photo.jpg *.gif", "nothing matches"),
        ("photo.jpg ''", "a source without a name"),
        ("photo.jpg --allow-host https://photos.example", "a host in lower case"),
        ("photos/x/a.jpg", "recognizer: photos/x/a.jpg: no such file or folder\n"),
    ],
)
def test_mistakes(scan, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "photos").mkdir()
    result = scan(*shlex.split(arguments))
    assert result.exit_code == (ExitCode.MODEL if "--model" in arguments else ExitCode.USAGE)
    assert words in result.stderr
    assert "Traceback" not in result.output
    if "--provider" not in arguments:  # which a worker finds out
        assert not (tmp_path / "scan.sqlite").exists()


def test_a_defect_is_told_as_such(tmp_path):
    code = (
        "import sys, recognizer.model.bundle as b, recognizer.commands as c\n"
        "b.load_bundle = lambda *_: 1 / 0\n"
        "sys.argv[1:] = ['scan', 'photo.jpg']\n"
        "c.main()\n"
    )
    done = run_python("-c", code, cwd=tmp_path)
    assert done.returncode == ExitCode.INTERNAL_ERROR
    assert "defect of this program" in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    "arrives",
    [
        # While the command line is imported; while a verb imports what it needs, where a compiled
        # library may make an error of its own of it; and while nothing of ours runs.
        "sys.meta_path.insert(0, SimpleNamespace(find_spec=lambda name, *_: "
        "os.kill(os.getpid(), signal.SIGINT) if name == 'typer' else None))",
        "sys.meta_path.insert(0, SimpleNamespace(find_spec=lambda name, *_: "
        "lose() if name == 'recognizer.model.bundle' else None))",
        "import typer.core\ntyper.core.TyperGroup.make_context = "
        "lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)",
    ],
)
def test_an_interrupt_ends_it_without_a_word(tmp_path, arrives):
    code = (
        "import os, signal, sys\n"
        # A shell's background job ignores interrupts, and its children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from types import SimpleNamespace\n"
        "def lose():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        raise ImportError('initialization failed') from None\n"
        f"{arrives}\n"
        "from recognizer.__main__ import main\n"
        "sys.argv[1:] = ['scan', 'photo.jpg']\n"
        "main()\n"
    )
    done = run_python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (ExitCode.INTERRUPTED, "")


def test_clear_images_are_drawn_for_an_audit(scan, photo_folder, tmp_path):
    folder = photo_folder("red", "green", "blue")
    assert "Audit" not in scan(folder).stdout
    rows = read_rows(tmp_path / "scan.sqlite")
    assert "Audit sample: 2 of 2 clear images" in scan(folder, "--audit-rate", 1).stdout
    assert read_rows(tmp_path / "scan.sqlite") == rows[:1] + [r | {"audit": 1.0} for r in rows[1:]]
    refused = scan(folder, "--audit-rate", 2)
    assert (refused.exit_code, "audit" in refused.stderr) == (ExitCode.USAGE, True)
    (folder / "new.jpg").write_bytes(encoded(picture("green")))
    assert "Audit sample: 3 of 3 clear images" in scan(folder).stdout  # at the rate of its file


def test_the_file_is_named_after_what_is_scanned(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for source, name in {
        "q1/": "q1.scan.sqlite",
        ".": "work.scan.sqlite",
        "q1/list.csv": "list.csv.scan.sqlite",
        "s3://bucket/photos/": "photos.scan.sqlite",
    }.items():
        assert default_output([source]) == Path(name)
    for sources in (["q1/**/*.jpg"], ["-"], ["/"], ["q1/a.jpg", "q1/b.jpg"]):
        assert default_output(sources) == Path("scan.sqlite")


def test_a_listing_without_an_id_is_its_image_and_title(tiny_bundle, tmp_path):
    """Whatever else of it is edited: what was said of it stands."""
    table, output = tmp_path / "t.csv", tmp_path / "scan.sqlite"
    (tmp_path / "a.jpg").write_bytes(encoded(picture("red")))
    for price, title in ((1, "tusk"), (2, "tusk"), (3, "horn")):
        table.write_text(f"title,image,price\n{title},a.jpg,{price}\n")
        done = succeed("scan", table, "-m", tiny_bundle, "-o", output, "-w", 1)
        assert "of listings without an ID or URL" in done.stderr
    with ScanFile(output) as file:
        found = [((row.item or {})["title"], (row.item or {})["price"]) for row in file.rows()]
        assert found == [("tusk", "2"), ("horn", "3")]
        assert file.select("SELECT title FROM queue") == [("tusk",), ("horn",)]
