"""All text for users, in six languages."""
