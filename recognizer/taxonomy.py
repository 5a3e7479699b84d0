"""The names that the package knows: products, their look-alikes, and the families of products."""

from __future__ import annotations

import functools
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from importlib import resources
from typing import Any, TypeVar

import msgspec

from recognizer._files import read_toml, require_keys, toml_words
from recognizer.errors import TaxonomyError, unknown_name

SCHEMA = 1  # of taxonomy.toml
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # what labels and families are called

_UNSTATED = "Not stated; general information: https://cites.org/eng/app/appendices.php"


class Kind(StrEnum):
    """Kind of a label."""

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


_Entry = TypeVar("_Entry", Family, Label)


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """All labels and families by name, in the order of the file."""

    labels: Mapping[str, Label]
    families: Mapping[str, Family]

    @property
    def products(self) -> tuple[Label, ...]:
        """The labels that are wildlife products."""
        return tuple(label for label in self.labels.values() if label.kind is Kind.PRODUCT)

    def display_name(self, name: str, *, family: bool = False) -> str:
        """Return the name for people of a label or family; the name itself if it is unknown."""
        names: Mapping[str, Family | Label] = self.families if family else self.labels
        return names[name].display_name if name in names else name

    def members(self, family: str) -> tuple[Label, ...]:
        """Return the products of a family, or raise a TaxonomyError with the closest names."""
        if family not in self.families:
            raise TaxonomyError(unknown_name("family", family, [*self.families]))
        return tuple(label for label in self.labels.values() if label.family == family)

    def extended(self, added: Mapping[str, Any], where: str) -> Taxonomy:
        """Return this taxonomy with the labels and families of a table like ``taxonomy.toml``.

        Of a label only ``kind`` is needed; a product without a family is its own family. Known
        names stay as they are. An entry that breaks a rule, or names a known label of another kind,
        is a TaxonomyError whose message begins with ``where``.
        """
        try:
            return _extended(self, added)
        except (TaxonomyError, msgspec.ValidationError) as error:
            raise TaxonomyError(f"{where}: {error}") from error

    def own_names(self) -> dict[str, dict[str, Any]]:
        """Return the names that the package does not have, as :meth:`extended` takes them."""
        known = load_taxonomy()
        families = {n: _as_table(f) for n, f in self.families.items() if n not in known.families}
        labels = {n: _as_table(v) for n, v in self.labels.items() if n not in known.labels}
        tables = {"family": families, "label": labels}
        return {table: entries for table, entries in tables.items() if entries}


def _as_table(entry: Family | Label) -> dict[str, Any]:
    values = msgspec.to_builtins(entry)
    return {key: value for key, value in values.items() if value and key != "name"}


def load_taxonomy(
    added: str | os.PathLike[str] | None = None, base: Taxonomy | None = None
) -> Taxonomy:
    """Return the names of the package (or ``base``), and those that a TOML file adds to them."""
    base = base or _packaged()
    if added is None:
        return base
    return base.extended(read_toml(added, TaxonomyError), os.fspath(added))


@functools.cache
def _packaged() -> Taxonomy:
    text = (resources.files("recognizer") / "taxonomy.toml").read_text(encoding="utf-8")
    return Taxonomy({}, {}).extended(tomllib.loads(text), "taxonomy.toml")


def _extended(base: Taxonomy, added: Mapping[str, Any]) -> Taxonomy:
    require_keys(added, ("schema", "family", "label"), TaxonomyError)
    schema = added.get("schema", SCHEMA)
    if type(schema) is not int or schema != SCHEMA:  # True and 1.0 equal 1
        raise TaxonomyError(f"schema must be {SCHEMA}, not {schema!r}")
    tables = {table: added.get(table, {}) for table in ("family", "label")}
    for table, entries in tables.items():
        if not isinstance(entries, Mapping):
            raise TaxonomyError(f"{table!r} must hold tables")
    families = {name: _read("family", name, Family, v) for name, v in tables["family"].items()}
    labels = {name: _read("label", name, Label, v) for name, v in tables["label"].items()}
    names = [*base.labels, *labels]
    for name, label in labels.items():
        where = f"label.{name}"
        if label.family is not None and label.kind is not Kind.PRODUCT:
            raise TaxonomyError(f"{where}: only a product has a family")
        for other in label.confused_with:
            if other not in names or other == name:
                unknown = unknown_name("label", other, names)
                raise TaxonomyError(f"{where}: confused_with: {unknown}")
        if name in base.labels and label.kind is not (kind := base.labels[name].kind):
            advice = "take it out, or choose another name"
            raise TaxonomyError(f"{where} is a label of the package, a {kind}: {advice}")
        if label.kind is Kind.PRODUCT:
            hint = label.hint or f"{label.display_name}: a custom label without a description."
            family, cites = label.family or name, label.cites or _UNSTATED
            labels[name] = replace(label, family=family, cites=cites, hint=hint)
            if family == name and family not in base.families:
                title = label.display_name
                families.setdefault(name, Family(name=name, display_name=title, note=hint))
    # Known names stay as they are, and in their order.
    every = {**base.families, **families, **base.families}
    for label in labels.values():
        if label.family is not None and label.family not in every:
            unknown = unknown_name("family", label.family, [*every])
            raise TaxonomyError(f"label.{label.name}: {unknown}")
    return Taxonomy(labels={**base.labels, **labels, **base.labels}, families=every)


def _read(table: str, name: str, entry: type[_Entry], values: Any) -> _Entry:
    """Return a family or label; each run of white space in its texts becomes one space."""
    if not NAME.fullmatch(name):
        raise TaxonomyError(f"bad {table} name {name!r}: use snake_case")
    texts = {"display_name": name.replace("_", " ").capitalize()} if entry is Label else {}
    try:
        given = msgspec.convert(values, dict[str, Any])
        require_keys(given, [field.name for field in fields(entry)[1:]], TaxonomyError)
        for key, value in given.items():
            texts[key] = " ".join(value.split()) if isinstance(value, str) else value
            if texts[key] == "":
                raise TaxonomyError(f"{key} must be text, and not empty")
            if key == "kind" and isinstance(value, str) and value not in [*Kind]:
                unknown = unknown_name("kind", value, [*Kind])
                raise TaxonomyError(f"{unknown} (one of {', '.join(Kind)})")
        return msgspec.convert({**texts, "name": name}, entry)
    except (TaxonomyError, msgspec.ValidationError) as error:
        raise TaxonomyError(f"{table}.{name}: {toml_words(error)}") from error
