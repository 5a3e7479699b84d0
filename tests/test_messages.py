"""What C libraries print: it is kept off standard error where a process listens, and is heeded."""

import random
from pathlib import Path

import pytest

from recognizer.imaging.decode import find_damage
from recognizer.status import Reason, Status
from tests.conftest import run_python
from tests.pictures import encoded, photo

PROGRAM = """if True:
    import sys
    from pathlib import Path
    from recognizer._messages import MESSAGES
    from recognizer.imaging import load_image
    MESSAGES.listen()
    for path in sys.argv[1:]:
        image = load_image(Path(path))
        print(image.status, image.reason, image.detail)
    print("Python's own", file=sys.stderr)
"""


def fax() -> bytes:
    """A fax whose data is damaged in the middle, by words that no code has."""
    image = photo(200, 200).convert("L").point(lambda value: 255 * (value % 7 > 2)).convert("1")
    data = bytearray(encoded(image, "TIFF", compression="group4"))
    damage = random.Random(1)
    for _ in range(3):
        place = damage.randrange(len(data) // 3, len(data) - 250)
        data[place] ^= 1 << damage.randrange(8)
    return bytes(data)


def test_a_fax_that_libtiff_only_complains_of_is_degraded(tmp_path: Path) -> None:
    (tmp_path / "fax.tif").write_bytes(fax())
    sound = encoded(photo().convert("1"), "TIFF", compression="group4")
    (tmp_path / "sound.tif").write_bytes(sound)
    done = run_python("-c", PROGRAM, tmp_path / "fax.tif", tmp_path / "sound.tif")
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{Status.DEGRADED} {Reason.CORRUPT_DATA} libtiff: Fax")
    assert second.startswith(f"{Status.OK} None")
    assert done.stderr == "Python's own\n"


def test_messages_are_taken_once_and_never_block_and_pillow_is_not_shown() -> None:
    program = """if True:
        import logging
        import os
        from recognizer._messages import MESSAGES
        assert MESSAGES.take() == ""
        MESSAGES.listen()
        os.write(2, b"tiff: bad\\n")
        assert (MESSAGES.take(), MESSAGES.take()) == ("tiff: bad\\n", "")
        for _ in range(2):
            try:  # a C library goes on without a word
                for _ in range(1000):
                    os.write(2, b"x" * 4096)
                raise SystemExit("it holds too much")
            except BlockingIOError:
                assert len(MESSAGES.take()) >= 4096
        logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel than can be decoded")
        logging.getLogger("other").error("somebody else's")
        """
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "somebody else's\n")


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("", None),
        ("TIFFReadDirectory: Warning, Unknown field with tag 37724 encountered.\n", None),
        ("2026-01-01 [W:onnxruntime] something: else\n", None),
        ("a: Warning, b\nFax4Decode: Bad code word at line 3.\n", "Fax4Decode: Bad code word at"),
        ("JPEGLib: Warning, premature end of data\n", "JPEGLib: Warning, premature"),
        ("tempfile.tif: Using code not yet in table.\n", "tempfile.tif: Using"),
    ],
)
def test_errors_of_libtiff_are_told_from_its_warnings(printed: str, expected: str | None) -> None:
    found = find_damage(printed)
    assert (found is None) if expected is None else (found or "").startswith(expected)
