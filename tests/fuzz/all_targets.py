"""All targets."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import databases, discord, files, prompts, settings, telegram

TARGETS: tuple[Target, ...] = (
    *files.TARGETS,
    *telegram.TARGETS,
    *discord.TARGETS,
    *prompts.TARGETS,
    *settings.TARGETS,
    *databases.TARGETS,
)
