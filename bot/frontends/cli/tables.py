"""What the studio keeps, as a table for people or as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import messages
from bot.job import Job
from bot.quota import Balance
from bot.store import Entry
from generation.models.common.measured import measured
from generation.models.preset import Preset
from generation.models.pull import is_here
from generation.request import Kind
from generation.scores.genre import Genre


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    data: Any  # the same for machines
    notes: tuple[str, ...] = ()  # said below it

    def show(self, *, as_json: bool) -> None:
        if as_json:
            print(json.dumps(self.data, ensure_ascii=False, indent=2, default=str))
            return
        if not self.rows:
            print(self.empty)
            return
        from bot.frontends.cli.live import show_table  # noqa: PLC0415  (only a table needs rich)

        show_table(self.title, self.header, self.rows)
        for note in self.notes:
            print(note)


def models(presets: Mapping[str, Preset], default: str) -> Table:
    def row(preset: Preset) -> tuple[str, ...]:
        limits = preset.limits
        return (
            ("* " if preset.name == default else "  ") + preset.name,
            f"{limits.width}x{limits.height}",
            "still" if limits.kinds == (Kind.IMAGE,) else f"{limits.seconds:g}-{limits.max_seconds:g} s",
            f"{preset.cost:g}",
            f"{min(preset.memory.values()):g} GB" if preset.memory else "-",
            "yes" if is_here(preset) else "no",
            preset.licence,
        )

    return Table(
        "Picture models (* is the default)",
        ("name", "size", "length", "cost", "from", "here", "licence"),
        tuple(map(row, presets.values())),
        "There are no models.",
        [
            preset.to_json()
            | {"default": preset.name == default, "here": is_here(preset), "scores": measured(preset)}
            for preset in presets.values()
        ],
        notes=tuple(filter(None, map(_scores, presets.values()))),
    )


def _scores(preset: Preset) -> str:
    """How well it paints what it is asked for, on captions that it never saw, where that is known."""
    facts = measured(preset)
    if facts is None:
        return ""
    row = dict(facts["scores"]["templates"])
    count = row.pop("n")
    told = ", ".join(f"{name} {share:g} %" for name, share in row.items())
    return messages.words("measured", model=preset.name, count=count, scores=told)


def genres(known: Mapping[str, Genre]) -> Table:
    rows = tuple(
        (f"{g.emoji} {name}", g.title, f"{g.bpm[0]:g}-{g.bpm[2]:g} bpm", g.prompt)
        for name, g in known.items()
    )
    data = [{"name": name, "title": g.title, "bpm": g.bpm, "prompt": g.prompt} for name, g in known.items()]
    return Table(
        "Genres", ("name", "", "tempo", "what a music model is told"), rows, "There are no genres.", data
    )


def jobs(found: Sequence[Job], *, title: str, empty: str) -> Table:
    rows = tuple(
        (
            f"#{job.id}",
            messages.words(f"state.{job.state}"),
            _when(job.created_at),
            job.requester.key,
            messages.quoted(job.request.prompt, 48),
        )
        for job in found
    )
    return Table(title, ("clip", "state", "asked", "by", "prompt"), rows, empty, [_job(job) for job in found])


def quota(balance: Balance, entries: Iterable[Entry]) -> Table:
    rows = tuple(
        (_when(e.at), e.kind, f"{e.credits:+d}", f"#{e.job}" if e.job else "", e.note) for e in entries
    )
    left = "no limit" if balance.unlimited else f"{balance.left} left of {balance.limit}"
    title = f"Credits: {balance.used} used, {left}"
    data = {
        "used": balance.used,
        "limit": None if balance.unlimited else balance.limit,
        "left": None if balance.unlimited else balance.left,
        "granted": balance.granted,
        "back_at": balance.back_at,
        "entries": [{"at": e.at, "kind": e.kind, "credits": e.credits, "job": e.job} for e in entries],
    }
    return Table(
        title, ("when", "what", "credits", "clip", ""), rows, f"{title}. Nothing was spent yet.", data
    )


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "by": job.requester.key,
        "created_at": job.created_at,
        "cost": job.cost,
        "request": job.request.to_json(),
        "clip": job.clip.to_json() if job.clip else None,
        "error": job.error,
    }


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%d %b %H:%M")
