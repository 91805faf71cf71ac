"""A job's way once it is queued: worker, delivery, status updates, retry."""
