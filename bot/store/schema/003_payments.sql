-- A payment is a grant whose note names it; no payment is recorded twice.
CREATE UNIQUE INDEX ledger_payment ON ledger (note) WHERE kind = 'grant' AND substr(note, 1, 8) = 'payment:';
