"""`python -m bot` and the `matinee` command."""
