"""Rows as a scan writes them: made by the real engine and policy, or without an image."""

import hashlib
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from recognizer.model.description import ModelReference
from recognizer.policy.values import CandidateKind, Decision, KnownMatch, Lead, Policy
from recognizer.rows import NewRow, Ranking, ScanFile, ScanWriter, group_copies
from recognizer.rows.deciding import Decider
from recognizer.rows.row import Reference, Row
from recognizer.status import Reason, Status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HASH, NEAR, FAR = "0f" * 32, "0e" + "0f" * 31, "f0" * 32
"""Perceptual hashes, of which two are those of near-copies."""
ROW_FIELDS = [field.name for field in fields(Row)]
MODEL = ModelReference(name="tiny", version=1, digest="0" * 64)


def digest(name):
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def lead(name="ivory_worked", score=0.6, level=Decision.REVIEW, kind=CandidateKind.LABEL):
    return Lead(
        kind=kind, name=name, score=score, threshold=0.4, false_positive_rate=0.01, level=level
    )


def known_match(**changes):
    return KnownMatch(
        **{"distance": 5, "outcome": "0" * 32, "label": "ivory_raw", "note": None} | changes
    )


def bare_row(source, score, decision, **changes):
    """A row without an image behind it."""
    decision = Decision(decision)
    failed = decision is Decision.UNSCORED
    is_lead = decision.is_lead
    names = ("item", "phash", "format", "width", "height", "frames", "detail", "known")
    nothing = dict.fromkeys(names)
    row = Row(
        source=source,
        status=Status.FAILED if failed else Status.OK,
        reason=Reason.EMPTY if failed else None,
        sha256=None if failed else digest(source),
        scores=None if failed else {"ivory_worked": score, "ceramic": 0.99},
        leads=(lead(score=score, level=decision),) if is_lead else (),
        family=None if failed else {"ivory": score},
        decision=decision,
        why=(f"ivory_worked {score}",) if is_lead else (),
        regions=(),
        model=MODEL,
        policy=Reference(name="default", digest="0" * 64),
        preprocessing=1,
        time=NOW,
        keywords=(),
        **nothing,
    )
    return replace(row, **changes)


def row_of(recognizer, source, data=None, **changes):
    """The row of an image, which is read from where ``source`` says or given as ``data``."""
    image = Path(source) if data is None else data
    prediction = recognizer.predict(image)
    row = Decider(recognizer.bundle, Policy()).new_row(
        str(source), None, prediction, lambda label: recognizer.explain(image, label).regions
    )
    return replace(row, time=NOW, **changes)


def quick_folder():
    """A folder in memory, where there is such a place: what is written there need not be synced."""
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def write_scan(path, rows, bundle=None):
    """Write a scan's file; rows of :data:`MODEL` become rows of the bundle, where there is one."""
    model = MODEL if bundle is None else bundle.reference
    written = []
    for row in rows:
        new = row if isinstance(row, NewRow) else NewRow(row=row)
        is_of_none = new.row.model == MODEL
        written.append(replace(new, row=replace(new.row, model=model)) if is_of_none else new)
    with ScanWriter(path, Ranking(() if bundle is None else [bundle])) as file:
        file.append(written)
        group_copies(file)
    return path


def execute(path, statement):
    """Run a statement on a file of SQLite, as another program may."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def read_scan(path):
    with ScanFile(path) as file:
        return [*file.rows()]
