"""What the settings say, checked and turned into the plain values that the rooms are handed."""

from __future__ import annotations

import importlib
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot.domain.errors import ConfigBroken
from bot.domain.quota import Allowance, Balance, Caps, Tier
from bot.maintenance import backups
from bot.maintenance.metrics import MetricsOutput
from bot.moderation.clip_inspection import ClassifyFile, ClipInspector, InspectionVerdict
from bot.moderation.prompt_policy import PromptPolicy
from bot.moderation.text_normalization import SCRIPTS
from bot.runtime.settings import Settings, config_folder
from bot.store.store import Store
from bot.studio.studio import OperatorPolicy
from generation.errors import PresetBroken
from generation.media import nsfw
from generation.media.nsfw_process import NsfwProcess
from generation.models.common import weights_lock
from generation.models.common.memory_plan import Resources
from generation.models.common.preset import Preset, is_licence_allowed, read_presets
from generation.models.common.registry import check_preset
from generation.music.common.genre_tables import Genre, GenreBroken, read_genres
from generation.music.common.preset import MusicPreset, MusicPresetBroken, allowed_presets, read_music_presets
from generation.request import closest_match, unknown_fields

NUDENET_MISSING = (
    "asks for a look at every clip ({then}), but nudenet is not installed: pip install 'matinee[safety]'"
)


@dataclass(frozen=True, slots=True)
class NamedTables:
    """The named things of the config, read and checked."""

    presets: Mapping[str, Preset]
    genres: Mapping[str, Genre]
    makers: Mapping[str, MusicPreset]


def build_nsfw_process(settings: Settings) -> NsfwProcess | None:
    """Who looks at clips after painting, where the rules ask for it; raises ConfigBroken if it cannot."""
    rules = settings.rules
    if rules.after == "off":
        return None
    if not nsfw.available():
        raise ConfigBroken("[rules] after", NUDENET_MISSING.format(then=rules.after))
    if rules.after_certainty > 1:
        raise ConfigBroken("[rules] after_certainty", "should be at most 1")
    named = (label.strip().upper().replace(" ", "_") for label in rules.after_sees.split(","))
    wanted = {label for label in named if label}
    known = tuple(sorted(label.lower() for label in nsfw.LABELS))
    for label in sorted(wanted - nsfw.LABELS):
        raise ConfigBroken("[rules] after_sees", f"there is no {label.lower()}", closest_match(label, known))
    return NsfwProcess(labels=wanted or nsfw.EXPLICIT, nice=settings.engine.nice)


def build_inspector(settings: Settings, store: Store, inspect_file: ClassifyFile) -> ClipInspector:
    rules = settings.rules
    return ClipInspector(
        store=store,
        classify=inspect_file,
        verdict_if_seen=InspectionVerdict(rules.after),
        min_certainty=rules.after_certainty,
    )


def admin_chats(settings: Settings) -> list[str]:
    """Where word for the admins goes: "discord:9"."""
    chats = [chat.strip() for chat in settings.rules.admin_chats.split(",") if chat.strip()]
    for chat in chats:
        if not re.fullmatch(r"(discord|telegram):-?[0-9]{1,20}", chat):
            raise ConfigBroken("[rules] admin_chats", "should be like discord:123 or telegram:-100123")
    return chats


def import_plugins(settings: Settings) -> tuple[str, ...]:
    """The operator's own modules, imported, so that what they register can be named in presets."""
    names = tuple(filter(None, (name.strip() for name in settings.engine.plugins.split(","))))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # theirs may raise anything
            problem = f"{name} cannot be imported ({type(error).__name__}: {error})"
            raise ConfigBroken("[engine] plugins", problem) from error
    return names


def read_tables(settings: Settings, *, locked: bool = True) -> NamedTables:
    """`locked`: what names no commit is at the one that was pulled."""
    import_plugins(settings)
    try:
        presets = read_presets(settings.tables.get("models", {}))
        commits = weights_lock.read_commits(settings.studio.data) if locked else {}
        presets = {
            name: weights_lock.with_pinned_commits(preset, commits) for name, preset in presets.items()
        }
        for preset in presets.values():
            check_preset(preset)
    except PresetBroken as error:
        raise ConfigBroken(f"[models] {error.place}", error.problem, error.near) from None
    studio = settings.studio
    presets = {
        name: preset
        for name, preset in presets.items()
        if is_licence_allowed(preset, commercial=studio.commercial, territory=studio.territory)
    }
    if settings.studio.model not in presets:
        wanted = settings.studio.model
        raise ConfigBroken(
            "[studio] model", f"there is no model {wanted}", closest_match(wanted, tuple(presets))
        )
    try:
        genres = read_genres(settings.tables.get("genres", {}))
    except GenreBroken as error:
        raise ConfigBroken(f"[genres] {error.place}", error.problem, error.near) from None
    makers = {
        name: replace(maker, revision=maker.revision or commits.get(maker.source, ""))
        for name, maker in _read_music_makers(settings).items()
    }
    return NamedTables(presets, genres, makers)


