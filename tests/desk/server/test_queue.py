from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recognizer.desk.entries import from_key
from recognizer.desk.outcomes import Occasion, Outcomes
from recognizer.desk.queue import ConflictError, Queue
from recognizer.desk.views import View
from recognizer.policy.values import Decision
from recognizer.rows.identity import location_of
from tests.desk.outcomes import outcome, store
from tests.desk.server.queues import (
    CONFIRMED,
    REJECTED,
    copy_of,
    listing,
    many,
    said_in,
    tusk_fish_and_broken,
)
from tests.rows.rows import HASH, NEAR, bare_row, digest, execute, write_scan


def names(queue, view=None):
    return [entry.name for entry in queue.page(view or View(), 1)[0]]


@pytest.fixture
def scan(tmp_path):
    return tmp_path / "scan.sqlite"


def test_a_listing_is_with_one_person_until_the_hold_times_out(scan, monkeypatch):
    write_scan(scan, many(2))
    with Queue(scan) as queue, monkeypatch.context() as patch:
        patch.setattr("recognizer.desk.queue.HOLD_SECONDS", -1)  # it is over at once
        one = queue.claim("Anna", View())
        assert queue.claim("Ben", View()) == one._replace(held_by="Ben")
    with Queue(scan) as queue:
        one = queue.claim("Anna", View())
        assert queue.claim("Anna", View()) == one  # she reloads the page
        assert queue.claim("Ben", View()).unit != one.unit
        assert queue.claim("Cleo", View()) is None
        assert queue.claim("Cleo", View(), one.unit).held_by == "Anna"  # looks at it, no more
        with pytest.raises(ConflictError):
            queue.decide("Cleo", one.unit, REJECTED)
        queue.release("Anna")
        assert queue.claim("Cleo", View()) == one._replace(held_by="Cleo")


def test_what_is_said_is_stored_by_image_and_undone_in_steps(scan):
    rows = [
        listing("a", 0.9),
        replace(listing("a", 0.8), source="a2.jpg", sha256=digest("a2.jpg")),
        replace(listing("a", 0.1, "clear"), source="a3.jpg", sha256=digest("a3.jpg")),
        listing("b", 0.7),
    ]
    write_scan(scan, rows)
    with Queue(scan) as queue:
        one = queue.claim("Anna", View())
        queue.decide("Anna", one.unit, CONFIRMED, note="A tusk", label="ivory_raw")
        assert {(o.sha256, o.listing, o.note, o.label, o.origin) for o in said_in(scan)} == {
            (digest("a.jpg"), "a", "A tusk", "ivory_raw", "recognizer review"),
            (digest("a2.jpg"), "a", "A tusk", None, "recognizer review"),
        }
        other = queue.claim("Anna", View())
        queue.skip("Anna", other.unit)
        assert queue.claim("Anna", View()).unit == other.unit  # nothing else is left
        undone, verdict = queue.undo("Anna")
        assert (undone.name, undone.state) == ("a", "open")
        assert (verdict.label, verdict.note) == ("ivory_raw", "A tusk")  # to be changed
        assert queue.undo("Anna") == (None, None)
        keys = {image.row.source: from_key(image.key) for image in queue.photos(one)}
        also = {keys["a3.jpg"]: digest("a3.jpg")[:16]}
        queue.decide("Anna", one.unit, CONFIRMED, also=also, without={keys["a.jpg"]})
        with Outcomes(scan) as outcomes:
            found = {key: said.judgement for key, said in outcomes.decided().items()}
        verdicts = [found[digest(f"{name}.jpg")] for name in ("a", "a2", "a3")]
        assert verdicts == [REJECTED, CONFIRMED, CONFIRMED]  # the first lead does not show it
        assert queue.shift()["Anna"] == {"confirmed": 1}
        rejected = {(REJECTED, digest("a.jpg")), (REJECTED, digest("a2.jpg"))}
        for verdict, said in ((CONFIRMED, {*rejected, (CONFIRMED, None)}), (REJECTED, rejected)):
            queue.undo("Anna")  # no photo shows it
            queue.decide("Anna", one.unit, verdict, without=keys.values())
            assert {(o.judgement, o.sha256) for o in said_in(scan)[-len(said) :]} == said
            assert queue.entry(one.unit).state == verdict
        store(scan, [outcome(reviewer="Anna", listing="c", time=datetime.now(UTC))])
        queue.undo("Anna")
        assert said_in(scan)[-1].listing == "a"  # "c" was said at another console


