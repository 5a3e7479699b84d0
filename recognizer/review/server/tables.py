"""The tables of the index of a queue, and its longer statements."""

from __future__ import annotations

QUEUE, AUDIT = "queue", "audit"
"""The sections: listings with leads or failures, and the audit sample."""

TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE journal (number INTEGER PRIMARY KEY, path TEXT, size INTEGER, last INTEGER,
  digest TEXT);
CREATE TABLE image (number INTEGER PRIMARY KEY, listing BLOB, source BLOB, journal INTEGER,
  offset INTEGER, first REAL, sha256 TEXT, is_lead INTEGER, is_clear INTEGER,
  UNIQUE (listing, source));
CREATE INDEX image_sha256 ON image (sha256);
CREATE TABLE touched (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE listing (number INTEGER PRIMARY KEY, key BLOB UNIQUE, name TEXT,
  is_stray INTEGER, section TEXT, place INTEGER, unproven INTEGER, by_reports INTEGER,
  by_score REAL, first REAL, scanned REAL, listed REAL, title TEXT, seller TEXT,
  product TEXT, location TEXT, best INTEGER, sha256 TEXT, phash TEXT, copies INTEGER,
  folded INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'open', judge TEXT,
  judged REAL);
CREATE INDEX listing_order
  ON listing (section, state, folded, place, unproven, by_reports, by_score, first, key);
CREATE INDEX listing_copies ON listing (copies);
CREATE INDEX listing_seller ON listing (seller, state);
CREATE INDEX listing_name ON listing (name);
CREATE TABLE tally (section TEXT, state TEXT, place INTEGER, listings INTEGER,
  PRIMARY KEY (section, state, place)) WITHOUT ROWID;
CREATE TRIGGER tally_in AFTER INSERT ON listing BEGIN
  INSERT INTO tally VALUES (new.section, new.state, new.place, 1)
  ON CONFLICT DO UPDATE SET listings = listings + 1;
END;
CREATE TRIGGER tally_out AFTER DELETE ON listing BEGIN
  UPDATE tally SET listings = listings - 1
  WHERE (section, state, place) = (old.section, old.state, old.place);
END;
CREATE TRIGGER tally_move AFTER UPDATE ON listing
  WHEN (old.state, old.place) != (new.state, new.place) BEGIN
  UPDATE tally SET listings = listings - 1
  WHERE (section, state, place) = (old.section, old.state, old.place);
  INSERT INTO tally VALUES (new.section, new.state, new.place, 1)
  ON CONFLICT DO UPDATE SET listings = listings + 1;
END;
CREATE TABLE said (number INTEGER PRIMARY KEY, id TEXT UNIQUE, listing TEXT, sha256 TEXT,
  time REAL, reviewer TEXT, judgement TEXT, occasion TEXT, label TEXT, note TEXT,
  withdraws TEXT);
CREATE INDEX said_listing ON said (listing);
CREATE INDEX said_sha256 ON said (sha256);
CREATE INDEX said_withdraws ON said (withdraws);
CREATE INDEX said_reviewer ON said (reviewer, time);
CREATE TABLE hold (reviewer TEXT PRIMARY KEY, listing INTEGER UNIQUE, until REAL);
CREATE TABLE skip (listing INTEGER, reviewer TEXT, time REAL,
  PRIMARY KEY (listing, reviewer))
"""

PUT_LISTING = """
INSERT INTO listing (key, name, is_stray, section, place, unproven, by_reports, by_score,
    first, scanned, listed, title, seller, product, location, best, sha256, phash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET place = excluded.place, unproven = excluded.unproven,
    by_reports = excluded.by_reports, by_score = excluded.by_score, first = excluded.first,
    scanned = excluded.scanned, listed = excluded.listed, title = excluded.title,
    seller = excluded.seller, product = excluded.product, location = excluded.location,
    best = excluded.best, sha256 = excluded.sha256, phash = excluded.phash
RETURNING number
"""

PUT_IMAGE = """
INSERT INTO image (listing, source, journal, offset, first, sha256, is_lead, is_clear)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (listing, source) DO UPDATE SET journal = excluded.journal, offset = excluded.offset,
    first = min(first, excluded.first), sha256 = excluded.sha256, is_lead = excluded.is_lead,
    is_clear = excluded.is_clear
"""

STANDS = "occasion != 'withdrawal' AND id NOT IN (SELECT withdraws FROM said WHERE withdraws > '')"
"""The condition on which something that was said counts: it was not taken back."""

# What was said of the listing, or of one of its lead images by somebody who saw no listing.
LAST_SAID = {
    QUEUE: f"SELECT judgement, reviewer, time FROM said WHERE {STANDS} AND occasion != 'audit'"
    " AND (listing = :name OR (listing IS NULL AND sha256 IN"
    " (SELECT sha256 FROM image WHERE listing = :key AND is_lead)))"
    " ORDER BY time DESC, number DESC LIMIT 1",
    AUDIT: f"SELECT judgement, reviewer, time FROM said WHERE {STANDS} AND sha256 ="
    " (SELECT sha256 FROM image WHERE listing = :key) ORDER BY time DESC, number DESC LIMIT 1",
}

AFFECTED = """
SELECT number FROM listing WHERE (name = :listing AND section = 'queue')
UNION SELECT listing.number FROM image JOIN listing ON listing.key = image.listing
WHERE image.sha256 = :sha256 AND (section = 'audit' OR (is_lead AND :listing IS NULL))
"""

UNSEEN = """
SELECT EXISTS (SELECT 1 FROM image WHERE listing = :key AND is_lead AND first > :time AND sha256
    NOT IN (SELECT sha256 FROM said WHERE sha256 > '' AND (listing = :name OR listing IS NULL)))
"""
"""Whether a listing has a lead image that came later, of which nobody has said anything."""
