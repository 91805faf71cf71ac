-- The refund of a payment is one row that names it; no payment is refunded twice.
CREATE UNIQUE INDEX ledger_payment_back ON ledger (note) WHERE kind = 'move' AND substr(note, 1, 13) = 'payment-back:';
