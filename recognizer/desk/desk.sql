-- The queue of a desk, with states by the file of outcomes in use. The statements behind the blank line
-- read them again. What some listing raises is no audit sample.
CREATE TEMP TABLE desk AS SELECT *, 0 AS number, '' AS state, '' AS judge FROM entry
  LIMIT 0;
CREATE UNIQUE INDEX temp.desk_unit ON desk (unit);
CREATE INDEX temp.desk_order ON desk (section, state, {order});
CREATE INDEX temp.desk_copies ON desk (copies, state, {order}) WHERE copies IS NOT NULL;
CREATE TEMP TABLE hold (reviewer TEXT PRIMARY KEY, unit INTEGER UNIQUE, until REAL, seen INTEGER,
  second INTEGER);
CREATE TEMP TABLE skip (unit INTEGER, reviewer TEXT, PRIMARY KEY (unit, reviewer));
CREATE TEMP VIEW lead AS SELECT unit, json_extract(found.value, '$.name') AS product
  FROM image, json_each(image.leads) AS found WHERE {is_lead};

DELETE FROM temp.desk WHERE unit {which};
INSERT INTO temp.desk SELECT *, NULL, NULL, NULL FROM entry WHERE unit {which}
  AND NOT (section = 'audit' AND EXISTS (SELECT 1 FROM image AS raised WHERE decision != 'clear'
    AND raised.sha256 = (SELECT sha256 FROM image WHERE image.id = best)));
UPDATE temp.desk SET number = latest.number, state = judgement, judge = reviewer
  FROM verdict AS latest WHERE latest.unit = desk.unit AND latest.unit {which}
