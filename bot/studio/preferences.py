"""The defaults that users choose for themselves, and admins of a server or group for all its users."""

from __future__ import annotations

from typing import Any

from bot.domain.errors import NotAllowed
from bot.store.store import Store
from bot.studio.access import AccessControl, Viewer

VERB = "settings"


class Preferences:
    """A viewer reads and changes their own defaults; those of their community are changed by its admins."""

    def __init__(self, store: Store, *, access: AccessControl) -> None:
        self._store = store
        self._access = access

    async def settings(self, viewer: Viewer) -> dict[str, Any]:
        return await self._store.settings(viewer.requester.key)

    async def change_setting(self, viewer: Viewer, name: str, value: Any) -> None:
        """Set one default of the viewer; None removes it.

        Raises NotAllowed where the viewer writes in the name of their community without being its admin.
        """
        await self._access.require_own_key(viewer, VERB)
        await self._store.change_setting(viewer.requester.key, name, value)

    async def community_settings(self, viewer: Viewer) -> dict[str, Any]:
        """The defaults of the community that the viewer is in; empty where there is none."""
        return await self._access.community_settings(viewer)

    async def change_community_setting(self, viewer: Viewer, name: str, value: Any) -> None:
        """Set one default of the viewer's community; None removes it. Raises NotAllowed."""
        await self._access.require_community_admin(viewer, VERB)
        if not viewer.community_settings_key:
            raise NotAllowed(VERB)
        await self._store.change_setting(viewer.community_settings_key, name, value)

    async def languages(self, platform: str) -> dict[str, str]:
        """For a frontend itself: the language of every user and community of it that chose one."""
        return await self._store.chosen_languages(platform)

    async def move_chat(self, platform: str, old: str, new: str) -> None:
        """For a frontend itself: move settings and waiting replies to the new id of a chat."""
        await self._store.move_chat(platform, old, new)
