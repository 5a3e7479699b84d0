from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.model.description import EvaluationPhotos, LabelEvidence
from recognizer.policy import Decision
from recognizer.review.outcomes import Judgement, Occasion, Outcome, OutcomeStore
from recognizer.review.server.queue import ConflictError, Group
from recognizer.review.server.views import View
from tests.review.server.queues import copy_of, listing, many, opened
from tests.rows.rows import NOW, bare_row, digest, lead, write_rows

ALL = View(state="all")


def test_the_order_is_level_reports_score_and_age_and_what_is_late_comes_first(
    tmp_path: Path,
) -> None:
    rows = [
        listing("low", 0.6),
        listing("high", 0.9),
        listing("reported", 0.5, reports=2),
        listing("priority", 0.7, "priority"),
        replace(listing("old", 0.5), time=NOW - timedelta(days=400)),
        listing("clear", 0.1, "clear"),
        bare_row("broken.jpg", 0, "unscored"),
    ]
    journal = write_rows(tmp_path / "rows.jsonl", rows)
    with opened(journal) as queue:
        found, total = queue.page(View(), 1)
        assert [entry.name for entry in found] == [
            *("priority", "reported", "high", "low", "old", "broken.jpg")
        ]
        assert total == 6
    hours = (rows[0].time.now(NOW.tzinfo) - NOW) / timedelta(hours=1)
    with opened(journal, time_limits={Decision.REVIEW: hours + 24}) as queue:
        assert [entry.name for entry in queue.page(View(), 1)[0]][:3] == [
            *("priority", "old", "reported")
        ]
        first = queue.take("Anna", View())
        second = queue.take("Ben", View())
        assert first is not None
        assert second is not None
        assert (first.name, second.name, second.late) == ("priority", "old", True)
        assert queue.records.open_counts() == {
            "priority": 1,
            "review": 4,
            "unscored": 1,
            "audit": 0,
            "late": 1,
        }


def test_a_listing_is_with_one_person_until_the_lock_times_out(tmp_path: Path) -> None:
    journal = write_rows(tmp_path / "rows.jsonl", many(2))
    with opened(journal, hold_seconds=-1) as queue:  # every lock is over at once
        one = queue.take("Anna", View())
        assert one is not None
        assert queue.take("Ben", View()) == replace(one, held_by="Ben")
    with opened(journal) as queue:
        one = queue.take("Anna", View())
        assert one is not None
        assert queue.take("Anna", View()) == one  # she reloads the page
        other = queue.take("Ben", View())
        assert other is not None
        assert other.number != one.number
        assert queue.take("Cleo", View()) is None
        held = queue.take("Cleo", View(), one.number)  # looks at it, no more
        assert held is not None
        assert held.held_by == "Anna"
        with pytest.raises(ConflictError):
            queue.decide("Cleo", one.number, Judgement.REJECTED)
        queue.release("Anna")
        assert queue.take("Cleo", View()) == replace(one, held_by="Cleo")


def test_what_is_said_is_stored_by_image_and_undone_in_steps(tmp_path: Path) -> None:
    rows = [
        listing("a", 0.9),
        replace(listing("a", 0.8), source="a2.jpg", sha256=digest("a2.jpg")),
        replace(listing("a", 0.1, "clear"), source="a3.jpg", sha256=digest("a3.jpg")),
        listing("b", 0.7),
    ]
    with opened(write_rows(tmp_path / "rows.jsonl", rows)) as queue:
        one = queue.take("Anna", View())
        assert one is not None
        queue.decide("Anna", one.number, Judgement.CONFIRMED, note="A tusk", label="ivory_raw")
        said = [*queue.index.outcomes]
        assert {(o.sha256, o.listing, o.note, o.label) for o in said} == {
            (digest(f"{name}.jpg"), "a", "A tusk", "ivory_raw") for name in ("a", "a2")
        }
        other = queue.take("Anna", View())
        assert other is not None
        queue.skip("Anna", other.number)
        again = queue.take("Anna", View())  # nothing else is left
        assert again is not None
        assert again.number == other.number
        queue.skip("Anna", other.number)
        assert queue.undo("Anna") == replace(again, held_by="Anna")
        undone = queue.undo("Anna")
        assert undone is not None
        assert (undone.name, undone.state) == ("a", "open")
        assert queue.undo("Anna") is None
        assert [*queue.index.outcomes.standing()] == []
        images = [number for number, row in queue.index.rows_of(one.key) if row.source == "a3.jpg"]
        queue.decide("Anna", one.number, Judgement.CONFIRMED, images=images)
        assert [o.sha256 for o in queue.index.outcomes.standing()] == [digest("a3.jpg")]
        assert queue.records.shift()[0].counts == {"confirmed": 1}


