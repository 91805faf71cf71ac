"""Turns the settings into checked values for the other packages."""

from __future__ import annotations

import importlib
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.domain.errors import ConfigBroken
from bot.domain.operator import OperatorPolicy
from bot.domain.quota import Allowance, Balance, Tier
from bot.i18n import messages
from bot.moderation.clip_inspection import ClassifyFile, ClipInspector, InspectionVerdict
from bot.moderation.prompt_policy import GRADED_RULES, PromptPolicy, read_rules, read_word_lists
from bot.moderation.text_normalization import SCRIPTS
from bot.runtime.frontend_registry import FrontendFactories
from bot.runtime.sections import TierSettings
from bot.runtime.setting_values import build_table
from bot.runtime.settings import Settings, config_folder
from bot.store.store import Store
from generation.errors import PresetBroken
from generation.media import nsfw
from generation.media.nsfw_process import NsfwProcess
from generation.models.common import weights_lock
from generation.models.common.memory_plan import Resources
from generation.models.common.preset import Preset, is_licence_allowed, read_presets
from generation.models.common.registry import check_preset
from generation.music.common.genre_tables import Genre, GenreBroken, read_genres
from generation.music.common.preset import MusicPreset, MusicPresetBroken, allowed_presets, read_music_presets
from generation.request import closest_match

NUDENET_MISSING = "asks to inspect every clip ({then}), but nudenet is missing: pip install 'matinee[safety]'"


MAX_POOL_CREDITS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class NamedTables:
    """The models, genres and music makers of the settings, read and checked."""

    presets: Mapping[str, Preset]
    genres: Mapping[str, Genre]
    makers: Mapping[str, MusicPreset]


def clip_inspection(settings: Settings) -> str:
    """What happens to a clip that shows nudity, or "off". By default nudenet inspects if it is there."""
    chosen = settings.rules.after
    if chosen != "auto":
        return chosen
    return InspectionVerdict.SPOILER.value if nsfw.available() else "off"


def build_nsfw_process(settings: Settings) -> NsfwProcess | None:
    """The process that inspects finished clips, if the rules ask for it; may raise ConfigBroken."""
    rules = settings.rules
    if clip_inspection(settings) == "off":
        return None
    if not nsfw.available():
        raise ConfigBroken("[rules] after", NUDENET_MISSING.format(then=rules.after))
    wanted = {label.strip().upper().replace(" ", "_") for label in rules.after_sees}
    known = tuple(sorted(label.lower() for label in nsfw.LABELS))
    for label in sorted(wanted - nsfw.LABELS):
        raise ConfigBroken("[rules] after_sees", f"there is no {label.lower()}", closest_match(label, known))
    return NsfwProcess(labels=wanted or nsfw.EXPLICIT, nice=settings.engine.nice)


def build_inspector(settings: Settings, store: Store, inspect_file: ClassifyFile) -> ClipInspector:
    rules = settings.rules
    return ClipInspector(
        store=store,
        classify=inspect_file,
        verdict_if_seen=InspectionVerdict(clip_inspection(settings)),
        min_certainty=rules.after_certainty,
    )


def admin_chats(settings: Settings) -> tuple[str, ...]:
    """The chats that receive admin notices, such as `discord:9`."""
    for chat in settings.rules.admin_chats:
        settings.registry.check_admin_chat(chat)
    return settings.rules.admin_chats


def frontend_factories(settings: Settings) -> FrontendFactories:
    """A factory for every frontend that has what it needs."""
    return settings.registry.factories(
        settings.frontends,
        language=messages.nearest_language(settings.studio.language),
        inspects_clips=clip_inspection(settings) != "off",
    )


def import_plugins(settings: Settings) -> tuple[str, ...]:
    """Import the operator's own modules, so that presets can name what they register."""
    for name in settings.engine.plugins:
        try:
            importlib.import_module(name)
        except Exception as error:  # a plugin may raise anything
            problem = f"{name} cannot be imported ({type(error).__name__}: {error})"
            raise ConfigBroken("[engine] plugins", problem) from error
    return settings.engine.plugins


def read_tables(settings: Settings, *, locked: bool = True) -> NamedTables:
    """With `locked`, a model that names no commit is pinned to the one that was downloaded."""
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
    """The music makers whose licence allows this operator's use."""
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
    """The rules for prompts; the one that protects minors holds whatever the settings say."""
    from bot.moderation.text_classifier import bundled_classifier  # noqa: PLC0415  (numpy is slow to load)

    rules = settings.rules
    off = [name for name, held in (("adult", rules.adult), ("people", rules.people)) if not held]
    folder = config_folder() / "rules"
    word_lists = read_word_lists(folder)
    if not rules.real_persons:
        del word_lists["persons"]
    return PromptPolicy.from_tables(
        rules=read_rules(folder),
        word_lists=word_lists,
        operator_words=rules.words,
        person_names=rules.persons,
        allowed_scripts=_allowed_scripts(rules.scripts),
        disabled_rules=off,
        strictness={name: getattr(rules, name) for name in GRADED_RULES},
        classifier=bundled_classifier(),
    )


def _allowed_scripts(names: Iterable[str]) -> frozenset[str]:
    """The scripts that prompts may be written in; Japanese is also written in Chinese characters."""
    known = tuple(sorted(set(SCRIPTS.values())))
    chosen = frozenset(name.lower() for name in names)
    for script in sorted(chosen - set(known)):
        raise ConfigBroken("[rules] scripts", f"there is no {script}", closest_match(script, known))
    return chosen | {"chinese"} if "japanese" in chosen else chosen


def operator_policy(settings: Settings) -> OperatorPolicy:
    studio = settings.studio
    return OperatorPolicy(
        allowance=settings.quota.allowance(),
        caps=settings.queue.caps(),
        data_folder=studio.data,
        min_free_disk=studio.disk_floor_mb * 1_000_000,
        tiers=_read_tiers(settings.tables.get("tiers", {})),
        pools=_read_pools(settings.tables.get("pools", {})),
        admins_unlimited=settings.quota.admins_unlimited,
        engine_slots=settings.engine.slots,
        platforms=settings.registry.platforms,
        local_platforms=settings.registry.local_platforms,
        uploads=settings.queue.upload_limits(),
    )


def _read_tiers(tables: Mapping[str, Any]) -> tuple[Tier, ...]:
    """Each [tiers.<name>] of the operator's file, in the order they appear there."""
    return tuple(
        build_table(TierSettings, table, f"[tiers.{name}]").tier(name) for name, table in tables.items()
    )


def _read_pools(tables: Mapping[str, Any]) -> dict[str, int]:
    """The lines of [pools]: a community's key = its shared credits."""
    for key, credits_ in tables.items():
        if type(credits_) is not int or not 0 <= credits_ <= MAX_POOL_CREDITS:
            raise ConfigBroken(f"[pools] {key}", "should be a whole number of credits")
    return dict(tables)


def lossy_measurements() -> Mapping[str, Mapping[str, Any]]:
    """The measured cost and gain of each lossy option."""
    file = config_folder() / "lossy.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def resources(settings: Settings) -> Resources:
    """What the models may use of this machine."""
    return settings.engine.resources(settings.studio.data)


def unused_balance(allowance: Allowance) -> Balance:
    """The balance of a user who has never made a request."""
    now = time.time()
    return Balance(
        limit=allowance.credits,
        used=0,
        granted=0,
        back_at=allowance.window(now)[1],
        unlimited=allowance.unlimited,
    )
