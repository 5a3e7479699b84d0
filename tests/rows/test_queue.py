"""The entries of the queue are what the view ``ranked`` says, whatever was written before."""

import random
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recognizer.desk.outcomes import DESK, Judgement, Outcome, Outcomes
from recognizer.imaging.near_copies import near_copies
from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Decision, Policy
from recognizer.rows import (
    NewRow,
    Ranking,
    ScanFile,
    ScanWriter,
    decide_again,
    group_copies,
    merge,
    read_listings,
)
from recognizer.rows.queue import ENTRY_ORDER, IMAGE_ORDER
from recognizer.status import Reason
from tests.rows.rows import FAR, HASH, NEAR, NOW, bare_row, digest, lead, quick_folder, write_scan
from tests.rules import rule as rule_of
from tests.tiny import write_tiny_bundle

ENTRIES = (
    "unit, best, place, unproven, reports, score, first, listing, source, title, seller, product,"
    " location, listed"
)
PRODUCTS = ["ivory_worked", "ivory_raw"]
POLICIES = [
    Policy(),
    Policy(name="strict", default=rule_of(0.05)),
    Policy(name="mine", ignore=frozenset({"ivory_worked"})),
]
SOURCES = ["a.jpg", "b.jpg", "./a.jpg", "q/c.jpg", "d.jpg"]
SCORES = st.sampled_from([0.1, 0.45, 0.6, 0.95])
ITEMS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"id": st.sampled_from([1, 2])},
        optional={
            "title": st.sampled_from(["Vase", "Tusk", "\udcff"]),
            "seller": st.sampled_from(["ann", "bob"]),
            "reports": st.integers(0, 3),
        },
    ),
)


def make(source, item, kind, score, seconds, phash, product):
    time = NOW + timedelta(seconds=seconds)
    if kind == "no_image":
        return bare_row(source, 0, "unscored", item=item, reason=Reason.NO_IMAGE, time=time)
    if kind == "failed":
        return bare_row(source, 0, "unscored", item=item, time=time)
    scores = dict.fromkeys(["ivory_worked", "ivory_raw", "ceramic", "listing_other"], 0.0)
    decision = kind if kind in {"review", "priority"} else "clear"
    return bare_row(
        source,
        score,
        decision,
        item=item,
        time=time,
        phash=phash,
        sha256=f"{round(score * 100):064x}",  # equal scores, equal bytes
        scores=scores | {product: score},
        family={"ivory": score},
        leads=(lead(product, score, Decision(decision)),) if decision != "clear" else (),
        audit=0.5 if kind == "audit" else None,
    )


ROWS = st.builds(
    make,
    st.sampled_from(SOURCES),
    ITEMS,
    st.sampled_from(["clear", "audit", "review", "priority", "failed", "no_image"]),
    SCORES,
    st.integers(0, 9),
    st.sampled_from([HASH, NEAR, FAR]),
    st.sampled_from(PRODUCTS),
)


@cache
def _bundle():
    with tempfile.TemporaryDirectory() as folder:
        return load_bundle(write_tiny_bundle(Path(folder) / "tiny-v1"))


