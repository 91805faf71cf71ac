-- What each account uploaded in the last day, to limit its rate and its bytes. Older rows are deleted.
CREATE TABLE upload (
    account INTEGER NOT NULL REFERENCES account (id),
    at      REAL NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_account ON upload (account, at);
