"""One conversation, told by the same words on every chat: a platform joins it by a Guest of its own."""

from __future__ import annotations

from typing import Protocol

from bot.domain.jobs import State
from bot.i18n import messages
from bot.studio.studio import Studio
from tests.bot.app_harness import eventually

PROMPT = "a fox in the snow"


class Guest(Protocol):
    """A person in front of one platform's loopback server, with a studio behind it."""

    async def asks_for_a_clip(self, prompt: str, **options: str) -> None:
        """The platform's own way of saying /video."""

    async def says(self, command: str) -> None:
        """A command without options."""

    async def hears(self, words: str) -> str:
        """Wait for an answer that holds the words, private or not, a message or a toast; the whole of it."""

    async def sees_clip(self, number: int) -> str:
        """Wait for the clip of this job; the words beside it."""

    async def presses(self, label: str) -> None:
        """A button of the newest message that has one so named."""

    async def rescores(self, genre: str) -> None:
        """New music for the newest clip, by whatever the platform offers beside it."""

    def hold(self, *, engine: bool) -> None:
        """Let the engine wait, or go on."""

    async def waits_for_the_engine(self, number: int) -> None:
        """Until it has begun with this job: no chat promises a word of that."""


async def begun(studio: Studio, number: int) -> None:
    async def running() -> bool:
        return (await studio.job(number)).state is State.RUNNING

    await eventually(running)


async def converse(guest: Guest) -> None:
    """Everything said here comes from bot/i18n/messages.py, so it reads the same wherever it is said."""
    guest.hold(engine=True)
    await guest.asks_for_a_clip(PROMPT, genre="lofi", seed="7")
    await guest.hears("Clip #1")
    await guest.hears("lofi")
    await waits(guest)
    guest.hold(engine=False)
    await clip_is_his(guest)

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
    await refused_and_heard(guest)
    await looks_around(guest)


async def waits(guest: Guest) -> None:
    """What is told while a clip is being made, in the same lines everywhere."""
    await guest.waits_for_the_engine(1)
    await guest.says("queue")
    heard = await guest.hears(messages.words("queue.title"))
    assert f"1 · {messages.words('state.running')} · {PROMPT}" in heard


async def clip_is_his(guest: Guest) -> None:
    """What stands beside a clip and what its buttons tell."""
    beside = await guest.sees_clip(1)
    assert PROMPT in beside
    assert all(fact in beside for fact in ("lofi", messages.words("seed", seed=7)))
    await guest.presses(messages.words("button.recipe"))
    recipe = await guest.hears(messages.words("recipe.title", job=1))
    assert "/video" in recipe
    assert "7" in recipe
    await guest.presses(messages.words("button.report"))
    await guest.hears(messages.words("reported", job=1))


async def refused_and_heard(guest: Guest) -> None:
    """A refusal names its rule, costs nothing and can be taken to an admin."""
    await guest.asks_for_a_clip("something forbidden")
    await guest.hears(messages.words("PromptRefused", rule=messages.words("rule.operator")))
    await guest.presses(messages.words("button.appeal"))
    await guest.hears(messages.words("appealed"))


async def looks_around(guest: Guest) -> None:
    """Every looking command begins with the same title and tells the same things."""
    await guest.says("history")
    heard = await guest.hears(messages.words("history.title"))
    assert f"4 · {messages.words('state.cancelled')} · a wolf" in heard
    assert f"1 · {messages.words('state.delivered')} · {PROMPT}" in heard
    await guest.says("quota")
    heard = await guest.hears(messages.words("quota.title"))
    assert "credits left" in heard
    assert messages.entry_line("refund", 1, 4).partition(":")[0] in heard
    await guest.says("models")
    await guest.hears(messages.words("models.title"))
    await guest.says("queue")
    await guest.hears(messages.words("queue.empty"))
    await guest.says("help")
    await guest.hears(messages.words("help.title"))
    await guest.says("privacy")
    await guest.hears(messages.words("privacy.title"))
