"""Words for moods, tempos and instruments, and how they are found in a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """`mode` is its preferred scale; `range_fraction` its tempo in a range: 0 slow, 0.5 usual, 1 fast."""

    mode: str = ""
    range_fraction: float = 0.5
    words: tuple[str, ...] = ()  # words of a prompt that suggest it


MOODS: dict[str, Mood] = {
    "calm": Mood(
        range_fraction=0.2,
        words=("calm", "peaceful", "quiet", "sleeping", "gentle", "serene", "still", "snow", "lake"),
    ),
    "happy": Mood(
        mode="major",
        range_fraction=0.65,
        words=("happy", "smiling", "laughing", "sunny", "joy", "birthday", "puppy"),
    ),
    "sad": Mood(
        mode="minor",
        range_fraction=0.1,
        words=("sad", "crying", "tears", "alone", "lonely", "grave", "funeral"),
    ),
    "dark": Mood(
        mode="minor",
        range_fraction=0.4,
        words=("dark", "horror", "haunted", "evil", "shadow", "demon", "skull"),
    ),
    "dreamy": Mood(
        range_fraction=0.3, words=("dream", "dreamy", "floating", "surreal", "stars", "cloud", "underwater")
    ),
    "epic": Mood(
        range_fraction=0.6, words=("epic", "battle", "army", "giant", "dragon", "hero", "castle", "volcano")
    ),
    "energetic": Mood(
        range_fraction=0.9,
        words=("fast", "race", "racing", "running", "chase", "explosion", "jump", "dancing"),
    ),
    "hopeful": Mood(mode="major", words=("sunrise", "dawn", "hope", "spring", "growing", "rainbow", "new")),
    "mysterious": Mood(
        mode="minor",
        range_fraction=0.3,
        words=("mysterious", "fog", "mist", "misty", "secret", "cave", "ancient", "strange"),
    ),
    "nostalgic": Mood(
        range_fraction=0.35, words=("old", "vintage", "memory", "retro", "childhood", "film grain", "autumn")
    ),
    "playful": Mood(
        mode="major",
        range_fraction=0.7,
        words=("funny", "cute", "cartoon", "playing", "kitten", "toy", "silly", "clown"),
    ),
    "romantic": Mood(
        mode="major", range_fraction=0.25, words=("love", "romantic", "couple", "kiss", "wedding", "rose")
    ),
    "tense": Mood(
        mode="minor",
        range_fraction=0.7,
        words=("danger", "escape", "storm", "fight", "war", "spy", "thriller"),
    ),
    "warm": Mood(
        mode="major",
        range_fraction=0.4,
        words=("warm", "cozy", "cosy", "fireplace", "golden", "sunset", "home"),
    ),
    "cool": Mood(words=("cool", "sunglasses", "neon", "night", "city", "street", "urban")),
    "defiant": Mood(
        mode="minor", range_fraction=0.75, words=("rebel", "defiant", "protest", "punk", "angry", "rage")
    ),
    "elegant": Mood(
        range_fraction=0.45, words=("elegant", "luxury", "palace", "ballet", "swan", "crystal", "gown")
    ),
}

TEMPOS: dict[str, float] = {
    "very slow": 0.0, "slow": 0.15, "medium": 0.5, "fast": 0.85, "very fast": 1.0,
}  # fmt: skip
"""The fraction of a genre's tempo range that a tempo word stands for."""

