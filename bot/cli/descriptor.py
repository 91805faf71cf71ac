"""The terminal as a frontend: what the rest of the bot must know about it."""

from __future__ import annotations

from bot.frontends.descriptor import FrontendDescriptor

FRONTEND = FrontendDescriptor(
    name="cli",
    deduplicates_sends=True,  # the same clip written to the same path is one file
    needs_final_status=False,
    is_private=True,
    is_local=True,
)
