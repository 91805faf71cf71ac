"""The tables of the settings. A section that describes one value builds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta

from bot.domain.quota import Allowance, Caps, Tier, UploadLimits
from bot.domain.setting_types import Amount, AtLeastOne, Count, Port, Section, Share, Texts
from bot.maintenance import backups
from bot.maintenance.metrics import MetricsOutput
from bot.maintenance.scheduler import BackupSchedule
from generation.models.common.memory_plan import Resources

AtLeastOneSecond = Annotated[float, Meta(ge=1, le=1_000_000)]


class StudioSettings(Section, frozen=True):
    data: Path
    model: str
    maker: str
    language: str
    disk_floor_mb: Count
    keep_days: Count
    commercial: bool
    territory: str


class EngineSettings(Section, frozen=True):
    slots: AtLeastOne
    nice: Count
    start_seconds: AtLeastOneSecond
    stall_seconds: AtLeastOneSecond
    total_seconds: AtLeastOneSecond
    ffmpeg: str
    device: Literal["auto", "cpu", "cuda", "mps"]
    memory_gb: Amount
    lossy: bool
    compile: bool
    plugins: Texts

    def resources(self, data: Path) -> Resources:
        """What the models may use of this machine."""
        return Resources(
            device=self.device,
            gigabytes=self.memory_gb,
            lossy=self.lossy,
            compile=self.compile,
            cache_folder=str(data.absolute() / "compiled"),
        )


class QuotaSettings(Section, frozen=True):
    credits: Count
    zone: ZoneInfo
    rolling_hours: Amount
    admins_unlimited: bool

    def allowance(self) -> Allowance:
        return Allowance(
            credits=self.credits,
            zone=self.zone.key,
            rolling=self.rolling_hours * 3600 if self.rolling_hours else None,
        )


class QueueSettings(Section, frozen=True):
    per_person: AtLeastOne
    per_community: AtLeastOne
    in_all: AtLeastOne
    burst: Count
    burst_seconds: Amount
    upload_mb_per_day: Count
    affinity: Count

    def caps(self) -> Caps:
        return Caps(
            person=self.per_person,
            community=self.per_community,
            all=self.in_all,
            burst=self.burst or None,
            burst_seconds=self.burst_seconds,
        )

    def upload_limits(self) -> UploadLimits:
        return UploadLimits(
            burst=self.burst or None,
            burst_seconds=self.burst_seconds,
            bytes_per_day=self.upload_mb_per_day * 1_000_000,
        )


class RulesSettings(Section, frozen=True):
    violence: Literal["off", "lenient", "normal", "strict"]
    self_harm: Literal["lenient", "normal", "strict"]
    terror: Literal["lenient", "normal", "strict"]
    hate: Literal["lenient", "normal", "strict"]
    adult: bool
    people: bool
    real_persons: bool
    persons: Texts
    scripts: Texts
    words: Texts
    after: Literal["auto", "off", "spoiler", "hold", "refuse"]
    after_certainty: Share
    after_sees: Texts
    admin_chats: Texts


class UpkeepSettings(Section, frozen=True):
    budget_gb: Amount
    backup_hours: Amount
    backup_keep: AtLeastOne
    backup_folder: str
    metrics_file: str
    metrics_port: Port

    def folder_for_backups(self, data: Path) -> Path:
        """Where backups go unless a command names a place."""
        return Path(self.backup_folder).expanduser() if self.backup_folder else data / backups.BACKUP_FOLDER

    def backup_schedule(self, data: Path) -> BackupSchedule:
        return BackupSchedule(
            folder=self.folder_for_backups(data), every=self.backup_hours * 3600, keep=self.backup_keep
        )

    def metrics_output(self) -> MetricsOutput:
        """Where metrics for Prometheus go, if anywhere."""
        file = Path(self.metrics_file).expanduser() if self.metrics_file else None
        return MetricsOutput(file=file, port=self.metrics_port)


class LogSettings(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["auto", "console", "json"]
    prompts: bool


class TierSettings(Section, frozen=True):
    """One [tiers.<name>] of the operator's file."""

    credits: Count | None = None
    unlimited: bool = False
    weight: Amount = 1.0
    roles: tuple[str | int, ...] = ()
    chats: tuple[str | int, ...] = ()
    people: tuple[str | int, ...] = ()
    open: bool = False

    def tier(self, name: str) -> Tier:
        return Tier(
            name=name,
            credits=self.credits,
            unlimited=self.unlimited,
            weight=self.weight,
            roles=frozenset(map(str, self.roles)),
            chats=frozenset(map(str, self.chats)),
            people=frozenset(map(str, self.people)),
            open=self.open,
        )