def test_a_rejected_listing_comes_back_with_a_new_lead(tmp_path: Path) -> None:
    journal = write_rows(tmp_path / "rows.jsonl", [listing("a"), listing("b")])
    with opened(journal) as queue:
        for judgement in (Judgement.REJECTED, Judgement.CONFIRMED):
            one = queue.take("Anna", View())
            assert one is not None
            queue.decide("Anna", one.number, judgement)
        later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        with journal.open("ab") as file:
            for name in ("a", "b"):
                file.write(replace(listing(name), time=later).to_json_line())  # the same photo
        queue.index.update()
        assert queue.page(View(), 1)[1] == 0
        with journal.open("ab") as file:
            for name in ("a", "b"):
                new = replace(listing(name), source="new.jpg", sha256=digest("new"), time=later)
                file.write(new.to_json_line())
        queue.index.update()
        assert [entry.name for entry in queue.page(View(), 1)[0]] == ["a"]


def test_near_copies_are_folded_and_decided_together(tmp_path: Path) -> None:
    copies = [copy_of(listing(f"c{i}", 0.9 - i / 100, seller=f"S{i % 2}")) for i in range(4)]
    rows = [*copies, listing("other", 0.5, seller="S1")]
    with opened(write_rows(tmp_path / "rows.jsonl", rows)) as queue:
        assert [entry.name for entry in queue.page(View(), 1)[0]] == ["c0", "other"]
        one, two = queue.take("Anna", View()), queue.take("Ben", View())
        assert one is not None
        assert two is not None
        assert (one.name, two.name) == ("c0", "other")  # nobody gets a copy of what Anna has
        assert queue.group(one, "copies", "Anna") == Group(free=4, listings=4, sellers=2)
        assert queue.group(one, "seller", "Anna") == Group(free=2, listings=2, sellers=1)
        with pytest.raises(ConflictError):  # she was told of another number
            queue.decide("Anna", one.number, Judgement.REJECTED, by="copies", expected=3)
        assert queue.decide("Anna", one.number, Judgement.REJECTED, by="copies", expected=4) == 4
        assert queue.records.open_counts()["review"] == 1
        undone = queue.undo("Anna")
        assert undone is not None
        assert undone.name == "c0"
        assert queue.page(View(), 1)[1] == 2
        queue.decide("Anna", undone.number, Judgement.REJECTED)
        assert [entry.name for entry in queue.page(View(), 1)[0]] == ["c1", "other"]


def test_filters_and_words_look_at_every_column(tmp_path: Path) -> None:
    rows = [
        listing("a", seller="Jo", price="12.50", description="象牙白 手镯", listed_at="2025-12-24"),
        listing("b", seller="Mo", reports=1, note="100% genuine_thing"),
        replace(listing("c"), source="https://cdn.example/c.jpg"),
    ]
    journal = write_rows(tmp_path / "rows.jsonl", rows)
    with opened(journal) as queue:

        def names(**query: str) -> list[str]:
            view = View.from_query(query)
            assert View.from_query(view.to_query()) == view
            return [entry.name for entry in queue.page(view, 1)[0]]

        assert names(seller="Jo") == names(q="12.50") == names(q="象牙") == ["a"]
        assert names(q="title GENUINE_T 100%") == names(reported="1") == ["b"]
        assert names(q="0_genuine") == []
        assert names(until="2025-12-24") == ["a"]
        assert names(since="2025-12-25", level="review", product="ivory_worked") == ["b", "c"]
        assert names(location="https://cdn.example") == ["c"]
        assert names(new="1") == names(state="confirmed") == names(level="priority") == []
        assert names(since="soon", state="gone", level="'; DROP TABLE listing") == ["b", "a", "c"]


