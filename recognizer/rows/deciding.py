"""Decide again: another policy applied to the scores of a scan, without an image or a model.

Most images are clear under any policy: of these the scores alone are read. All are decided by the
same code as in a scan.
"""

import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from recognizer.known import KnownItems
from recognizer.model.bundle import Bundle, bundle_behind
from recognizer.policy.decide import decide, thresholds_of
from recognizer.policy.values import Decision, Policy, Triage
from recognizer.prediction import Prediction, Region
from recognizer.rows.images import change_rows
from recognizer.rows.records import Ranking, from_json
from recognizer.rows.row import AuditSample, Reference, Row
from recognizer.rows.scanfile import DAMAGES, ScanFile
from recognizer.status import Status

LEAD_COUNTS = ("before", "after", "added", "removed")  # of the leads of a product

_DIGITS = 6  # of a probability: more would be noise
_OF_TRIAGE, _OF_PREDICTION, _OF_ROW = (
    {field.name for field in fields(kind)} for kind in (Triage, Prediction, Row)
)
_AS_PREDICTED = _OF_PREDICTION & _OF_ROW - {"scores", "regions"}
_BLOCK = 4000  # rows that are read at a time
_CLEAR_FOR_NO_REASON = (
    "status = 'ok' AND decision = 'clear' AND leads = '[]' AND why = '[]' AND keywords = '[]'"
    " AND ifnull(known, '[]') = '[]'"
)


@dataclass(slots=True, kw_only=True)
class DecisionDiff:
    """The changes: decisions, (before, after) -> images, and :data:`LEAD_COUNTS` by product."""

    rows: int = 0
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    leads: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, before: Row, after: Row) -> None:
        """Count an image."""
        self.rows += 1
        self.decisions[before.decision.value, after.decision.value] += 1
        old, new = ({lead.title for lead in row.leads} for row in (before, after))
        for key, names in zip(LEAD_COUNTS, (old, new, new - old, old - new), strict=True):
            for name in names:
                self.leads[name][key] += 1


def decide_again(
    file: ScanFile, policy: Policy, bundles: Sequence[Bundle], *, dry_run: bool = False
) -> DecisionDiff:
    """Apply another policy to all rows of a scan, in one transaction.

    A ScanWriter keeps scans out meanwhile. New leads have no regions and no thumbnail; the audit
    sample is drawn again. A policy that names what a model does not know is a PolicyError, a model
    without its bundle a BundleNotFoundError.
    """
    diff = DecisionDiff()
    changes = _changes(file, policy, bundles, diff)
    if dry_run:
        deque(changes, maxlen=0)
        return diff
    with file.transaction() as database:
        database.execute("DELETE FROM policy WHERE id NOT IN (SELECT policy FROM image)")
        ((policies,),) = database.execute("SELECT count(*) FROM policy")
        if policies > 1:  # all rows point at the most frequent policy, which changes
            most = "SELECT policy FROM image GROUP BY policy ORDER BY count(*) DESC LIMIT 1"
            for (id_,) in database.execute(most).fetchall():
                database.execute("UPDATE image SET policy = ?1 WHERE policy != ?1", (id_,))
                database.execute("DELETE FROM policy WHERE id != ?", (id_,))
        database.execute("UPDATE policy SET name = ?, digest = ?", (policy.name, policy.digest))
        file.use_policy(policy)
        change_rows(file, changes, Ranking(bundles))
    return diff


def _changes(
    file: ScanFile, policy: Policy, bundles: Sequence[Bundle], diff: DecisionDiff
) -> Iterator[tuple[int, Row]]:
    """Yield the new rows of images of which more than the policy changes, by number."""
    for number, model in file.models():
        bundle, rate = bundle_behind(model, bundles), file.setting("audit_rate")
        audit = audit_sample(float(rate), bundle, policy) if rate else None
        decider, last = Decider(bundle, policy, audit=audit), 0
        while block := file.select(
            f"SELECT id, {_CLEAR_FOR_NO_REASON}, '[' || scores || ',' || family || ','"
            " || ifnull(item, 'null') || ']'"
            f" FROM image WHERE id > ? AND model = ? ORDER BY id LIMIT {_BLOCK}",
            (last, number),
        ):
            last = block[-1][0]
            try:
                others = [
                    image
                    for image, was_clear, text in block
                    if not was_clear or not decider.leaves_clear(*from_json(text))
                ]
            except (*DAMAGES, LookupError, AttributeError) as error:
                raise file.damaged(error) from error
            diff.rows += len(block) - len(others)
            diff.decisions["clear", "clear"] += len(block) - len(others)
            of_these = "image.id IN (SELECT value FROM json_each(?))"
            for image, before in [*file.numbered_rows(of_these, (json.dumps(others),))]:
                after = decider.decided(before)
                diff.add(before, after)
                if after != before:
                    yield image, after


