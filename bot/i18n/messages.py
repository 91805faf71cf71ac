"""Every sentence a person reads, in every language. Plain text: each frontend escapes it for its own markup.

The sentences stand in bot/translations/<language>.toml; what a language lacks is said in English.
What a person typed is made harmless (`quoted`) before it enters a sentence.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bot.domain.jobs import Job, State
from bot.domain.quota import Balance
from generation.errors import GenerationError, Told
from generation.progress import Progress
from generation.request import Adjustment, Kind, Music, Request, Unheard

FOLDER = Path(__file__).parent / "translations"
TYPED_BY_PEOPLE = {"value", "near", "name"}
QUOTE_LENGTH = 60
PARTICULAR = {"ModelBroken", "PaintFailed", "ScoreFailed"}
"""Errors with a reason that only who runs the place can do something about."""
MOST_TYPED = 8
NOT_OF_STILLS = frozenset({"seconds", "camera", "genre", "mood", "tempo", "instruments"})


def quoted(text: str, length: int = QUOTE_LENGTH) -> str:
    """Somebody's own words, made harmless: no control or bidi characters, one line, cut to length."""
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in {"Cc", "Cf", "Co", "Cs"})
    line = " ".join("".join(kept).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit != "MB" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def span(seconds: float, language: str = "en") -> str:
    """A length of time the way people say it."""
    if seconds < 90:
        return words("span.seconds", language, n=max(1, round(seconds)))
    if seconds < 5400:
        return words("span.minutes", language, n=round(seconds / 60))
    return words("span.hours", language, n=f"{seconds / 3600:.1f}")


@cache
def _catalogue(language: str) -> dict[str, str]:
    return _read("en") | (_read(language) if language in languages() else {})


@cache
def _read(language: str) -> dict[str, str]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def languages() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def nearest(wanted: str, otherwise: str = "en") -> str:
    """The language we speak that is nearest to a locale: "pt-BR" and "pt_PT.UTF-8" are told in Portuguese."""
    base = wanted.replace("_", "-").partition(".")[0].partition("-")[0].lower()
    return base if base in languages() else otherwise


def named(language: str) -> str:
    """A language as its own speakers call it."""
    return words("language", language)


def words(key: str, language: str = "en", /, **facts: object) -> str:
    return _catalogue(language)[key].format(**facts)


def explain(error: BaseException, language: str = "en") -> str:
    """What happened, in a sentence; the nearest words along the error's ancestry."""
    facts = _spoken(error.facts(), language) if isinstance(error, Told) else {}
    catalogue = _catalogue(language)
    for kind in type(error).__mro__:
        if kind.__name__ in catalogue or f"{kind.__name__}.{facts.get('whose')}" in catalogue:
            return words(_variant(kind.__name__, facts), language, **facts)
    return words("Unexpected", language)


def _variant(name: str, facts: dict[str, Any]) -> str:
    """The fuller sentence where the facts for it are there."""
    if facts.get("value") == "" and f"{name}.missing" in _catalogue("en"):
        return f"{name}.missing"
    for fact in ("near", "pid", "choices", "until"):
        if facts.get(fact) and f"{name}.{fact}" in _catalogue("en"):
            return f"{name}.{fact}"
    return f"{name}.{facts['whose']}" if "whose" in facts else name


def _spoken(facts: dict[str, Any], language: str) -> dict[str, Any]:
    told = {name: _fact(name, value, language) for name, value in facts.items()}
    return told | ({"limit": size(facts["limit"])} if {"limit", "floor"} <= facts.keys() else {})


def _fact(name: str, value: Any, language: str) -> Any:
    if name in {"back_at", "until"} and value is not None:
        return moment(value, language)
    if name in {"free", "floor"} or (name == "limit" and isinstance(value, int) and value > 100_000):
        return size(value)
    if name in TYPED_BY_PEOPLE and isinstance(value, str):
        return f"“{quoted(value)}”" if value else value
    if name in {"state", "rule", "reason", "why"}:  # an operator may have said it in words of their own
        return _catalogue(language).get(f"{name}.{value}", value)
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else value


def moment(at: float, language: str = "en") -> str:
    then = datetime.fromtimestamp(at, UTC)
    month = words("months", language).split()[then.month - 1]
    return words("moment", language, time=f"{then:%H:%M}", day=then.day, month=month)


def sight(what: str, certainty: float) -> str:
    """What the look after painting made out: "female breast exposed, 83 %"."""
    return f"{what.lower().replace('_', ' ')}, {certainty:.0%}" if what else "-"


def _eta(low: str, high: str, language: str) -> str:
    if low == high:
        return words("eta.about", language, time=low)
    return words("eta", language, low=low, high=high)


def queued(job: Job, *, place: int, eta: tuple[float, float] | None = None, language: str = "en") -> str:
    told = [words("queued.behind" if place else "queued.next", language, job=job.id, place=place)]
    if eta is not None:
        told.append(_eta(span(eta[0], language), span(eta[1], language), language))
    return " ".join(told)


def balance(balance: Balance, language: str = "en", *, back_at: str = "") -> str:
    """`back_at` is the chat's own way to show a moment, in the reader's zone."""
    kind = "balance.unlimited" if balance.unlimited else "balance.granted" if balance.granted else "balance"
    facts = {name: getattr(balance, name) for name in ("left", "limit", "granted", "used")}
    return words(kind, language, back_at=back_at or _fact("back_at", balance.back_at, language), **facts)


def linked(*, code: str, other: str, language: str = "en") -> str:
    """What came of /settings link: a code to say elsewhere, or whose account it is now."""
    if code:
        return words("link.code", language, code=code)
    return words("link.done", language, other=quoted(other))


def adjusted(adjustments: Iterable[Adjustment | Unheard], language: str = "en") -> str:
    return " ".join(
        unheard(a, language)
        if isinstance(a, Unheard)
        else words("adjusted", language, option=a.option.capitalize(), asked=a.asked, given=a.given)
        for a in adjustments
    )


def unheard(missed: Unheard, language: str = "en", *, briefly: bool = False) -> str:
    """Which words the model passes over, and what it knows instead."""
    told = [
        words("unheard.played", language, model=missed.model, asked=_typed([asked]), given=given)
        for asked, given in missed.stand_ins[:MOST_TYPED]
    ]
    if missed.nothing:
        told.append(words("unheard.nothing", language, model=missed.model))
    elif missed.words:
        told.append(words("unheard", language, model=missed.model, words=_typed(missed.words)))
    if not briefly:
        told.append(words("unheard.knows", language, model=missed.model, known=", ".join(missed.knows)))
    return " ".join(told)


def _typed(said: Sequence[str]) -> str:
    """Some of a person's words, harmless and each in quotation marks."""
    shown = [f"“{quoted(word, 30)}”" for word in said[:MOST_TYPED]]
    return ", ".join([*shown, "…"] if len(said) > MOST_TYPED else shown)


def music_line(music: Music, language: str = "en") -> str:
    """The music in a few words: "lofi, calm, 82 bpm"."""
    if music.genre == "none":
        return words("silence", language)
    if music.genre == "native":
        return words("own sound", language)
    if music.genre == "own":
        return words("own music", language)
    parts = (music.genre, music.mood, f"{music.bpm:.0f} bpm", *music.instruments)
    return ", ".join(part for part in parts if part)


def working(job: Job, progress: Progress, language: str = "en") -> str:
    stage = words(f"stage.{progress.stage}", language)
    return words("working", language, job=job.id, stage=stage, percent=round(100 * progress.share))


def ready(job: Job, language: str = "en") -> str:
    return words("ready", language, job=job.id, prompt=quoted(job.request.prompt, 200))


def ended(job: Job, language: str = "en") -> str:
    """How a job that has no clip to show ended."""
    if job.state is State.CANCELLED:
        return words("cancelled", language, job=job.id)
    if job.state in {State.UNCERTAIN, State.HELD}:
        return words(job.state.value, language, job=job.id)
    error = Told.from_json(job.error) if job.error else GenerationError()
    return words("failed", language, job=job.id, why=explain(error, language))


def particulars(error: dict[str, Any] | None) -> str:
    """What the sentence leaves out, for the operator: in a chat it would help nobody."""
    facts = (error or {}).get("facts", {})
    return str(facts.get("reason", "")) if (error or {}).get("kind") in PARTICULAR else ""


def ailing(part: str, life: str, *, since: float | None, why: str, language: str = "en") -> str:
    """What is wrong with a part of a running Matinee, and since when."""
    key = f"health.{'matinee' if part == 'matinee' else 'part'}.{life}"
    return words(key, language, part=part.capitalize(), since=since and moment(since), why=why)


def facts_line(job: Job, language: str = "en") -> str:
    """What it is, on one line: length, size, model, music, seed."""
    request = job.request
    parts = [f"{request.width}×{request.height}", request.model]  # noqa: RUF001  (the sign that is meant)
    if request.kind is not Kind.IMAGE:
        parts = [f"{request.seconds:.1f} s", *parts, music_line(request.music, language)]
    return " · ".join([*parts, words("seed", language, seed=request.seed)])


def job_line(job: Job, language: str = "en", *, prompt: bool = True) -> str:
    """One line of a list."""
    told = f"#{job.id} · {words(f'state.{job.state}', language)}"
    return f"{told} · {quoted(job.request.prompt)}" if prompt else told


def recipe_line(request: Request) -> str:
    """What to type to get the same clip again, as chats with slash commands take it."""
    still, music = request.kind is Kind.IMAGE, request.music
    options: dict[str, object] = {
        "prompt": quoted(request.prompt, 2000),
        "model": request.model,
        "seconds": f"{request.seconds:.2f}".rstrip("0").rstrip("."),
        "style": request.style,
        "camera": request.camera,
        "negative": quoted(request.negative, 2000),
        "genre": music.genre,
        "mood": music.mood,
        "tempo": f"{music.bpm:g}",
        "instruments": ", ".join(music.instruments),
        "seed": request.seed,
    }
    if still:
        options = {name: value for name, value in options.items() if name not in NOT_OF_STILLS}
    told = (f"{name}: {value}" for name, value in options.items() if value or value == 0)
    return " ".join((f"/{'image' if still else 'video'}", *told))


def entry_line(kind: str, credits_: int, job: int | None, language: str = "en") -> str:
    """One row of the ledger, or nothing where a row moves no credits."""
    key = f"entry.{kind}"
    known = credits_ and key in _catalogue(language)
    return words(key, language, job=job, credits=abs(credits_)) if known else ""