def test_a_journal_that_grows_and_outcomes_of_others_are_taken_over(tmp_path: Path) -> None:
    journal = write_rows(tmp_path / "rows.jsonl", [listing("a"), listing("b", 0.7)])
    other = write_rows(tmp_path / "other.jsonl", [bare_row("stray.jpg", 0.8, "review")])
    with opened([journal, other]) as queue:
        one = queue.take("Anna", View())
        assert one is not None
        assert one.name == "stray.jpg"
        assert not queue.index.has_grown()
        with journal.open("ab") as file:
            file.write(listing("b", 0.2, "clear").to_json_line())  # the last row counts
            file.write(listing("c", 0.9, reports=5).to_json_line() + b'{"source": "torn')
        with OutcomeStore(tmp_path / "rows.jsonl.outcomes", create=True) as store:
            said = Outcome(
                time=NOW,
                reviewer="Tool",
                judgement=Judgement.REJECTED,
                sha256=digest("stray.jpg"),
            )
            store.add([said])
        assert queue.index.has_grown()
        queue.index.update()
        assert [entry.name for entry in queue.page(View(), 1)[0]] == ["c", "a"]
        assert [e.judge for e in queue.page(View(state="rejected"), 1)[0]] == ["Tool"]
        number = queue.page(View(), 1)[0][1].number
    with opened([journal, other]) as queue:  # started again: nothing is read twice
        assert [entry.number for entry in queue.page(View(), 1)[0]][1] == number
    write_rows(journal, [listing("d")])  # another scan under the same name
    with opened([journal, other]) as queue:
        assert [(e.name, e.state) for e in queue.page(ALL, 1)[0]] == [
            *(("stray.jpg", "rejected"), ("d", "open"))
        ]


def test_the_audit_sample_is_a_section_of_its_own(tmp_path: Path) -> None:
    clear = [replace(bare_row(f"{i}.jpg", i / 10, "clear"), audit=0.01) for i in range(5)]
    rows = [*clear, bare_row("clear.jpg", 0.3, "clear"), listing("a")]
    audit = View(section="audit")
    with opened(write_rows(tmp_path / "rows.jsonl", rows)) as queue:
        assert queue.page(View(), 1)[1] == 1
        found, total = queue.page(audit, 1)
        assert total == queue.records.open_counts()["audit"] == 5
        assert [entry.name for entry in found] != sorted(entry.name for entry in found)
        one = queue.take("Anna", audit)
        assert one is not None
        queue.decide("Anna", one.number, Judgement.REJECTED)
        (said,) = queue.index.outcomes
        assert (said.occasion, said.listing) == (Occasion.AUDIT, None)
        assert said.sha256 in {row.sha256 for row in clear}
        again = queue.undo("Anna")
        assert again is not None
        assert (again.number, queue.records.open_counts()["audit"]) == (one.number, 5)


def test_a_product_without_evidence_comes_after_those_with(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    bundle = load_bundle(tiny_bundle)
    evidence = LabelEvidence(test=EvaluationPhotos(photos=9, sources=2))
    labels = tuple(
        replace(label, evidence=evidence if label.name == "ivory_worked" else None)
        for label in bundle.labels
    )
    bundle = replace(bundle, labels=labels)
    rows = [
        replace(listing("unproven", 0.9, reports=3), leads=(lead("ivory_raw", 0.9),)),
        listing("proven", 0.6),
    ]
    journal = write_rows(tmp_path / "rows.jsonl", rows, bundle)
    with opened(journal, bundles=[bundle]) as queue:
        found = [(entry.name, entry.score) for entry in queue.page(View(), 1)[0]]
        assert found == [("proven", 0.6), ("unproven", pytest.approx(0.9))]
