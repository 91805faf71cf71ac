-- An account stays without a name after its user's data was deleted, so that sums remain correct.
CREATE TABLE account (
    id     INTEGER PRIMARY KEY,
    finish REAL NOT NULL DEFAULT 0    -- the virtual time at which this account's last job ends
) STRICT;

CREATE TABLE person (
    key        TEXT PRIMARY KEY,      -- "discord:42", or "pool:discord:7" for a server's shared credits
    account    INTEGER NOT NULL REFERENCES account (id),
    name       TEXT NOT NULL DEFAULT '',
    settings   TEXT NOT NULL DEFAULT '{}',
    created_at REAL NOT NULL,
    seen_at    REAL NOT NULL
) STRICT;

CREATE INDEX person_by_account ON person (account);

CREATE TABLE job (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    state       TEXT NOT NULL,
    account     INTEGER NOT NULL REFERENCES account (id),
    person      TEXT NOT NULL,
    community   TEXT NOT NULL,
    model       TEXT NOT NULL,
    request     TEXT NOT NULL,
    requester   TEXT NOT NULL,
    reply_to    TEXT NOT NULL,
    cost        INTEGER NOT NULL,
    weight      REAL NOT NULL,
    tag         REAL NOT NULL,        -- start tag of start-time fair queueing
    turn        REAL NOT NULL,        -- breaks ties between tags: first come, first served
    passed      INTEGER NOT NULL DEFAULT 0,  -- how often a job of the loaded model overtook it
    attempt     INTEGER NOT NULL DEFAULT 0,
    epoch       INTEGER NOT NULL DEFAULT 0,
    lease_until REAL,                 -- on the monotonic clock of the process that holds the lease
    painted     INTEGER NOT NULL DEFAULT 0,
    created_at  REAL NOT NULL,
    started_at  REAL,
    finished_at REAL,
    clip        TEXT,
    error       TEXT,
    message     TEXT NOT NULL DEFAULT '',
    parent      INTEGER,
    update_id   TEXT                  -- the update that requested it: a repeated update creates no second job
) STRICT;

CREATE UNIQUE INDEX job_by_update ON job (update_id) WHERE update_id IS NOT NULL;
CREATE INDEX job_by_account ON job (account);
CREATE INDEX queue ON job (tag, turn) WHERE state = 'queued';
CREATE INDEX queue_by_model ON job (model, tag, turn) WHERE state = 'queued';
CREATE INDEX waiting_by_account ON job (account) WHERE state IN ('queued', 'running');
CREATE INDEX waiting_by_community ON job (community) WHERE state IN ('queued', 'running');
CREATE INDEX unfinished ON job (state) WHERE state IN ('running', 'rendered', 'delivering', 'uncertain', 'held');

CREATE TABLE ledger (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         REAL NOT NULL,
    counted_at REAL NOT NULL,         -- the time whose window it counts in; a refund has the time of its reservation
    account    INTEGER NOT NULL REFERENCES account (id),
    kind       TEXT NOT NULL,
    purse      TEXT NOT NULL CHECK (purse IN ('window', 'granted', 'free')),
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

CREATE UNIQUE INDEX ledger_once ON ledger (job, kind, account, purse) WHERE job IS NOT NULL;
CREATE INDEX ledger_sums ON ledger (account, purse, counted_at, credits);

CREATE TRIGGER ledger_keeps_its_rows BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_never_changes BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- Values that are set at run time, by admins and by the queue itself, as JSON.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE virtual_time (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    now  REAL NOT NULL
) STRICT;
INSERT INTO virtual_time VALUES (1, 0);
