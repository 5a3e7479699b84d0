"""Lines of a journal under another policy: what is clear by whole columns, the rest one by one.

Most images are clear under any policy: whole columns of their scores are compared with thresholds,
and of a line that was clear before only the policy is replaced. All others are decided by the same
code as in a scan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recognizer.decision import LeadThresholds, decide, limits_of, with_listing
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision, Policy, Verdict
from recognizer.prediction import Prediction
from recognizer.rows.row import ROW_FIELDS, ROW_SCHEMA, ModelReference, PolicyReference, Row

_CLEAR = Verdict(decision=Decision.CLEAR, leads=(), why=(), image_decision=Decision.CLEAR)


@dataclass(slots=True, kw_only=True)
class DecisionDiff:
    """What a new policy changes; products are named as ``NAME`` or ``NAME (family)``.

    Attributes:
        rows: images.
        decisions: (before, after) -> images.
        before: product -> its leads before.
        after: product -> its leads now.
        come: product -> leads that are new.
        go: product -> leads that are none any more.
    """

    rows: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    come: Counter[str] = field(default_factory=Counter)
    go: Counter[str] = field(default_factory=Counter)

    @property
    def products(self) -> list[str]:
        """All products with a lead before or now, by name."""
        return sorted({*self.before, *self.after})

    def add(self, before: tuple[str, set[str]], after: tuple[str, set[str]]) -> None:
        """Count an image by its decision and its leads, before and now."""
        self.rows += 1
        self.decisions[before[0], after[0]] += 1
        if not (before[1] or after[1]):
            return
        self.before.update(before[1])
        self.after.update(after[1])
        self.come.update(after[1] - before[1])
        self.go.update(before[1] - after[1])

    def merge(self, other: DecisionDiff) -> None:
        """Add what was counted of other images."""
        self.rows += other.rows
        for own, more in (
            (self.decisions, other.decisions),
            (self.before, other.before),
            (self.after, other.after),
            (self.come, other.come),
            (self.go, other.go),
        ):
            own.update(more)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``json.loads`` would."""
        return {
            "rows": self.rows,
            "decisions": [
                {"before": before, "after": after, "images": count}
                for (before, after), count in sorted(self.decisions.items())
            ],
            "leads": {
                name: {
                    "before": self.before[name],
                    "after": self.after[name],
                    "come": self.come[name],
                    "go": self.go[name],
                }
                for name in self.products
            },
        }


_LATER_KEYS = {"image_decision": b"null", "keywords": b"[]", "audit": b"null"}
"""Keys that rows of schema 5 need not have, as they are written without a value."""

_KEYS = (
    *("item", "status", "scores", "leads", "family", "decision", "why", "regions", "model"),
    *("policy", "schema", "known", "image_decision", "keywords"),
)
"""Keys that decide whether a line is clear, and can stay as it is."""


def _line_type(keys: Sequence[str]) -> Any:
    """Return a struct of raw values: bytes of a line that are not parsed."""
    fields = [
        (key, msgspec.Raw, msgspec.Raw(_LATER_KEYS[key]))
        if key in _LATER_KEYS
        else (key, msgspec.Raw)
        for key in keys
    ]
    return msgspec.defstruct("_Line", fields, kw_only=True)


_LINES = msgspec.json.Decoder(_line_type(_KEYS))
_WHOLE_LINES = msgspec.json.Decoder(_line_type(ROW_FIELDS))
_ITEMS = msgspec.json.Decoder(dict[str, Any] | None)
_EMPTY = (b"null", b"[]")
_NOTHING = msgspec.Raw(b"[]")
_CLEAR_JSON = msgspec.Raw(b'"clear"')


class _Name(msgspec.Struct):
    kind: str
    name: str


_LEADS = msgspec.json.Decoder(list[_Name] | None)
_MODEL = msgspec.json.Decoder(ModelReference)


