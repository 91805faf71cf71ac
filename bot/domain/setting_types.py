"""The types of single settings, for the sections of the bot and of its frontends."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

# The upper bounds keep every product and every date that is computed from a setting possible.
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
AtLeastOne = Annotated[int, Meta(ge=1, le=1_000_000)]
Identifier = Annotated[int, Meta(ge=0, le=2**53)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Amount = Annotated[float, Meta(ge=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Texts = tuple[str, ...]


class Section(Struct, frozen=True):
    """The base of every table of the settings."""


class Secret:
    """Text that is not printed. Call `reveal()` only where the text itself is needed."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret('')"

    def reveal(self) -> str:
        return self._text
