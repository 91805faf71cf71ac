"""Check what must hold after a run: in the database, in both chats and on disk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

from bot.domain.jobs import JobState
from tests.fakes.discord_server import DiscordServer
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_world import Message
from tests.faults.harness import BotHarness

JOBS_SQL = (
    "SELECT id, state, cost, requester, reply_to, request, error, message, attempt FROM job ORDER BY id"
)
LEDGER_SQL = "SELECT job, kind, credits FROM ledger WHERE job IS NOT NULL"
CHARGED_STATES = {JobState.DELIVERED, JobState.UNCERTAIN}


@dataclass(frozen=True, slots=True)
class JobRow:
    id: int
    state: JobState
    cost: int
    platform: str
    prompt: str
    error: str
    attempt: int

    @property
    def file_prefix(self) -> str:
        return f"matinee-{self.id}."


@dataclass
class ConsistencyReport:
    """The lists hold problems; `states`, `set_aside` and `maybe_sent` are counts."""

    states: Counter[str] = field(default_factory=Counter)
    lost_jobs: list[str] = field(default_factory=list)
    duplicate_jobs: list[str] = field(default_factory=list)
    duplicates_on_discord: list[str] = field(default_factory=list)
    duplicates_on_telegram: list[str] = field(default_factory=list)
    not_shown: list[str] = field(default_factory=list)  # marked as delivered, but not in the chat
    not_asked: list[str] = field(default_factory=list)
    not_notified: list[str] = field(default_factory=list)
    ledger_errors: list[str] = field(default_factory=list)
    integrity_errors: list[str] = field(default_factory=list)
    temporary_files: list[str] = field(default_factory=list)
    unexpected_failures: list[str] = field(default_factory=list)
    set_aside: int = 0  # after two engine deaths, or three killed ffmpeg processes in a row
    maybe_sent: int = 0

    def findings(self) -> dict[str, list[str]]:
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: value for name, value in values if isinstance(value, list)}

    def problems(self) -> dict[str, list[str]]:
        return {name: found for name, found in self.findings().items() if found}


def job_rows(harness: BotHarness) -> list[JobRow]:
    found = []
    for number, state, cost, _, reply_to, request, error, _, attempt in harness.rows(JOBS_SQL):
        kind = json.loads(error)["kind"] if error else ""
        platform, prompt = json.loads(reply_to)["platform"], json.loads(request)["prompt"]
        found.append(JobRow(number, JobState(state), cost, platform, prompt, kind, attempt))
    return found


def count_on_discord(server: DiscordServer, row: JobRow) -> int:
    visible = [message for message in server.world.messages.values() if not message.deleted]
    return sum(
        any(file.filename.startswith(row.file_prefix) for file in message.attachments) for message in visible
    )


def count_on_telegram(server: TelegramServer, row: JobRow) -> int:
    """Count the clips in the chat by their prompt, which is unique."""
    return sum(
        message.from_bot and not message.deleted and message.kind != "text" and row.prompt in message.text
        for message in server.world.messages
    )


def resend_buttons(message: Message) -> list[str]:
    """The callback data of the buttons that send a "perhaps sent" clip again."""
    data = [str(button.get("callback_data")) for button in message.buttons]
    return [text for text in data if text.startswith("again:")]


def has_resend_button(server: TelegramServer, row: JobRow) -> bool:
    """Whether the user was asked if the clip arrived, with a button to send it again."""
    messages = [message for message in server.world.messages if message.from_bot and not message.deleted]
    return any(f"again:{row.id}" in resend_buttons(message) for message in messages)


def check_consistency(
    harness: BotHarness, confirmed_prompts: frozenset[str] = frozenset()
) -> ConsistencyReport:
    """`confirmed_prompts` are the prompts for which a user received a job number."""
    report, rows = ConsistencyReport(), job_rows(harness)
    report.states.update(row.state for row in rows)
    rows_by_prompt = Counter(row.prompt for row in rows)
    report.lost_jobs += [
        f"{prompt}: confirmed, but has no row" for prompt in confirmed_prompts - rows_by_prompt.keys()
    ]
    report.lost_jobs += [f"#{row.id} is {row.state}" for row in rows if not row.state.is_final]
    report.duplicate_jobs += [
        f"{prompt}: {count} rows" for prompt, count in rows_by_prompt.items() if count > 1
    ]
    for row in rows:
        _check_job(harness, row, report)
    _check_ledger(harness, rows, report)
    results = [str(row[0]) for row in harness.rows("PRAGMA integrity_check")]
    report.integrity_errors += [result for result in results if result != "ok"]
    report.not_notified += [
        f"#{job}: the final status was never sent" for (job,) in harness.rows("SELECT job FROM unsaid")
    ]
    report.temporary_files += [str(path) for path in harness.data.rglob("*") if _is_temporary(path)]
    return report


def _check_job(harness: BotHarness, row: JobRow, report: ConsistencyReport) -> None:
    discord = row.platform == "discord"
    shown = count_on_discord(harness.discord, row) if discord else count_on_telegram(harness.telegram, row)
    name = f"#{row.id} ({row.platform}, {row.state}) is shown {shown} times"
    if shown > 1:
        (report.duplicates_on_discord if discord else report.duplicates_on_telegram).append(name)
    if row.state is JobState.DELIVERED and not shown:
        report.not_shown.append(name)
    if row.state is JobState.FAILED and shown:
        report.ledger_errors.append(f"{name} and refunded")
    if row.state is JobState.UNCERTAIN:
        report.maybe_sent += 1
        if discord or not has_resend_button(harness.telegram, row):
            report.not_asked.append(name)
    if row.state is JobState.FAILED:
        if (row.error, row.attempt) in {("EngineDied", 1), ("EncoderKilled", row.attempt)}:
            report.set_aside += 1
        else:
            report.unexpected_failures.append(f"#{row.id} failed with {row.error}, attempt {row.attempt}")


def _check_ledger(harness: BotHarness, rows: list[JobRow], report: ConsistencyReport) -> None:
    sums: Counter[int] = Counter()
    kinds: Counter[tuple[int, str]] = Counter()
    for job, kind, credits_ in harness.rows(LEDGER_SQL):
        sums[job] += credits_
        kinds[job, kind] += 1
    for row in rows:
        expected = -row.cost if row.state in CHARGED_STATES else 0
        if row.state.is_final and sums[row.id] != expected:
            report.ledger_errors.append(
                f"#{row.id} is {row.state}; its entries sum to {sums[row.id]} instead of {expected}"
            )
    report.ledger_errors += [
        f"#{job}: {count} times {kind}" for (job, kind), count in kinds.items() if count > 1
    ]
    known = {row.id for row in rows}
    report.ledger_errors += [
        f"a ledger entry for #{job}, which does not exist" for job in sums if job not in known
    ]


def _is_temporary(path: Path) -> bool:
    return path.suffix in {".part", ".best", ".tmp"} or path.name.startswith((".fit-", ".writable"))
