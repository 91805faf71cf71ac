"""The exit codes of the `matinee` command; `matinee --help` explains them."""

from __future__ import annotations

DONE, FAILED, BAD_REQUEST, CANNOT_START, CANCELLED = 0, 1, 2, 3, 130
