"""Plain frozen types that every other part of bot shares: jobs, quota, errors and the Frontend protocol."""
