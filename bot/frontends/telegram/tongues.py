"""Which language somebody is answered in: their choice, else their group's, else their client's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.frontends.telegram.places import spoken

REMEMBERED = 10_000
Settings = Callable[[str], Awaitable[Mapping[str, Any]]]


class Tongues:
    """Remembers what was chosen, so that a message costs no look into the store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._chosen: OrderedDict[str, str] = OrderedDict()

    async def of(self, person: str, community: str, code: str | None) -> str:
        for key in filter(None, (person, community)):
            if chosen := await self._choice(key):
                return spoken(chosen)
        return spoken(code)

    def forget(self, key: str) -> None:
        """Their settings changed."""
        self._chosen.pop(key, None)

    async def _choice(self, key: str) -> str:
        if key not in self._chosen:
            self._chosen[key] = str((await self._settings(key)).get("language") or "")
            if len(self._chosen) > REMEMBERED:
                self._chosen.popitem(last=False)
        return self._chosen[key]
