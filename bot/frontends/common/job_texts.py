"""What a chat says about jobs: the queue, the chosen music, the list of models, the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.domain.jobs import Job, Requester
from bot.i18n import messages
from bot.store.store import Eta, LedgerEntry
from generation.models.common.preset import Preset
from generation.request import Kind

MAX_LISTED = 15
"""How many jobs or ledger entries a list shows."""


def is_own_job(job: Job, requester: Requester) -> bool:
    return job.requester.key == requester.key


def others_line(count: int, language: str) -> str:
    """Return how many jobs wait that the user may not see."""
    return messages.translate("queue.others", language, count=count)


def queued_text(job: Job, *, queue_position: int | None, eta: Eta | None, language: str) -> str:
    """Return where a job stands in the queue and when it will be ready."""
    span = (eta.low, eta.high) if eta else None
    return messages.queued_status(job, queue_position=queue_position or 0, eta=span, language=language)


def music_text(job: Job, language: str) -> str:
    """Return which music was chosen, while the user can still change it; empty for a picture."""
    if job.request.kind is Kind.IMAGE:
        return ""
    music = messages.music_line(job.request.music, language)
    return messages.translate("music.chosen", language, music=music)


def model_lines(presets: Mapping[str, Preset], language: str) -> list[str]:
    """Return one line for each model: its name, its longest clip and its price."""
    return [
        messages.translate(
            "models.line",
            language,
            name=name,
            title=preset.title,
            seconds=f"{preset.limits.max_seconds:g}",
            cost=f"{preset.cost:g}",
        )
        for name, preset in presets.items()
    ]


def ledger_lines(entries: Iterable[LedgerEntry], language: str) -> list[str]:
    """Return one line for each entry that moves credits."""
    lines = (messages.ledger_line(entry.kind, entry.credits, entry.job, language) for entry in entries)
    return [line for line in lines if line]
