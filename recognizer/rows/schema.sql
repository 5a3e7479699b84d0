-- The file of a scan, version 4 (PRAGMA user_version). docs/rows.md describes it for those who query it:
-- tables may grow by columns, the views rows, leads, listings and queue keep theirs.
--
-- Times are ISO 8601 in UTC, digests hexadecimal, scores probabilities with six digits. Columns in JSON
-- hold what the same key of a row holds; text that UTF-8 cannot hold stands in backslash escapes.
-- Names in braces are replaced by values of queue.py.

CREATE TABLE model (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL UNIQUE
);
CREATE TABLE policy (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL,
  toml TEXT,                        -- all of it; null if merged rows alone name it
  UNIQUE (name, digest)
);

CREATE TABLE image (
  id INTEGER PRIMARY KEY,
  key INTEGER NOT NULL UNIQUE,      -- of its source and listing, the same in every scan
  unit INTEGER NOT NULL,            -- of its listing, else of its source: what a reviewer decides on
  source TEXT NOT NULL,
  path BLOB,                        -- the bytes of the source where they are not valid UTF-8
  status TEXT NOT NULL,
  reason TEXT,
  sha256 TEXT,
  phash TEXT,
  format TEXT,
  width INTEGER,
  height INTEGER,
  frames INTEGER,
  decision TEXT NOT NULL,
  place INTEGER NOT NULL GENERATED ALWAYS AS (  -- of the decision in the queue
    CASE decision {places} END) VIRTUAL,
  score REAL,                       -- the one that it is ranked by: of a lead, else of a family
  unproven INTEGER,                 -- 1: the model was measured on no photo of its leads; null without leads
  product TEXT,                     -- of the lead with that score
  audit REAL,
  listing TEXT,                     -- the listing's own columns, by their roles, and all of them: item
  title TEXT,
  seller TEXT,
  price TEXT,
  currency TEXT,
  url TEXT,
  reports INTEGER,
  listed TEXT,
  location TEXT NOT NULL,           -- the folder, archive or host of the source
  model INTEGER NOT NULL,
  policy INTEGER NOT NULL,
  preprocessing INTEGER NOT NULL,
  first TEXT NOT NULL,              -- when its first row was written; time: when this one was
  time TEXT NOT NULL,
  file_state BLOB,                  -- by which an unchanged file is known without reading it
  scores TEXT,
  family TEXT,
  leads TEXT NOT NULL,
  why TEXT NOT NULL,
  regions TEXT NOT NULL,
  known TEXT,
  keywords TEXT NOT NULL,
  detail TEXT,
  item TEXT
);
CREATE INDEX image_unit ON image (unit, place);
CREATE INDEX image_sha256 ON image (sha256);
CREATE INDEX image_listing ON image (listing);
CREATE INDEX image_source ON image (source);
CREATE INDEX image_seller ON image (seller) WHERE seller IS NOT NULL;
CREATE INDEX image_lead ON image (place, score DESC) WHERE {is_lead};

-- When the last scan that met an image began (the setting last_scan: that of the last scan), and why that
-- scan could not read it, if its row is that of an earlier one. Nothing leaves the queue by it.
CREATE TABLE seen (image INTEGER PRIMARY KEY, last_seen TEXT NOT NULL, unread TEXT);

CREATE TABLE thumbnail (
  image INTEGER PRIMARY KEY, jpeg BLOB NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, frame INTEGER NOT NULL
);

-- What people found out; it only grows. In the scan's file, or in a file of the same kind of a team.
CREATE TABLE outcome (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time TEXT NOT NULL,
  reviewer TEXT NOT NULL, judgement TEXT NOT NULL, occasion TEXT NOT NULL, sha256 TEXT, listing TEXT,
  label TEXT, note TEXT, origin TEXT NOT NULL, withdraws TEXT
);
CREATE INDEX outcome_sha256 ON outcome (sha256);
CREATE INDEX outcome_listing ON outcome (listing);
CREATE INDEX outcome_time ON outcome (time);
CREATE INDEX outcome_withdraws ON outcome (withdraws) WHERE withdraws IS NOT NULL;
CREATE TRIGGER outcome_stays BEFORE UPDATE ON outcome
  BEGIN SELECT RAISE(ABORT, 'outcomes are only added'); END;
