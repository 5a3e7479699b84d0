import io
import os
import sys

import pytest

from recognizer.errors import UsageError
from recognizer.scan.expansion import expand, read_list
from recognizer.scan.items import Skipped
from recognizer.status import Reason
from tests.conftest import encoded, picture


@pytest.fixture
def tree(tmp_path, monkeypatch):
    images = ("b.jpg", "a.PNG", ".hidden.jpg", "sub/c.webp", "sub/deep/d.heic", ".git/e.jpg")
    for name in (*images, "[x].jpg", "notes.txt", "plain"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["."], ["./[x].jpg", "./a.PNG", "./b.jpg", "./sub/c.webp", "./sub/deep/d.heic"]),
        (["sub/"], ["sub/c.webp", "sub/deep/d.heic"]),
        (["notes.txt", "plain"], ["notes.txt", "plain"]),
        ([".hidden.jpg", ".git"], [".hidden.jpg", ".git/e.jpg"]),
        (["*.jpg"], ["[x].jpg", "b.jpg"]),
        (["[ab].*"], ["a.PNG", "b.jpg"]),
        (["[x].jpg"], ["[x].jpg"]),
        (["s?b"], ["sub/c.webp", "sub/deep/d.heic"]),
        (["**/*.webp"], ["sub/c.webp"]),
        (["**/*.jpg"], ["[x].jpg", "b.jpg"]),
        (["sub/**"], ["sub/c.webp", "sub/deep/d.heic"]),
        (["./**/**/d*"], ["sub/deep/d.heic"]),
        (["**.jpg"], ["[x].jpg", "b.jpg"]),
        (["s*/**/d.*"], ["sub/deep/d.heic"]),
        (["missing.jpg", "nul\0.jpg"], ["missing.jpg", "nul\0.jpg"]),
        (["{tree}/**/*.webp"], ["{tree}/sub/c.webp"]),
    ],
)
def test_what_sources_stand_for(tree, sources, expected):
    given = [source.format(tree=tree) for source in sources]
    named = [str(tree / name.format(tree=tree)) for name in expected]
    assert [item.source for item in expand(given)] == named


@pytest.mark.parametrize("pattern", ["nothing/*.jpg", "*.gif", "**/*.gif", "?"])
def test_a_pattern_that_matches_nothing_is_a_mistake(tree, pattern):
    with pytest.raises(UsageError, match="nothing matches"):  # before anything is yielded
        expand(["b.jpg", pattern])


def test_what_is_passed_over_is_counted(tree):
    skipped = Skipped()
    list(expand(["."], skipped=skipped))
    assert skipped == Skipped(other_files=2, hidden=2)


def test_the_first_bytes_tell_an_image_that_has_no_name_of_one(tmp_path):
    (tmp_path / "f3a9").write_bytes(encoded(picture("red")))
    (tmp_path / "photo.jpg_large").write_bytes(encoded(picture("red"), "PNG"))
    (tmp_path / "page").write_bytes(b"<html>")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    skipped = Skipped()
    found = [os.path.basename(item.source) for item in expand([tmp_path], skipped=skipped)]
    assert found == ["f3a9", "photo.jpg_large"]
    assert skipped == Skipped(other_files=3)


def test_symlink_loops_end_and_each_folder_is_walked_once(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b/photo.jpg").touch()
    (tmp_path / "b/up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "b")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    found = [os.path.relpath(item.source, tmp_path) for item in expand([tmp_path])]
    assert found == ["self.jpg", "b/photo.jpg"]
    found = [os.path.relpath(item.source, tmp_path) for item in expand([f"{tmp_path}/**/*.jpg"])]
    assert found == ["b/photo.jpg", "self.jpg"]  # as in a shell, ** follows no link to a folder


def test_a_tree_deeper_than_the_recursion_limit(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "photo.jpg").touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        found = list(expand([tmp_path]))
    finally:
        sys.setrecursionlimit(limit)
    assert [item.source for item in found] == [str(deep / "photo.jpg")]


def test_a_folder_that_vanishes_is_an_item_that_failed(tmp_path, monkeypatch):
    def scandir(path):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(os, "scandir", scandir)
    (item,) = expand([tmp_path])
    assert (item.source, item.reason) == (str(tmp_path), Reason.READ_ERROR)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a.jpg", ["a.jpg"]),
        (b"a.jpg\nb c.jpg\n\n", ["a.jpg", "b c.jpg"]),
        (b"a.jpg\r\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        (b"a\nb.jpg\0c.jpg\r\0", ["a\nb.jpg", "c.jpg\r"]),
        (b"\xff.jpg\n", [os.fsdecode(b"\xff.jpg")]),
        (b"x" * 200_000 + b"\ny", ["x" * 200_000, "y"]),
    ],
)
def test_lists_of_paths(data, expected):
    assert list(read_list(io.BytesIO(data))) == expected


def test_a_list_on_standard_input(tree):
    found = expand(["-"], stdin=io.BytesIO(b"notes.txt\nsub\n*.jpg\ngone.jpg\n"))
    expected = ["notes.txt", "sub/c.webp", "sub/deep/d.heic", "*.jpg", "gone.jpg"]
    # A name in a list is not a pattern.
    assert [item.source for item in found] == [str(tree / name) for name in expected]
