"""The SQLite database: jobs, the ledger and users. Other packages use `Store`; SQL runs only in this one."""
