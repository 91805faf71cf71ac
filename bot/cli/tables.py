"""Tables for the terminal, which can also be printed as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain.jobs import Job
from bot.domain.quota import Balance
from bot.i18n import messages
from bot.store.store import LedgerEntry
from generation.models.common.lossy import DESCRIPTIONS
from generation.models.common.measured_scores import measured_scores
from generation.models.common.memory_plan import ComputeDevice, Resources, possible_plans
from generation.models.common.preset import MemoryTier, Preset
from generation.models.common.pull import is_downloaded
from generation.models.common.registry import lossy_options
from generation.music.common.genre_tables import Genre
from generation.music.common.preset import MusicPreset
from generation.request import PROMPT_LIMIT, Request

PLACEMENT_WORDS = {
    MemoryTier.RESIDENT: "whole",
    MemoryTier.LEAN: "nearly",
    MemoryTier.EIGHT_BIT: "in 8 bits",
    MemoryTier.OFFLOAD: "by parts",
    MemoryTier.GROUP: "by layers",
}


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty_text: str
    data: Any  # the same content for JSON
    notes: tuple[str, ...] = ()  # printed below it

    def show(self, *, as_json: bool) -> None:
        if as_json:
            print(json.dumps(self.data, ensure_ascii=False, indent=2, default=str))
            return
        if not self.rows:
            print(self.empty_text)
            return
        from bot.cli.progress_bars import show_table  # noqa: PLC0415  (only tables need rich)

        show_table(self.title, self.header, self.rows)
        for note in self.notes:
            print(note)


def models(
    presets: Mapping[str, Preset], default: str, *, card: ComputeDevice, resources: Resources
) -> Table:
    def row(preset: Preset) -> tuple[str, ...]:
        return (
            ("* " if preset.name == default else "  ") + preset.name,
            f"{preset.cost:g}",
            f"{preset.download:g}" if preset.download else "-",
            _memory_range(preset),
            _placement(preset, card, resources),
            _downloaded(preset),
            preset.licence + (" (gated)" if preset.gated else ""),
        )

    return Table(
        f"Picture models (* is the default; sizes in GB, for {card.name} of {card.total:g} GB)",
        ("name", "cost", "pull", "memory", "fits", "here", "licence"),
        tuple(map(row, presets.values())),
        "There are no models.",
        [
            preset.to_json()
            | {
                "default": preset.name == default,
                "here": is_downloaded(preset),
                "fits": [way.tier.value for way in possible_plans(preset, card, resources)],
                "lossy": lossy_options(preset),
                "scores": measured_scores(preset),
            }
            for preset in presets.values()
        ],
        notes=tuple(filter(None, map(_score_note, presets.values()))),
    )


def _score_note(preset: Preset) -> str:
    """The measured scores of the model on captions outside its training data, if there are any."""
    facts = measured_scores(preset)
    if facts is None:
        return ""
    row = dict(facts["scores"]["templates"])
    count = row.pop("n")
    shares = ", ".join(f"{name} {share:g} %" for name, share in row.items())
    return messages.translate("model.scores", model=preset.name, count=count, scores=shares)


def _downloaded(preset: Preset) -> str:
    """Whether the weights are downloaded, with the commit in use if one is pinned."""
    commit = preset.pinned_commit(preset.source)
    return "no" if not is_downloaded(preset) else f"yes, {commit[:7]}" if commit else "yes"


def _memory_range(preset: Preset) -> str:
    """The smallest and the largest of its memory plans."""
    needs = preset.memory.values()
    if not needs:
        return "-"
    return f"{max(needs):g}" if len(needs) == 1 else f"{min(needs):g}-{max(needs):g}"


def _placement(preset: Preset, card: ComputeDevice, resources: Resources) -> str:
    if not preset.source:
        return "yes"
    memory_plans = possible_plans(preset, card, resources)
    return PLACEMENT_WORDS[memory_plans[0].tier] if memory_plans else "no"


def lossy(presets: Mapping[str, Preset], measurements: Mapping[str, Mapping[str, Any]]) -> Table:
    """The lossy options of `options.lossy`, with their measured cost and gain."""

    def row(name: str) -> tuple[str, ...]:
        families = sorted({preset.family for preset in presets.values() if name in lossy_options(preset)})
        measured_cost = measurements.get(name, {})
        error = f"{measured_cost['psnr']:.0f} dB, {measured_cost['ssim']:.3f}" if measured_cost else "?"
        speed = f"{measured_cost['speed']:.2f}x" if measured_cost else "?"
        return (name, DESCRIPTIONS[name], error, speed, "all" if len(families) > 7 else ", ".join(families))

    return Table(
        f"Lossy, if you ask for it ({measurements.get('measured', {}).get('on', 'not measured yet')})",
        ("name", "what", "PSNR, SSIM", "speed", "families"),
        tuple(map(row, DESCRIPTIONS)),
        "",
        [{"name": name, "title": DESCRIPTIONS[name], **measurements.get(name, {})} for name in DESCRIPTIONS],
    )


def genres(known: Mapping[str, Genre]) -> Table:
    rows = tuple(
        (f"{g.emoji} {name}", g.title, f"{g.bpm[0]:g}-{g.bpm[2]:g} bpm", g.prompt)
        for name, g in known.items()
    )
    data = [{"name": name, "title": g.title, "bpm": g.bpm, "prompt": g.prompt} for name, g in known.items()]
    return Table(
        "Genres", ("name", "", "tempo", "what a music model is told"), rows, "There are no genres.", data
    )


def makers(known: Mapping[str, MusicPreset], default: str) -> Table:
    rows = tuple(
        (
            f"{name} (default)" if name == default else name,
            one.title,
            one.licence,
            "" if one.commercial_ok else "not commercial",
            "plays after a tune" if one.melody else "",
            "here" if not one.source or is_downloaded(one) else "not here",
        )
        for name, one in known.items()
    )
    data = [
        {
            "name": name,
            "title": one.title,
            "licence": one.licence,
            "commercial_ok": one.commercial_ok,
            "melody": one.melody,
            "source": one.source,
            "here": not one.source or is_downloaded(one),
            "default": name == default,
        }
        for name, one in known.items()
    ]
    return Table(
        "Music makers", ("name", "", "licence", "", "", "weights"), rows, "There are no music makers.", data
    )


def jobs(found: Sequence[Job], *, title: str, empty: str) -> Table:
    rows = tuple(
        (
            f"#{job.id}",
            messages.translate(f"state.{job.state}"),
            _local_time(job.created_at),
            job.requester.key,
            messages.sanitized(job.request.prompt, 48),
        )
        for job in found
    )
    return Table(
        title, ("clip", "state", "asked", "by", "prompt"), rows, empty, [_job_json(job) for job in found]
    )


def quota(balance: Balance, entries: Iterable[LedgerEntry]) -> Table:
    rows = tuple(
        (_local_time(e.at), e.kind, f"{e.credits:+d}", f"#{e.job}" if e.job else "", e.note) for e in entries
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


def _job_json(job: Job) -> dict[str, Any]:
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


def _local_time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%d %b %H:%M")


def recipe(request: Request, *, title: str) -> Table:
    """The recipe stored in a file. Anyone may have written the file, so control characters are removed."""
    fields = {
        "prompt": request.prompt,
        "not in it": request.negative,
        "kind": request.kind.value,
        "model": request.model,
        "size": f"{request.width}x{request.height}",
        "length": f"{request.seconds:.1f} s at {request.fps:g} fps",
        "seed": str(request.seed),
        "steps": str(request.steps),
        "guidance": f"{request.guidance:g}",
        "style": request.style or "",
        "camera": request.camera or "",
        "music": messages.music_line(request.music),
        "music maker": request.music.maker,
    }
    rows = tuple((name, messages.sanitized(value, PROMPT_LIMIT)) for name, value in fields.items() if value)
    return Table(title, ("", ""), rows, "", request.to_json())
