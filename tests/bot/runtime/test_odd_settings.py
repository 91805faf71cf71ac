"""Numbers and texts that no setting can mean stop the start with a sentence, not later with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.errors import ConfigBroken
from bot.runtime import config, frontend_registry
from bot.runtime.setting_values import SettingValue, build_section
from bot.runtime.settings import SECTIONS, load

ODD_NUMBERS = ("nan", "inf", "-inf", "-1", "1e400", str(10**30), str(2**63), "9" * 5000)
NUMBERS = (
    "engine.slots", "engine.nice", "engine.start_seconds", "quota.credits", "quota.rolling_hours",
    "queue.in_all", "queue.burst_seconds", "queue.upload_mb_per_day", "upkeep.budget_gb",
    "upkeep.backup_hours", "upkeep.backup_keep", "upkeep.metrics_port", "telegram.webhook_port",
    "telegram.stars", "telegram.admins",
    "rules.after_certainty", "studio.disk_floor_mb", "studio.keep_days",
)  # fmt: skip
MODEL = '[models.mine]\nfamily = "testcard"\ntitle = "Mine"\n'


@pytest.mark.parametrize("number", ODD_NUMBERS, ids=lambda text: text[:12])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_no_computation_can_use_is_refused(name: str, number: str) -> None:
    section, _, key = name.partition(".")
    kind = {**SECTIONS, **frontend_registry.shipped().sections}[section]
    with pytest.raises(ConfigBroken, match=name):
        build_section(kind, {key: SettingValue(number, name, is_plain_text=True)})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[quota]\ncredits = " + "9" * 5000, "odd.toml"),
        ("[rules]\nwords = " + "[" * 5000, "odd.toml"),
        ("models = 5", "odd.toml, models"),
        ("genres = 'lofi'", "odd.toml, genres"),
        ('[pools]\n"discord:9" = 9223372036854775808', "[pools] discord:9"),
        ('[studio]\nmodel = "mine"\n' + MODEL + "limits = { width = 0, height = 64 }", "mine.limits.width"),
        (MODEL + "limits = { width = 64, height = 64, fps = 0.0 }", "mine.limits.fps"),
        (MODEL + "limits = { width = 64, height = 64, fps = nan }", "mine.limits.fps"),
        (MODEL + "limits = { width = 64, height = 64, max_seconds = inf }", "mine.limits.max_seconds"),
        (MODEL + "limits = { width = 64, height = 64, side_multiple = 0 }", "mine.limits.side_multiple"),
        (MODEL + "limits = { width = 64, height = 64, aspects = { x = [0, 0] } }", "mine.limits.aspects.x"),
        (MODEL + "cost = nan\nlimits = { width = 64, height = 64 }", "mine.cost"),
        (MODEL + "fast_steps = -1\nlimits = { width = 64, height = 64 }", "mine.fast_steps"),
        (
            MODEL + "limits = { width = 64, height = 64 }\nmemory = { resident = -1.0 }",
            "mine.memory.resident",
        ),
    ],
    ids=lambda text: text[-40:],
)
def test_an_odd_value_of_a_file_is_refused(text: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text, "utf-8")

    def start() -> None:
        settings = load(file=file, environment={})
        config.operator_policy(settings)
        config.read_tables(settings)

    with pytest.raises(ConfigBroken) as caught:
        start()
    assert place in caught.value.place


@pytest.mark.parametrize(
    "name", ["engine.slots", "queue.burst_seconds", "log.prompts", "log.level", "quota.zone"]
)
def test_a_flag_of_bytes_that_are_no_text_is_refused(name: str) -> None:
    """A shell passes on any bytes; Python gives them as lone surrogates."""
    with pytest.raises(ConfigBroken, match=name):
        load(environment={}, flags={name: "3\udcff"})


@pytest.mark.parametrize("text", ["data-\udcff", "~nobody-of-this-name/data"])
def test_a_data_folder_that_no_job_could_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigBroken, match=r"studio\.data"):
        load(environment={}, flags={"studio.data": text})


def test_a_path_that_no_system_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigBroken):
        load(file=tmp_path / "a\0b", environment={})
    with pytest.raises(ConfigBroken):
        load(environment={"DISCORD_TOKEN_FILE": "a\0b"})
