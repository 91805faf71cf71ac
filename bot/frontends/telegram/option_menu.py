"""The option menu: buttons for music, length and shape in one message, updated with each press."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bot.domain.jobs import Action
from bot.frontends.telegram.keyboards import button, fits_callback_data, split_rows
from bot.i18n import messages
from generation.music.common.genre_tables import Genre
from generation.music.common.music_choice import SILENT
from generation.request import Kind, Limits, Wish

LENGTHS = (3.0, 5.0, 8.0, 10.0)
SHAPES = ("16:9", "1:1", "9:16")
MAX_LENGTHS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuChoices:
    """The choices so far. Every button's data contains all of them, so nothing is lost in a restart."""

    genre: str = ""
    seconds: str = ""
    aspect: str = ""

    def __str__(self) -> str:
        return f"{self.genre}/{self.seconds}/{self.aspect}"

    @classmethod
    def parse(cls, text: str) -> MenuChoices | None:
        parts = text.split("/")
        return cls(genre=parts[0], seconds=parts[1], aspect=parts[2]) if len(parts) == 3 else None

    def toggled(self, name: str, value: str) -> MenuChoices:
        """Select a value, or clear it if it is selected already."""
        changed: MenuChoices = replace(self, **{name: "" if getattr(self, name) == value else value})
        return changed

    def as_arguments(self) -> str:
        """The choices in the syntax of a typed command."""
        genre = "--no-music" if self.genre == SILENT else f"genre={self.genre}" if self.genre else ""
        return " ".join(filter(None, (genre, self.seconds and f"{self.seconds}s", self.aspect)))


def build_keyboard(
    wish: Wish, choices: MenuChoices, *, genres: Mapping[str, Genre], limits: Limits, language: str
) -> InlineKeyboardMarkup:
    """Buttons for those options that the command leaves open."""
    keyboard_rows: list[list[InlineKeyboardButton]] = []
    if wish.music.genre is None and wish.kind is not Kind.IMAGE:
        genre_labels = {name: f"{genre.emoji} {genre.title}" for name, genre in genres.items()}
        keyboard_rows += split_rows(
            _choice_row(
                "genre",
                genre_labels | {SILENT: "🔇 " + messages.translate("music.silence", language)},
                choices,
            ),
            3,
        )
    if wish.seconds is None and wish.kind is not Kind.IMAGE:
        keyboard_rows.append(
            _choice_row("seconds", {f"{n:g}": f"{n:g} s" for n in offered_lengths(limits)}, choices)
        )
    if wish.aspect is None and wish.width is None:
        shapes = [shape for shape in SHAPES if shape in limits.aspects]
        keyboard_rows.append(_choice_row("aspect", {shape: shape for shape in shapes}, choices))
    keyboard_rows.append(
        [button("🎬 " + messages.translate("button.film", language), Action("film", 0, str(choices)))]
    )
    return InlineKeyboardMarkup([row for row in keyboard_rows if row])


def offered_lengths(limits: Limits) -> list[float]:
    """The usual lengths that the model supports, and its default length."""
    usual = [n for n in LENGTHS if limits.min_seconds <= n <= limits.max_seconds]
    return sorted({*usual, limits.seconds})[:MAX_LENGTHS]


def _choice_row(name: str, values: Mapping[str, str], choices: MenuChoices) -> list[InlineKeyboardButton]:
    buttons = []
    for value, label in values.items():
        action = Action("ask", 0, str(choices.toggled(name, value)))
        if fits_callback_data(action):
            buttons.append(button(("✓ " if getattr(choices, name) == value else "") + label, action))
    return buttons