def test_a_rejected_listing_comes_back_with_a_new_lead(scan):
    write_scan(scan, [listing("a"), listing("b")])
    with Queue(scan) as queue:
        for verdict in (REJECTED, CONFIRMED):
            queue.decide("Anna", queue.claim("Anna", View()).unit, verdict)
        later = datetime.now(UTC) + timedelta(seconds=30)
        write_scan(scan, [replace(listing(name), time=later) for name in "ab"])  # the same photo
        queue.refresh()
        assert names(queue) == []
        new = {"source": "new.jpg", "sha256": digest("new"), "time": later}
        write_scan(scan, [replace(listing(name), **new) for name in "ab"])
        queue.refresh()
        assert names(queue) == ["a"]


def test_near_copies_are_folded_and_decided_together(scan):
    copies = [copy_of(listing(f"c{i}", 0.9 - i / 100, seller=f"S{i % 2}")) for i in range(4)]
    write_scan(scan, [*copies, listing("other", 0.5, seller="S1")])
    with Queue(scan) as queue:
        assert names(queue) == ["c0", "other"]
        one, two = queue.claim("Anna", View()), queue.claim("Ben", View())
        assert (one.name, two.name) == ("c0", "other")  # nobody gets a copy of what Anna has
        assert [m.name for m in queue.members(one, "Anna")] == ["c0", "c1", "c2", "c3"]
        with pytest.raises(ConflictError):  # her page has named another number
            queue.decide("Anna", one.unit, REJECTED, expected=3)
        assert queue.open_counts()["review"] == 2
        assert queue.decide("Anna", one.unit, REJECTED, expected=4) == 0
        assert queue.open_counts()["review"] == 1
        undone, _ = queue.undo("Anna")
        assert undone.name == "c0"
        assert queue.page(View(), 1)[1] == 2
        assert queue.decide("Anna", undone.unit, REJECTED) == 3
        assert names(queue) == ["c1", "other"]
        assert len(queue.members(queue.claim("Anna", View()), "Anna")) == 3  # what one would settle
        theirs = View(seller="S0")  # of whom all listings are shown
        assert names(queue, theirs) == ["c2"]
        queue.release("Ben")
        assert queue.claim("Anna", theirs).name == "c2"


@pytest.mark.parametrize(("judgement", "left"), [(REJECTED, 1), (CONFIRMED, 0)])
def test_a_verdict_for_all_is_of_photos_like_those_shown(scan, judgement, left):
    copies = [copy_of(listing(f"c{i}", 0.9 - i / 100)) for i in range(3)]
    copies[1] = replace(copies[1], decision=Decision.PRIORITY)
    write_scan(scan, [*copies, replace(listing("c1"), source="other.jpg")])  # a lead of its own
    with Queue(scan) as queue:
        one = queue.claim("Anna", View(q="c0"))
        assert queue.decide("Anna", one.unit, judgement, expected=3) == left
        assert names(queue) == ["c1"][:left]
    shown = [(f"c{i}", digest("the same photo")) for i in range(3) if not left or i != 1]
    assert [(one.listing, one.sha256) for one in said_in(scan)] == shown


def test_only_images_with_pixels_have_near_copies(scan):
    """Five empty files, or error pages of one server, are nobody's near-copies."""
    empty = [bare_row(f"{i}.jpg", 0, "unscored", sha256=digest("empty")) for i in range(3)]
    write_scan(scan, empty)
    with Queue(scan) as queue:
        assert len(names(queue)) == 3
        one = queue.claim("Anna", View())
        assert queue.members(one, "Anna") == [one]
        assert queue.decide("Anna", one.unit, CONFIRMED) == 0
        assert [said.sha256 for said in said_in(scan)] == [None]  # it shows nothing
        assert queue.outcomes_of(queue.claim("Anna", View())) == []
        assert len(names(queue)) == 2


