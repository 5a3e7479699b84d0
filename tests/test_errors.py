from __future__ import annotations

import recognizer
from recognizer import errors

OWN = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and value.__module__ == errors.__name__
}


def test_every_error_is_public() -> None:
    assert set(recognizer.__all__) >= OWN
    assert all(issubclass(getattr(errors, name), errors.RecognizerError) for name in OWN)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    lines = (errors.__doc__ or "").splitlines()
    drawn = {line.split("── ", 1)[1].split()[0] for line in lines if "── " in line}
    assert drawn == OWN - {"RecognizerError"}
