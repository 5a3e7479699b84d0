"""Lazy packages: each name of the stub ``__init__.pyi`` is imported when it is first used."""

import importlib
import re
import sys

TYPE_CHECKING = False  # typing would be a good part of what happens before Ctrl-C is seen to
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def open_door(
    package: str, file: str
) -> "tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]":
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of the package with this ``__file__``."""
    loader: Any = sys.modules[package].__loader__  # of a folder, or of a zip
    stub = loader.get_data(f"{file.rpartition('.')[0]}.pyi").decode()
    pairs = re.findall(r"^from (\S+) import (\w+) as \2\s*$", stub, re.MULTILINE)
    modules = {name: module for module, name in pairs}

    def get(name: str) -> "Any":
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(modules[name])
        if not hasattr(module, name):  # a module of a package
            importlib.import_module(f"{modules[name]}.{name}")
        value = getattr(module, name)
        setattr(sys.modules[package], name, value)  # looked up once
        return value

    names = sorted(modules)
    return get, lambda: sorted({*vars(sys.modules[package]), *names}), names
