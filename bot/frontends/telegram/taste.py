"""What somebody likes when they do not say: /settings, kept as plain choices and changed by buttons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bot import messages
from bot.frontends.telegram.keyboards import button
from bot.job import Action
from generation.request import Wish

CHOICES: dict[str, tuple[str, ...]] = {
    "seconds": ("3", "5", "8"),
    "aspect": ("1:1", "16:9", "9:16"),
    "genre": ("lofi", "pop", "jazz", "cinematic", "none"),
}


def apply(wish: Wish, chosen: Mapping[str, Any]) -> Wish:
    """Fill in only what the person left open."""
    music = wish.music
    if music.genre is None and chosen.get("genre"):
        music = replace(music, genre=str(chosen["genre"]))
    seconds = wish.seconds
    if seconds is None and chosen.get("seconds"):
        seconds = float(chosen["seconds"])
    aspect = wish.aspect
    if aspect is None and wish.width is None and chosen.get("aspect"):
        aspect = str(chosen["aspect"])
    return replace(wish, music=music, seconds=seconds, aspect=aspect)


def page(chosen: Mapping[str, Any], language: str) -> tuple[str, InlineKeyboardMarkup]:
    """What is chosen, and a button for everything else; pressing a chosen one lets it go."""
    rows = [[_choice(name, value, chosen) for value in values] for name, values in CHOICES.items()]
    return messages.words("settings", language), InlineKeyboardMarkup(rows)


def _choice(name: str, value: str, chosen: Mapping[str, Any]) -> InlineKeyboardButton:
    unit = " s" if name == "seconds" else ""
    label = {"none": "🔇"}.get(value, value + unit)
    mark = "✓ " if chosen.get(name) == value else ""
    return button(mark + label, Action("set", 0, f"{name}={value}"))


def picked(choice: str) -> tuple[str, str] | None:
    """The name and value that a button means, if it is one of ours."""
    name, _, value = choice.partition("=")
    return (name, value) if value in CHOICES.get(name, ()) else None


def first_steps(language: str) -> InlineKeyboardMarkup:
    made = [
        button(messages.words(f"button.{verb}", language), Action("go", 0, verb)) for verb in ("try", "help")
    ]
    return InlineKeyboardMarkup([made])
