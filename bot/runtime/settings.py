"""config/default.toml < matinee.toml < environment < flags, as frozen and checked Settings."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

from bot.domain.errors import ConfigBroken
from generation import failpoint

OPERATOR_FILE = "matinee.toml"
NON_SETTING_VARIABLES = {"MATINEE_CONFIG", failpoint.ENV_VAR, failpoint.TRIGGERED_FILE_ENV_VAR}
"""Variables that are no settings."""
TOKEN_VARIABLES = {"DISCORD_TOKEN": "discord.token", "TELEGRAM_TOKEN": "telegram.token"}
NAMED_TABLES = {"models", "genres", "music", "tiers", "pools"}
"""Tables of named things: config/<name>.toml holds ours, an operator's file adds and overrides."""


class Secret:
    """Text that does not print. `reveal()` it where it is really needed, and nowhere else."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret('')"

    def reveal(self) -> str:
        return self._text


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioSettings:
    data: Path
    model: str
    maker: str
    language: str
    disk_floor_mb: int
    keep_days: int
    commercial: bool
    territory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    slots: int
    nice: int
    start_seconds: float
    stall_seconds: float
    total_seconds: float
    ffmpeg: str
    device: str
    memory_gb: float
    lossy: bool
    compile: bool
    plugins: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings:
    credits: int
    zone: str
    rolling_hours: float
    admins_unlimited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    per_person: int
    per_community: int
    in_all: int
    burst: int
    burst_seconds: float
    affinity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesSettings:
    adult: bool
    people: bool
    real_persons: bool
    persons: str
    scripts: str
    words: str
    after: str
    after_certainty: float
    after_sees: str
    admin_chats: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings:
    budget_gb: float
    backup_hours: float
    backup_keep: int
    backup_folder: str
    metrics_file: str
    metrics_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    level: str
    format: str
    prompts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordSettings:
    enabled: bool
    token: Secret
    sharded: bool
    nsfw: bool
    preview: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramSettings:
    enabled: bool
    token: Secret
    admins: str
    api: str
    local: bool
    webhook: str
    webhook_secret: Secret
    webhook_host: str
    webhook_port: int
    stars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    studio: StudioSettings
    engine: EngineSettings
    quota: QuotaSettings
    queue: QueueSettings
    rules: RulesSettings
    upkeep: UpkeepSettings
    log: LogSettings
    discord: DiscordSettings
    telegram: TelegramSettings
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)  # what APART names, merged
    origin: Path | None = None  # the operator's file, if there is one


SECTIONS: dict[str, type] = {
    name: hint
    for name, hint in get_type_hints(Settings).items()
    if is_dataclass(hint) and isinstance(hint, type)
}
CHOICES = {
    "log.level": ("debug", "info", "warning", "error"),
    "log.format": ("auto", "console", "json"),
    "rules.after": ("off", "spoiler", "hold", "refuse"),
    "engine.device": ("auto", "cpu", "cuda", "mps"),
}
MINIMUMS: dict[str, float] = {
    "engine.slots": 1,
    "upkeep.backup_keep": 1,
    "engine.start_seconds": 1,
    "engine.stall_seconds": 1,
    "engine.total_seconds": 1,
    "queue.per_person": 1,
    "queue.per_community": 1,
    "queue.in_all": 1,
}


def config_folder() -> Path:
    """Beside the packages in a checkout, inside bot/ in a wheel."""
    inside = Path(__file__).parents[1] / "config"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "config"


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """Read every source in order; raises ConfigBroken naming the place."""
    environment = os.environ if environment is None else environment
    values = _flatten(_read_toml(config_folder() / "default.toml"), "default.toml")
    operator_file = _operator_file(file, environment)
    tables = {name: _read_toml(config_folder() / f"{name}.toml") for name in _shipped_tables()}
    if operator_file is not None:
        operator_values = _read_toml(operator_file)
        for name in NAMED_TABLES & operator_values.keys():
            tables[name] = _deep_merge(tables.get(name, {}), operator_values.pop(name))
        values |= _flatten(operator_values, operator_file.name)
    values |= _from_environment(environment)
    values |= {_check_key(key, f"--set {key}"): (text, f"--set {key}") for key, text in (flags or {}).items()}
    return _build_settings(values, tables=tables, origin=operator_file)


def _operator_file(file: Path | None, environment: Mapping[str, str]) -> Path | None:
    named = file or (Path(environment["MATINEE_CONFIG"]) if environment.get("MATINEE_CONFIG") else None)
    if named is not None:
        return named
    found = Path(OPERATOR_FILE)
    return found if found.is_file() else None


def _shipped_tables() -> Iterator[str]:
    return (name for name in sorted(NAMED_TABLES) if (config_folder() / f"{name}.toml").is_file())


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigBroken(str(path), f"not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigBroken(str(path), "not UTF-8 text") from None
    except OSError as error:
        raise ConfigBroken(str(path), f"cannot be read: {error.strerror}") from None


def _deep_merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in override.items():
        mine = both.get(key)
        both[key] = _deep_merge(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return both


def _flatten(data: dict[str, Any], place: str) -> dict[str, tuple[Any, str]]:
    values = {}
    for section, table in data.items():
        if section not in SECTIONS:
            raise ConfigBroken(
                f"{place}, [{section}]", "unknown table", _closest(section, [*SECTIONS, *NAMED_TABLES])
            )
        if not isinstance(table, dict):
            raise ConfigBroken(f"{place}, {section}", "should be a table")
        for key, value in table.items():
            where = f"{place}, [{section}] {key}"
            values[_check_key(f"{section}.{key}", where)] = (value, where)
    return values


def _check_key(key: str, where: str) -> str:
    section, _, name = key.partition(".")
    if section not in SECTIONS:
        raise ConfigBroken(where, "unknown table", _closest(section, SECTIONS))
    names = [f.name for f in fields(SECTIONS[section])]
    if name not in names:
        raise ConfigBroken(where, "unknown key", _closest(name, names))
    return key


def _closest(word: str, words: Any) -> str | None:
    found = get_close_matches(word, list(words), n=1, cutoff=0.5)
    return found[0] if found else None


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    names = {
        f"MATINEE_{section}_{f.name}".upper(): f"{section}.{f.name}"
        for section, cls in SECTIONS.items()
        for f in fields(cls)
    } | TOKEN_VARIABLES
    values = {}
    for variable, text in environment.items():
        if variable in names:
            values[names[variable]] = (text, variable)
        elif variable.endswith("_FILE") and variable.removesuffix("_FILE") in names:
            values[names[variable.removesuffix("_FILE")]] = (_secret_file(variable, text), variable)
        elif variable.startswith("MATINEE_") and variable not in NON_SETTING_VARIABLES:
            raise ConfigBroken(variable, "unknown variable", _closest(variable, names))
    return values


def _secret_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigBroken(variable, f"the file it names cannot be read: {reason}") from None


def _build_settings(
    values: dict[str, tuple[Any, str]], *, tables: dict[str, dict[str, Any]], origin: Path | None
) -> Settings:
    sections = {
        name: cls(
            **{
                key: _checked_value(f"{name}.{key}", hint, *values[f"{name}.{key}"])
                for key, hint in _field_types(cls)
            }
        )
        for name, cls in SECTIONS.items()
    }
    settings = Settings(**sections, tables=tables, origin=origin)
    data = settings.studio.data.expanduser()
    return replace(settings, studio=replace(settings.studio, data=data))


def _field_types(cls: type) -> list[tuple[str, type]]:
    return list(get_type_hints(cls).items())


def _checked_value(key: str, kind: type, value: Any, where: str) -> Any:
    """Of the right type, or ConfigBroken; a secret's own text never gets into the sentence."""
    converted = _convert(kind, value, where)
    if key in CHOICES and converted not in CHOICES[key]:
        raise ConfigBroken(
            where, f"should be one of {', '.join(CHOICES[key])}", _closest(str(converted), CHOICES[key])
        )
    if (
        isinstance(converted, int | float)
        and not isinstance(converted, bool)
        and not converted >= MINIMUMS.get(key, 0)
    ):
        raise ConfigBroken(where, f"should be at least {MINIMUMS.get(key, 0):g}")
    if key == "quota.zone":
        _check_zone(converted, where)
    return converted


def _check_zone(zone: str, where: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigBroken(where, f"{zone!r} is no time zone; an example is Europe/Berlin") from None


def _convert(kind: type, value: Any, where: str) -> Any:
    if kind is bool:
        words = {
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }
        flag = value if isinstance(value, bool) else words.get(str(value).lower())
        if flag is None:
            raise ConfigBroken(where, "should be true or false")
        return flag
    if kind in {int, float}:
        return _convert_number(kind, value, where)
    if not isinstance(value, str):
        raise ConfigBroken(where, "should be text in quotes")
    return kind(value)


def _convert_number(kind: type, value: Any, where: str) -> Any:
    if isinstance(value, bool):
        raise ConfigBroken(where, "should be a number")
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigBroken(
            where, "should be a whole number" if kind is int else "should be a number"
        ) from None
    if kind is int and float(value) != number:
        raise ConfigBroken(where, "should be a whole number")
    return number
