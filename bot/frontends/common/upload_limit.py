"""How large a clip a chat is sent."""

from __future__ import annotations

UPLOAD_LIMIT_FACTOR = 0.97
"""Servers were seen to refuse files just below their own limit, so clips stay a little smaller."""