class LineDecider:
    """DecisionMaker on lines, by one decider for each model behind them."""

    def __init__(self, policy: Policy, bundles: Sequence[Bundle], journal: Path) -> None:
        self._policy = policy
        self._bundles = {bundle.digest: bundle for bundle in bundles}
        self._journal = journal
        self._by_model: dict[bytes, _Decider] = {}

    def decide(self, texts: Sequence[bytes]) -> tuple[list[bytes], DecisionDiff]:
        """Return the new line of each line, and what it changes.

        Raises:
            UsageError: a line was made by another model than those at hand.
            ValueError: a line is not a row; so is a ``msgspec.DecodeError``.
        """
        diff = DecisionDiff()
        lines = [_line(text) for text in texts]
        deciders = [None if line is None else self._decider(bytes(line.model)) for line in lines]
        is_clear = np.zeros(len(lines), np.bool_)
        for decider in dict.fromkeys(deciders):
            if decider is not None:
                places = [place for place, own in enumerate(deciders) if own is decider]
                is_clear[places] = decider.find_clear([lines[place] for place in places])
        return [*self._decided(texts, lines, deciders, is_clear.tolist(), diff)], diff

    def _decided(
        self,
        texts: Sequence[bytes],
        lines: Sequence[Any],
        deciders: Sequence[_Decider | None],
        is_clear: Sequence[bool],
        diff: DecisionDiff,
    ) -> Iterator[bytes]:
        unchanged = 0
        for text, line, decider, clear in zip(texts, lines, deciders, is_clear, strict=True):
            if not clear or decider is None:
                before = Row.from_json_line(text)
                model = msgspec.json.encode(before.model)
                after = (decider or self._decider(model)).decided(before)
                diff.add(*((row.decision.value, _lead_names(row)) for row in (before, after)))
                yield after.to_json_line()
            elif (kept := decider.kept(text, line)) is not None:
                unchanged += 1
                yield kept
            else:
                diff.add((_decision_of(line), _names_of(line)), (Decision.CLEAR.value, set()))
                yield decider.cleared(text)
        diff.rows += unchanged
        diff.decisions[Decision.CLEAR.value, Decision.CLEAR.value] += unchanged

    def _decider(self, model: bytes) -> _Decider:
        if model not in self._by_model:
            found = _MODEL.decode(model)
            if found.digest not in self._bundles:
                raise UsageError(
                    f"{self._journal}: rows were made by {found.title} ({found.digest[:12]}), and "
                    "its thresholds are needed: give its folder with --bundle"
                )
            self._by_model[model] = _Decider(self._bundles[found.digest], self._policy)
        return self._by_model[model]


def _line(line: bytes) -> Any:
    """Return a line in parts; None for one that has to be read slowly, or is no row."""
    try:
        found = _LINES.decode(line)
    except msgspec.DecodeError:  # lone surrogates
        return None
    if found.image_decision == b"null":  # schema 5
        found.image_decision = found.decision
    return found


def _decision_of(line: Any) -> str:
    return bytes(line.decision).strip(b'"').decode()


def _names_of(line: Any) -> set[str]:
    if bytes(line.leads) in _EMPTY:
        return set()
    return {_name(lead.kind, lead.name) for lead in _LEADS.decode(line.leads) or ()}


def _lead_names(row: Row) -> set[str]:
    return {_name(lead.kind, lead.name) for lead in row.leads}


def _name(kind: str, name: str) -> str:
    return f"{name} (family)" if kind == CandidateKind.FAMILY else name


