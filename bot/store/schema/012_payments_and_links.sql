-- Payments with the account they belong to and the state of their refund.
CREATE TABLE payment (
    id      INTEGER PRIMARY KEY,                -- the ledger row of the purchase
    name    TEXT NOT NULL UNIQUE,               -- the platform's identifier
    payer   TEXT NOT NULL DEFAULT '',           -- the user who paid; '' if unknown, or deleted since
    account INTEGER NOT NULL REFERENCES account (id),  -- whose credits a refund takes; follows a link
    origin  INTEGER NOT NULL REFERENCES account (id),  -- the payer's own account, to which an unlink returns it
    credits INTEGER NOT NULL CHECK (credits > 0),
    state   TEXT NOT NULL DEFAULT 'paid' CHECK (state IN ('paid', 'refunding', 'refunded')),
    attempt INTEGER NOT NULL DEFAULT 0,         -- how many refunds were begun
    taken   INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),  -- withdrawn by the current refund
    owed    INTEGER NOT NULL DEFAULT 0 CHECK (owed >= 0),   -- of a refunded payment: spent, and withdrawn once returned
    CHECK (taken + owed <= credits)
) STRICT;
CREATE INDEX payment_by_account ON payment (account);
CREATE INDEX payment_by_origin ON payment (origin);
CREATE INDEX payment_owed ON payment (account) WHERE owed > 0;

INSERT INTO payment (id, name, account, origin, credits, state, attempt, taken)
SELECT bought.id, substr(bought.note, 9), bought.account, bought.account, bought.credits,
    CASE WHEN back.id IS NULL THEN 'paid' ELSE 'refunded' END, back.id IS NOT NULL, coalesce(-back.credits, 0)
FROM ledger AS bought
LEFT JOIN ledger AS back ON back.kind = 'move' AND back.note = 'payment-back:' || substr(bought.note, 9)
WHERE bought.kind = 'grant' AND substr(bought.note, 1, 8) = 'payment:';

-- Earlier links moved the credits of a payment and left the payment behind: it follows them.
UPDATE payment SET account = moved.account, origin = moved.account
FROM (
    SELECT source.account AS before, target.account AS account
    FROM ledger AS source JOIN ledger AS target ON target.id = source.id + 1 AND target.at = source.at
    WHERE source.kind = 'move' AND source.note = '' AND source.credits < 0
        AND target.kind = 'move' AND target.note = '' AND target.credits = -source.credits
) AS moved
WHERE payment.account = moved.before AND payment.account NOT IN (SELECT account FROM person);

UPDATE payment SET payer = (
    SELECT CASE count(*) WHEN 1 THEN max(key) ELSE '' END FROM person
    WHERE person.account = payment.account
        AND substr(key, 1, instr(payment.name, ':')) = substr(payment.name, 1, instr(payment.name, ':'))
);

-- Who joined another user's account, and the own account to return to.
ALTER TABLE person ADD COLUMN home INTEGER REFERENCES account (id);
ALTER TABLE person ADD COLUMN joined INTEGER NOT NULL DEFAULT 0;  -- the newest ledger row before the link
CREATE INDEX person_by_home ON person (home) WHERE home IS NOT NULL;

-- Earlier links kept no own account: each user but the first of an account gets a new one to return to.
CREATE TABLE earlier_link AS
SELECT key, (SELECT max(id) FROM account) + row_number() OVER (ORDER BY key) AS home
FROM person AS guest
WHERE EXISTS (
    SELECT 1 FROM person AS host
    WHERE host.account = guest.account AND (host.created_at, host.key) < (guest.created_at, guest.key)
);
INSERT INTO account (id) SELECT home FROM earlier_link;
UPDATE person SET
    home = (SELECT home FROM earlier_link WHERE earlier_link.key = person.key),
    joined = (SELECT coalesce(max(id), 0) FROM ledger)
WHERE key IN (SELECT key FROM earlier_link);
DROP TABLE earlier_link;

-- A link waits here until both sides have confirmed it.
ALTER TABLE link_code ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE link_code ADD COLUMN language TEXT NOT NULL DEFAULT 'en';
CREATE TABLE link_request (
    id             INTEGER PRIMARY KEY,         -- random, so that no button fits a later request
    until          REAL NOT NULL,
    maker          TEXT NOT NULL UNIQUE,        -- who made the code; the other side joins this account
    maker_name     TEXT NOT NULL,
    maker_language TEXT NOT NULL,
    maker_agreed   INTEGER NOT NULL DEFAULT 0,
    taker          TEXT NOT NULL UNIQUE,        -- who entered the code
    taker_name     TEXT NOT NULL,
    taker_language TEXT NOT NULL,
    taker_agreed   INTEGER NOT NULL DEFAULT 0
) STRICT;
