"""The wall of choices under a wish: music, length and shape in one message, each press redraws it."""

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
    """What was pressed so far; all of it travels in every button, so a restart forgets nothing."""

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
        """A choice is taken, or let go when it is pressed again."""
        changed: MenuChoices = replace(self, **{name: "" if getattr(self, name) == value else value})
        return changed

    def as_arguments(self) -> str:
        """As somebody would have typed it."""
        genre = "--no-music" if self.genre == SILENT else f"genre={self.genre}" if self.genre else ""
        return " ".join(filter(None, (genre, self.seconds and f"{self.seconds}s", self.aspect)))


def build_keyboard(
    wish: Wish, choices: MenuChoices, *, genres: Mapping[str, Genre], limits: Limits, language: str
) -> InlineKeyboardMarkup:
    """Only what the words left open is asked."""
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
    """Those of the usual lengths that the model can do, its own one among them."""
    usual = [n for n in LENGTHS if limits.min_seconds <= n <= limits.max_seconds]
    return sorted({*usual, limits.seconds})[:MAX_LENGTHS]


def _choice_row(name: str, values: Mapping[str, str], choices: MenuChoices) -> list[InlineKeyboardButton]:
    buttons = []
    for value, label in values.items():
        action = Action("ask", 0, str(choices.toggled(name, value)))
        if fits_callback_data(action):
            buttons.append(button(("✓ " if getattr(choices, name) == value else "") + label, action))
    return buttons
