"""The names that the package knows: products, their look-alikes, and the families of products.

They are read from ``taxonomy.toml`` beside this module and checked in full, so that whatever holds
a `Taxonomy` can rely on it. Which of these labels a model was trained for is the bundle's business.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recognizer.errors import TaxonomyError

SCHEMA = 1  # of taxonomy.toml: the one that this version reads
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""What labels and families are called."""


class Kind(StrEnum):
    """What a label stands for."""

    PRODUCT = "product"
    LOOKALIKE = "lookalike"
    ANIMAL = "animal"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Products that are reported under one name, ``display_name``; ``note`` says what it covers."""

    name: str
    display_name: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One thing that a model can name.

    A product has a ``family``, and nothing else has. ``cites`` is general information on the CITES
    listing and ``hint`` tells a reviewer what to look at: a product has both, others may.
    ``confused_with`` names the labels that look alike.
    """

    name: str
    kind: Kind
    display_name: str
    family: str | None = None
    cites: str | None = None
    hint: str | None = None
    confused_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """All labels and families by name, in the order of the file; the mappings are read-only."""

    labels: Mapping[str, Label]
    families: Mapping[str, Family]

    def __post_init__(self) -> None:
        # One taxonomy is shared by the whole process: nobody may change it under the others.
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        object.__setattr__(self, "families", MappingProxyType(dict(self.families)))

    def __reduce__(self) -> tuple[type[Taxonomy], tuple[dict[str, Label], dict[str, Family]]]:
        # A mapping proxy cannot be pickled, and a taxonomy has to reach worker processes.
        return Taxonomy, (dict(self.labels), dict(self.families))

    @property
    def products(self) -> tuple[Label, ...]:
        """The labels that are wildlife products."""
        return tuple(label for label in self.labels.values() if label.kind is Kind.PRODUCT)

    def label(self, name: str) -> Label:
        """Return the label of that name, or raise a TaxonomyError with the closest names."""
        if name not in self.labels:
            raise TaxonomyError(unknown_name("label", name, [*self.labels]))
        return self.labels[name]

    def display_name(self, name: str, *, family: bool = False) -> str:
        """Return the name for people of a label or family; where it has none, the name itself."""
        names: Mapping[str, Family | Label] = self.families if family else self.labels
        return names[name].display_name if name in names else name

    def members(self, family: str) -> tuple[Label, ...]:
        """Return the products of a family, or raise a TaxonomyError with the closest names."""
        if family not in self.families:
            raise TaxonomyError(unknown_name("family", family, [*self.families]))
        return tuple(label for label in self.labels.values() if label.family == family)

    def lookalikes(self, family: str) -> tuple[Label, ...]:
        """Return the look-alikes that a product of the family is confused with."""
        confused = {name for label in self.members(family) for name in label.confused_with}
        return tuple(
            label
            for label in self.labels.values()
            if label.name in confused and label.kind is Kind.LOOKALIKE
        )


def load_taxonomy(path: str | os.PathLike[str] | None = None) -> Taxonomy:
    """Read the taxonomy at ``path``, or that of the package; a TaxonomyError says what is wrong.

    Without a path it has the labels that :func:`use_taxonomy` added in this process, too.
    """
    if path is None:
        return _in_use or packaged_taxonomy()
    return parse_taxonomy(_read_text(path), os.fspath(path))


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaxonomyError(f"{os.fspath(path)}: {error}") from error


_in_use: Taxonomy | None = None


def use_taxonomy(taxonomy: Taxonomy) -> None:
    """Let :func:`load_taxonomy` return a taxonomy with labels of one's own, in this process."""
    global _in_use  # noqa: PLW0603 - labelled photos, figures and bundles have to agree
    _in_use = taxonomy


def add_labels(path: Path) -> None:
    """Add the labels that a file describes to those of this process.

    The file is like ``taxonomy.toml``, but of a label only ``kind`` is needed. A product without a
    family is one of its own. Labels that are known already stay as they are.

    Raises:
        TaxonomyError: the file cannot be read, or an entry breaks a rule.
    """
    base = load_taxonomy()
    text = _read_text(path)
    try:
        own = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TaxonomyError(f"{path}:{_line(text, None)}: {error}") from error
    except RecursionError as error:
        raise TaxonomyError(f"{path}: nested too deeply") from error
    own.pop("schema", None)
    labels, families = own.get("label", {}), own.setdefault("family", {})
    well_formed = isinstance(labels, dict) and isinstance(families, dict)
    for name, label in labels.items() if well_formed else ():
        if not isinstance(label, dict) or not NAME.fullmatch(name):
            continue  # the checks below say so
        packaged = packaged_taxonomy().labels.get(name)
        if packaged is not None and label.get("kind") != packaged.kind:
            raise TaxonomyError(
                f"{path}:{_line(text, ('label', name))}: {name!r} is a label of the package, a "
                f"{packaged.kind}: take it out, or choose another name"
            )
        title = name.replace("_", " ").capitalize()
        label.setdefault("display_name", title)
        if label.get("kind") == Kind.PRODUCT:
            family = label.setdefault("family", name)
            label.setdefault("cites", _UNSTATED)
            label.setdefault("hint", f"{title}: a label of one's own, without a description.")
            if family == name and family not in base.families:
                families.setdefault(family, {"display_name": title, "note": label["hint"]})
    if not families:
        del own["family"]
    use_taxonomy(extend_taxonomy(base, own, str(path), text))


_UNSTATED = "Not stated; general information: https://cites.org/eng/app/appendices.php"


