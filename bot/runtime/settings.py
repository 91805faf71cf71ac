"""Reads config/default.toml, the operator's file, the environment and the flags; later sources win."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.domain.errors import ConfigBroken
from bot.domain.setting_types import Section
from bot.runtime import frontend_registry
from bot.runtime.frontend_registry import FrontendRegistry
from bot.runtime.sections import (
    EngineSettings,
    LogSettings,
    QueueSettings,
    QuotaSettings,
    RulesSettings,
    StudioSettings,
    UpkeepSettings,
)
from bot.runtime.setting_values import SettingValue, build_section, closest, field_types
from generation import failpoint
from generation.child_environment import is_secret

OPERATOR_FILE = "matinee.toml"
NON_SETTING_VARIABLES = {"MATINEE_CONFIG", failpoint.ENV_VAR, failpoint.TRIGGERED_FILE_ENV_VAR}
"""Variables that begin with MATINEE_ but are not settings."""
HUB_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Where the library that downloads weights looks for a token."""
NAMED_TABLES = {"models", "genres", "music", "tiers", "pools"}
"""Tables of named things: config/<name>.toml has ours; the operator's file adds and overrides."""
SECTIONS: Mapping[str, type[Section]] = {
    "studio": StudioSettings,
    "engine": EngineSettings,
    "quota": QuotaSettings,
    "queue": QueueSettings,
    "rules": RulesSettings,
    "upkeep": UpkeepSettings,
    "log": LogSettings,
}
"""The sections of the bot itself. Each frontend adds its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    studio: StudioSettings
    engine: EngineSettings
    quota: QuotaSettings
    queue: QueueSettings
    rules: RulesSettings
    upkeep: UpkeepSettings
    log: LogSettings
    frontends: Mapping[str, Any]
    """The section of each frontend of `registry`, by name."""
    registry: FrontendRegistry
    tables: Mapping[str, dict[str, Any]]
    """What NAMED_TABLES names, ours and the operator's merged."""
    origin: Path | None = None
    """The operator's file, if there is one."""


def config_folder() -> Path:
    """Beside the packages in a checkout, inside bot/ in a wheel."""
    inside = Path(__file__).parents[1] / "config"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "config"


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    registry: FrontendRegistry | None = None,
) -> Settings:
    """Read every source in order; raises ConfigBroken, which names the place."""
    environment = os.environ if environment is None else environment
    registry = registry or frontend_registry.shipped()
    reader = _Reader({**SECTIONS, **registry.sections}, registry.secret_variables)
    operator_file = _operator_file(file, environment)
    tables = {name: _read_toml(config_folder() / f"{name}.toml") for name in _shipped_tables()}
    values = reader.from_toml(_read_toml(config_folder() / "default.toml"), "default.toml")
    if operator_file is not None:
        operator_values = _read_toml(operator_file)
        for name in NAMED_TABLES & operator_values.keys():
            own = operator_values.pop(name)
            if not isinstance(own, dict):
                raise ConfigBroken(f"{operator_file.name}, {name}", "should be a table")
            tables[name] = _deep_merge(tables.get(name, {}), own)
        values |= reader.from_toml(operator_values, operator_file.name)
    values |= reader.from_environment(environment)
    values |= reader.from_flags(flags or {})
    sections = reader.build(values)
    return Settings(
        **{name: sections.pop(name) for name in SECTIONS},  # type: ignore[arg-type]  # SECTIONS has the types
        frontends=sections,
        registry=registry,
        tables=tables,
        origin=operator_file,
    )


def remove_secrets(
    environment: MutableMapping[str, str], registry: FrontendRegistry, *, keep_hub_token: bool = False
) -> None:
    """Call this after `load`: a secret in the environment is visible in crash dumps and to plug-ins.

    `keep_hub_token` is for the command that downloads weights.
    """
    for name in [*registry.secret_variables, *(name for name in environment if name.startswith("MATINEE_"))]:
        if is_secret(name):
            environment.pop(name, None)
    for name in HUB_TOKEN_VARIABLES if not keep_hub_token else ():
        environment.pop(name, None)


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
    except RecursionError:
        raise ConfigBroken(str(path), "too many tables or lists inside each other") from None
    except ValueError as error:  # a number of thousands of digits, or a path that no system has
        raise ConfigBroken(str(path), f"cannot be read: {error}") from None
    except OSError as error:
        raise ConfigBroken(str(path), f"cannot be read: {error.strerror}") from None


def _deep_merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in override.items():
        old = both.get(key)
        both[key] = _deep_merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


@dataclass(frozen=True, slots=True)
class _Reader:
    """Finds the values of known settings, as "section.key", in each kind of source."""

    sections: Mapping[str, type[Section]]
    secret_variables: Mapping[str, str]

    def from_toml(self, data: dict[str, Any], file: str) -> dict[str, SettingValue]:
        values = {}
        for section, table in data.items():
            if section not in self.sections:
                near = closest(section, [*self.sections, *NAMED_TABLES])
                raise ConfigBroken(f"{file}, [{section}]", "unknown table", near)
            if not isinstance(table, dict):
                raise ConfigBroken(f"{file}, {section}", "should be a table")
            for key, value in table.items():
                place = f"{file}, [{section}] {key}"
                values[self._known(f"{section}.{key}", place)] = SettingValue(value, place)
        return values

    def from_environment(self, environment: Mapping[str, str]) -> dict[str, SettingValue]:
        names = {
            f"MATINEE_{section}_{key}".upper(): f"{section}.{key}"
            for section, kind in self.sections.items()
            for key in field_types(kind)
        } | dict(self.secret_variables)
        values = {}
        for variable, text in environment.items():
            if variable in names:
                values[names[variable]] = SettingValue(text, variable, is_plain_text=True)
            elif variable.endswith("_FILE") and (name := names.get(variable.removesuffix("_FILE"))):
                values[name] = SettingValue(_secret_file(variable, text), variable, is_plain_text=True)
            elif variable.startswith("MATINEE_") and variable not in NON_SETTING_VARIABLES:
                raise ConfigBroken(variable, "unknown variable", closest(variable, names))
        return values

    def from_flags(self, flags: Mapping[str, str]) -> dict[str, SettingValue]:
        return {
            self._known(key, f"--set {key}"): SettingValue(text, f"--set {key}", is_plain_text=True)
            for key, text in flags.items()
        }

    def build(self, values: Mapping[str, SettingValue]) -> dict[str, Section]:
        return {
            section: build_section(
                kind,
                {key: values[name] for key in field_types(kind) if (name := f"{section}.{key}") in values},
            )
            for section, kind in self.sections.items()
        }

    def _known(self, name: str, place: str) -> str:
        section, _, key = name.partition(".")
        if section not in self.sections:
            raise ConfigBroken(place, "unknown table", closest(section, self.sections))
        keys = field_types(self.sections[section])
        if key not in keys:
            raise ConfigBroken(place, "unknown key", closest(key, keys))
        return name


def _secret_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigBroken(variable, f"the file it names cannot be read: {reason}") from None