CREATE TRIGGER outcome_remains BEFORE DELETE ON outcome
  BEGIN SELECT RAISE(ABORT, 'outcomes are only added'); END;

-- What a reviewer works through: a listing of which some image is not clear, or an image of the audit
-- sample. Written in the transaction that writes its images, from the view ranked and from nothing else.
CREATE TABLE entry (
  unit INTEGER PRIMARY KEY,
  section TEXT NOT NULL,            -- queue or audit
  best INTEGER NOT NULL,  -- the image that stands for it
  place INTEGER NOT NULL,
  unproven INTEGER NOT NULL,
  reports INTEGER NOT NULL,
  score REAL,
  first TEXT NOT NULL,
  listing TEXT,
  source TEXT NOT NULL,
  title TEXT,
  seller TEXT,
  product TEXT,
  location TEXT NOT NULL,
  listed TEXT,
  copies INTEGER                    -- the unit of the first of its near-copies; null without any
);
CREATE INDEX entry_order ON entry
  (section, {queue_order}, best);
CREATE INDEX entry_copies ON entry
  (copies, {queue_order}, best) WHERE copies IS NOT NULL;
CREATE INDEX entry_listing ON entry (listing);
CREATE INDEX entry_seller ON entry (seller);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE signed_out (session TEXT PRIMARY KEY, time TEXT NOT NULL);

-- Listings, and images without one, by the order of the queue: decision, evidence, reports, score, age.
CREATE VIEW ranked AS
SELECT whole.unit, whole.best, whole.place, whole.unproven, whole.reports,
  coalesce(whole.proven_score, whole.lead_score, best.score) AS score, whole.first, best.listing,
  best.source, best.title, best.seller,
  (SELECT product FROM image AS lead
    WHERE lead.unit = whole.unit AND product IS NOT NULL
    ORDER BY unproven, lead.score DESC, source, id LIMIT 1) AS product,
  best.location, best.listed, images, failed, lead_images
FROM (
  SELECT unit,
    (SELECT id FROM image AS other WHERE other.unit = image.unit
      ORDER BY {image_order}, id LIMIT 1) AS best,
    min(place) AS place, ifnull(min(unproven), 0) AS unproven, ifnull(max(reports), 0) AS reports,
    max(score) FILTER (WHERE unproven = 0) AS proven_score,
    max(score) FILTER (WHERE unproven = 1) AS lead_score,
    (SELECT min(first) FROM image AS other WHERE other.unit = image.unit) AS first,
    count(*) FILTER (WHERE reason IS NOT 'no_image') AS images,
    count(*) FILTER (WHERE status = 'failed' AND reason IS NOT 'no_image') AS failed,
    count(*) FILTER (WHERE {is_lead}) AS lead_images
  FROM image
  WHERE reason IS NOT 'no_image' OR NOT EXISTS (SELECT 1 FROM image AS other
    WHERE other.unit = image.unit AND other.reason IS NOT 'no_image')
  GROUP BY unit
) AS whole JOIN image AS best ON best.id = whole.best;

-- Outcomes that were not withdrawn; the one of the latest moment counts, of equally late ones the last
-- added. A date that is far ahead of now came from a wrong clock.
CREATE VIEW standing AS
SELECT *, iif(time > strftime('%Y-%m-%dT%H:%M:%S', 'now', '{ahead}'), '', time)
  || printf(' %012d', number) AS moment
FROM outcome WHERE occasion != 'withdrawal'
  AND NOT EXISTS (SELECT 1 FROM outcome AS later WHERE later.withdraws = outcome.id);

