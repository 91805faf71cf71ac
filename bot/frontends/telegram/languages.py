"""Which language somebody is answered in: their choice, else their group's, else their client's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bot.frontends.common.preferences import preferred_language

LoadChoices = Callable[[], Awaitable[Mapping[str, str]]]


class LanguageChoices:
    """All that were chosen are kept at hand, so that a message costs no look into the store."""

    def __init__(self, load: LoadChoices) -> None:
        self._load = load
        self._chosen: dict[str, str] = {}

    async def load_choices(self) -> None:
        self._chosen = dict(await self._load())

    def language_of(self, person: str, community: str, client_code: str | None) -> str:
        return preferred_language(self._chosen.get(person), self._chosen.get(community), client_code)

    def choose(self, key: str, language: str | None) -> None:
        """None: as their client speaks."""
        if language is None:
            self._chosen.pop(key, None)
        else:
            self._chosen[key] = language
