-- Adds the images, thumbnails and outcomes of the database `other`: of each image the later row.
INSERT OR IGNORE INTO model (name, version, digest)
  SELECT name, version, digest FROM other.model ORDER BY id;
INSERT OR IGNORE INTO policy (name, digest) SELECT name, digest FROM other.policy ORDER BY id;
UPDATE main.policy SET toml = ifnull(toml, (SELECT toml FROM other.policy AS theirs
  WHERE (theirs.name, theirs.digest) = (main.policy.name, main.policy.digest)));
INSERT OR REPLACE INTO main.setting SELECT * FROM other.setting
  WHERE name IN ('policy', 'audit_rate');
CREATE TEMP TABLE winner AS SELECT theirs.id, key FROM other.image AS theirs
  LEFT JOIN main.image AS mine USING (key)
  WHERE CASE
    WHEN mine.id IS NULL THEN 1
    WHEN mine.status != 'failed' AND theirs.status = 'failed' AND theirs.sha256 IS NULL THEN 0
    WHEN theirs.status != 'failed' AND mine.status = 'failed' AND mine.sha256 IS NULL THEN 1
    ELSE theirs.time >= mine.time END;
UPDATE main.image SET first = min(main.image.first, theirs.first) FROM other.image AS theirs
  WHERE theirs.key = main.image.key AND (theirs.sha256 = main.image.sha256
    OR theirs.sha256 IS NULL OR main.image.sha256 IS NULL);
DELETE FROM main.thumbnail WHERE image IN
  (SELECT mine.id FROM main.image AS mine JOIN winner USING (key));
INSERT INTO main.image ({columns}, model, policy)
  SELECT {columns},
    (SELECT m.id FROM main.model m JOIN other.model o USING (digest) WHERE o.id = theirs.model),
    (SELECT p.id FROM main.policy p JOIN other.policy o USING (name, digest)
      WHERE o.id = theirs.policy)
  FROM other.image AS theirs WHERE id IN (SELECT id FROM winner) ORDER BY id
  ON CONFLICT (key) DO UPDATE SET {changes}, first = iif(excluded.sha256 != sha256,
    excluded.first, min(first, excluded.first));
INSERT INTO main.thumbnail SELECT mine.id, jpeg, theirs.width, theirs.height, frame
  FROM other.thumbnail AS theirs JOIN winner ON winner.id = image
  JOIN main.image AS mine USING (key);
INSERT INTO main.seen SELECT mine.id, last_seen, unread FROM other.seen
  JOIN other.image AS theirs ON theirs.id = image JOIN main.image AS mine USING (key) WHERE 1
  ON CONFLICT (image) DO UPDATE SET last_seen = excluded.last_seen, unread = excluded.unread
  WHERE excluded.last_seen >= last_seen;
DROP TABLE winner;
INSERT INTO added SELECT max(time) OVER (ORDER BY number), * FROM other.outcome ORDER BY number
