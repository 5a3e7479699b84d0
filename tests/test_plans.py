"""No statement reads all of a large table where an index serves: the plans of SQLite."""

import re
import sqlite3
from collections import defaultdict
from dataclasses import replace

import pytest

from recognizer.desk.decided import about_images, count_unknown
from recognizer.desk.evidence import find_leads
from recognizer.desk.measure import distinct_images
from recognizer.desk.outcomes import Judgement, Outcome, Outcomes
from recognizer.desk.queue import Queue
from recognizer.desk.views import View
from recognizer.rows import NewRow, Ranking, ScanFile, ScanWriter, group_copies
from recognizer.rows.listings import decided_images
from recognizer.rows.writer import Met
from tests.rows.rows import HASH, NEAR, NOW, bare_row, digest

SMALL = r"model|policy|level|setting|hold|skip|whole|sqlite_\w+"  # or what another step selected
_SCAN = re.compile(rf"SCAN (?!(?:{SMALL})$)\w+$")
_ROWS = 16  # of a scan; which plan SQLite makes does not depend on it
WHOLE = (
    "SELECT count(*) FROM image",
    "SELECT count(*) FROM outcome",
    "INSERT INTO temp.desk SELECT *, NULL",  # when the desk begins, or is behind
    "UPDATE temp.desk SET number = latest.number",
    "SELECT reviewer FROM outcome GROUP BY reviewer",  # when it begins
    "SELECT iif(occasion = 'audit', sha256",  # agreement
    "SELECT count(*), ifnull(sum(judgement = 'rejected'), 0)",  # measure
    "SELECT count(*) FROM (SELECT * FROM outcome ORDER BY number DESC LIMIT",
)
"""Beginnings of statements on all of a table, not on one image, listing or verdict."""


class Plans:
    """The steps of all statements that were run, by statement."""

    def __init__(self, monkeypatch):
        self.steps = defaultdict(set)
        steps, connect = self.steps, sqlite3.connect

        class Explained(sqlite3.Connection):
            def explain(self, statement, values):
                if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE)", statement):
                    plan = super().execute(f"EXPLAIN QUERY PLAN {statement}", values)
                    steps[statement].update(detail for *_, detail in plan)

            def execute(self, statement, values=()):
                self.explain(statement, values)
                return super().execute(statement, values)

            def executemany(self, statement, values):
                for one in (given := [*values])[:1]:
                    self.explain(statement, one)
                return super().executemany(statement, given)

        monkeypatch.setattr(
            sqlite3, "connect", lambda *args, **kw: connect(*args, factory=Explained, **kw)
        )

    def scans(self):
        """Return the statements that read all of a large table, with the steps that do."""
        return [
            f"{statement}: {step}"
            for statement, steps in self.steps.items()
            for step in steps
            if _SCAN.fullmatch(step) and not statement.lstrip().startswith(WHOLE)
        ]


def rows():
    levels = ["priority", "review", "clear", "unscored"]

    def row(number):
        phash = None if number % 4 == 3 else (HASH, NEAR)[number % 2]
        item = {"id": f"L{number // 3}", "title": "x"} if number % 5 else None
        more = {"phash": phash, "item": item, "audit": 0.5 if number % 4 == 2 else None}
        return NewRow(bare_row(f"photos/{number}.jpg", 0.5, levels[number % 4], **more))

    return [row(number) for number in range(_ROWS)]


@pytest.fixture
def plans(monkeypatch):
    return Plans(monkeypatch)


@pytest.fixture
def scan(tmp_path, plans):
    path = tmp_path / "scan.sqlite"
    with ScanWriter(path, Ranking()) as file:
        file.append(rows())
        file.append(rows()[:3], [(1, rows()[0].row)], [Met(1, b"x")])
        assert file.previous(0) is None
        group_copies(file)
    return path


def test_a_scan_reads_no_table_whole(scan, plans):
    assert len(plans.steps) > 10
    assert plans.scans() == []
    plans.steps.clear()
    with ScanWriter(scan, Ranking()) as file:
        file.finish()
    assert plans.scans() == []


def test_what_is_made_of_a_scan_reads_no_table_whole(scan, plans):
    plans.steps.clear()
    said = Outcome(time=NOW, reviewer="A", judgement=Judgement.REJECTED, listing="L1")
    with ScanFile(scan) as file, Outcomes(scan, write=True) as outcomes:
        outcomes.add(about_images(file, outcomes, [said, replace(said, listing="L9")]))
        assert count_unknown(file, 2) == 1
        assert len([*decided_images(file)]) == 1
        assert len([*outcomes.about(digest("photos/4.jpg"), "L1")]) == 1
        assert len([*distinct_images(file)]) == _ROWS
        assert len(find_leads(file, [digest("photos/0.jpg")[:9], "photos/1.jpg"], ["L2"])) == 4
        file.select("SELECT * FROM leads")
    assert plans.scans() == []


def test_the_desk_reads_no_table_whole(scan, plans):
    plans.steps.clear()
    with Queue(scan) as queue:
        for query in ("", "state all", "section audit", "seller s"):
            queue.page(view := View.from_query(dict([query.split()] if query else [])))
            queue.open_counts(view)
        for _ in range(2):
            entry = queue.claim("Ama", View())
            photos = queue.photos(entry)
            assert queue.photo_count(entry) == len(photos)
            queue.outcomes_of(entry)
            queue.keep("Ama", entry.unit)
            count = len(queue.members(entry, "Ama"))
            queue.decide("Ama", entry.unit, Judgement.CONFIRMED, expected=count)
        assert queue.shift()
        assert not queue.agreement()
        queue.of_seller("s")
        queue.copies_of_others("s")
        entry, _ = queue.undo("Ama")
        queue.skip("Ama", entry.unit)
        queue.decide_many("Ama", {entry.unit: queue.shown(entry)}, Judgement.UNSURE)
    assert len(plans.steps) > 40
    assert plans.scans() == []


def test_a_statement_without_an_index_is_seen(scan, plans):
    with ScanFile(scan) as file:
        file.select("SELECT id FROM image AS one WHERE title = 'x'")
    assert plans.scans() == ["SELECT id FROM image AS one WHERE title = 'x': SCAN one"]
