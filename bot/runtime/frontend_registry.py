"""The frontends that exist. A new frontend is one folder and one line in `MODULES`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any

from bot.domain.errors import ConfigBroken
from bot.domain.frontend import Frontend
from bot.domain.setting_types import Section
from bot.frontends.descriptor import FrontendContext, FrontendDescriptor
from bot.studio.studio import Studio

FrontendFactories = Mapping[str, Callable[[Studio], Frontend]]
"""Builds each frontend, and builds it again after a crash."""

MODULES = ("bot.frontends.discord", "bot.frontends.telegram", "bot.cli.descriptor")
"""Each of these defines `FRONTEND`. They are named by text because bot/cli/ is a layer above this one."""


class FrontendRegistry:
    """Answers questions about all frontends from their descriptors."""

    def __init__(self, descriptors: Iterable[FrontendDescriptor]) -> None:
        self.descriptors = {one.name: one for one in descriptors}

    def with_frontend(self, descriptor: FrontendDescriptor) -> FrontendRegistry:
        return FrontendRegistry([*self.descriptors.values(), descriptor])

    @property
    def sections(self) -> dict[str, type[Section]]:
        """Each frontend -> the type of its table in the settings."""
        return {one.name: one.settings for one in self.descriptors.values() if one.settings is not None}

    @property
    def platforms(self) -> tuple[str, ...]:
        """The names of all frontends. User keys begin with one of them, such as `discord:42`."""
        return tuple(self.descriptors)

    @property
    def deduplicating_platforms(self) -> frozenset[str]:
        return frozenset(one.name for one in self.descriptors.values() if one.deduplicates_sends)

    @property
    def platforms_without_final_status(self) -> frozenset[str]:
        return frozenset(one.name for one in self.descriptors.values() if not one.needs_final_status)

    @property
    def private_platforms(self) -> frozenset[str]:
        return frozenset(one.name for one in self.descriptors.values() if one.is_private)

    @property
    def local_platforms(self) -> frozenset[str]:
        return frozenset(one.name for one in self.descriptors.values() if one.is_local)

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(package for one in self.descriptors.values() for package in one.packages)

    @property
    def quiet_loggers(self) -> tuple[str, ...]:
        return tuple(name for one in self.descriptors.values() for name in one.quiet_loggers)

    @property
    def token_patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(pattern for one in self.descriptors.values() for pattern in one.token_patterns)

    @property
    def secret_variables(self) -> dict[str, str]:
        """Environment variable -> setting, such as DISCORD_TOKEN -> discord.token."""
        return {
            variable: f"{one.name}.{key}"
            for one in self.descriptors.values()
            for key, variable in one.secrets.items()
        }

    def secret_texts(self, settings: Mapping[str, Section]) -> list[str]:
        return [
            text
            for name, section in settings.items()
            for text in self.descriptors[name].secret_texts(section)
        ]

    def unavailable(self, settings: Mapping[str, Any]) -> dict[str, str | None]:
        """Each frontend that `matinee run` can start -> why it does not start, or None if it does."""
        return {
            one.name: one.missing(settings.get(one.name))
            for one in self.descriptors.values()
            if one.create is not None
        }

    def factories(
        self, settings: Mapping[str, Any], *, language: str, inspects_clips: bool
    ) -> FrontendFactories:
        """A factory for every frontend that has what it needs."""
        return {
            name: partial(
                self._create,
                name,
                settings=settings.get(name),
                language=language,
                inspects_clips=inspects_clips,
            )
            for name, reason in self.unavailable(settings).items()
            if reason is None
        }

    def _create(
        self, name: str, studio: Studio, *, settings: Any, language: str, inspects_clips: bool
    ) -> Frontend:
        create = self.descriptors[name].create
        assert create is not None
        return create(
            FrontendContext(
                studio=studio, settings=settings, language=language, inspects_clips=inspects_clips
            )
        )

    def check_admin_chat(self, chat: str) -> None:
        """Raise ConfigBroken unless `chat` is one that can receive admin notices, such as discord:123."""
        able = [one for one in self.descriptors.values() if one.admin_chat_pattern is not None]
        if not any(re.fullmatch(f"{one.name}:(?:{one.admin_chat_pattern})", chat) for one in able):
            examples = " or ".join(one.admin_chat_example for one in able)
            raise ConfigBroken("[rules] admin_chats", f"should be like {examples}")


@cache
def shipped() -> FrontendRegistry:
    """The frontends that Matinee ships with."""
    return FrontendRegistry(import_module(module).FRONTEND for module in MODULES)
