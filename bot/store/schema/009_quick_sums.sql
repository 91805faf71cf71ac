-- Only what counts is summed: the row that closes a job takes nothing from anybody, and is found by its job.
DROP INDEX ledger_sums;
CREATE INDEX ledger_sums ON ledger (account, purse, counted_at, credits) WHERE credits <> 0;
