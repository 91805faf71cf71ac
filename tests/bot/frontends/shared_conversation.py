"""One conversation that is tested on every chat; each chat implements ChatUser for it."""

from __future__ import annotations

from typing import Protocol

from bot.domain.jobs import JobState
from bot.i18n import messages
from bot.store.store import Store
from tests.bot.app_harness import wait_until_async

PROMPT = "a fox in the snow"


class ChatUser(Protocol):
    """A user of one platform's loopback server."""

    async def request_clip(self, prompt: str, **options: str) -> None:
        """Ask for a clip as the platform does it."""

    async def send_command(self, command: str) -> None:
        """Send a command without options."""

    async def wait_for_text(self, text: str) -> str:
        """Wait for an answer that contains the text, a message or a toast; return the whole answer."""

    async def wait_for_clip(self, number: int) -> str:
        """Wait for the clip of this job; return its caption."""

    async def press_button(self, label: str) -> None:
        """Press the button of the newest message that has one with this label."""

    async def request_new_music(self, genre: str) -> None:
        """Ask for new music for the newest clip, by the control below it."""

    def set_engine_paused(self, *, paused: bool) -> None:
        """Pause or resume the engine."""

    async def wait_until_rendering(self, number: int) -> None:
        """Wait until the engine renders this job, which no chat is sure to show."""


async def wait_until_running(store: Store, number: int) -> None:
    async def running() -> bool:
        return (await store.job(number)).state is JobState.RUNNING

    await wait_until_async(running)


async def run_conversation(user: ChatUser) -> None:
    """Hold the conversation; all its texts come from bot/i18n, so that they are the same on every chat."""
    user.set_engine_paused(paused=True)
    await user.request_clip(PROMPT, genre="lofi", seed="7")
    await user.wait_for_text("Clip #1")
    await user.wait_for_text("lofi")
    await check_queue(user)
    user.set_engine_paused(paused=False)
    await check_clip_and_buttons(user)

    await user.press_button(messages.translate("button.reroll"))
    assert PROMPT in await user.wait_for_clip(2)

    await user.request_new_music("jazz")
    assert PROMPT in await user.wait_for_clip(3)

    user.set_engine_paused(paused=True)
    await user.request_clip("a wolf")
    await user.wait_for_text("Clip #4")
    await user.press_button(messages.translate("button.cancel"))
    await user.wait_for_text(messages.translate("cancelled", job=4))
    user.set_engine_paused(paused=False)

    await user.request_clip(PROMPT, genre="jaz")
    await user.wait_for_text("Did you mean “jazz”?")
    await user.request_clip(PROMPT, model="gpt")
    await user.wait_for_text("no model called “gpt”")
    await check_refusal_and_appeal(user)
    await check_info_commands(user)


async def check_queue(user: ChatUser) -> None:
    """Check the queue while a clip is rendered."""
    await user.wait_until_rendering(1)
    await user.send_command("queue")
    answer = await user.wait_for_text(messages.translate("queue.title"))
    assert f"1 · {messages.translate('state.running')} · {PROMPT}" in answer


async def check_clip_and_buttons(user: ChatUser) -> None:
    """Check the caption of a clip and the answers to its buttons."""
    caption = await user.wait_for_clip(1)
    assert PROMPT in caption
    assert all(fact in caption for fact in ("lofi", messages.translate("seed", seed=7)))
    await user.press_button(messages.translate("button.recipe"))
    recipe = await user.wait_for_text(messages.translate("recipe.title", job=1))
    assert "/video" in recipe
    assert "7" in recipe
    await user.press_button(messages.translate("button.report"))
    await user.wait_for_text(messages.translate("reported", job=1))


async def check_refusal_and_appeal(user: ChatUser) -> None:
    """Check that a refusal names its rule and can be appealed."""
    await user.request_clip("something forbidden")
    await user.wait_for_text(messages.translate("PromptRefused", rule=messages.translate("rule.operator")))
    await user.press_button(messages.translate("button.appeal"))
    await user.wait_for_text(messages.translate("appealed"))


async def check_info_commands(user: ChatUser) -> None:
    """Check the titles and contents of the commands that start no job."""
    await user.send_command("history")
    answer = await user.wait_for_text(messages.translate("history.title"))
    assert f"4 · {messages.translate('state.cancelled')} · a wolf" in answer
    assert f"1 · {messages.translate('state.delivered')} · {PROMPT}" in answer
    await user.send_command("quota")
    answer = await user.wait_for_text(messages.translate("quota.title"))
    assert "credits left" in answer
    assert messages.ledger_line("refund", 1, 4).partition(":")[0] in answer
    await user.send_command("models")
    await user.wait_for_text(messages.translate("models.title"))
    await user.send_command("queue")
    await user.wait_for_text(messages.translate("queue.empty"))
    await user.send_command("help")
    await user.wait_for_text(messages.translate("help.title"))
    await user.send_command("privacy")
    await user.wait_for_text(messages.translate("privacy.title"))
