"""The language of an answer: the user's choice, else the group's, else that of the user's app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bot.frontends.common.preferences import preferred_language

LoadChoices = Callable[[], Awaitable[Mapping[str, str]]]


class LanguageChoices:
    """All chosen languages, cached so that a message needs no query to the store."""

    def __init__(self, load: LoadChoices) -> None:
        self._load = load
        self._chosen: dict[str, str] = {}

    async def load_choices(self) -> None:
        self._chosen = dict(await self._load())

    def language_of(self, user: str, community: str, client_code: str | None) -> str:
        return preferred_language(self._chosen.get(user), self._chosen.get(community), client_code)

    def choose(self, key: str, language: str | None) -> None:
        """Set the language of a user or group; None returns to the language of the app."""
        if language is None:
            self._chosen.pop(key, None)
        else:
            self._chosen[key] = language