class Writes(RuleBasedStateMachine):
    """Scans, changed columns, other policies, merges: in any order."""

    @initialize()
    def start(self):
        self.folder = quick_folder()
        self.path = Path(self.folder.name) / "scan.sqlite"
        self.bundle = _bundle()
        self.model = self.bundle.reference
        write_scan(self.path, [])

    def teardown(self):
        self.folder.cleanup()

    def writer(self):
        return ScanWriter(self.path, Ranking([self.bundle]))

    @rule(rows=st.lists(ROWS, max_size=5))
    def scans(self, rows):
        with self.writer() as file:
            new = [NewRow(row=replace(row, model=self.model)) for row in rows]
            file.append(new)
            file.finish()

    @rule(title=st.sampled_from(["New", None]), reports=st.integers(0, 5), seed=st.integers(0, 9))
    def columns_change(self, title, reports, seed):
        with self.writer() as file:
            listed = [*file.numbered_rows("listing IS NOT NULL")]
            chosen = random.Random(seed).sample(listed, len(listed) // 2)
            changed = [
                (image, replace(row, item={**row.item, "title": title, "reports": reports}))
                for image, row in chosen
            ]
            file.append([], changed=changed)

    @rule(policy=st.sampled_from(POLICIES))
    def another_policy(self, policy):
        with ScanFile(self.path, write=True) as file:
            dry = decide_again(file, policy, [self.bundle], dry_run=True)
            assert decide_again(file, policy, [self.bundle]) == dry
            digests = file.select("SELECT digest FROM policy JOIN image ON policy = policy.id")
            assert {*digests} <= {(policy.digest,)}

    @rule(rows=st.lists(ROWS, max_size=5))
    def merged(self, rows):
        other = self.path.with_name("other.sqlite")
        other.unlink(missing_ok=True)
        write_scan(other, [replace(row, model=self.model) for row in rows])
        merged = self.path.with_name("merged.sqlite")
        merge([self.path, other], merged, allow_mixed=True)
        merged.replace(self.path)

    @rule()
    def grouped(self):
        with ScanFile(self.path, write=True) as file:
            group_copies(file)

    @invariant()
    def entries_are_what_the_view_says(self):
        with ScanFile(self.path, write=True) as file:
            is_of_queue = f"SELECT {ENTRIES} FROM {{}} WHERE {{}} ORDER BY unit"
            found = file.select(is_of_queue.format("entry", "section = 'queue'"))
            assert found == file.select(is_of_queue.format("ranked", "place < 3"))
            audited = file.select("SELECT DISTINCT sha256 FROM image WHERE audit IS NOT NULL")
            shown = file.select(
                "SELECT sha256 FROM entry JOIN image ON image.id = best WHERE section = 'audit'"
            )
            assert sorted(shown) == sorted(audited)

    @invariant()
    def the_order_is_said_once(self):
        with ScanFile(self.path) as file:
            in_order = file.select(
                f"SELECT unit FROM entry WHERE section = 'queue' ORDER BY {ENTRY_ORDER}"
            )
            assert in_order == file.select("SELECT unit FROM queue")
            ranked = file.select("SELECT listing, iif(images, best, NULL) FROM listings")
            listings = [*read_listings(file)]
            assert ranked == [(one.listing, one.best) for one in listings]
            for unit, best in file.select("SELECT unit, best FROM ranked"):
                assert next(file.numbered_rows("unit = ?", (unit,), IMAGE_ORDER))[0] == best
            for listing in listings:
                assert len({*listing.sources}) == len(listing.sources)

    @invariant()
    def folding_is_the_same_for_all(self):
        """In the table of listings, and in the queue."""
        with ScanFile(self.path, write=True) as file:
            group_copies(file)
            groups = {}
            for name, copies in file.select("SELECT name, copies FROM queue"):
                groups.setdefault(copies, []).append(name)
            read = [(one.listing, one.copy_of, one.also_in_listings) for one in read_listings(file)]
        groups.pop(None, None)
        first = {name: names for names in groups.values() for name in names}
        for name, copy_of, others in read:
            names = first.get(name, [name])
            assert copy_of == (None if names[0] == name else names[0])
            assert others == len(names) - 1


TestWrites = Writes.TestCase
TestWrites.settings = settings(max_examples=15, stateful_step_count=12)


def test_near_copies_that_come_while_others_are_compared_are_folded_later(tmp_path, monkeypatch):
    path = write_scan(tmp_path / "a", [bare_row(name, 0.9, "review", phash=HASH) for name in "ab"])

    def meanwhile(*args):
        monkeypatch.setattr("recognizer.rows.listings.near_copies", near_copies)
        with ScanWriter(path, Ranking()) as scan:  # which nobody holds up
            scan.append([NewRow(row=bare_row("c", 0.9, "review", phash=HASH))])
        return near_copies(*args)

    with ScanFile(path, write=True) as file:
        file.set_setting("grouped", "0")
        monkeypatch.setattr("recognizer.rows.listings.near_copies", meanwhile)
        for folded in (2, 3, 3):
            group_copies(file)
            assert file.select("SELECT count(copies) FROM entry") == [(folded,)]


@pytest.mark.parametrize(
    ("about", "by_policy"),
    [
        ({"listing": "1"}, "rejected"),  # as a whole
        ({"listing": "1", "origin": DESK}, "open"),  # of a desk: no lead of a product was there
        ({"sha256": digest("a.jpg")}, "open"),
    ],
)
def test_a_lead_without_a_verdict_reopens_its_listing_by_any_clock(tmp_path, about, by_policy):
    first, new, third = (bare_row(f"{n}.jpg", 0.9, "review", item={"id": 1}) for n in "abc")
    path, now = tmp_path / "a", datetime.now(UTC)
    first = replace(first, leads=()) if "origin" in about else first
    write_scan(path, [first, bare_row("c.jpg", 0.1, "clear", item={"id": 1})])
    with Outcomes(path, write=True) as outcomes:
        ahead = now + timedelta(hours=5)
        outcomes.add([Outcome(time=ahead, reviewer="ann", judgement=Judgement.REJECTED, **about)])
    cases = [(first, "rejected"), (third, by_policy), (replace(new, time=now), "open")]
    for row, state in cases:
        write_scan(path, [row])
        with ScanFile(path) as file:
            assert file.select("SELECT state FROM queue") == [(state,)]


def test_a_listing_that_gets_an_image_has_waited_since_it_was_raised(tmp_path):
    def row(source, decision, hours, **changes):
        time = NOW + timedelta(hours=hours)
        return bare_row(source, 0.5, decision, item={"id": 1}, time=time, **changes)

    words = row("table.csv!/2", "unscored", 0, reason=Reason.NO_IMAGE)
    path = write_scan(tmp_path / "scan.sqlite", [words])
    write_scan(path, [row("a.jpg", "review", 700)])
    with ScanFile(path) as file:
        assert file.select("SELECT source, first FROM queue") == [("a.jpg", NOW.isoformat())]
