"""All text for users, in every language, as plain text: each frontend escapes it for its own markup.

The sentences are in translations/<language>.toml; a key that a language lacks is shown in English.
Text typed by users is cleaned by `sanitized` before it becomes part of a sentence.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bot.domain.jobs import Job, JobState
from bot.domain.quota import Balance
from generation.errors import ExplainedError, GenerationError, current_name
from generation.progress import Progress
from generation.request import Adjustment, Kind, Music, UnknownWords

FOLDER = Path(__file__).parent / "translations"
UNTRUSTED_FACTS = {"value", "near", "name"}
QUOTE_LENGTH = 60
ERRORS_WITH_OPERATOR_DETAIL = {"ModelBroken", "PictureFailed", "MusicFailed"}
"""Errors whose `reason` is useful only to the operator, so users do not see it."""
MAX_QUOTED_WORDS = 8


def sanitized(text: str, length: int = QUOTE_LENGTH) -> str:
    """Return text typed by a user on one line, without control or bidi characters, cut to `length`."""
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in {"Cc", "Cf", "Co", "Cs"})
    line = " ".join("".join(kept).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def file_size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit != "MB" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration_text(seconds: float, language: str = "en") -> str:
    """Return a duration in the unit that reads best: seconds, minutes or hours."""
    if seconds < 90:
        return translate("span.seconds", language, n=max(1, round(seconds)))
    if seconds < 5400:
        return translate("span.minutes", language, n=round(seconds / 60))
    return translate("span.hours", language, n=f"{seconds / 3600:.1f}")


@cache
def _catalog(language: str) -> dict[str, str]:
    return _load_language("en") | (_load_language(language) if language in languages() else {})


@cache
def _load_language(language: str) -> dict[str, str]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def languages() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def nearest_language(wanted: str, default: str = "en") -> str:
    """Return the translated language for a locale: "pt" for "pt-BR" and for "pt_PT.UTF-8"."""
    base = wanted.replace("_", "-").partition(".")[0].partition("-")[0].lower()
    return base if base in languages() else default


def language_name(language: str) -> str:
    """Return the name of a language in that language."""
    return translate("language", language)


def translate(key: str, language: str = "en", /, **facts: object) -> str:
    """Return the sentence for `key`, with its placeholders filled from `facts`."""
    return _catalog(language)[key].format(**facts)


def explain(error: BaseException, language: str = "en") -> str:
    """Return the sentence for an error, or for its nearest base class that has one."""
    facts = _format_facts(error.facts(), language) if isinstance(error, ExplainedError) else {}
    catalogue = _catalog(language)
    for kind in type(error).__mro__:
        if kind.__name__ in catalogue or f"{kind.__name__}.{facts.get('whose')}" in catalogue:
            return translate(_sentence_key(kind.__name__, facts), language, **facts)
    return translate("Unexpected", language)


def _sentence_key(name: str, facts: dict[str, Any]) -> str:
    """Return the key of the most specific sentence for which the error has the facts."""
    if facts.get("value") == "" and f"{name}.missing" in _catalog("en"):
        return f"{name}.missing"
    for fact in ("near", "pid", "choices", "until"):
        if facts.get(fact) and f"{name}.{fact}" in _catalog("en"):
            return f"{name}.{fact}"
    return f"{name}.{facts['whose']}" if "whose" in facts else name


def _format_facts(facts: dict[str, Any], language: str) -> dict[str, Any]:
    formatted = {name: _format_fact(name, value, language) for name, value in facts.items()}
    return formatted | ({"limit": file_size(facts["limit"])} if {"limit", "floor"} <= facts.keys() else {})


def _format_fact(name: str, value: Any, language: str) -> Any:
    if name in {"back_at", "until"} and value is not None:
        return format_time(value, language)
    if name in {"free", "floor"} or (name == "limit" and isinstance(value, int) and value > 100_000):
        return file_size(value)
    if name in UNTRUSTED_FACTS and isinstance(value, str):
        return f"“{sanitized(value)}”" if value else value
    if name in {"state", "rule", "reason", "why"}:  # free text from an operator has no key and stays as it is
        return _catalog(language).get(f"{name}.{value}", value)
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else value


def format_time(at: float, language: str = "en") -> str:
    utc_time = datetime.fromtimestamp(at, UTC)
    month = translate("months", language).split()[utc_time.month - 1]
    return translate("moment", language, time=f"{utc_time:%H:%M}", day=utc_time.day, month=month)


def inspection_summary(what: str, certainty: float) -> str:
    """Return what the clip inspection detected: "female breast exposed, 83 %"."""
    return f"{what.lower().replace('_', ' ')}, {certainty:.0%}" if what else "-"


def _eta_text(low: str, high: str, language: str) -> str:
    if low == high:
        return translate("eta.about", language, time=low)
    return translate("eta", language, low=low, high=high)


def queued_status(
    job: Job, *, queue_position: int, eta: tuple[float, float] | None = None, language: str = "en"
) -> str:
    sentences = [
        translate(
            "queued.behind" if queue_position else "queued.next", language, job=job.id, place=queue_position
        )
    ]
    if eta is not None:
        sentences.append(
            _eta_text(duration_text(eta[0], language), duration_text(eta[1], language), language)
        )
    return " ".join(sentences)


def balance_text(balance: Balance, language: str = "en", *, back_at: str = "") -> str:
    """Return the balance; `back_at` may hold the date in the chat's own markup, in the user's time zone."""
    kind = "balance.unlimited" if balance.unlimited else "balance.granted" if balance.granted else "balance"
    facts = {name: getattr(balance, name) for name in ("left", "limit", "granted", "used")}
    return translate(
        kind, language, back_at=back_at or _format_fact("back_at", balance.back_at, language), **facts
    )


def link_name(key: str, name: str = "") -> str:
    """Return how one side of a link is shown to the other: "Ada (telegram:5)"."""
    return f"{sanitized(name)} ({sanitized(key)})" if name else sanitized(key)


def link_question(key: str, name: str, language: str = "en") -> str:
    """Return the question that both sides of a link have to confirm; key and name are of the other side."""
    return translate("link.ask", language, other=link_name(key, name))


def adjustments_text(adjustments: Iterable[Adjustment | UnknownWords], language: str = "en") -> str:
    return " ".join(
        unknown_words_text(a, language)
        if isinstance(a, UnknownWords)
        else translate("adjusted", language, option=a.option.capitalize(), asked=a.asked, given=a.given)
        for a in adjustments
    )


def unknown_words_text(unknown: UnknownWords, language: str = "en", *, brief: bool = False) -> str:
    """Say which words of the prompt the model does not know, and, unless `brief`, which words it knows."""
    sentences = [
        translate(
            "unknown_words.replaced", language, model=unknown.model, asked=_quote_words([asked]), given=given
        )
        for asked, given in unknown.substitutes[:MAX_QUOTED_WORDS]
    ]
    if unknown.nothing_known:
        sentences.append(translate("unknown_words.all", language, model=unknown.model))
    elif unknown.words:
        sentences.append(
            translate("unknown_words", language, model=unknown.model, words=_quote_words(unknown.words))
        )
    if not brief:
        sentences.append(
            translate("unknown_words.known", language, model=unknown.model, known=", ".join(unknown.known))
        )
    return " ".join(sentences)


def _quote_words(typed: Sequence[str]) -> str:
    """Quote the first few words typed by a user, cleaned."""
    shown = [f"“{sanitized(word, 30)}”" for word in typed[:MAX_QUOTED_WORDS]]
    return ", ".join([*shown, "…"] if len(typed) > MAX_QUOTED_WORDS else shown)


def music_line(music: Music, language: str = "en") -> str:
    """Return a short description of the music: "lofi, calm, 82 bpm"."""
    if music.genre == "none":
        return translate("music.silence", language)
    if music.genre == "native":
        return translate("music.native", language)
    if music.genre == "own":
        return translate("music.own", language)
    parts = (music.genre, music.mood, f"{music.bpm:.0f} bpm", *music.instruments)
    return ", ".join(part for part in parts if part)


def progress_status(job: Job, progress: Progress, language: str = "en") -> str:
    stage = translate(f"stage.{progress.stage}", language)
    return translate("progress", language, job=job.id, stage=stage, percent=round(100 * progress.fraction))


def clip_caption(job: Job, language: str = "en") -> str:
    return translate("ready", language, job=job.id, prompt=sanitized(job.request.prompt, 200))


def final_status(job: Job, language: str = "en") -> str:
    """Return the last status of a job that has no clip to show: failed, cancelled, held or uncertain."""
    if job.state is JobState.CANCELLED:
        key = "cancelled.charged" if job.picture_done else "cancelled"
        return translate(key, language, job=job.id)
    if job.state in {JobState.UNCERTAIN, JobState.HELD}:
        return translate(job.state.value, language, job=job.id)
    error = ExplainedError.from_json(job.error) if job.error else GenerationError()
    return translate("failed", language, job=job.id, why=explain(error, language))


def operator_detail(error: dict[str, Any] | None) -> str:
    """Return the technical reason that the sentence for users leaves out, for the operator's log."""
    facts = (error or {}).get("facts", {})
    return (
        str(facts.get("reason", ""))
        if current_name((error or {}).get("kind", "")) in ERRORS_WITH_OPERATOR_DETAIL
        else ""
    )


