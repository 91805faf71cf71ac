"""Inline keyboards. Each button's callback data is an Action, so buttons still work after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bot.domain.jobs import Action, Job, JobState
from bot.frontends.common import buttons as common_buttons
from bot.i18n import messages
from bot.pipeline.delivery import Button
from generation.music.common.genre_tables import Genre

DATA_LIMIT = 64
EMOJI = common_buttons.EMOJI | {
    "score": "🎵", "cancel": "✖️", "forget": "🗑️", "appeal": "🙋",
    "release": "📨", "reject": "🚫", "pardon": "🙋", "link": "🔗",
}  # fmt: skip


def fits_callback_data(action: Action) -> bool:
    """Whether the action fits Telegram's limit. A genre that the operator named may be too long."""
    return len(str(action).encode()) <= DATA_LIMIT


def button(label: str, action: Action) -> InlineKeyboardButton:
    assert fits_callback_data(action), f"{action} is longer than {DATA_LIMIT} bytes"
    return InlineKeyboardButton(
        label,
        callback_data=str(action),
        style="danger" if action.verb in common_buttons.DANGEROUS_VERBS else None,
    )


def keyboard(buttons: Iterable[Button], *, per_row: int = 2) -> InlineKeyboardMarkup | None:
    inline_buttons = [
        button(f"{EMOJI.get(item.action.verb, '')} {item.label}".strip(), item.action) for item in buttons
    ]
    return InlineKeyboardMarkup(split_rows(inline_buttons, per_row)) if inline_buttons else None


def single_button(action: Action, language: str) -> InlineKeyboardMarkup | None:
    return keyboard([common_buttons.action_button(action, language)])


def status_keyboard(job: Job) -> InlineKeyboardMarkup | None:
    """The button under a status message: cancel, or send again if the clip may not have arrived."""
    if job.state is JobState.UNCERTAIN:
        return single_button(Action("again", job.id), job.requester.language)
    return None if job.state.is_final else single_button(Action("cancel", job.id), job.requester.language)


def genre_keyboard(job: int, genres: Mapping[str, Genre], language: str) -> InlineKeyboardMarkup:
    titles = {name: f"{genre.emoji} {genre.title}" for name, genre in genres.items()}
    titles["none"] = "🔇 " + messages.translate("music.silence", language)
    actions = {Action("score", job, name): title for name, title in titles.items()}
    return InlineKeyboardMarkup(
        split_rows([button(title, a) for a, title in actions.items() if fits_callback_data(a)], 3)
    )


def split_rows(buttons: list[InlineKeyboardButton], per_row: int) -> list[list[InlineKeyboardButton]]:
    return [buttons[at : at + per_row] for at in range(0, len(buttons), per_row)]
