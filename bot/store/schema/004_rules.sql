-- What was seen in finished clips, what was refused before painting, and whose clip another process ended.
CREATE TABLE inspection (
    job       INTEGER PRIMARY KEY,
    found     TEXT NOT NULL CHECK (found IN ('clear', 'spoiler', 'hold', 'refuse')),
    what      TEXT NOT NULL,
    certainty REAL NOT NULL,
    at        REAL NOT NULL
) STRICT;

CREATE TABLE refusal (                           -- kept for an appeal against it, and not for long
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,
    person TEXT NOT NULL,
    rule   TEXT NOT NULL,
    words  TEXT NOT NULL
) STRICT;
CREATE INDEX refusal_by_person ON refusal (person, id);

ALTER TABLE report ADD COLUMN refusal INTEGER;   -- what an appeal is about
ALTER TABLE report ADD COLUMN done_at REAL;      -- an admin has seen to it
CREATE UNIQUE INDEX appeal_once ON report (refusal) WHERE refusal IS NOT NULL;

CREATE TABLE untold (                            -- the running studio tells these people
    job INTEGER PRIMARY KEY
) STRICT;