def audit_sample(rate: float, bundle: Bundle, policy: Policy) -> AuditSample:
    """Return the sample by a model's products, but for those that a policy ignores."""
    return AuditSample(rate=rate, products=sorted({*bundle.products} - policy.ignore))


class Decider:
    """Decides on images of one model, new ones and rows, as one policy says.

    A policy that names what the model does not know is a PolicyError. Rows may be compared with
    known items, and be drawn for an audit sample.
    """

    def __init__(
        self,
        bundle: Bundle,
        policy: Policy,
        known: KnownItems | None = None,
        audit: AuditSample | None = None,
    ) -> None:
        policy.check(bundle.taxonomy)
        self._bundle, self._policy, self._known, self._audit = bundle, policy, known, audit
        thresholds = thresholds_of(bundle, policy)
        self._decide = partial(decide, bundle=bundle, policy=policy, thresholds=thresholds)
        self._members = {(t.candidate.kind, t.candidate.name): t.members for t in thresholds}

    def new_row(
        self,
        source: str,
        columns: Mapping[str, Any] | None,
        prediction: Prediction,
        regions_of: Callable[[str], Sequence[Region]] = lambda _: (),
    ) -> Row:
        """Make the row of an image, now, with the regions of what its leads may show."""
        is_scored = prediction.status is not Status.FAILED
        known = None
        if self._known is not None and is_scored:
            known = self._known.match(prediction.phash, prediction.sha256)
        triage = self._decide(prediction, known=known or (), columns=columns)
        shown = dict.fromkeys(  # of a family, the likeliest of its products
            max(members, key=lambda name: prediction.scores[name])
            for lead in triage.leads
            if (members := self._members.get((lead.kind, lead.name)))
        )
        row = Row(
            source=source,
            item=columns,
            **{name: getattr(prediction, name) for name in _AS_PREDICTED},
            scores=_rounded(prediction.scores) if is_scored else None,
            **self._of_triage(triage),
            family=_rounded(prediction.families) if is_scored else None,
            regions=tuple(
                replace(region, score=round(region.score, _DIGITS))
                for label in shown
                for region in regions_of(label)
            ),
            model=self._bundle.reference,
            preprocessing=self._bundle.preprocessing,
            time=datetime.now(UTC).replace(microsecond=0),
            known=known,
        )
        return row if self._audit is None else self._audit.drawn(row)

    def leaves_clear(
        self, scores: dict[str, float], families: dict[str, float], item: dict[str, Any] | None
    ) -> bool:
        """Whether an image that was clear for no reason stays so."""
        prediction = Prediction(status=Status.OK, scores=scores, families=families)
        return self._decide(prediction, columns=item).decision is Decision.CLEAR

    def decided(self, row: Row) -> Row:
        """Return a row of the same scores and regions, decided again."""
        region = next(iter(row.regions), None)
        prediction = Prediction(
            status=row.status,
            reason=row.reason,
            scores=row.scores or {},
            families=row.family or {},
            frame=region.frame if region else None,
            part=region.part if region else None,
            frames=row.frames if region else None,
        )
        triage = self._decide(prediction, known=row.known or (), columns=row.item)
        shown = {
            name for lead in triage.leads for name in self._members.get((lead.kind, lead.name), ())
        }
        regions = tuple(region for region in row.regions if region.label in shown)
        audit = row.audit if triage.decision is Decision.CLEAR else None
        row = replace(row, **self._of_triage(triage), regions=regions, audit=audit)
        return row if self._audit is None else self._audit.drawn(row)

    def compared(self, row: Row) -> Row:
        """Return a row with its matches among the known items, decided again if these changed."""
        if row.status is Status.FAILED:
            return row
        known = None if self._known is None else self._known.match(row.phash, row.sha256)
        return row if known == row.known else self.decided(replace(row, known=known))

    def _of_triage(self, triage: Triage) -> dict[str, Any]:
        """Return what a row has of the triage of its image."""
        leads = (
            replace(
                lead, score=round(lead.score, _DIGITS), threshold=round(lead.threshold, _DIGITS)
            )
            for lead in triage.leads
        )
        policy = Reference(name=self._policy.name, digest=self._policy.digest)
        values = {name: getattr(triage, name) for name in _OF_TRIAGE}
        return {**values, "leads": tuple(leads), "policy": policy}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in values.items()}
