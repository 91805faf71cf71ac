-- Tiers, blocks, reports, measured times, and an audit log of admin actions.
ALTER TABLE person ADD COLUMN tier TEXT;         -- set by an admin; NULL follows the user's roles
ALTER TABLE person ADD COLUMN credits INTEGER;   -- credits a window for this user alone

CREATE TABLE block (
    person TEXT PRIMARY KEY,
    until  REAL,                                 -- NULL: until an admin unblocks
    reason TEXT NOT NULL,
    at     REAL NOT NULL
) STRICT;

CREATE TABLE strike (
    id     INTEGER PRIMARY KEY,
    person TEXT NOT NULL,
    rule   TEXT NOT NULL,
    at     REAL NOT NULL
) STRICT;
CREATE INDEX strike_by_person ON strike (person, at);

CREATE TABLE report (
    id     INTEGER PRIMARY KEY,
    at     REAL NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('report', 'appeal')),
    person TEXT NOT NULL,
    job    INTEGER,
    words  TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX report_once ON report (person, job, kind) WHERE job IS NOT NULL;

CREATE TABLE announcement (
    id      INTEGER PRIMARY KEY,
    at      REAL NOT NULL,
    words   TEXT NOT NULL,
    until   REAL NOT NULL
) STRICT;

CREATE TABLE pace (
    id      INTEGER PRIMARY KEY,
    model   TEXT NOT NULL,
    kind    TEXT NOT NULL,
    work    REAL NOT NULL,                       -- millions of pixels generated
    seconds REAL NOT NULL
) STRICT;
CREATE INDEX pace_by_model ON pace (model, kind, id);

CREATE TABLE link_code (
    code   TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    until  REAL NOT NULL
) STRICT;

CREATE TABLE forgotten (
    token   TEXT PRIMARY KEY,                    -- a keyed hash, which does not reveal the user
    account INTEGER NOT NULL REFERENCES account (id),
    until   REAL NOT NULL
) STRICT;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      REAL NOT NULL,
    admin   TEXT NOT NULL,
    verb    TEXT NOT NULL,
    details TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_keeps_its_rows BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