SLOW_WORDS = (
    "slow",
    "slowly",
    "rain",
    "rainy",
    "drifting",
    "floating",
    "fog",
    "sleeping",
    "snow",
    "calm",
    "lazy",
)
FAST_WORDS = (
    "fast",
    "quick",
    "racing",
    "race",
    "running",
    "chase",
    "speeding",
    "explosion",
    "fight",
    "sprint",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The parts it can play in the built-in band: part -> voice of the synthesizer."""

    parts: dict[str, str]
    aliases: tuple[str, ...] = ()


INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument(
        parts={"comp": "piano", "lead": "piano", "bass": "piano"}, aliases=("grand piano", "keys")
    ),
    "electric piano": Instrument(
        parts={"comp": "epiano", "lead": "epiano", "bass": "epiano"}, aliases=("rhodes", "epiano")
    ),
    "organ": Instrument(parts={"comp": "organ", "pad": "organ", "lead": "organ"}, aliases=("hammond",)),
    "guitar": Instrument(
        parts={"comp": "guitar", "lead": "guitar"},
        aliases=("acoustic guitar", "nylon guitar", "ukulele", "banjo"),
    ),
    "electric guitar": Instrument(
        parts={"comp": "overdrive", "lead": "leadguitar"}, aliases=("distorted guitar",)
    ),
    "bass": Instrument(parts={"bass": "picked"}, aliases=("bass guitar", "electric bass")),
    "double bass": Instrument(parts={"bass": "upright"}, aliases=("upright bass", "contrabass")),
    "drums": Instrument(parts={"drums": ""}, aliases=("percussion", "drum", "beat")),
    "strings": Instrument(
        parts={"pad": "strings", "comp": "staccato"}, aliases=("orchestra", "string section")
    ),
    "violin": Instrument(parts={"lead": "violin", "pad": "strings"}, aliases=("fiddle", "viola")),
    "cello": Instrument(parts={"bass": "cello", "lead": "cello"}),
    "flute": Instrument(parts={"lead": "flute"}, aliases=("recorder", "pan flute")),
    "whistle": Instrument(parts={"lead": "whistle"}, aliases=("tin whistle", "ocarina")),
    "saxophone": Instrument(parts={"lead": "saxophone"}, aliases=("sax",)),
    "trumpet": Instrument(parts={"lead": "brass", "comp": "brass"}, aliases=("brass", "horns", "trombone")),
    "horn": Instrument(parts={"lead": "horn", "pad": "horn"}, aliases=("french horn",)),
    "harmonica": Instrument(parts={"lead": "melodica"}, aliases=("melodica", "accordion")),
    "vibraphone": Instrument(
        parts={"lead": "vibraphone", "comp": "vibraphone"}, aliases=("vibes", "marimba")
    ),
    "bells": Instrument(
        parts={"lead": "bell", "comp": "glass"}, aliases=("bell", "glockenspiel", "music box")
    ),
    "choir": Instrument(parts={"pad": "choir"}, aliases=("voices", "vocals")),
    "synth": Instrument(
        parts={"lead": "synth", "pad": "analog", "comp": "arp", "bass": "saw"},
        aliases=("synthesizer", "synthesiser"),
    ),
    "pads": Instrument(parts={"pad": "warm"}, aliases=("pad", "ambient pad")),
    "harp": Instrument(parts={"comp": "harp", "lead": "harp"}, aliases=("lyre",)),
}
PARTS = ("drums", "bass", "comp", "pad", "lead")


def instrument_names() -> tuple[str, ...]:
    """All names of instruments, the main names first."""
    return tuple(INSTRUMENTS) + tuple(other for one in INSTRUMENTS.values() for other in one.aliases)


def find_instrument(name: str) -> str | None:
    """The main name of the instrument with this name, or None."""
    wanted = " ".join(name.lower().split())
    for own, entry in INSTRUMENTS.items():
        if wanted == own or wanted in entry.aliases or wanted.removesuffix("s") == own:
            return own
    return None


def count_mentions(prompt: str, words: Iterable[str]) -> int:
    """How many of the words occur in the prompt, as whole words, in plural or with -ing."""
    text = _plain(prompt)
    return sum(word in text and bool(_word_pattern(word).search(text)) for word in words)


@lru_cache(maxsize=1)
def _plain(prompt: str) -> str:
    return " ".join(re.findall(r"[^\W_]+(?:-[^\W_]+)*", prompt.lower()))


@cache
def _word_pattern(word: str) -> re.Pattern[str]:
    """Cached without limit: there are hundreds of words, more than the cache of `re` holds."""
    return re.compile(rf"\b{re.escape(word)}(?:s|es|y|ing)?\b")