def test_filters_and_words_look_at_every_column(scan):
    rows = [
        listing(
            "a", seller="Jo", price="12.50", description="象牙白 Бивень", listed_at="2025-12-24"
        ),
        listing("b", seller="Mo", reports=1, note="100% genuine_thing"),
        replace(listing("c"), source=f"https://{'cdn.' * 60}example/c.jpg"),
    ]
    write_scan(scan, rows)
    with Queue(scan) as queue:

        def found(**query):
            return names(queue, View.from_query(query))

        assert found(seller="jO") == found(q="12.50") == found(q="象牙") == ["a"]
        assert found(q="бивень") == found(q="БИВЕНЬ") == ["a"]
        assert found(q="title GENUINE_T 100%") == found(reported="1") == ["b"]
        assert found(q="0_genuine") == []
        assert found(level="review", product="ivory_worked") == ["b", "a", "c"]
        assert found(location=f"https://{'cdn.' * 60}example") == ["c"]
        assert location_of("a/t.csv!/1") == "a/t.csv"
        assert queue.open_counts(View(seller="Jo"))["review"] == 1
        # A filter counts what the list shows if it is chosen, too.
        for one in ({}, {"state": "all"}, {"seller": "Jo"}, {"product": "ivory_worked", "q": "c"}):
            for column in ("product", "location"):
                view = View.from_query(one)
                for name, count in queue.choices(column, view):
                    assert len(names(queue, view._replace(**{column: name}))) == count
        assert queue.choices("product", View(seller="Jo")) == [("ivory_worked", 1)]
        assert found(state="confirmed") == found(level="priority") == []
        assert found(state="gone", level="'; DROP TABLE entry") == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        *(({}, "dbca"), ({"sort": "score"}, "bcad"), ({"sort": "seller"}, "cbad")),
        *(({"sort": "new"}, "bacd"), ({"sort": "old"}, "dcab"), ({"min_score": "0,75"}, "bc")),
        *(({"scan": "new"}, "bc"), ({"scan": "missed"}, "da"), ({"sort": "seen"}, "cbad")),
        ({"sort": "x", "min_score": "-1", "scan": "x"}, "dbca"),
    ],
)
def test_a_list_and_its_queue_have_the_bounds_and_the_order_of_their_address(scan, query, expected):
    rows = [
        listing("a", 0.7, price="12.50", seller="Zoe", listed_at="2025-03-01"),
        listing("b", 0.9, price="USD 3", seller="Mo", listed_at="2025-04-01"),
        listing("c", 0.8, price="€1.200,00", seller="adam", listed_at="2025-01-01"),
        listing("d", 0.2, price="ask", reports=3, listed_at="2024-01-01"),
    ]
    write_scan(scan, [*rows[:3], replace(rows[3], leads=())])
    when = "printf('2026-01-0%dT00:00:00+00:00', {})".format
    day = when("instr('dabc', ifnull(listing, 'd'))")
    execute(scan, f"INSERT OR REPLACE INTO seen SELECT id, {day}, NULL FROM image")
    is_late = "1 + 2 * (listing IN ('b', 'c'))"
    execute(scan, f"UPDATE entry SET first = {when(is_late)}")
    execute(scan, f"INSERT OR REPLACE INTO setting VALUES ('last_scan', {when(3)})")
    view = View.from_query(query)
    assert View.from_query(view.to_query()) == view
    with Queue(scan) as queue:
        assert "".join(names(queue, view)) == expected
        assert queue.claim("Anna", view).name == expected[0]


