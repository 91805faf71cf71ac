"""One conversation, told by the same words on every chat: a platform joins it by a Guest of its own."""

from __future__ import annotations

from typing import Protocol

from bot import messages

PROMPT = "a fox in the snow"


class Guest(Protocol):
    """A person in front of one platform's loopback server, with a studio behind it."""

    async def asks_for_a_clip(self, prompt: str, **options: str) -> None:
        """The platform's own way of saying /video."""

    async def says(self, command: str) -> None:
        """A command without options."""

    async def hears(self, words: str) -> str:
        """Wait for an answer that holds the words, private or not; the whole of it."""

    async def sees_clip(self, number: int) -> str:
        """Wait for the clip of this job; the words beside it."""

    async def presses(self, label: str) -> None:
        """A button of the newest message that has one so named."""

    async def rescores(self, genre: str) -> None:
        """New music for the newest clip, by whatever the platform offers beside it."""

    def hold(self, *, engine: bool) -> None:
        """Let the engine wait, or go on."""


async def converse(guest: Guest) -> None:
    """Everything said here comes from bot/messages.py, so it reads the same wherever it is said."""
    guest.hold(engine=True)
    await guest.asks_for_a_clip(PROMPT, genre="lofi", seed="7")
    await guest.hears("Clip #1")
    await guest.hears("lofi")
    guest.hold(engine=False)
    assert PROMPT in await guest.sees_clip(1)

    await guest.presses(messages.words("button.reroll"))
    assert PROMPT in await guest.sees_clip(2)

    await guest.rescores("jazz")
    assert PROMPT in await guest.sees_clip(3)

    guest.hold(engine=True)
    await guest.asks_for_a_clip("a wolf")
    await guest.hears("Clip #4")
    await guest.presses(messages.words("button.cancel"))
    await guest.hears(messages.words("cancelled", job=4))
    guest.hold(engine=False)

    await guest.asks_for_a_clip(PROMPT, genre="jaz")
    await guest.hears("Did you mean “jazz”?")
    await guest.asks_for_a_clip(PROMPT, model="gpt")
    await guest.hears("no model called “gpt”")
    await guest.says("history")
    await guest.hears(PROMPT)
    await guest.says("quota")
    await guest.hears("credits left")
