-- A claim changes few indexes: one by state, which the queue reads. Two others change only when a job ends.
DROP INDEX queue;
DROP INDEX queue_by_model;
DROP INDEX waiting_by_account;
DROP INDEX waiting_by_community;
DROP INDEX unfinished;

ALTER TABLE job ADD COLUMN kind TEXT NOT NULL DEFAULT 'video';
ALTER TABLE job ADD COLUMN work REAL NOT NULL DEFAULT 1;  -- millions of pixels to generate
UPDATE job SET kind = request ->> '$.kind', work = max(0.01,
    (request ->> '$.width') * (request ->> '$.height') * (request ->> '$.frames') / 1e6)
WHERE request ->> '$.kind' IS NOT NULL;

-- The measured times are read from the jobs.
DROP TABLE pace;

CREATE INDEX job_by_state ON job (state, tag, turn);
CREATE INDEX unended_by_account ON job (account) WHERE finished_at IS NULL;
CREATE INDEX unended_by_community ON job (community) WHERE finished_at IS NULL AND community <> '';

-- The same ledger with cheaper checks: SQLite rebuilds a list in a check for every row.
ALTER TABLE ledger RENAME TO ledger_before;
DROP TRIGGER ledger_keeps_its_rows;
DROP TRIGGER ledger_never_changes;
DROP INDEX ledger_once;
DROP INDEX ledger_sums;
DROP INDEX ledger_payment;

CREATE TABLE ledger (
    id         INTEGER PRIMARY KEY,   -- no row is ever deleted, so no number is used twice
    at         REAL NOT NULL,
    counted_at REAL NOT NULL,         -- the time whose window it counts in; a refund has the time of its reservation
    account    INTEGER NOT NULL REFERENCES account (id),
    kind       TEXT NOT NULL,
    purse      TEXT NOT NULL CHECK (purse = 'window' OR purse = 'granted' OR purse = 'free'),
    credits    INTEGER NOT NULL,
    job        INTEGER,
    note       TEXT NOT NULL DEFAULT '',
    CHECK (CASE kind
        WHEN 'reserve' THEN credits <= 0 AND job IS NOT NULL
        WHEN 'settle' THEN credits = 0 AND job IS NOT NULL
        WHEN 'refund' THEN credits >= 0 AND job IS NOT NULL
        WHEN 'grant' THEN credits > 0 AND job IS NULL
        WHEN 'move' THEN job IS NULL
        ELSE FALSE END)
) STRICT;
INSERT INTO ledger (id, at, counted_at, account, kind, purse, credits, job, note)
SELECT id, at, counted_at, account, kind, purse, credits, job, note FROM ledger_before;
DROP TABLE ledger_before;

CREATE UNIQUE INDEX ledger_once ON ledger (job, kind, account, purse) WHERE job IS NOT NULL;
CREATE INDEX ledger_sums ON ledger (account, purse, counted_at, credits);
-- A payment is a grant whose note names it; no payment is recorded twice.
CREATE UNIQUE INDEX ledger_payment ON ledger (note) WHERE kind = 'grant' AND substr(note, 1, 8) = 'payment:';

CREATE TRIGGER ledger_keeps_its_rows BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_never_changes BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