def _read_music_makers(settings: Settings) -> dict[str, MusicPreset]:
    """The music makers that this operator may use."""
    try:
        makers = read_music_presets(settings.tables.get("music", {}))
    except MusicPresetBroken as error:
        raise ConfigBroken(f"[music] {error.place}", error.problem, error.near) from None
    chosen, allowed_ones = (
        settings.studio.maker,
        allowed_presets(makers, commercial=settings.studio.commercial),
    )
    if chosen not in allowed_ones:
        problem = (
            f"{chosen} may not be used commercially" if chosen in makers else f"there is no maker {chosen}"
        )
        raise ConfigBroken("[studio] maker", problem, closest_match(chosen, allowed_ones))
    return {name: makers[name] for name in allowed_ones}


def read_policy(settings: Settings) -> PromptPolicy:
    """The shipped rules; the one that protects the young holds whatever else is set."""
    rules = settings.rules
    off = [name for name, held in (("adult", rules.adult), ("people", rules.people)) if not held]
    folder = config_folder() / "rules"
    read = {name: tomllib.loads((folder / f"{name}.toml").read_text("utf-8")) for name in ("rules", "words")}
    if not rules.real_persons:
        del read["words"]["persons"]
    return PromptPolicy.from_tables(
        rules=read["rules"],
        word_lists=read["words"],
        operator_words=_split_list(rules.words),
        person_names=_split_list(rules.persons),
        allowed_scripts=_allowed_scripts(rules.scripts),
        disabled_rules=off,
    )


def _allowed_scripts(text: str) -> frozenset[str]:
    """Those that may be written in; Japanese is also written in Chinese characters."""
    known = tuple(sorted(set(SCRIPTS.values())))
    chosen = frozenset(_split_list(text.lower()))
    for script in sorted(chosen - set(known)):
        raise ConfigBroken("[rules] scripts", f"there is no {script}", closest_match(script, known))
    return chosen | {"chinese"} if "japanese" in chosen else chosen


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def operator_policy(settings: Settings) -> OperatorPolicy:
    quota = settings.quota
    return OperatorPolicy(
        default_model=settings.studio.model,
        maker=settings.studio.maker,
        allowance=Allowance(
            credits=quota.credits,
            zone=quota.zone,
            rolling=quota.rolling_hours * 3600 if quota.rolling_hours else None,
        ),
        caps=Caps(
            person=settings.queue.per_person,
            community=settings.queue.per_community,
            all=settings.queue.in_all,
            burst=settings.queue.burst or None,
            burst_seconds=settings.queue.burst_seconds,
        ),
        data_folder=settings.studio.data,
        min_free_disk=settings.studio.disk_floor_mb * 1_000_000,
        tiers=_read_tiers(settings.tables.get("tiers", {})),
        pools=_read_pools(settings.tables.get("pools", {})),
        admins_unlimited=quota.admins_unlimited,
        engine_slots=settings.engine.slots,
    )


def _read_tiers(tables: Mapping[str, Any]) -> tuple[Tier, ...]:
    """[tiers.patron] of matinee.toml, in the order they stand there."""
    tiers = []
    for name, table in tables.items():
        for key in unknown_fields(Tier, table):
            raise ConfigBroken(
                f"[tiers.{name}] {key}", "unknown key", closest_match(key, tuple(Tier.__slots__))
            )
        sets = {key: frozenset(map(str, table[key])) for key in ("roles", "chats", "people") if key in table}
        tiers.append(Tier(**{**table, **sets, "name": name}))
    return tuple(tiers)


def _read_pools(tables: Mapping[str, Any]) -> dict[str, int]:
    """[pools] "discord:7" = 200"""
    for key, credits_ in tables.items():
        if type(credits_) is not int or credits_ < 0:
            raise ConfigBroken(f"[pools] {key}", "should be a whole number of credits")
    return dict(tables)


def lossy_measurements() -> Mapping[str, Mapping[str, Any]]:
    """What each lossy option was measured to cost and bring."""
    file = config_folder() / "lossy.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def resources(settings: Settings) -> Resources:
    """What the models may use of this machine."""
    chosen = settings.engine
    return Resources(
        device=chosen.device,
        gigabytes=chosen.memory_gb,
        lossy=chosen.lossy,
        compile=chosen.compile,
        cache_folder=str(settings.studio.data.absolute() / "compiled"),
    )


def backup_folder(settings: Settings) -> Path:
    """Where backups go unless a person names a place."""
    chosen = settings.upkeep.backup_folder
    return Path(chosen).expanduser() if chosen else settings.studio.data / backups.BACKUP_FOLDER


def metrics_output(settings: Settings) -> MetricsOutput:
    """Where figures for Prometheus go, if anywhere."""
    chosen = settings.upkeep
    file = Path(chosen.metrics_file).expanduser() if chosen.metrics_file else None
    return MetricsOutput(file=file, port=chosen.metrics_port)


def unused_balance(allowance: Allowance) -> Balance:
    """The balance of somebody who has never asked for anything."""
    now = time.time()
    return Balance(
        limit=allowance.credits,
        used=0,
        granted=0,
        back_at=allowance.window(now)[1],
        unlimited=allowance.unlimited,
    )
