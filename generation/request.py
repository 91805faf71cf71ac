"""What to render. A Wish is what the user typed; a Request is complete: equal requests give equal clips."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import structs

from generation.errors import NotOffered, OutOfRange, PromptEmpty, PromptTooLong, UnknownChoice

PROMPT_LIMIT = 2000
SEED_LIMIT = 2**32 - 1
_MAX_SIDE, _MAX_FRAMES, _MAX_STEPS = 16_384, 100_000, 10_000
_MIN_RATE, _MAX_RATE = 0.01, 1000.0
_MAX_WORD, _MAX_INSTRUMENTS = 200, 64
_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold one; no output can
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
MIN_ENLARGEMENT = 1.3
"""The least factor in pixels for which a second pass is worthwhile."""


class Kind(StrEnum):
    VIDEO = "video"
    IMAGE = "image"  # one still, no music
    ANIMATE = "animate"  # an attached picture is the first frame
    EXTEND = "extend"  # continue from the last frames of a clip
    MUSIC = "score"  # keep a clip's frames, compose new music
    BIGGER = "bigger"  # the same clip at a larger size


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicWish:
    """Music as wished for; what is None is chosen automatically."""

    genre: str | None = None
    mood: str | None = None
    tempo: str | None = None  # a word ("slow") or beats per minute ("92")
    instruments: tuple[str, ...] = ()
    maker: str | None = None
    seed: int | None = None
    track: str | None = None  # path of the user's own music
    melody: str | None = None  # path of a melody to follow

    @classmethod
    def from_text(
        cls,
        *,
        genre: str | None = None,
        mood: str | None = None,
        tempo: str | None = None,
        instruments: str | None = None,
    ) -> MusicWish:
        """From typed text, in which commas separate the instruments."""
        named = (name.strip() for name in (instruments or "").split(","))
        return cls(genre=genre, mood=mood, tempo=tempo, instruments=tuple(filter(None, named)))


class Music(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Music as it will be composed. Genre "none" is silence, "native" the sound of the video model.

    Stored JSON leaves defaults out, as for Request and Clip, so a default must never change.
    """

    genre: str
    maker: str
    mood: str = ""
    bpm: float = 90.0
    instruments: tuple[str, ...] = ()
    words: str = ""  # prompt for a neural music model
    seed: int = 0
    track: str | None = None
    melody: str | None = None

    def as_wish(self) -> MusicWish:
        """A wish for the same music, for frames that may differ."""
        chosen_by_us = self.genre in {"native", "own"}
        return MusicWish(
            genre=None if chosen_by_us else self.genre,
            mood=self.mood or None,
            tempo=f"{self.bpm:g}",
            instruments=self.instruments,
            seed=self.seed,
            track=self.track,
            melody=self.melody,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A clip as wished for; what is None comes from the model's preset."""

    prompt: str
    kind: Kind = Kind.VIDEO
    negative: str = ""
    model: str | None = None
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    aspect: str | None = None
    fps: float | None = None
    seed: int | None = None
    steps: int | None = None
    fast: bool | None = None  # use the model's fast number of steps if `steps` is None
    guidance: float | None = None
    style: str | None = None
    camera: str | None = None
    image: str | None = None  # path of an attached picture
    source: str | None = None  # path of the clip to extend, enlarge or give new music
    music: MusicWish = field(default_factory=MusicWish)


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    prompt: str
    kind: Kind
    model: str
    width: int
    height: int
    frames: int
    fps: float
    seed: int
    steps: int
    guidance: float
    music: Music
    negative: str = ""
    style: str | None = None
    camera: str | None = None
    image: str | None = None
    source: str | None = None

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    def to_json(self) -> dict[str, Any]:
        whole = {**structs.asdict(self), "music": structs.asdict(self.music)}
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Request:
        return msgspec.convert(data, cls)


def has_possible_values(request: Request) -> bool:
    """Whether some version of Matinee could have made this request, so that it can be shown and rendered.

    For requests that come from a file: anybody can have written it.
    """
    music = request.music
    numbers = (
        (1, _MAX_SIDE, (request.width, request.height)),
        (1, _MAX_FRAMES, (request.frames,)),
        (0, SEED_LIMIT, (request.seed, music.seed)),
        (0, _MAX_STEPS, (request.steps,)),
        (_MIN_RATE, _MAX_RATE, (request.fps, music.bpm)),
        (0, _MAX_RATE, (request.guidance,)),
    )
    words = (request.model, request.style, request.camera, music.genre, music.maker, music.mood)
    return (
        all(low <= number <= high for low, high, found in numbers for number in found)
        and all(
            len(text) <= PROMPT_LIMIT and _SURROGATE.search(text) is None
            for text in (request.prompt, request.negative, music.words)
        )
        and len(music.instruments) <= _MAX_INSTRUMENTS
        and all(
            len(word) <= _MAX_WORD and visible_text(word) == word
            for word in (*filter(None, words), *music.instruments)
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model can do; part of its preset."""

    width: int
    height: int
    min_side: int = 128
    max_side: int = 1280
    max_pixels: int = 1280 * 768
    bigger_pixels: int = 0  # a higher limit for a second pass; 0 means the same limit
    side_multiple: int = 32
    frame_step: int = 1
    frame_offset: int = 0
    seconds: float = 5.0
    min_seconds: float = 0.5
    max_seconds: float = 10.0
    fps: float = 24.0
    min_fps: float = 4.0
    max_fps: float = 60.0
    steps: int = 20
    max_steps: int = 100
    guidance: float = 3.0
    max_guidance: float = 20.0
    aspects: dict[str, tuple[int, int]] = field(default_factory=dict)
    styles: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = (Kind.VIDEO,)
    negative: bool = True
    native_audio: bool = False

    def enlarged_size(self, width: int, height: int) -> tuple[int, int] | None:
        """The size after a second pass, at most doubled; None if it would hardly be larger."""
        most_pixels = max(self.max_pixels, self.bigger_pixels)
        scale = min(2.0, math.sqrt(most_pixels / (width * height)))
        if not self.bigger_pixels:
            scale = min(scale, self.max_side / max(width, height))
        step = self.side_multiple
        wide, high = (math.floor(side * scale + 1e-6) // step * step for side in (width, height))
        return (wide, high) if wide * high >= MIN_ENLARGEMENT * width * height else None

    def frames_for(self, seconds: float, fps: float) -> int:
        """The nearest frame count on the model's grid (8k+1, 4k+1, ...), at least its smallest."""
        wanted = round((seconds * fps - self.frame_offset) / self.frame_step)
        most = math.floor(self.max_seconds * fps) // self.frame_step
        least = 0 if self.frame_offset else 1
        return max(least, min(wanted, most)) * self.frame_step + self.frame_offset


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A value that was rounded to what the model can do; the user is notified."""

    option: str
    asked: str
    given: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownWords:
    """Words of a prompt that the model does not know; the user is notified."""

    model: str
    words: tuple[str, ...]  # not shown in the picture
    substitutes: tuple[tuple[str, str], ...]  # the word in the prompt and what is shown instead
    known: tuple[str, ...]
    nothing_known: bool  # the model knows no word of the prompt


def check_range(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also rejects NaN
        raise OutOfRange(option, value, low, high)


def closest_match(value: str, choices: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415  (only needed for errors)

    found = get_close_matches(value.lower(), choices, n=1, cutoff=0.5)
    return found[0] if found else None


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UnknownChoice(option, value, closest_match(value, choices), choices)


INVISIBLE_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but used in Persian words and in emoji."""


def visible_text(text: str) -> str:
    """The text on one line, without control characters and characters that change its direction."""
    kept = (
        c
        for c in text
        if c.isspace() or c in INVISIBLE_JOINERS or unicodedata.category(c) not in INVISIBLE_CATEGORIES
    )
    return " ".join("".join(kept).split())


def clean_prompt(prompt: str) -> str:
    text = visible_text(prompt)
    if not text:
        raise PromptEmpty
    if len(text) > PROMPT_LIMIT:
        raise PromptTooLong(len(text), PROMPT_LIMIT)
    return text


def complete(
    wish: Wish, *, model: str, limits: Limits, music: Music, seed: int
) -> tuple[Request, tuple[Adjustment, ...]]:
    """Fill in missing values and round the others to the model's grid; raises RequestError."""
    if wish.kind not in limits.kinds and wish.kind is not Kind.MUSIC:
        raise NotOffered(wish.kind.value, model)
    prompt = clean_prompt(wish.prompt)
    if len(wish.negative) > PROMPT_LIMIT:
        raise PromptTooLong(len(wish.negative), PROMPT_LIMIT)
    fps = limits.fps if wish.fps is None else wish.fps
    check_range("fps", fps, limits.min_fps, limits.max_fps)
    seconds = limits.seconds if wish.seconds is None else wish.seconds
    check_range("seconds", seconds, limits.min_seconds, limits.max_seconds)
    steps = limits.steps if wish.steps is None else wish.steps
    check_range("steps", steps, 1, limits.max_steps)
    guidance = limits.guidance if wish.guidance is None else wish.guidance
    check_range("guidance", guidance, 0, limits.max_guidance)
    chosen_seed = seed if wish.seed is None else wish.seed
    check_range("seed", chosen_seed, 0, SEED_LIMIT)
    for option, value, choices in (
        ("style", wish.style, limits.styles),
        ("camera", wish.camera, limits.cameras),
    ):
        if value is not None:
            if not choices:
                raise NotOffered(option, model)
            check_choice(option, value, choices)
    width, height = _size(wish, limits)
    frames = 1 if wish.kind is Kind.IMAGE else limits.frames_for(seconds, fps)
    request = Request(
        prompt=prompt,
        kind=wish.kind,
        model=model,
        width=width,
        height=height,
        frames=frames,
        fps=fps,
        seed=int(chosen_seed),
        steps=int(steps),
        guidance=float(guidance),
        music=music,
        negative=visible_text(wish.negative),
        style=wish.style,
        camera=wish.camera,
        image=wish.image,
        source=wish.source,
    )
    return request, tuple(_adjustments(wish, request))


def _size(wish: Wish, limits: Limits) -> tuple[int, int]:
    if wish.width is None or wish.height is None:
        if wish.aspect is None:
            return limits.width, limits.height
        check_choice("aspect", wish.aspect, tuple(limits.aspects))
        return limits.aspects[wish.aspect]
    if wish.kind is Kind.BIGGER:  # as computed by Limits.enlarged_size
        return wish.width, wish.height
    for side in (wish.width, wish.height):
        check_range("size", side, limits.min_side, limits.max_side)
    check_range("size", wish.width * wish.height, limits.min_side**2, limits.max_pixels)
    multiple = limits.side_multiple
    width, height = (max(multiple, side // multiple * multiple) for side in (wish.width, wish.height))
    return width, height


def _adjustments(wish: Wish, request: Request) -> list[Adjustment]:
    adjustments = []
    if (
        wish.width is not None
        and wish.height is not None
        and (wish.width, wish.height) != (request.width, request.height)
    ):
        adjustments.append(
            Adjustment("size", f"{wish.width}x{wish.height}", f"{request.width}x{request.height}")
        )
    if (
        wish.seconds is not None
        and request.kind is not Kind.IMAGE
        and abs(wish.seconds - request.seconds) > 0.2
    ):
        adjustments.append(Adjustment("seconds", f"{wish.seconds:g}", f"{request.seconds:.1f}"))
    return adjustments


def unknown_fields(cls: type, data: dict[str, Any]) -> list[str]:
    """The names in `data` that the dataclass does not have."""
    return sorted(set(data) - {f.name for f in fields(cls)})
