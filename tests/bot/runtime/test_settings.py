"""Settings come from four places in order, and a wrong one is named with its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from bot.domain.errors import ConfigBroken
from bot.domain.setting_types import Secret
from bot.runtime import frontend_registry
from bot.runtime.settings import SECTIONS, load

TOKEN = "123456789:AAHsecret-secret-secret-secret-secret"  # noqa: S105  (made up)


def write_config(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_setting_has_a_default() -> None:
    settings = load(environment={})
    assert set(SECTIONS) <= {f.name for f in fields(settings)}
    assert set(settings.frontends) == set(frontend_registry.shipped().sections)
    assert settings.engine.slots >= 1
    assert settings.origin is None


def test_later_sources_win(tmp_path: Path) -> None:
    file = write_config(tmp_path, "[engine]\nslots = 3\nnice = 4\n[quota]\ncredits = 7\n")
    environment = {"MATINEE_ENGINE_SLOTS": "5", "MATINEE_ENGINE_NICE": "6"}
    settings = load(file=file, environment=environment, flags={"engine.nice": "9"})
    assert (settings.quota.credits, settings.engine.slots, settings.engine.nice) == (7, 5, 9)


def test_an_operator_file_adds_and_overrides_models(tmp_path: Path) -> None:
    file = write_config(
        tmp_path, '[models.testcard]\ncost = 3.0\n[models.mine]\nfamily = "testcard"\ntitle = "Mine"\n'
    )
    models = load(file=file, environment={}).tables["models"]
    assert models["testcard"]["cost"] == 3.0
    assert models["testcard"]["title"]
    assert models["mine"]["title"] == "Mine"


@pytest.mark.parametrize(
    ("text", "place", "near"),
    [
        ("[engine]\nslotz = 3", "mine.toml, [engine] slotz", "slots"),
        ("[engin]\nslots = 3", "mine.toml, [engin]", "engine"),
        ("[engine]\nslots = 'three'", "mine.toml, [engine] slots", None),
        ("[engine]\nslots = 0", "mine.toml, [engine] slots", None),
        ("[engine]\nslots = 2.5", "mine.toml, [engine] slots", None),
        ("[engine]\nslots = true", "mine.toml, [engine] slots", None),
        ("[engine]\nstall_seconds = nan", "mine.toml, [engine] stall_seconds", None),
        ("[log]\nlevel = 'inf'", "mine.toml, [log] level", "info"),
        ("[log]\nprompts = 'perhaps'", "mine.toml, [log] prompts", None),
        ("[quota]\nzone = 'Mars/Olympus'", "mine.toml, [quota] zone", None),
        ("[studio]\nmodel = 3", "mine.toml, [studio] model", None),
        ("engine = 3", "mine.toml, engine", None),
    ],
)
def test_a_wrong_key_names_its_place(tmp_path: Path, text: str, place: str, near: str | None) -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(file=write_config(tmp_path, text), environment={})
    assert (caught.value.place, caught.value.near) == (place, near)


def test_a_broken_or_missing_file_is_named(tmp_path: Path) -> None:
    for file in (write_config(tmp_path, "[engine\n"), tmp_path / "absent.toml"):
        with pytest.raises(ConfigBroken) as caught:
            load(file=file, environment={})
        assert str(file) == caught.value.place


def test_an_unknown_variable_stops_the_start() -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(environment={"MATINEE_ENGINE_SLOT": "3"})
    assert caught.value.near == "MATINEE_ENGINE_SLOTS"


def test_an_unknown_flag_stops_the_start() -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(environment={}, flags={"engine.slot": "3"})
    assert (caught.value.place, caught.value.near) == ("--set engine.slot", "slots")


def test_tokens_come_from_usual_variables_or_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    settings = load(environment={"DISCORD_TOKEN": "abc", "TELEGRAM_TOKEN_FILE": str(file)})
    assert settings.frontends["discord"].token.reveal() == "abc"
    assert settings.frontends["telegram"].token.reveal() == TOKEN


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(environment={"DISCORD_TOKEN_FILE": str(tmp_path / "none")})
    assert caught.value.place == "DISCORD_TOKEN_FILE"


def test_secrets_never_print() -> None:
    settings = load(environment={"TELEGRAM_TOKEN": TOKEN})
    secret = settings.frontends["telegram"].token
    for text in (repr(settings), str(settings), f"{secret}", f"{secret!r}"):
        assert TOKEN not in text
    assert secret
    assert not Secret("")