@functools.cache
def packaged_taxonomy() -> Taxonomy:
    """Return the taxonomy of this package alone."""
    file = resources.files("recognizer") / "taxonomy.toml"
    return parse_taxonomy(file.read_text(encoding="utf-8"), str(file))


def parse_taxonomy(text: str, name: str) -> Taxonomy:
    """Parse the TOML text of a taxonomy; a TaxonomyError begins with ``name:line:``."""
    try:
        root = _Table(text, name, (), tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TaxonomyError(f"{name}:{_line(text, None)}: {error}") from error
    schema = root.values.get("schema")
    if type(schema) is not int or schema != SCHEMA:  # True and 1.0 equal 1
        raise root.error(f"schema must be {SCHEMA}, not {schema!r}", "schema")
    root.check_keys("schema", "family", "label")
    families, labels = root.tables("family"), root.tables("label")
    taxonomy = Taxonomy(
        labels={key: _label(table, [*labels], [*families]) for key, table in labels.items()},
        families={key: _family(table) for key, table in families.items()},
    )
    for key, table in families.items():
        if not taxonomy.members(key):
            raise table.error(f"family {key!r} has no product")
    return taxonomy


def extend_taxonomy(base: Taxonomy, own: Mapping[str, Any], name: str, text: str = "") -> Taxonomy:
    """Return a taxonomy with the families and labels that a bundle brings with it; others stay.

    ``text`` is the TOML that they come from, so that errors name its lines.
    """
    root = _Table(text, name, (), dict(own))
    root.check_keys("family", "label")
    families, labels = (root.tables(kind) if kind in own else {} for kind in ("family", "label"))
    names = [*base.labels, *labels], [*base.families, *families]
    new_labels = {k: _label(t, *names) for k, t in labels.items() if k not in base.labels}
    new_families = {k: _family(t) for k, t in families.items() if k not in base.families}
    return Taxonomy(
        labels={**base.labels, **new_labels}, families={**base.families, **new_families}
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a TOML text, which knows the line of what is wrong in it."""

    text: str
    file: str
    path: tuple[str, ...]
    values: dict[str, Any]

    def error(self, problem: str, *key: str) -> TaxonomyError:
        return TaxonomyError(f"{self.file}:{_line(self.text, (*self.path, *key))}: {problem}")

    def check_keys(self, *known: str) -> None:
        for key in self.values:
            if key not in known:
                raise self.error(unknown_name("key", key, known), key)

    def tables(self, kind: str) -> dict[str, _Table]:
        """The tables below this one under ``kind``, by name."""
        tables = self.values.get(kind)
        if not isinstance(tables, dict) or not tables:
            raise self.error(f"{kind!r} must hold tables", kind)
        found = {}
        for name, values in tables.items():
            if not NAME.fullmatch(name):
                raise self.error(f"bad {kind} name {name!r}: use snake_case", kind, name)
            if not isinstance(values, dict):
                raise self.error(f"{kind} {name!r} must be a table", kind, name)
            found[name] = _Table(self.text, self.file, (*self.path, kind, name), values)
        return found

    def string(self, key: str) -> str:
        """A text that has to be there, with each run of white space as one space."""
        if key not in self.values:
            raise self.error(f"{'.'.join(self.path)} lacks {key!r}")
        value = self.values[key]
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{key!r} must be text, and not empty", key)
        return " ".join(value.split())

    def one_of(self, key: str, names: Sequence[str]) -> str:
        value = self.string(key)
        if value not in names:
            raise self.error(unknown_name(key, value, names), key)
        return value


def _family(table: _Table) -> Family:
    table.check_keys("display_name", "note")
    return Family(
        name=table.path[-1],
        display_name=table.string("display_name"),
        note=table.string("note"),
    )


def _label(table: _Table, labels: Sequence[str], families: Sequence[str]) -> Label:
    table.check_keys("kind", "display_name", "family", "cites", "hint", "confused_with")
    name = table.path[-1]
    kind = Kind(table.one_of("kind", [*Kind]))
    product = kind is Kind.PRODUCT
    if "family" in table.values and not product:
        raise table.error("only a product has a family", "family")
    confused_with = table.values.get("confused_with", [])
    if not isinstance(confused_with, list) or name in confused_with:
        raise table.error("'confused_with' must be a list of other labels", "confused_with")
    for other in confused_with:
        if other not in labels:
            raise table.error(unknown_name("label", other, labels), "confused_with")
    return Label(
        name=name,
        kind=kind,
        display_name=table.string("display_name"),
        family=table.one_of("family", families) if product else None,
        cites=table.string("cites") if product or "cites" in table.values else None,
        hint=table.string("hint") if product or "hint" in table.values else None,
        confused_with=tuple(confused_with),
    )


def _line(text: str, path: tuple[str, ...] | None) -> int:
    """The line where the statement begins that brings ``path`` (None: that does not parse).

    tomllib keeps no positions, but the first n lines of a text parse only if they end between two
    statements. So each n that parses is the end of one, and the next begins below it.
    """
    lines = text.split("\n")
    begin = 1
    for end in range(1, len(lines) + 1):
        try:
            found: Any = tomllib.loads("\n".join(lines[:end]) + "\n")
        except tomllib.TOMLDecodeError:
            continue
        for key in path or ():
            found = found.get(key) if isinstance(found, dict) else None
        if path is not None and found is not None:  # TOML has no null
            return begin
        begin = end + 1
    return begin if path is None else 1


def unknown_name(what: str, name: object, names: Sequence[str]) -> str:
    """Return the words for a name that is not among ``names``, with the closest ones."""
    close = difflib.get_close_matches(str(name), names)
    return f"unknown {what} {name!r}" + (f"; did you mean {' or '.join(close)}?" if close else "")
