"""What must be true when the dust has settled, read from the database, from both chats and from the disk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

from bot.domain.jobs import State
from tests.fakes.discord_server import DiscordServer
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_world import Message
from tests.faults.harness import Theatre

JOBS = "SELECT id, state, cost, requester, reply_to, request, error, message, attempt FROM job ORDER BY id"
ENTRIES = "SELECT job, kind, credits FROM ledger WHERE job IS NOT NULL"
PAID = {State.DELIVERED, State.UNCERTAIN}


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    state: State
    cost: int
    platform: str
    prompt: str
    error: str
    attempt: int

    @property
    def file(self) -> str:
        return f"matinee-{self.id}."


@dataclass
class Books:
    """Every list is of what is wrong, but for `states`, `aside` and `doubtful`."""

    states: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    jobs_twice: list[str] = field(default_factory=list)
    discord_twice: list[str] = field(default_factory=list)
    telegram_twice: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # said to be delivered, and nowhere to be seen
    unflagged: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    integrity: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    aside: int = 0  # set aside after two deaths, or because its ffmpeg was killed three times in a row
    doubtful: int = 0

    def findings(self) -> dict[str, list[str]]:
        lists = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: found for name, found in lists if isinstance(found, list)}

    def wrong(self) -> dict[str, list[str]]:
        return {name: found for name, found in self.findings().items() if found}


def rows_of(house: Theatre) -> list[Row]:
    made = []
    for number, state, cost, _, reply_to, request, error, _, attempt in house.rows(JOBS):
        kind = json.loads(error)["kind"] if error else ""
        platform, prompt = json.loads(reply_to)["platform"], json.loads(request)["prompt"]
        made.append(Row(number, State(state), cost, platform, prompt, kind, attempt))
    return made


def shown_on_discord(server: DiscordServer, row: Row) -> int:
    seen = [message for message in server.world.messages.values() if not message.deleted]
    return sum(any(a.filename.startswith(row.file) for a in message.attachments) for message in seen)


def shown_on_telegram(server: TelegramServer, row: Row) -> int:
    """By its prompt, which is nobody else's."""
    return sum(
        message.from_bot and not message.deleted and message.kind != "text" and row.prompt in message.text
        for message in server.world.messages
    )


def flags(message: Message) -> list[str]:
    """The buttons that send a doubtful clip again."""
    data = [str(button.get("callback_data")) for button in message.buttons]
    return [one for one in data if one.startswith("again:")]


def flagged(server: TelegramServer, row: Row) -> bool:
    """Its person was asked whether it arrived, with a button to have it again."""
    told = [message for message in server.world.messages if message.from_bot and not message.deleted]
    return any(f"again:{row.id}" in flags(message) for message in told)


def close(house: Theatre, promised: frozenset[str] = frozenset()) -> Books:
    """`promised` are the prompts that somebody was given a number for."""
    books, rows = Books(), rows_of(house)
    books.states.update(row.state for row in rows)
    kept = Counter(row.prompt for row in rows)
    books.lost += [f"{prompt}: promised, no row" for prompt in promised - kept.keys()]
    books.lost += [f"#{row.id} is {row.state}" for row in rows if not row.state.final]
    books.jobs_twice += [f"{prompt}: {count} rows" for prompt, count in kept.items() if count > 1]
    for row in rows:
        _look(house, row, books)
    _ledger(house, rows, books)
    verdict = [str(line[0]) for line in house.rows("PRAGMA integrity_check")]
    books.integrity += [line for line in verdict if line != "ok"]
    books.untold += [f"#{job} was never told" for (job,) in house.rows("SELECT job FROM unsaid")]
    books.leftovers += [str(path) for path in house.data.rglob("*") if _temporary(path)]
    return books


def _look(house: Theatre, row: Row, books: Books) -> None:
    discord = row.platform == "discord"
    shown = shown_on_discord(house.discord, row) if discord else shown_on_telegram(house.telegram, row)
    name = f"#{row.id} ({row.platform}, {row.state}) is shown {shown} times"
    if shown > 1:
        (books.discord_twice if discord else books.telegram_twice).append(name)
    if row.state is State.DELIVERED and not shown:
        books.missing.append(name)
    if row.state is State.FAILED and shown:
        books.ledger.append(f"{name} and refunded")
    if row.state is State.UNCERTAIN:
        books.doubtful += 1
        if discord or not flagged(house.telegram, row):
            books.unflagged.append(name)
    if row.state is State.FAILED:
        if (row.error, row.attempt) in {("EngineDied", 1), ("EncoderKilled", row.attempt)}:
            books.aside += 1
        else:
            books.surprises.append(f"#{row.id} failed of {row.error}, attempt {row.attempt}")


def _ledger(house: Theatre, rows: list[Row], books: Books) -> None:
    sums: Counter[int] = Counter()
    kinds: Counter[tuple[int, str]] = Counter()
    for job, kind, credits_ in house.rows(ENTRIES):
        sums[job] += credits_
        kinds[job, kind] += 1
    for row in rows:
        owed = -row.cost if row.state in PAID else 0
        if row.state.final and sums[row.id] != owed:
            books.ledger.append(f"#{row.id} is {row.state} and booked with {sums[row.id]} instead of {owed}")
    books.ledger += [f"#{job}: {count} times {kind}" for (job, kind), count in kinds.items() if count > 1]
    known = {row.id for row in rows}
    books.ledger += [f"a booking for #{job}, which is no job" for job in sums if job not in known]


def _temporary(path: Path) -> bool:
    return path.suffix in {".part", ".best", ".tmp"} or path.name.startswith((".fit-", ".writable"))