def test_a_copy_of_what_was_decided_comes_last_and_says_so(scan):
    copies = [replace(listing(name, 0.9), phash=one) for name, one in (("a", HASH), ("b", NEAR))]
    write_scan(scan, [*copies, listing("other", 0.5)])
    with Queue(scan) as queue:
        assert queue.decide("Anna", queue.claim("Anna", View()).unit, CONFIRMED) == 1
        other = queue.claim("Anna", View())
        assert other.name == "other"
        queue.decide("Anna", other.unit, REJECTED)
        copy = queue.claim("Anna", View())
        assert copy.name == "b"
        ((_, who, judgement, *_, elsewhere),) = queue.outcomes_of(copy)
        assert (who, judgement, elsewhere) == ("Anna", "confirmed", 1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_what_is_decided_is_reviewed_again_blindly(scan, share):
    """By somebody else, once, before anything new; so that agreement is a figure."""
    write_scan(scan, many(40))
    with Queue(scan, second_review=share) as queue:
        for _ in range(40):
            queue.decide("Anna", queue.claim("Anna", View()).unit, CONFIRMED)
        assert queue.claim("ANNA", View()) is None  # her own are not handed to her
        verdicts = []
        while entry := queue.claim("Ben", View()):
            assert queue.claim("Ben", View()) == entry  # he reloads the page
            assert (entry.second, queue.members(entry, "Ben")) == (1, [entry])
            verdicts.append((CONFIRMED, REJECTED)[len(verdicts) % 4 == 3])
            queue.decide("Ben", entry.unit, verdicts[-1])
            if len(verdicts) == 1:
                assert queue.undo("Ben")[0].second
                queue.decide("Ben", entry.unit, CONFIRMED)
        assert len(verdicts) == {0.0: 0, 1.0: 40}.get(share, len(verdicts))
        assert 0.1 * 40 <= len(verdicts) <= 0.6 * 40 or share in {0, 1}
        same = Counter("confirmed" if one is CONFIRMED else "rejected" for one in verdicts)
        found = {pair[1]: count for pair, count in queue.agreement().items()}
        assert found == same
        assert {one.occasion for one in said_in(scan) if one.reviewer == "Ben"} <= {
            Occasion.SECOND,
            Occasion.WITHDRAWAL,
        }
        assert queue.claim("Cleo", View()) is None  # each of them once
        assert "Anna" in queue.pace()


def test_a_seller_has_clear_listings_too_and_near_copies_elsewhere(scan):
    rows = [replace(listing(name, seller=name[0]), phash=HASH) for name in ("A1", "B1", "B2")]
    write_scan(scan, [*rows, listing("A2", 0.1, "clear", seller="A"), listing("C1", seller="C")])
    with Queue(scan) as queue:
        assert {e.name: e.level for e in queue.of_seller("A")} == {"A1": "review", "A2": "clear"}
        assert queue.copies_of_others("A") == [("B", 2)]
        assert queue.of_seller("D") == queue.copies_of_others("C") == []


def test_a_growing_scan_and_outcomes_of_others_are_taken_over(scan, tmp_path):
    team = tmp_path / "team.sqlite"
    write_scan(scan, [listing("a"), listing("b", 0.7), bare_row("stray.jpg", 0.8, "review")])
    with Queue(scan, team) as queue:
        one = queue.claim("Anna", View())
        assert one.name == "stray.jpg"
        write_scan(scan, [listing("b", 0.2, "clear"), listing("c", 0.9, reports=5)])
        store(team, [outcome("rejected", reviewer="Tool", sha256=digest("stray.jpg"))])
        queue.refresh()
        assert names(queue) == ["c", "a"]
        assert [e.judge for e in queue.page(View(state="rejected"), 1)[0]] == ["Tool"]
        with pytest.raises(ConflictError):  # it was decided since her page was made
            queue.decide("Anna", one.unit, CONFIRMED)


def test_the_audit_sample_is_a_section_of_its_own(scan):
    clear = [replace(bare_row(f"{i}.jpg", i / 10, "clear"), audit=0.01) for i in range(5)]
    clear[0] = replace(clear[0], item=listing("a").item)
    raised = replace(listing("a"), source="b.jpg", sha256=clear[4].sha256, leads=())  # not clear
    write_scan(scan, [*clear, bare_row("clear.jpg", 0.3, "clear"), listing("a"), raised])
    audit = View(section="audit")
    with Queue(scan) as queue:
        assert queue.open_counts() == {"review": 1, "audit": 4}
        ((lead_unit, *_),) = queue.page(View())[0]
        found, total = queue.page(audit, 1)
        assert (queue.page(View(), 1)[1], total) == (1, 4)
        assert [entry.name for entry in found] != sorted(entry.name for entry in found)
        one = queue.claim("Anna", audit)
        queue.decide("Anna", one.unit, REJECTED)
        (said,) = said_in(scan)
        assert (said.occasion, said.listing) == (Occasion.AUDIT, None)
        assert said.sha256 in {row.sha256 for row in clear}
        assert queue.undo("Anna")[0].unit == one.unit
        beside = next(e for e in queue.page(audit)[0] if e.listing == "a")
        for who, unit, verdict in (("Anna", beside.unit, REJECTED), ("Ben", lead_unit, CONFIRMED)):
            queue.decide(who, queue.claim(who, View(), unit).unit, verdict)
        assert queue.agreement() == {}  # one is about a photo, the other about its listing


@pytest.mark.parametrize("name", ["L 7", "x" * 9000, "a\nb\u202e", "\udc80"])
def test_a_listing_without_a_scored_image_is_decided_under_any_name(scan, name):
    write_scan(scan, [replace(listing(name, 0, "unscored"), sha256=digest("not an image"))])
    with Queue(scan) as queue:
        queue.decide("Ama", queue.claim("Ama", View()).unit, CONFIRMED)
        (said,) = said_in(scan)
        assert said.sha256 is None
        assert names(queue) == []


def test_a_verdict_is_on_photos_with_a_lead_of_a_product(scan):
    write_scan(scan, tusk_fish_and_broken())
    with Queue(scan) as queue:
        one = queue.claim("Anna", View())
        queue.decide("Anna", one.unit, CONFIRMED, label="ivory_worked")
        labels = {said.sha256: said.label for said in said_in(scan)}
        assert labels == {one.sha256: "ivory_worked", digest("horn"): None}
        queue.undo("Anna")
        keys = {image.row.source: from_key(image.key) for image in queue.photos(one)}
        also = {keys[name]: digest(name.removesuffix(".jpg"))[:16] for name in ("fish.jpg",)}
        queue.decide("Anna", one.unit, CONFIRMED, label="coral", also=also)  # which she ticked
        last = {said.sha256: said.label for said in said_in(scan)[-3:]}
        assert last == {one.sha256: None, digest("horn"): None, digest("fish"): "coral"}
        queue.undo("Anna")
        also = {keys["broken.jpg"]: digest("broken")[:16]}
        queue.decide("Anna", one.unit, CONFIRMED, also=also)
        assert digest("broken") not in {said.sha256 for said in said_in(scan)}
