"""What happens to a queued job: worker, delivery, status updates and retries."""
