"""Names and descriptions of commands and options in every language, from commands/<language>.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import TranslationContextLocation as Where

FOLDER = Path(__file__).parent / "commands"
LANGUAGES = {
    "de": "de",
    "es-ES": "es",
    "es-419": "es",
    "fr": "fr",
    "ja": "ja",
    "pt-BR": "pt",
}


@cache
def translation_table(language: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


def english_descriptions(command: str) -> tuple[str, dict[str, str]]:
    """Return the English descriptions of a command and of its options, which are Discord's default."""
    found = dict(translation_table("en")[command.replace(" ", ".")])
    return str(found.pop("about")), found


class CommandTranslator(app_commands.Translator):
    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: Any
    ) -> str | None:
        del string  # the lookup goes by location, not by text
        language = LANGUAGES.get(str(locale))
        if language is None:
            return None
        return _look_up(translation_table(language), context)


def _look_up(table: dict[str, Any], context: Any) -> str | None:
    location, data = context.location, context.data
    if location in {Where.command_name, Where.group_name}:
        return _entry(table, data.qualified_name, "name")
    if location in {Where.command_description, Where.group_description}:
        return _entry(table, data.qualified_name, "about")
    if location is Where.parameter_name:
        return _entry(table, "names", data.name)
    if location is Where.parameter_description:
        return _entry(table, "options", data.name)
    return None


def _entry(table: dict[str, Any], command: str, key: str) -> str | None:
    found = table.get(command.replace(" ", "."), {}).get(key)
    return str(found) if found else None
