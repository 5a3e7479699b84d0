"""Decide again: another policy applied to the scores of a scan, without an image or a model.

Most images are clear under any policy: the matrix of their scores is compared with the thresholds.
All others are decided by the same code as in a scan.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recognizer.decision import LeadThresholds, decide, limits_of, with_listing
from recognizer.errors import UsageError
from recognizer.listing_rules import Reports
from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision, Policy, Verdict
from recognizer.prediction import Prediction
from recognizer.rows.ranking import Ranking
from recognizer.rows.row import Reference, Row, rounded_leads
from recognizer.rows.scanfile import ScanFile

_BLOCK = 4000  # rows whose scores are compared at a time
_CLEAR = Verdict(decision=Decision.CLEAR, leads=(), why=(), image_decision=Decision.CLEAR)


@dataclass(slots=True, kw_only=True)
class DecisionDiff:
    """What a new policy changes: decisions as (before, after) -> images, and leads by product.

    Products are named as ``NAME`` or ``NAME (family)``.
    """

    rows: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)

    @property
    def products(self) -> list[str]:
        """All products with a lead before or now, by name."""
        return sorted({*self.before, *self.after})

    def add(self, before: Row, after: Row) -> None:
        """Count an image."""
        self.rows += 1
        self.decisions[before.decision.value, after.decision.value] += 1
        old, new = _lead_names(before), _lead_names(after)
        self.before.update(old)
        self.after.update(new)
        self.added.update(new - old)
        self.removed.update(old - new)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``json.loads`` would."""
        return {
            "rows": self.rows,
            "decisions": [
                {"before": before, "after": after, "images": count}
                for (before, after), count in sorted(self.decisions.items())
            ],
            "leads": {
                name: {key: getattr(self, key)[name] for key in _COUNTED} for name in self.products
            },
        }


_COUNTED = ("before", "after", "added", "removed")


def _lead_names(row: Row) -> set[str]:
    return {
        f"{lead.name} (family)" if lead.kind is CandidateKind.FAMILY else lead.name
        for lead in row.leads
    }


def decide_again(
    file: ScanFile, policy: Policy, bundles: Sequence[Bundle], *, dry_run: bool = False
) -> DecisionDiff:
    """Apply another policy to all rows of a scan, in one transaction.

    The scores, and the times of the scan, stay as they were. Leads that are new have no regions and
    no thumbnail. Scores have six digits in the file, so that one may come out otherwise than in a
    scan that is as near as that to a threshold. A policy that names what a model does not know is a
    PolicyError, a model that is not among the bundles a UsageError.
    """
    diff = DecisionDiff()
    changes = _changes(file, policy, {bundle.digest: bundle for bundle in bundles}, diff)
    if dry_run:
        deque(changes, maxlen=0)
        return diff
    with file.transaction() as database:
        file.change(changes, Ranking(bundles))
        _replace_policies(file, database, policy)
    return diff


def _replace_policies(file: ScanFile, database: sqlite3.Connection, policy: Policy) -> None:
    """Have all rows point at the policy, by changing the one row that most of them point at."""
    ((most, _), *others) = database.execute(
        "SELECT policy, count(*) FROM image GROUP BY policy ORDER BY 2 DESC"
    ).fetchall() or [(None, 0)]
    if most is None:
        return
    for other, _ in others:
        database.execute("UPDATE image SET policy = ? WHERE policy = ?", (most, other))
    database.execute("DELETE FROM policy WHERE id != ?", (most,))
    database.execute(
        "UPDATE policy SET name = ?, digest = ? WHERE id = ?", (policy.name, policy.digest, most)
    )
    file.forget_ids()


def _changes(
    file: ScanFile, policy: Policy, bundles: Mapping[str, Bundle], diff: DecisionDiff
) -> Iterator[tuple[int, Row]]:
    """Yield the new rows of images of which more than the policy changes, by number."""
    last = 0
    deciders: dict[str, Decider] = {}
    while block := file.select(
        "SELECT image.id, model.digest, status, place, scores, family, leads, why, keywords, known,"
        " item FROM image JOIN model ON model.id = image.model WHERE image.id > ?"
        f" ORDER BY image.id LIMIT {_BLOCK}",
        (last,),
    ):
        last = block[-1][0]
        by_model: dict[str, list[tuple[Any, ...]]] = {}
        for record in block:
            by_model.setdefault(record[1], []).append(record)
        for model, records in by_model.items():
            if model not in bundles:
                raise UsageError(
                    f"rows were made by the model {model[:12]}, and its thresholds are needed: "
                    "give its folder with --bundle"
                )
            if model not in deciders:
                deciders[model] = Decider(bundles[model], policy)
            try:
                yield from _changes_of(file, deciders[model], records, diff)
            except (msgspec.MsgspecError, ValueError, KeyError) as error:
                raise file.damaged(error) from error