def health_problem(part: str, condition: str, *, since: float | None, why: str, language: str = "en") -> str:
    """Say what is wrong with a part of a running Matinee, and since when."""
    key = f"health.{'matinee' if part == 'matinee' else 'part'}.{condition}"
    return translate(key, language, part=part.capitalize(), since=since and format_time(since), why=why)


def summary_line(job: Job, language: str = "en") -> str:
    """Return length, size, model, music and seed of a clip on one line."""
    request = job.request
    parts = [f"{request.width}×{request.height}", request.model]  # noqa: RUF001  (the multiplication sign is intended)
    if request.kind is not Kind.IMAGE:
        parts = [f"{request.seconds:.1f} s", *parts, music_line(request.music, language)]
    return " · ".join([*parts, translate("seed", language, seed=request.seed)])


def job_line(job: Job, language: str = "en", *, prompt: bool = True) -> str:
    """Return the line of a job in a list, with its prompt if there is one to show."""
    line = f"#{job.id} · {translate(f'state.{job.state}', language)}"
    return f"{line} · {sanitized(job.request.prompt)}" if prompt and job.request.prompt else line


def ledger_line(kind: str, credits_: int, job: int | None, language: str = "en") -> str:
    """Return a ledger row as text; empty if it moves no credits."""
    key = f"entry.{kind}"
    shown = credits_ and key in _catalog(language)
    return translate(key, language, job=job, credits=abs(credits_)) if shown else ""
