"""What the rest of the bot must know about a frontend before it imports the frontend's own code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bot.domain.frontend import Frontend
from bot.domain.setting_types import Secret, Section
from bot.studio.studio import Studio


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendContext:
    """Everything that `FrontendDescriptor.create` may use."""

    studio: Studio
    settings: Any
    """The frontend's own section, an instance of `FrontendDescriptor.settings`; None if it has none."""
    language: str = "en"
    """The operator's language, for users whose own language has no translation."""
    inspects_clips: bool = False
    """True if finished clips are inspected, so that nothing may be shown before that."""


def _never_missing(_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendDescriptor:
    """One frontend: its name, its settings and what it can do.

    A frontend is a folder of bot/frontends/ whose `__init__.py` defines `FRONTEND`, and one line in
    bot/runtime/frontend_registry.py. That module must stay cheap to import: `create` imports the rest.
    """

    name: str
    """Also the name of its table in the settings, and the prefix of its users' keys: `name:42`."""
    settings: type[Section] | None = None
    """The type of its table, if it has one. Fields without a default take it from config/default.toml."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Settings that have an environment variable of their own, such as `token` -> `DISCORD_TOKEN`."""
    create: Callable[[FrontendContext], Frontend] | None = None
    """Builds the frontend; raises ConfigBroken. None if `matinee run` does not start this frontend."""
    missing: Callable[[Any], str | None] = _never_missing
    """Called with its settings: a sentence on why the frontend cannot start, or None if it can."""

    deduplicates_sends: bool = False
    """True if the same nonce sent twice is shown once, so that an interrupted send may be repeated."""
    reports_readiness: bool = False
    """True if the frontend has `ready: asyncio.Event`; nothing is sent until it is set."""
    needs_final_status: bool = True
    """False if nobody is left to read a final status after a restart."""
    is_private: bool = False
    """True if only the requester sees what this frontend delivers."""

    is_local: bool = False
    """True if its users sit at this machine, so that they may name files on it."""

    admin_chat_pattern: str | None = None
    """A regular expression for the chats that can receive admin notices. None if no chat can."""
    admin_chat_example: str = ""
    packages: tuple[str, ...] = ()
    """Distributions that `matinee doctor` looks for."""
    quiet_loggers: tuple[str, ...] = ()
    """Loggers of its libraries, of which only warnings are logged."""
    token_patterns: tuple[re.Pattern[str], ...] = ()
    """What its tokens look like. Every match is removed from the logs."""

    def secret_texts(self, settings: Any) -> list[str]:
        """The text of every `Secret` in its settings."""
        values = msgspec.structs.astuple(settings)
        return [value.reveal() for value in values if isinstance(value, Secret) and value]
