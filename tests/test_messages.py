"""Standard error has nothing that C libraries print of a file, and all that Python says."""

from tests.conftest import run_python


def test_c_libraries_and_pillow_are_not_heard_and_python_is() -> None:
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
