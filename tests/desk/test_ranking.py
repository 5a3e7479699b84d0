"""One order of listings, one text of each and one folding: in files, at the desk, in the report."""

import re
from dataclasses import replace
from datetime import timedelta

from recognizer.desk.page import write_report
from recognizer.desk.queue import Queue
from recognizer.desk.views import View
from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Decision
from recognizer.rows import ScanFile, read_listings
from tests.conftest import succeed
from tests.desk.server.queues import listing
from tests.rows.rows import FAR, HASH, NEAR, NOW, bare_row, digest, lead, write_scan
from tests.tiny import with_evidence


def unproven(name, score, level="review", **columns):
    row = listing(name, score, level, **columns)
    return replace(row, leads=(lead("ivory_raw", score, Decision(level)),))


def test_listings_have_the_same_order_everywhere(tmp_path, tiny_bundle):
    bundle = with_evidence(load_bundle(tiny_bundle))
    rows = [
        listing("low", 0.55),
        unproven("unproven, reported", 0.99, reports=9),
        unproven("unproven", 0.995),
        replace(listing("old", 0.7), time=NOW - timedelta(days=9)),
        listing("young", 0.7),
        replace(listing("by reports", 0.2, reports=3), leads=()),
        listing("reported", 0.5, reports=2),
        replace(unproven("two photos", 0.9), source="a.jpg"),
        replace(listing("two photos", 0.8), source="b.jpg"),
        unproven("priority, unproven", 0.9, "priority"),
        listing("priority", 0.6, "priority"),
        bare_row("stray.jpg", 0.65, "review"),
        listing("clear", 0.1, "clear"),
        bare_row("broken.jpg", 0, "unscored"),
    ]
    order = [
        *("priority", "priority, unproven", "by reports", "reported", "two photos", "old"),
        *("young", "stray.jpg", "low", "unproven, reported", "unproven", "broken.jpg"),
    ]
    scan = write_scan(tmp_path / "scan.sqlite", rows, bundle)
    with Queue(scan) as queue:
        found = queue.page(View(), 1)[0]
        assert [entry.name for entry in found] == order
    write_report(scan, tmp_path / "report.html", [bundle])
    page = (tmp_path / "report.html").read_text()
    for one in (r'<li data-key="(\w+)"', r'<template data-card="(\w+)"'):
        assert re.findall(one, page) == [entry.key for entry in found]
    two = page.split(f'<template data-card="{found[4].key}"')[1].split("</article>")[0]
    bars = re.findall(r'<li class="lead"><span>([^<]*)', two)
    assert bars == ["Worked ivory", "Raw ivory"]  # the photo with evidence first


def test_near_copies_are_folded_in_the_same_way_everywhere(tmp_path):
    """By their hashes, in chains too, and where there is none by their bytes."""
    chain = [HASH, *("".join(["0" * k, HASH[k:]]) for k in (6, 12, 18))]  # by 12 bits each
    rows = [
        *(replace(listing(f"chain {i}", 0.9 - i / 100), phash=one) for i, one in enumerate(chain)),
        replace(listing("near", 0.8), phash=NEAR),
        replace(listing("far", 0.7), phash=FAR),
        *(
            replace(listing(f"bytes {i}", 0.6 - i / 100, seller=f"s{i % 2}"), sha256=digest("b"))
            for i in range(3)
        ),
        replace(listing("bytes 1", 0.3, seller="s1"), source="again.jpg", sha256=digest("b")),
        # The same bytes as another one, of which an earlier version stored no hash.
        replace(listing("no hash", 0.5), sha256=digest("far.jpg")),
        replace(listing("clear copy", 0.1, "clear"), phash=HASH),
        replace(listing("only copy 1", 0.4, "priority"), phash="3c" * 32),
        replace(listing("only copy 2", 0.95), phash="3c" * 32),
    ]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    with Queue(scan) as queue:
        entries, total = queue.page(View(), 1)
        desk = {entry.name: len(queue.members(entry, "Anna")) for entry in entries}
        keys = {entry.key: entry.name for entry in entries}
        assert total == len(entries) == sum(queue.open_counts().values())
    assert desk == {"only copy 1": 2, "chain 0": 5, "far": 2, "bytes 0": 3}
    succeed("report", scan, "--output", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert [keys[key] for key in re.findall(r'<li data-key="(\w+)"', page)] == [*desk]
    chips = re.findall(r'<li data-key="(\w+)".*?near-copies: (\d+).*?</li>', page, re.DOTALL)
    folded = {keys[key]: int(count) for key, count in chips}
    assert folded == {name: count - 1 for name, count in desk.items()}
    with ScanFile(scan) as file:
        same = [one for one in read_listings(file) if one.copy_of in {"bytes 0", "bytes 1"}]
    assert [(one.also_in_listings, one.also_in_sellers) for one in same] == [(2, 1), (2, 2)]
