"""Autocomplete for command options: genres, styles, models, and the user's own clips."""

from __future__ import annotations

from collections.abc import Iterable

from discord import app_commands

from bot.domain.jobs import WAITING_STATES, Job
from bot.frontends.discord.interaction_context import Interaction, language_of, viewer_of
from bot.i18n import messages
from bot.studio.studio import Studio
from generation.music.common.music_choice import NATIVE, SILENT, TEMPOS, instrument_names

Choices = list[app_commands.Choice[str]]
MAX_CHOICES = 25
RECENT_JOBS = 50


class Autocompleter:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    @property
    def seconds(self) -> tuple[float, float]:
        """The range over all models; the studio checks a wish against the limits of its own model."""
        limits = [preset.limits for preset in self._studio.presets.values()]
        return min(each.min_seconds for each in limits), max(each.max_seconds for each in limits)

    @property
    def aspects(self) -> tuple[str, ...]:
        names = (name for preset in self._studio.presets.values() for name in preset.limits.aspects)
        return tuple(dict.fromkeys(names))[:MAX_CHOICES] or ("1:1",)

    async def genre(self, interaction: Interaction, typed: str) -> Choices:
        known = {genre.title: name for name, genre in self._studio.genres.items()}
        language = language_of(interaction)
        special = {
            messages.translate("music.silence", language).capitalize(): SILENT,
            messages.translate("music.native", language).capitalize(): NATIVE,
        }
        return _matching_choices(known | special, typed)

    async def model(self, _: Interaction, typed: str) -> Choices:
        return _matching_choices(
            {f"{name}: {p.title}": name for name, p in self._studio.presets.items()}, typed
        )

    async def style(self, interaction: Interaction, typed: str) -> Choices:
        return _matching_choices(_identity_map(self._model_values(interaction, "styles")), typed)

    async def camera(self, interaction: Interaction, typed: str) -> Choices:
        return _matching_choices(_identity_map(self._model_values(interaction, "cameras")), typed)

    async def tempo(self, _: Interaction, typed: str) -> Choices:
        """Suggest the tempo words, or take any number of beats per minute."""
        number = typed.strip().lower().removesuffix("bpm").strip()
        own = {f"{number} bpm": number} if number.isdecimal() else {}
        return _matching_choices(own, "") or _matching_choices(_identity_map(TEMPOS), typed)

    async def instruments(self, _: Interaction, typed: str) -> Choices:
        """Complete the last item of a comma-separated list and keep the items before it."""
        before, _comma, last = typed.rpartition(",")
        kept = f"{before.strip()}, " if before.strip() else ""
        found = _matching_choices(_identity_map(instrument_names()), last.strip())
        texts = [f"{kept}{choice.value}" for choice in found]
        return [app_commands.Choice(name=text[-100:], value=text) for text in texts if len(text) <= 100]

    async def finished_clips(self, interaction: Interaction, typed: str) -> Choices:
        jobs = await self._studio.history(viewer_of(interaction), RECENT_JOBS)
        return _matching_choices(_job_choices(job for job in jobs if job.clip is not None), typed)

    async def own_jobs(self, interaction: Interaction, typed: str) -> Choices:
        jobs = await self._studio.history(viewer_of(interaction), RECENT_JOBS)
        return _matching_choices(_job_choices(jobs), typed)

    async def cancellable_jobs(self, interaction: Interaction, typed: str) -> Choices:
        jobs = await self._studio.history(viewer_of(interaction), RECENT_JOBS)
        return _matching_choices(_job_choices(job for job in jobs if job.state in WAITING_STATES), typed)

    def _model_values(self, interaction: Interaction, limit_name: str) -> tuple[str, ...]:
        """Return the values of the model chosen in this command, or of all models."""
        chosen = self._studio.presets.get(str(getattr(interaction.namespace, "model", "")))
        presets = [chosen] if chosen else self._studio.presets.values()
        return tuple(dict.fromkeys(word for preset in presets for word in getattr(preset.limits, limit_name)))


def _job_choices(jobs: Iterable[Job]) -> dict[str, str]:
    return {f"#{job.id} {messages.sanitized(job.request.prompt, 80)}": str(job.id) for job in jobs}


def _identity_map(words: Iterable[str]) -> dict[str, str]:
    return {word: word for word in words}


def _matching_choices(known: dict[str, str], typed: str) -> Choices:
    """Return the names that begin with the typed text, then those that contain it."""
    wanted = typed.strip().lower()
    begin = [name for name in known if name.lower().startswith(wanted)]
    contain = [name for name in known if wanted in name.lower() and name not in begin]
    return [
        app_commands.Choice(name=name[:100], value=known[name]) for name in (begin + contain)[:MAX_CHOICES]
    ]