def _changes_of(
    file: ScanFile, decider: Decider, records: Sequence[tuple[Any, ...]], diff: DecisionDiff
) -> Iterator[tuple[int, Row]]:
    is_clear = decider.stays_clear(records)
    unchanged = int(is_clear.sum())
    diff.rows += unchanged
    diff.decisions["clear", "clear"] += unchanged
    for at in np.flatnonzero(~is_clear).tolist():
        image = records[at][0]
        before = file.row(image)
        if before is None:
            continue
        after = decider.decided(before)
        diff.add(before, after)
        if after != replace(before, policy=after.policy):
            yield image, after


class Decider:
    """Decides on rows of one model; a policy that names what it does not know is a PolicyError."""

    def __init__(self, bundle: Bundle, policy: Policy) -> None:
        policy.check(bundle.taxonomy)
        self._bundle, self._policy = bundle, policy
        self._limits = limits_of(bundle, policy)
        looked_at = {member for limits in self._limits for member in limits.members}
        self._labels = [n for n in bundle.label_names if n in looked_at | {*bundle.animals}]
        self._families = [family.name for family in bundle.families]
        self._members = {f.name: f.members for f in bundle.families}
        self._reads_listings = bool(policy.keywords) or policy.reports != Reports()
        self._last_item = "", True
        self._scores = _numbers_decoder(self._labels)
        self._family_scores = _numbers_decoder(self._families)

    def stays_clear(self, records: Sequence[tuple[Any, ...]]) -> NDArray[np.bool_]:
        """Return which images were clear for no reason, and certainly stay so.

        The others are decided one by one: what is a lead, not scored, damaged or near a known item,
        or has words or reports in its listing that the policy looks at.
        """
        is_clear = np.array(
            [
                (status, place, leads, why, keywords) == ("ok", 3, "[]", "[]", "[]")
                and known in {None, "[]"}
                and self._ignores(item)
                for _, _, status, place, _, _, leads, why, keywords, known, item in records
            ],
            np.bool_,
        )
        places = np.flatnonzero(is_clear).tolist()
        if not places:
            return is_clear
        scores = np.array([self._scores(records[place][4]) for place in places])
        families = np.array([self._family_scores(records[place][5]) for place in places])
        families = families.reshape(len(places), len(self._families))
        for limits in self._limits:
            is_clear[places] &= self._column(limits, scores, families) <= limits.review[0]
        animals = self._policy.always_review.animals
        if animals is not None and self._bundle.animals:
            columns = [self._labels.index(name) for name in self._bundle.animals]
            is_clear[places] &= scores[:, columns].max(axis=1) <= animals
        return is_clear

    def _ignores(self, item: str | None) -> bool:
        """Whether the words and the reports of a listing change nothing."""
        if item is None or not self._reads_listings:
            return True
        if item != self._last_item[0]:  # the images of a listing come together
            verdict = with_listing(_CLEAR, self._policy, json.loads(item))
            self._last_item = item, verdict is _CLEAR
        return self._last_item[1]

    def _column(
        self, limits: LeadThresholds, scores: NDArray[np.float64], families: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the scores of a candidate; of a part of a family, at least as much."""
        candidate = limits.candidate
        if candidate.kind is CandidateKind.LABEL:
            return scores[:, self._labels.index(candidate.name)]
        if len(limits.members) == len(candidate.members):
            return families[:, self._families.index(candidate.name)]
        columns = [self._labels.index(member) for member in limits.members]
        combined: NDArray[np.float64] = 1 - np.prod(1 - scores[:, columns], axis=1)
        return combined + 1e-9

    def decided(self, row: Row) -> Row:
        """Return a row with the decision of the policy."""
        frame = row.regions[0].frame if row.regions else None
        prediction = Prediction(
            status=row.status,
            reason=row.reason,
            scores=row.scores or {},
            families=row.family or {},
            frame=frame,
            frames=row.frames if frame is not None else None,
        )
        verdict = decide(
            prediction,
            self._bundle,
            self._policy,
            row.known or (),
            row.item,
            limits=self._limits,
        )
        shown = {
            member
            for lead in verdict.leads
            for member in (
                (lead.name,) if lead.kind is CandidateKind.LABEL else self._members[lead.name]
            )
        }
        return replace(
            row,
            leads=rounded_leads(verdict),
            decision=verdict.decision,
            why=verdict.why,
            regions=tuple(region for region in row.regions if region.label in shown),
            policy=Reference(name=self._policy.name, digest=self._policy.digest),
            image_decision=verdict.image_decision,
            keywords=verdict.keywords,
            audit=row.audit if verdict.decision is Decision.CLEAR else None,
        )


def _numbers_decoder(names: Sequence[str]) -> Any:
    """Return a function that reads a JSON object of numbers, in the order of the names."""
    # Fields are numbered: a label may be called as no field can be.
    fields = [(f"f{place}", float) for place in range(len(names))]
    renamed = {f"f{place}": name for place, name in enumerate(names)}
    decoder = msgspec.json.Decoder(msgspec.defstruct("_Scores", fields, rename=renamed.get))
    return lambda text: msgspec.structs.astuple(decoder.decode(text))
