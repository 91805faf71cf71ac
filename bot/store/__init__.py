"""What outlives a restart: jobs, the ledger, people. SQLite, and nothing else knows that."""
