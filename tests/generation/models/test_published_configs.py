"""Every preset and music maker has its published configs, with sources, and they build at their true size."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.generation.models import published_configs
from tests.generation.models.published_configs import (
    CONFIG_FILES,
    PUBLISHED,
    SOURCE_FILE,
    WITHOUT_CONFIGS,
    WITHOUT_WEIGHTS,
    build_component,
    build_on_meta,
    build_transformers_model,
    components,
    count_parameters,
    names,
    names_with_configs,
    presets,
    read_source,
    repositories,
)

REPOSITORY = Path(__file__).parents[3]
KINDS = {"published", "quoted", "conversion script", "guess"}
KEY_LISTS = ("guess", "conversion_script", "library_default")
SIZE_TOLERANCE = 0.05
NAMES_WITH_CONFIGS = names_with_configs()
PIPELINES = [name for name in NAMES_WITH_CONFIGS if any(map(components, repositories(name)))]
TRANSFORMERS_MODELS = [name for name in NAMES_WITH_CONFIGS if name not in PIPELINES]


def read_json(*path: str) -> dict[str, Any]:
    config = json.loads(PUBLISHED.joinpath(*path).read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


def kept_files(name: str) -> set[str]:
    files = (file for file in (PUBLISHED / name).rglob("*") if file.is_file())
    return {file.relative_to(PUBLISHED / name).as_posix() for file in files} - {SOURCE_FILE}


def test_every_preset_and_music_maker_has_a_folder_and_no_folder_is_left_over() -> None:
    assert {folder.name for folder in PUBLISHED.iterdir() if folder.is_dir()} == set(names())


@pytest.mark.parametrize("name", names())
def test_it_describes_the_repository_that_the_preset_names(name: str) -> None:
    source, preset = read_source(name), presets()[name]
    assert source["source"] == preset.get("source", "")
    assert source.get("revision") == preset.get("revision")
    assert source["licence"]
    assert isinstance(source["notes"], list)


@pytest.mark.parametrize("name", names())
def test_the_size_of_a_download_is_the_one_that_was_counted(name: str) -> None:
    counted, preset = read_source(name).get("download_gb"), presets()[name]
    if counted is not None and preset.get("download"):
        assert preset["download"] == counted


@pytest.mark.parametrize("name", names())
def test_every_other_repository_of_a_preset_is_there(name: str) -> None:
    options = presets()[name].get("options", {})
    wanted = {*options.get("styles", {}).values(), *filter(None, [options.get("upscaler")])}
    assert {other["source"] for other in read_source(name).get("repositories", {}).values()} == wanted


@pytest.mark.parametrize("name", names())
def test_every_file_names_where_it_was_read(name: str) -> None:
    files = read_source(name).get("files", {})
    assert kept_files(name) == set(files)
    for file, facts in files.items():
        assert facts["where"]
        assert facts["kind"] in KINDS
        assert type(facts["read"]) is dt.date
        keys = [key for listed in KEY_LISTS for key in facts.get(listed, ())]
        assert set(keys) <= read_json(name, file).keys()
        assert len(keys) == len(set(keys))


def test_presets_without_configs_need_none() -> None:
    for name in set(names()) - set(NAMES_WITH_CONFIGS):
        source = read_source(name)
        assert source["weights"] in WITHOUT_CONFIGS
        assert (source["weights"] == "shipped") is (REPOSITORY / source.get("folder", "no")).is_dir()


def test_every_guessed_key_is_listed() -> None:
    listed = published_configs.GUESSES_FILE.read_text(encoding="utf-8")
    assert listed == published_configs.guesses_page(), (
        "run: python -m tests.generation.models.published_configs"
    )


def test_the_facts_that_library_defaults_hide() -> None:
    """Keys that differ from what tiny pipelines had, each found to matter."""
    ltx = read_json("ltx", "scheduler", "scheduler_config.json")
    assert (ltx["use_dynamic_shifting"], ltx["shift_terminal"]) == (True, 0.1)
    assert (ltx["base_shift"], ltx["max_shift"]) == (0.95, 2.05)
    assert read_json("ltx-distilled", "scheduler", "scheduler_config.json")["use_dynamic_shifting"] is False
    assert read_json("ltx-distilled", "vae", "config.json")["timestep_conditioning"] is True
    assert read_json("ltx2", "scheduler", "scheduler_config.json")["use_dynamic_shifting"] is True
    assert read_json("ltx2-distilled", "scheduler", "scheduler_config.json")["shift_terminal"] is None
    assert read_json("wan", "scheduler", "scheduler_config.json")["flow_shift"] == 3.0
    assert read_json("wan22", "scheduler", "scheduler_config.json")["flow_shift"] == 5.0
    assert read_json("hunyuan15", "scheduler", "scheduler_config.json")["shift"] == 5.0
    assert read_json("kandinsky5-lite", "transformer", "config.json")["visual_cond"] is True
    audio = read_json("stable-audio-open", "scheduler", "scheduler_config.json")
    assert audio["_class_name"] == "CosineDPMSolverMultistepScheduler"
    assert (audio["sigma_min"], audio["sigma_max"], audio["sigma_schedule"]) == (0.3, 500, "exponential")
    assert read_json("ace-step", "scheduler", "scheduler_config.json")["num_train_timesteps"] == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore::DeprecationWarning")
class TestBuilding:
    """The installed libraries know every class, and every config fits its class."""

    @pytest.mark.parametrize("name", PIPELINES)
    def test_every_class_exists_and_builds_at_its_published_size(self, name: str) -> None:
        import diffusers  # noqa: PLC0415  (heavy)

        source, counted = read_source(name), dict[str, float]()
        for repository in repositories(name):
            index = (
                read_json(*repository.relative_to(PUBLISHED).parts, "model_index.json")
                if components(repository)
                else {}
            )
            assert not index or hasattr(diffusers, index["_class_name"])
            for component in components(repository):
                kind = component.load_class()
                needed = source.get("needs", {}).get(component.name)
                if component.name in WITHOUT_WEIGHTS or not component.config_file.is_file():
                    assert component.name in (*WITHOUT_WEIGHTS, "safety_checker")
                elif needed and importlib.util.find_spec(needed) is None:
                    with pytest.raises(ImportError, match=needed):
                        build_component(component)
                elif component.name in CONFIG_FILES:
                    assert type(build_component(component)) is kind
                elif repository.name == name:
                    counted[component.name] = count_parameters(build_component(component))
                else:
                    assert count_parameters(build_component(component)) > 0
        check_sizes(name, counted)

    @pytest.mark.parametrize("name", TRANSFORMERS_MODELS)
    def test_a_model_of_transformers_builds_at_its_published_size(self, name: str) -> None:
        check_sizes(name, {"total": count_parameters(build_transformers_model(name))})

    def test_the_motion_adapter_builds_at_its_published_size(self) -> None:
        import diffusers  # noqa: PLC0415  (heavy)

        file = "not-published/motion_adapter.json"
        adapter = build_on_meta(diffusers.MotionAdapter, read_json("animatediff-lightning", file))
        defaults = build_on_meta(diffusers.MotionAdapter, {})
        assert count_parameters(adapter) == count_parameters(defaults)
        check_size(count_parameters(adapter), read_source("animatediff-lightning")["parameters"][file])


def check_sizes(name: str, counted: dict[str, float]) -> None:
    """Compare with SOURCE.toml, where `a+b` is the size of two components together."""
    for parts, published in read_source(name).get("parameters", {}).items():
        if not parts.endswith(".json"):
            check_size(sum(counted[part] for part in parts.split("+")), published)


def check_size(counted: float, published: float) -> None:
    assert counted == pytest.approx(published, rel=SIZE_TOLERANCE)
