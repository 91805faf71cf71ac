-- Sums read only rows with credits. A row that settles a job has none, and is found by its job.
DROP INDEX ledger_sums;
CREATE INDEX ledger_sums ON ledger (account, purse, counted_at, credits) WHERE credits <> 0;
