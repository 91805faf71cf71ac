"""The SQLite database: jobs, ledger, people. `store.py` is the face; no SQL runs outside this package."""
