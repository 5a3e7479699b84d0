"""Processes that may die, seen from their parent and from what is forked off it."""

import os

import pytest

from recognizer._process import DiedError, ProcessPool
from recognizer.errors import MissingExtraError, PolicyError
from tests.conftest import run_python


def numbered(answered, request, _):
    answered.append(request)
    return len(answered)


def test_the_first_call_is_answered_first():
    with ProcessPool(list, numbered, processes=1, timeout=300) as pool:
        futures = [pool.submit(call) for call in range(20)]
        assert [future.result() for future in futures] == [*range(1, 21)]


def die(answered, path, send):
    """Die, and be it only once; the file counts the calls."""
    calls = len(path.read_bytes()) + 1 if path.exists() else 1
    path.write_bytes(b"x" * calls)
    if calls == 1 or path.name == "always":
        os._exit(3)
    return numbered(answered, path, send)


def test_a_request_whose_process_died_is_asked_once_more(tmp_path):
    with ProcessPool(list, die, processes=1, timeout=300) as pool:
        assert pool.submit(tmp_path / "once").result() == 1
        with pytest.raises(DiedError, match="exit code 3"):
            pool.submit(tmp_path / "always").result()
        assert (tmp_path / "always").read_bytes() == b"xx"
        assert pool.submit(tmp_path / "once").result() == 1
        assert pool.stats() == {"processes": 1, "waiting": 0, "replaced": 3}


def fail(_, call, __):
    if call == "extra":
        raise MissingExtraError("fsspec", "cloud")
    raise PolicyError(call)


def test_an_error_of_a_process_is_raised_here_and_the_process_goes_on():
    with ProcessPool(list, fail, processes=1, timeout=300) as pool:
        for call, kind in (("extra", MissingExtraError), ("x", PolicyError)):
            with pytest.raises(kind):
                pool.submit(call).result()
        assert pool.stats()["replaced"] == 0


FORKED = """if True:
    import os
    import sys

    from recognizer import GuardedRecognizer, Recognizer
    from recognizer.errors import UsageError
    from tests.pictures import encoded, picture

    def main():
        photos = [encoded(picture(color)) for color in ("red", "green")]
        recognizer = GuardedRecognizer.load(sys.argv[1], processes=2)
        plain = Recognizer.load(sys.argv[1])  # with threads of onnxruntime
        wanted = [recognizer.predict(photo) for photo in photos]
        assert [plain.predict(photo) for photo in photos] == wanted
        parent, children = os.getpid(), []
        while os.getpid() == parent and len(children) < 4:
            children.append(os.fork())
        if os.getpid() != parent:
            refused = 0
            for photo in photos * 20:
                try:
                    (plain if refused % 2 else recognizer).predict(photo)
                except UsageError as error:
                    assert "after the fork" in str(error)
                    refused += 1
            recognizer.close()
            sys.exit(0 if refused == 40 else 1)
        assert [recognizer.predict(photo) for photo in photos * 20] == wanted * 20
        assert {os.waitpid(child, 0)[1] for child in children} == {0}
        assert [recognizer.predict(photo) for photo in photos] == wanted
        with GuardedRecognizer.load(sys.argv[1]) as own:
            assert own.predict(photos[0]) == wanted[0]

    if __name__ == "__main__":
        main()
    """


def test_a_forked_process_is_refused_and_disturbs_nobody(tiny_bundle):
    # Newer versions of Python warn of a fork beside threads.
    command = ("-W", "ignore::DeprecationWarning", "-c", FORKED, tiny_bundle)
    done = run_python(*command, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_sent_or_kept_of_what_is_scored(tiny_bundle, tmp_path):
    """The telemetry of onnxruntime would make an identifier and a store in the user's cache."""
    script = (
        "import sys, recognizer; from pathlib import Path;"
        "recognizer.Recognizer.load(sys.argv[1]).predict(Path('none'))"
    )
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    left_out = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")  # they turn it off too
    environment = {key: text for key, text in os.environ.items() if key not in left_out} | places
    assert run_python("-c", script, tiny_bundle, env=environment).returncode == 0
    assert [*tmp_path.rglob("*")] == []


def test_c_libraries_and_pillow_are_not_heard_and_python_is():
    program = """if True:
        import logging
        import os
        import sys
        from recognizer._process import silence_libraries
        os.write(2, b"before\\n")
        silence_libraries()
        os.write(2, b"tiff: bad\\n")
        logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel than can be decoded")
        logging.getLogger("other").error("somebody else's")
        print("Python's own", file=sys.stderr)
        """
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "before\nsomebody else's\nPython's own\n")
