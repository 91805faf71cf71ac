"""What an operator writes: the settings file, the environment and flags; and names of backup files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from bot.domain.errors import DataFolderUnusable, OutputUnusable, StartError
from bot.maintenance import backups
from bot.runtime import config
from bot.runtime import settings as runtime_settings
from bot.runtime.settings import config_folder, load
from bot.store.store import Store
from generation.errors import DiskFull, GenerationError
from tests.fuzz.target import Call, Target, from_json, to_json, to_text
from tests.fuzz.targets.prompts import explain

VARIABLES = to_json(
    {
        "MATINEE_ENGINE_SLOTS": "3",
        "MATINEE_QUOTA_CREDITS": "10",
        "MATINEE_QUOTA_ZONE": "Europe/Berlin",
        "MATINEE_TELEGRAM_ADMINS": "1,2,3",
        "MATINEE_RULES_WORDS": "word, stem*",
        "MATINEE_LOG_PROMPTS": "no",
        "MATINEE_QUEUE_BURST_SECONDS": "60",
        "MATINEE_STUDIO_DATA": "data",
        "TELEGRAM_TOKEN": "1:a",
        "DISCORD_TOKEN_FILE": "missing",
        "MATINEE_UPKEEP_BUDGET_GB": "1.5",
        "MATINEE_RULES_AFTER_CERTAINTY": "0.5",
    }
)
FLAGS = tuple(
    to_json({key: value})
    for key, value in {
        "engine.slots": "3",
        "quota.rolling_hours": "1.5",
        "quota.zone": "UTC",
        "studio.language": "de",
        "telegram.webhook_port": "8443",
        "telegram.stars": "2",
        "rules.scripts": "latin,greek",
        "log.level": "info",
        "upkeep.backup_keep": "7",
        "rules.admin_chats": "discord:9",
        "queue.in_all": "50",
        "studio.model": "pocket",
    }.items()
)
OPERATOR_FILE = b"""\
[studio]
data = "data"
model = "mine"
disk_floor_mb = 500
[quota]
credits = 20
zone = "Europe/Berlin"
rolling_hours = 24.0
[queue]
per_person = 3
burst = 5
burst_seconds = 60.0
[rules]
words = ["word", "stem*"]
persons = ["Ada Example"]
scripts = ["latin", "japanese"]
admin_chats = ["discord:9", "telegram:5"]
[upkeep]
budget_gb = 2.5
backup_keep = 7
metrics_port = 9100
[telegram]
admins = [5, 6]
webhook = "https://example.org/telegram"
webhook_secret = "ssssssssssssssssssssssss"
stars = 2
[tiers.patron]
credits = 50
weight = 2.0
roles = ["discord:1", 7]
open = true
[pools]
"discord:9" = 100
[models.mine]
family = "testcard"
title = "Mine"
limits = { width = 64, height = 64, seconds = 2.0, fps = 8.0, aspects = { "1:1" = [64, 64] } }
cost = 1.5
[music.tune]
maker = "band"
title = "Tune"
[genres.shanty]
title = "Shanty"
emoji = "X"
"""


read_toml = runtime_settings._read_toml


@cache
def read_shipped_toml(path: Path) -> dict[str, Any]:
    return read_toml(path)


@contextmanager
def shipped_tables_read_once() -> Iterator[None]:
    """The shipped files are the same for every input, and take most of the time."""

    def read(path: Path) -> dict[str, Any]:
        return read_shipped_toml(path) if path.parent == config_folder() else read_toml(path)

    runtime_settings._read_toml = read
    try:
        yield
    finally:
        runtime_settings._read_toml = read_toml


def use_settings(**sources: object) -> None:
    """Do what `matinee run` does with its settings before it connects to anything."""
    try:
        settings = load(**sources)  # type: ignore[arg-type]  # a file, an environment or flags
        registry = settings.registry
        registry.secret_texts(settings.frontends)
        registry.unavailable(settings.frontends)
        config.admin_chats(settings)
        config.frontend_factories(settings)
        policy = config.operator_policy(settings)
        policy.allowance.window(1_700_000_000.0)
        config.unused_balance(policy.allowance)
        settings.upkeep.backup_schedule(policy.data_folder)
        config.resources(settings)
        if settings.origin is not None:
            tables = config.read_tables(settings)
            for preset in tables.presets.values():
                limits = preset.limits
                limits.frames_for(limits.seconds, limits.fps)
                limits.enlarged_size(limits.width, limits.height)
    except (StartError, GenerationError) as error:
        explain(error, on_terminal=True)


@asynccontextmanager
async def _file(folder: Path) -> AsyncIterator[Call]:
    path = folder / "matinee.toml"

    def call(data: bytes) -> None:
        path.write_bytes(data)
        use_settings(file=path, environment={})

    with shipped_tables_read_once():
        yield call


@asynccontextmanager
async def _values(folder: Path) -> AsyncIterator[Call]:
    """Correct TOML with odd values."""
    path = folder / "matinee.toml"

    def call(data: bytes) -> None:
        table = from_json(data)
        if isinstance(table, dict):
            path.write_text(
                "\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in table.items()), "utf-8"
            )
            use_settings(file=path, environment={})

    with shipped_tables_read_once():
        yield call


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    return "0" if value is None else json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")


@asynccontextmanager
async def _environment(_: Path) -> AsyncIterator[Call]:
    def call(data: bytes) -> None:
        use_settings(environment=_texts(data))

    with shipped_tables_read_once():
        yield call


@asynccontextmanager
async def _flags(_: Path) -> AsyncIterator[Call]:
    def call(data: bytes) -> None:
        use_settings(environment={}, flags=_texts(data))

    with shipped_tables_read_once():
        yield call


def _texts(data: bytes) -> dict[str, str]:
    """The pairs of texts of an input; the system passes on no null characters."""
    value = from_json(data)
    pairs = value.items() if isinstance(value, dict) else ()
    return {key.replace("\0", ""): text.replace("\0", "") for key, text in pairs if isinstance(text, str)}


@asynccontextmanager
async def _backup_names(folder: Path) -> AsyncIterator[Call]:
    data = folder / "data"
    await (await Store.open(data)).close()

    def call(name: bytes) -> None:
        text = to_text(name).replace("/", "_").replace("\0", "") or "a"
        place = folder / "backups"
        place.mkdir(exist_ok=True)
        try:
            (place / text).write_bytes(b"x")
            (data / text).write_bytes(b"x") if text != "matinee.db" else None
        except (OSError, UnicodeError):
            return
        try:
            backups.list_backups(place)
            backups.age_of_newest(place, 0.0)
            backups.remove_oldest(place, 1)
            backups.remove_safety_copies(data, older_than=0.0)
            backups.create_backup(data, folder / text)
        except (OutputUnusable, DataFolderUnusable, DiskFull) as error:
            explain(error, on_terminal=True)
        finally:
            for path in (place / text, data / text, folder / text):
                if path.is_file() and path.name != "matinee.db":
                    path.unlink()

    yield call


TARGETS = (
    Target(
        name="settings file",
        shape="text",
        seeds=lambda: [OPERATOR_FILE, (config_folder() / "default.toml").read_bytes()],
        open=_file,
        covers=(
            "bot.runtime.settings:_read_toml",
            "bot.runtime.settings:load",
            "bot.runtime.setting_values:*",
            "generation.models.common.preset:*",
            "generation.music.common.preset:read_music_presets",
            "generation.music.common.genre_tables:read_genres",
        ),
        share=3,
    ),
    Target(
        name="values of settings",
        shape="json",
        seeds=lambda: [to_json(tomllib.loads(OPERATOR_FILE.decode()))],
        open=_values,
        covers=("bot.runtime.setting_values:build_table",),
        share=4,
    ),
    Target(
        name="environment",
        shape="json",
        seeds=lambda: [VARIABLES],
        open=_environment,
        covers=("bot.runtime.settings:_Reader.from_environment",),
    ),
    Target(
        name="--set",
        shape="json",
        seeds=lambda: FLAGS,
        open=_flags,
        covers=("bot.runtime.settings:_Reader.from_flags",),
    ),
    Target(
        name="names of backups",
        shape="text",
        seeds=lambda: [
            b"matinee-20261121T040000Z.db",
            b"matinee-20261121T040000Z-2.db",
            b"matinee.db.schema-3.backup",
            b"matinee.db.before-20261121T040000Z-wal",
            b"mine.db",
        ],
        open=_backup_names,
        covers=("bot.maintenance.backups:list_backups",),
        share=0.5,
    ),
)