-- The latest outcome of each entry: of its listing, or of one of its lead images without naming a listing.
-- A lead that came later, and of which there is no outcome, opens the entry again, unless it was
-- confirmed. So does a lead of a product that a rejection by images does not name, such as one by another
-- policy, of a merged scan, or near a known item. After an outcome by a clock far ahead no image comes
-- later: it counts for the images it names.
CREATE VIEW verdict AS
SELECT unit, standing.number AS number, judgement, reviewer, time
FROM (
  SELECT unit, name, CASE section WHEN 'audit' THEN
      (SELECT number FROM standing WHERE sha256 = (SELECT sha256 FROM image WHERE image.id = best)
        ORDER BY moment DESC LIMIT 1)
    ELSE
      (SELECT number FROM standing WHERE occasion != 'audit' AND (listing = name
          OR (listing IS NULL AND sha256 IN (SELECT sha256 FROM image
            WHERE image.unit = entry.unit AND {is_lead})))
        ORDER BY moment DESC LIMIT 1)
    END AS latest
  FROM (SELECT *, ifnull(listing, source) AS name FROM entry) AS entry
) AS of_entry JOIN standing ON standing.number = latest
WHERE judgement = 'confirmed' OR NOT EXISTS (
  SELECT 1 FROM image WHERE image.unit = of_entry.unit AND {is_lead}
    AND (image.first > standing.time OR (judgement = 'rejected' AND product IS NOT NULL
        AND (standing.sha256 IS NOT NULL OR standing.origin = 'recognizer review'))
      OR standing.time > strftime('%Y-%m-%dT%H:%M:%S', 'now', '+2 days'))
    AND image.sha256 NOT IN (
      SELECT sha256 FROM outcome WHERE outcome.sha256 = image.sha256
        AND ifnull(outcome.listing, of_entry.name) = of_entry.name));

CREATE VIEW level (place, decision) AS
  VALUES {levels};

CREATE VIEW queue AS
SELECT entry.unit, ifnull(entry.listing, entry.source) AS name, title, seller, product,
  (SELECT decision FROM level WHERE level.place = entry.place) AS decision,
  score, unproven, reports, first, source, location, listed, copies, best,
  ifnull(judgement, 'open') AS state, reviewer, verdict.time AS judged
FROM entry LEFT JOIN verdict ON verdict.unit = entry.unit
WHERE section = 'queue'
ORDER BY {queue_order}, best;

CREATE VIEW rows AS
SELECT image.id, source, listing, status, reason, decision, score, product, why, title,
  seller, price, currency, url, reports, listed, sha256, phash, format, width, height, frames, scores,
  family, leads, regions, known, keywords, audit, detail, item,
  ifnull(last_seen, time) AS last_seen, unread, model.name || '-v' || model.version AS model, policy.name AS policy, preprocessing, first, time
FROM image JOIN model ON model.id = image.model JOIN policy ON policy.id = image.policy
  LEFT JOIN seen ON seen.image = image.id;

CREATE VIEW leads AS
SELECT image.id, source, listing, title, seller, decision, json_extract(lead.value, '$.name') AS product,
  json_extract(lead.value, '$.kind') AS kind, json_extract(lead.value, '$.score') AS score,
  json_extract(lead.value, '$.threshold') AS threshold,
  json_extract(lead.value, '$.false_positive_rate') AS false_positive_rate, json_extract(lead.value, '$.level') AS level
FROM image, json_each(image.leads) AS lead WHERE {is_lead};

CREATE VIEW listings AS
SELECT ifnull(listing, source) AS listing, title, seller, product,
  (SELECT decision FROM level WHERE level.place = ranked.place) AS decision,
  score, unproven, reports, images, failed, lead_images, source AS best, first
FROM ranked
ORDER BY {queue_order}, ranked.best;
