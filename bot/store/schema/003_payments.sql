-- A payment is a grant whose note names it, and no payment is booked twice.
CREATE UNIQUE INDEX ledger_payment ON ledger (note) WHERE kind = 'grant' AND substr(note, 1, 8) = 'payment:';
