"""Inline keyboards: every button's data is an Action, so it works after any restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bot import messages
from bot.delivery import Button
from bot.job import Action, Job, State
from generation.scores.genre import Genre

DATA_LIMIT = 64
EMOJI = {
    "reroll": "🎲", "score": "🎵", "edit": "✏️", "animate": "🎬", "extend": "⏩", "bigger": "🔍",
    "recipe": "📜", "delete": "🗑️", "report": "🚩", "cancel": "✖️", "again": "📨",
}  # fmt: skip


def data(action: Action) -> str:
    """Callback data; a choice too long for Telegram is the program's mistake, found by its tests."""
    text = str(action)
    assert len(text.encode()) <= DATA_LIMIT, f"{text!r} is longer than {DATA_LIMIT} bytes"
    return text


def button(label: str, action: Action) -> InlineKeyboardButton:
    return InlineKeyboardButton(label, callback_data=data(action))


def keyboard(buttons: Iterable[Button], *, a_row: int = 2) -> InlineKeyboardMarkup | None:
    made = [
        button(f"{EMOJI.get(item.action.verb, '')} {item.label}".strip(), item.action) for item in buttons
    ]
    return _rows(made, a_row) if made else None


def for_status(job: Job) -> InlineKeyboardMarkup | None:
    """What can still be done about a job that shows no clip yet."""
    if job.state is State.UNCERTAIN:
        return _one(job, "again")
    return None if job.state.final else _one(job, "cancel")


def genre_wall(job: int, genres: Mapping[str, Genre], language: str) -> InlineKeyboardMarkup:
    made = [
        button(f"{genre.emoji} {genre.title}", Action("score", job, name)) for name, genre in genres.items()
    ]
    made.append(button("🔇 " + messages.words("silence", language), Action("score", job, "none")))
    return _rows(made, 3)


def _one(job: Job, verb: str) -> InlineKeyboardMarkup | None:
    label = messages.words(f"button.{verb}", job.requester.language)
    return keyboard([Button(label, Action(verb, job.id))])


def _rows(made: list[InlineKeyboardButton], a_row: int) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([made[at : at + a_row] for at in range(0, len(made), a_row)])
