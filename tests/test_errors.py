from __future__ import annotations

import recognizer
import recognizer.imaging.load
from recognizer import errors


def test_every_error_is_public() -> None:
    own = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert own <= set(recognizer.__all__)
    assert all(issubclass(getattr(errors, name), errors.RecognizerError) for name in own)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [
        line.split("── ", 1)[1].split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    ]
    own = {
        n
        for n, v in vars(errors).items()
        if isinstance(v, type) and v.__module__ == errors.__name__
    }
    assert set(drawn) == own - {"RecognizerError"}