class _Decider:
    """DecisionMaker on rows of one model."""

    def __init__(self, bundle: Bundle, policy: Policy) -> None:
        policy.check(bundle.taxonomy)
        self._bundle, self._policy = bundle, policy
        limits = limits_of(bundle.candidates, bundle.any_product_thresholds, policy)
        looked_at = {member for one in limits for member in one.members}
        self._labels = [n for n in bundle.label_names if n in looked_at | {*bundle.animals}]
        self._families = [family.name for family in bundle.families]
        self._scores = _floats_decoder(self._labels)
        self._family_scores = _floats_decoder(self._families)
        self._limits = limits
        self._animals = [self._labels.index(name) for name in bundle.animals]
        self._members = {f.name: f.members for f in bundle.families}
        reference = PolicyReference(name=policy.name, digest=policy.digest)
        self._reference = reference
        self._policy_json = msgspec.json.encode(reference)
        self._schema = str(ROW_SCHEMA).encode()
        self._last_item: tuple[bytes, bool] = b"null", True

    def find_clear(self, lines: Sequence[Any]) -> NDArray[np.bool_]:
        """Return which images are clear for certain: no rule of the policy says anything of them.

        A row that is not scored, damaged, or near a known item is decided one by one.
        """
        plain = [bytes(line.status) == b'"ok"' and bytes(line.known) in _EMPTY for line in lines]
        is_clear = np.array(plain, np.bool_)
        places = np.flatnonzero(is_clear).tolist()
        if not places:
            return is_clear
        scores = np.array([self._scores(lines[place].scores) for place in places])
        families = np.array([self._family_scores(lines[place].family) for place in places])
        families = families.reshape(len(places), len(self._families))
        for limits in self._limits:
            is_clear[places] &= self._column(limits, scores, families) <= limits.review[0]
        animals = self._policy.always_review.animals
        if animals is not None and self._animals:
            is_clear[places] &= scores[:, self._animals].max(axis=1) <= animals
        for place in np.flatnonzero(is_clear).tolist():
            is_clear[place] = self._says_nothing(bytes(lines[place].item))
        return is_clear

    def _column(
        self, limits: LeadThresholds, scores: NDArray[np.float64], families: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the scores of a candidate; of a part of a family, what is certainly no less."""
        candidate = limits.candidate
        if candidate.kind is CandidateKind.LABEL:
            return scores[:, self._labels.index(candidate.name)]
        if len(limits.members) == len(candidate.members):
            return families[:, self._families.index(candidate.name)]
        columns = [self._labels.index(member) for member in limits.members]
        found: NDArray[np.float64] = 1 - np.prod(1 - scores[:, columns], axis=1)
        return found + 1e-9

    def _says_nothing(self, item: bytes) -> bool:
        """Whether the text and the reports of a listing change nothing."""
        if item != self._last_item[0]:  # the images of a listing come together
            columns = _ITEMS.decode(item)
            says_nothing = with_listing(_CLEAR, self._policy, columns) is _CLEAR
            self._last_item = item, says_nothing
        return self._last_item[1]

    def kept(self, text: bytes, line: Any) -> bytes | None:
        """Return the line of an image that was clear and stays it; None where more has to change.

        Nothing but the policy is replaced, at the last place where it stands: behind the columns of
        the listing, which may have one of this name.
        """
        if (
            bytes(line.decision) != b'"clear"'
            or bytes(line.image_decision) != b'"clear"'
            or bytes(line.schema) != self._schema
            or not all(bytes(part) in _EMPTY for part in (line.leads, line.why, line.regions))
            or bytes(line.keywords) not in _EMPTY
        ):
            return None
        old = b'"policy":' + bytes(line.policy)
        place = text.rfind(old)
        if place < 0 or text.find(b'"item":', place) >= 0:
            return None
        return b"".join((text[:place], b'"policy":', self._policy_json, text[place + len(old) :]))

    def cleared(self, text: bytes) -> bytes:
        """Return the line of an image that is clear now."""
        line = _WHOLE_LINES.decode(text)
        line.leads = line.why = line.regions = line.keywords = _NOTHING
        line.decision = line.image_decision = _CLEAR_JSON
        line.policy, line.schema = msgspec.Raw(self._policy_json), msgspec.Raw(self._schema)
        return msgspec.json.encode(line) + b"\n"

    def decided(self, row: Row) -> Row:
        """Return a row with the decision of the policy."""
        bundle = self._bundle
        verdict = decide(
            _prediction(row),
            bundle.candidates,
            bundle.any_product_thresholds,
            self._policy,
            row.known or (),
            animals=bundle.animals,
            limits=self._limits,
        )
        verdict = with_listing(verdict, self._policy, row.item)
        shown = {
            member
            for lead in verdict.leads
            for member in (
                (lead.name,) if lead.kind is CandidateKind.LABEL else self._members[lead.name]
            )
        }
        return replace(
            row,
            leads=tuple(
                replace(lead, score=round(lead.score, 6), threshold=round(lead.threshold, 6))
                for lead in verdict.leads
            ),
            decision=verdict.decision,
            why=verdict.why,
            regions=tuple(region for region in row.regions if region.label in shown),
            policy=self._reference,
            image_decision=verdict.image_decision,
            keywords=verdict.keywords,
            audit=row.audit if verdict.decision is Decision.CLEAR else None,
        )


def _floats_decoder(names: Sequence[str]) -> Any:
    """Return a function that reads a JSON object of numbers, in the order of the names."""
    # Fields are numbered: a label may be called as no field can be.
    fields = [(f"f{place}", float) for place in range(len(names))]
    renamed = {f"f{place}": name for place, name in enumerate(names)}
    decoder = msgspec.json.Decoder(msgspec.defstruct("_Scores", fields, rename=renamed.get))
    return lambda raw: msgspec.structs.astuple(decoder.decode(raw))


def _prediction(row: Row) -> Prediction:
    """Return what is known of the prediction behind a row: the frame only where it was shown."""
    frame = row.regions[0].frame if row.regions else None
    return Prediction(
        status=row.status,
        reason=row.reason,
        scores=row.scores or {},
        families=row.family or {},
        frame=frame,
        frames=row.frames if frame is not None else None,
    )
