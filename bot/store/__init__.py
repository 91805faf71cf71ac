"""The SQLite database: jobs, ledger, people. `store.py` is the face; nothing outside this package runs SQL."""
