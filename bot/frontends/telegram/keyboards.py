"""Inline keyboards: every button's data is an Action, so it works after any restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bot.domain.jobs import Action, Job, State
from bot.i18n import messages
from bot.pipeline.delivery import Button
from generation.music.common.genre_tables import Genre

DATA_LIMIT = 64
EMOJI = {
    "reroll": "🎲", "score": "🎵", "edit": "✏️", "animate": "🎬", "extend": "⏩", "bigger": "🔍",
    "recipe": "📜", "delete": "🗑️", "report": "🚩", "cancel": "✖️", "again": "📨", "forget": "🗑️",
    "appeal": "🙋", "release": "📨", "reject": "🚫", "pardon": "🙋",
}  # fmt: skip
DANGER = frozenset({"cancel", "forget"})


def fits(action: Action) -> bool:
    """Whether Telegram takes it: an operator's genre may have a name as long as they like."""
    return len(str(action).encode()) <= DATA_LIMIT


def button(label: str, action: Action) -> InlineKeyboardButton:
    assert fits(action), f"{action} is longer than {DATA_LIMIT} bytes"
    return InlineKeyboardButton(
        label, callback_data=str(action), style="danger" if action.verb in DANGER else None
    )


def keyboard(buttons: Iterable[Button], *, a_row: int = 2) -> InlineKeyboardMarkup | None:
    made = [
        button(f"{EMOJI.get(item.action.verb, '')} {item.label}".strip(), item.action) for item in buttons
    ]
    return InlineKeyboardMarkup(rows(made, a_row)) if made else None


def single(action: Action, language: str) -> InlineKeyboardMarkup | None:
    return keyboard([Button(messages.words(f"button.{action.verb}", language), action)])


def for_status(job: Job) -> InlineKeyboardMarkup | None:
    """What can still be done about a job that shows no clip yet."""
    if job.state is State.UNCERTAIN:
        return single(Action("again", job.id), job.requester.language)
    return None if job.state.final else single(Action("cancel", job.id), job.requester.language)


def genre_wall(job: int, genres: Mapping[str, Genre], language: str) -> InlineKeyboardMarkup:
    titles = {name: f"{genre.emoji} {genre.title}" for name, genre in genres.items()}
    titles["none"] = "🔇 " + messages.words("silence", language)
    actions = {Action("score", job, name): title for name, title in titles.items()}
    return InlineKeyboardMarkup(rows([button(title, a) for a, title in actions.items() if fits(a)], 3))


def rows(made: list[InlineKeyboardButton], a_row: int) -> list[list[InlineKeyboardButton]]:
    return [made[at : at + a_row] for at in range(0, len(made), a_row)]
