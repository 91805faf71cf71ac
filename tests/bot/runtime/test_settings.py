"""Settings come from four sources in order, and an error names the place of the wrong value."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from bot.domain.errors import ConfigBroken
from bot.domain.setting_types import Secret
from bot.runtime import config, frontend_registry
from bot.runtime.settings import SECTIONS, config_folder, load, remove_secrets

TOKEN = "123456789:AAHsecret-secret-secret-secret-secret"  # noqa: S105  (made up)


def write_config(folder: Path, text: str) -> Path:
    path = folder / "operator.toml"
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
        ("[engine]\nslotz = 3", "operator.toml, [engine] slotz", "slots"),
        ("[engin]\nslots = 3", "operator.toml, [engin]", "engine"),
        ("[engine]\nslots = 'three'", "operator.toml, [engine] slots", None),
        ("[engine]\nslots = 0", "operator.toml, [engine] slots", None),
        ("[engine]\nslots = 2.5", "operator.toml, [engine] slots", None),
        ("[engine]\nslots = true", "operator.toml, [engine] slots", None),
        ("[engine]\nstall_seconds = nan", "operator.toml, [engine] stall_seconds", None),
        ("[log]\nlevel = 'inf'", "operator.toml, [log] level", "info"),
        ("[log]\nprompts = 'perhaps'", "operator.toml, [log] prompts", None),
        ("[quota]\nzone = 'Mars/Olympus'", "operator.toml, [quota] zone", None),
        ("[studio]\nmodel = 3", "operator.toml, [studio] model", None),
        ("engine = 3", "operator.toml, engine", None),
    ],
)
def test_an_error_names_the_place_of_the_wrong_value(
    tmp_path: Path, text: str, place: str, near: str | None
) -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(file=write_config(tmp_path, text), environment={})
    assert (caught.value.place, caught.value.near) == (place, near)


def test_lists_come_from_toml_the_environment_and_flags(tmp_path: Path) -> None:
    file = write_config(tmp_path, '[rules]\nwords = ["a b ", "", "c*"]\nscripts = ["latin"]\n')
    settings = load(
        file=file,
        environment={"MATINEE_RULES_SCRIPTS": "latin, greek,", "MATINEE_RULES_PERSONS": ""},
        flags={"telegram.admins": "12, 34"},
    )
    assert (settings.rules.words, settings.rules.scripts) == (("a b", "c*"), ("latin", "greek"))
    assert (settings.rules.persons, settings.frontends["telegram"].admins) == ((), (12, 34))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[rules]\nwords = "word, stem*"', 'should be a list: ["word", "stem*"]'),
        ('[rules]\npersons = ""', "should be a list: []"),
        ('[telegram]\nadmins = "12, 34"', "should be a list: [12, 34]"),
        ("[telegram]\nadmins = 12", "should be a list of numbers"),
        ("[engine]\nplugins = [1]", "should be a list of texts in quotes"),
        ("[engine]\nslots = 2.5", "should be a whole number"),
        ("[engine]\nslots = 0", "should be at least 1"),
        ("[engine]\nmemory_gb = true", "should be a number"),
        ("[rules]\nafter_certainty = 1.5", "should be at most 1"),
        ("[log]\nlevel = 'inf'", "should be one of debug, info, warning, error"),
        ("[log]\nprompts = 'perhaps'", "should be true or false"),
        ("[studio]\nmodel = 3", "should be text in quotes"),
        ("[quota]\nzone = 'Mars/Olympus'", "'Mars/Olympus' is no time zone; an example is Europe/Berlin"),
    ],
)
def test_an_error_says_what_the_value_should_be(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(file=write_config(tmp_path, text), environment={})
    assert caught.value.problem == problem


def test_every_default_can_also_be_set_in_the_environment() -> None:
    defaults = tomllib.loads((config_folder() / "default.toml").read_text(encoding="utf-8"))
    environment = {
        f"MATINEE_{section}_{key}".upper(): ",".join(value) if isinstance(value, list) else str(value)
        for section, table in defaults.items()
        for key, value in table.items()
    }
    by_default, from_environment = load(environment={}), load(environment=environment)
    assert set(defaults) == set(SECTIONS) | set(by_default.frontends)
    for section in SECTIONS:
        assert getattr(from_environment, section) == getattr(by_default, section)
    assert repr(from_environment.frontends) == repr(by_default.frontends)  # secrets have no equality


def test_tiers_are_checked_like_settings(tmp_path: Path) -> None:
    text = '[tiers.patron]\ncredits = 50\nroles = [123, "456"]\nopen = true\n'
    [tier] = config.operator_policy(load(file=write_config(tmp_path, text), environment={})).tiers
    assert (tier.name, tier.credits, tier.roles, tier.open) == ("patron", 50, frozenset({"123", "456"}), True)
    for wrong, place in (
        ("credit = 3", "[tiers.patron] credit"),
        ("credits = 'x'", "[tiers.patron] credits"),
    ):
        settings = load(file=write_config(tmp_path, f"[tiers.patron]\n{wrong}\n"), environment={})
        with pytest.raises(ConfigBroken) as caught:
            config.operator_policy(settings)
        assert caught.value.place == place


def test_a_broken_or_missing_file_is_reported(tmp_path: Path) -> None:
    for file in (write_config(tmp_path, "[engine\n"), tmp_path / "absent.toml"):
        with pytest.raises(ConfigBroken) as caught:
            load(file=file, environment={})
        assert str(file) == caught.value.place


def test_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(environment={"MATINEE_ENGINE_SLOT": "3"})
    assert caught.value.near == "MATINEE_ENGINE_SLOTS"


def test_an_unknown_flag_is_an_error() -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(environment={}, flags={"engine.slot": "3"})
    assert (caught.value.place, caught.value.near) == ("--set engine.slot", "slots")


def test_tokens_come_from_their_variables_or_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    settings = load(environment={"DISCORD_TOKEN": "abc", "TELEGRAM_TOKEN_FILE": str(file)})
    assert settings.frontends["discord"].token.reveal() == "abc"
    assert settings.frontends["telegram"].token.reveal() == TOKEN


def test_a_missing_secret_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(environment={"DISCORD_TOKEN_FILE": str(tmp_path / "none")})
    assert caught.value.place == "DISCORD_TOKEN_FILE"


def test_secrets_are_never_printed() -> None:
    settings = load(environment={"TELEGRAM_TOKEN": TOKEN})
    secret = settings.frontends["telegram"].token
    for text in (repr(settings), str(settings), f"{secret}", f"{secret!r}"):
        assert TOKEN not in text
    assert secret
    assert not Secret("")


def test_prompts_are_logged_only_if_the_operator_asks_for_it() -> None:
    assert not load(environment={}).log.prompts


@pytest.mark.parametrize("keep_hub_token", [False, True])
def test_secrets_leave_the_environment_after_they_were_read(*, keep_hub_token: bool) -> None:
    environment = {
        "DISCORD_TOKEN": "a",
        "TELEGRAM_TOKEN": "b",
        "MATINEE_TELEGRAM_TOKEN": "c",
        "HF_TOKEN": "d",
        "MATINEE_STUDIO_MODEL": "testcard",
        "PATH": "/bin",
    }
    settings = load(environment=environment)
    remove_secrets(environment, settings.registry, keep_hub_token=keep_hub_token)
    expected = {"MATINEE_STUDIO_MODEL": "testcard", "PATH": "/bin"}
    assert environment == expected | ({"HF_TOKEN": "d"} if keep_hub_token else {})
    assert settings.frontends["discord"].token.reveal() == "a"
