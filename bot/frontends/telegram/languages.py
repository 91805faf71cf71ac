"""Which language somebody is answered in: their choice, else their group's, else their client's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bot.frontends.telegram.message_context import spoken

Recall = Callable[[], Awaitable[Mapping[str, str]]]


class Tongues:
    """All that were chosen are kept at hand, so that a message costs no look into the store."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall
        self._chosen: dict[str, str] = {}

    async def recall(self) -> None:
        self._chosen = dict(await self._recall())

    def of(self, person: str, community: str, code: str | None) -> str:
        return spoken(self._chosen.get(person) or self._chosen.get(community) or code)

    def choose(self, key: str, language: str | None) -> None:
        """None: as their client speaks."""
        if language is None:
            self._chosen.pop(key, None)
        else:
            self._chosen[key] = language
