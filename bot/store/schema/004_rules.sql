-- Inspections of finished clips, refused prompts, and jobs that another process ended.
CREATE TABLE inspection (
    job       INTEGER PRIMARY KEY,
    found     TEXT NOT NULL CHECK (found IN ('clear', 'spoiler', 'hold', 'refuse')),
    what      TEXT NOT NULL,
    certainty REAL NOT NULL,
    at        REAL NOT NULL
) STRICT;

CREATE TABLE refusal (                           -- kept for a limited time, for an appeal
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,
    person TEXT NOT NULL,
    rule   TEXT NOT NULL,
    words  TEXT NOT NULL
) STRICT;
CREATE INDEX refusal_by_person ON refusal (person, id);

ALTER TABLE report ADD COLUMN refusal INTEGER;   -- the refusal that an appeal is about
ALTER TABLE report ADD COLUMN done_at REAL;      -- when an admin closed it
CREATE UNIQUE INDEX appeal_once ON report (refusal) WHERE refusal IS NOT NULL;

CREATE TABLE untold (                            -- the running process reports the end of these jobs
    job INTEGER PRIMARY KEY
) STRICT;
