"""Builds a Wish from the arguments of the command line; raises the errors that all frontends explain."""

from __future__ import annotations

import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from bot.domain.errors import BadOption
from generation.request import Kind, MusicWish, Wish

BYTE_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1000,
    "kib": 1024,
    "m": 10**6,
    "mb": 10**6,
    "mib": 2**20,
    "g": 10**9,
    "gb": 10**9,
}


PATH_OPTIONS = {"image": "a.png", "extend": "a.mp4", "bigger": "a.mp4", "track": "a.wav", "melody": "a.wav"}


def wish_from_arguments(args: Namespace) -> Wish:
    """Raises BadOption also for a path that cannot be saved with the job."""
    _check_paths(args)
    width, height = parse_size(args.size) if args.size else (None, None)
    return Wish(
        prompt=args.prompt,
        kind=_kind(args),
        image=_absolute(args.image),
        source=_absolute(args.extend or args.bigger),
        fast=args.fast,
        negative=args.negative,
        model=args.model,
        seconds=args.seconds,
        width=width,
        height=height,
        aspect=args.aspect,
        fps=args.fps,
        seed=args.seed,
        steps=args.steps,
        guidance=args.guidance,
        style=args.style,
        camera=args.camera,
        music=replace(
            MusicWish.from_text(
                genre="none" if args.no_music else args.genre,
                mood=args.mood,
                tempo=args.tempo,
                instruments=args.instruments,
            ),
            maker=args.maker,
            track=_absolute(args.track),
            melody=_absolute(args.melody),
        ),
    )


def _check_paths(args: Namespace) -> None:
    """A job is saved as JSON, which holds no bytes that are no text."""
    for name, example in {**PATH_OPTIONS, "out": "clip.mp4"}.items():
        path: Path | None = getattr(args, name)
        if path is not None and not (path.name and _is_text(str(path))):
            raise BadOption(f"--{name}", str(path), example)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _kind(args: Namespace) -> Kind:
    starts = ((args.image, Kind.ANIMATE), (args.extend, Kind.EXTEND), (args.bigger, Kind.BIGGER))
    return next((kind for named, kind in starts if named), Kind.VIDEO)


def _absolute(file: Path | None) -> str | None:
    """As an absolute path, because the engine's process has another working directory."""
    return str(file.absolute()) if file else None


def parse_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})\s*[xX*]\s*(\d{1,5})", text.strip())
    if not found:
        raise BadOption("--size", text, "704x512")
    return int(found[1]), int(found[2])


def parse_byte_count(text: str) -> int:
    found = re.fullmatch(r"(\d{1,12}(?:\.\d+)?)\s*([a-zA-Z]*)", text.strip())
    if not found or found[2].lower() not in BYTE_UNITS or float(found[1]) <= 0:
        raise BadOption("--limit", text, "8MB")
    return int(float(found[1]) * BYTE_UNITS[found[2].lower()])


def parse_setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BadOption("--set", text, "engine.slots=3")
    return key.strip(), value.strip()


def file_stem(prompt: str) -> str:
    """A file name made from a prompt: letters and digits of any script, never a path."""
    return "-".join(re.findall(r"\w+", prompt.lower()))[:48].strip("-_") or "clip"


def unused_clip_path(folder: Path, prompt: str) -> Path:
    """A path that does not exist yet, so that no clip replaces another."""
    stem = file_stem(prompt)
    number = 1
    while (path := folder / (f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4")).exists():
        number += 1
    return path
