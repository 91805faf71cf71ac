"""Pulling weights from a hub: complete, safetensors only, only needed files, and only missing ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from generation.errors import DiskFull, HubUnreachable, ModelBroken, ModelGated, ModelMissing, PresetBroken
from generation.models.common import weights, weights_lock
from generation.models.common.pull import is_downloaded, pull, sources
from generation.models.common.registry import Preset
from generation.music.common.preset import read_music_presets
from tests.factories import make_preset
from tests.generation.models.fake_hub import COMMIT, FakeHub, running_hub

PRESET = make_preset("small", family="ltx", source="some/model")
REPOSITORY_FILES = {
    "model_index.json": b"{}",
    "README.md": b"words",
    "everything-in-one.safetensors": b"x" * 5000,
    "vae/config.json": b"{ }",
    "vae/model.safetensors": b"v" * 3000,
    "vae/model.fp16.safetensors": b"h" * 1500,
    "vae/model.bin": b"p" * 3000,
    "transformer/model.safetensors": b"t" * 400_000,
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with running_hub() as server:
        server.files["some/model"] = dict(REPOSITORY_FILES)
        yield server


def pull_from(hub: FakeHub, preset: Preset = PRESET) -> tuple[dict[str, str], list[tuple[int, int]]]:
    progress: list[tuple[int, int]] = []
    commits = pull(preset, lambda done, total: progress.append((done, total)), endpoint=hub.url)
    return commits, progress


def served_names(hub: FakeHub) -> set[str]:
    return {entry.split("@")[0] for entry in hub.served_files}


def test_only_the_files_of_a_pipeline_are_downloaded(hub: FakeHub) -> None:
    assert not is_downloaded(PRESET)
    commits, progress = pull_from(hub)
    assert commits == {"some/model": COMMIT}
    assert served_names(hub) == {
        "model_index.json",
        "vae/config.json",
        "vae/model.safetensors",
        "transformer/model.safetensors",
    }
    assert is_downloaded(PRESET)
    assert progress[0] == (0, 403_005)
    assert progress[-1] == (403_005, 403_005)
    assert progress == sorted(progress)


def test_a_variant_is_downloaded_where_it_exists(hub: FakeHub) -> None:
    pull_from(hub, replace(PRESET, options={"variant": "fp16"}))
    assert {"vae/model.fp16.safetensors", "transformer/model.safetensors"} <= served_names(hub)
    assert "vae/model.safetensors" not in served_names(hub)


def test_downloaded_files_are_not_fetched_again(hub: FakeHub) -> None:
    pull_from(hub)
    hub.served_files.clear()
    assert pull_from(hub)[1] == [(403_005, 403_005)]
    assert hub.served_files == []


def test_a_broken_download_is_resumed(hub: FakeHub) -> None:
    hub.files["some/model"]["transformer/model.safetensors"] = (
        b"t" * 12_000_000
    )  # the client writes in chunks of 10 MB
    hub.disconnect_after = 11_000_000
    try:
        pull_from(hub)
    except HubUnreachable:
        pull_from(hub)
    assert is_downloaded(PRESET)
    assert any(entry.startswith("transformer") and not entry.endswith("@0") for entry in hub.served_files)


def test_a_repository_of_pickles_is_refused_before_downloading(hub: FakeHub) -> None:
    hub.files["some/model"] = {"model_index.json": b"{}", "vae/model.bin": b"p"}
    with pytest.raises(ModelBroken):
        pull_from(hub)
    assert served_names(hub) == {"model_index.json"}


def test_a_gated_repository_is_reported(hub: FakeHub) -> None:
    hub.gated.add("some/model")
    with pytest.raises(ModelGated):
        pull_from(hub)


def test_an_unknown_repository_is_reported(hub: FakeHub) -> None:
    with pytest.raises(ModelBroken):
        pull_from(hub, replace(PRESET, source="nobody/nothing"))


@pytest.mark.usefixtures("hub")
def test_an_unreachable_hub_is_reported() -> None:
    with pytest.raises(HubUnreachable):
        pull(PRESET, lambda *_: None, endpoint="http://127.0.0.1:9")


def test_too_little_disk_space_is_reported_before_downloading(hub: FakeHub) -> None:
    files = hub.files["some/model"]

    class Huge(bytes):
        def __len__(self) -> int:
            return 10**16

    files["transformer/model.safetensors"] = Huge()
    with pytest.raises(DiskFull):
        pull_from(hub)
    assert served_names(hub) == {"model_index.json"}


def test_styles_and_cameras_are_part_of_a_preset() -> None:
    options = {
        "styles": {"a": "x/a", "b": "x/b"},
        "cameras": {"in": "y/in"},
        "files": {"4": "four.safetensors"},
    }
    assert sources(replace(PRESET, options=options)) == ("some/model", "x/a", "x/b", "y/in")


def test_only_the_named_files_of_an_adapter_are_downloaded(hub: FakeHub) -> None:
    hub.files["some/model"] = {"four.safetensors": b"4", "eight.safetensors": b"8", "config.json": b"{}"}
    pull_from(hub, replace(PRESET, options={"files": {"4": "four.safetensors"}}))
    assert served_names(hub) == {"four.safetensors", "config.json"}


def test_a_music_makers_weights_are_downloaded_the_same_way(hub: FakeHub) -> None:
    hub.files["some/music"] = {
        "config.json": b"{}",
        "spiece.model": b"s" * 30,
        "model.safetensors": b"m" * 900,
        "state_dict.bin": b"p" * 900,
    }
    tables = {"player": {"maker": "musicgen", "title": "Player", "source": "some/music"}}
    maker = read_music_presets(tables)["player"]
    assert not is_downloaded(maker)
    assert pull(maker, lambda *_: None, endpoint=hub.url) == {"some/music": COMMIT}
    assert served_names(hub) == {"config.json", "spiece.model", "model.safetensors"}
    assert is_downloaded(maker)


def test_a_pickle_only_component_is_named_before_downloading(hub: FakeHub) -> None:
    del hub.files["some/model"]["vae/model.safetensors"]
    del hub.files["some/model"]["vae/model.fp16.safetensors"]
    with pytest.raises(ModelBroken, match="vae"):
        pull_from(hub)
    assert served_names(hub) == {"model_index.json"}


def index_naming(*components: str, class_name: str = "LTXPipeline") -> bytes:
    return json.dumps({"_class_name": class_name, **{name: ["a", "B"] for name in components}}).encode()


def test_folders_that_the_pipeline_does_not_name_are_left_out(hub: FakeHub) -> None:
    hub.files["some/model"] |= {
        "model_index.json": index_naming("vae", "transformer"),
        "transformer_full/model.safetensors": b"f" * 900_000,
        "vae_decoder/openvino_model.bin": b"o" * 3000,
        "vae_decoder/config.json": b"{}",
    }
    _, progress = pull_from(hub)
    assert not any(name.startswith(("transformer_full", "vae_decoder")) for name in served_names(hub))
    assert progress[-1][0] < 900_000
    assert is_downloaded(PRESET)


def test_files_for_another_program_are_no_pickles(hub: FakeHub) -> None:
    hub.files["some/model"] |= {"vae/onnx/openvino_model.bin": b"o", "vae_encoder/openvino_model.bin": b"o"}
    pull_from(hub)
    assert is_downloaded(PRESET)


def test_a_pickled_safety_checker_is_not_needed(hub: FakeHub) -> None:
    parts = ("vae", "transformer", "safety_checker")
    hub.files["some/model"] |= {
        "model_index.json": index_naming(*parts, class_name="StableDiffusionPipeline"),
        "safety_checker/pytorch_model.bin": b"p",
    }
    pull_from(hub)
    assert is_downloaded(PRESET)
    folder = weights.find_folder("small", "some/model")
    (folder / "model_index.json").write_bytes(
        index_naming("safety_checker", class_name="StableDiffusionPipeline")
    )
    weights.check_pipeline("small", folder, ("StableDiffusionPipeline",))


def test_a_style_that_cannot_be_used_does_not_refuse_the_others(hub: FakeHub) -> None:
    pickled = {"model_index.json": index_naming("unet"), "unet/model.bin": b"p"}
    usable = {"model_index.json": index_naming("unet"), "unet/model.safetensors": b"u"}
    hub.files |= {"x/first": dict(usable), "x/pickled": pickled, "x/gated": dict(usable), "x/good": usable}
    hub.gated.add("x/gated")
    styles = {"a": "x/first", "b": "x/pickled", "c": "x/gated", "d": "x/good", "e": "x/gone"}
    preset = replace(PRESET, options={"styles": styles})
    skipped: list[tuple[str, str]] = []
    commits = pull(preset, lambda *_: None, endpoint=hub.url, on_skipped=lambda *style: skipped.append(style))
    assert skipped == [("b", "x/pickled"), ("c", "x/gated"), ("e", "x/gone")]
    assert set(commits) == {"some/model", "x/first", "x/good"}
    assert is_downloaded(preset)


def test_the_first_style_is_needed(hub: FakeHub) -> None:
    hub.files["x/pickled"] = {"model_index.json": index_naming("unet"), "unet/model.bin": b"p"}
    with pytest.raises(ModelBroken, match="pickled"):
        pull_from(hub, replace(PRESET, options={"styles": {"a": "x/pickled"}}))


def test_a_pull_that_was_interrupted_after_the_optional_styles_is_incomplete(hub: FakeHub) -> None:
    usable = {"model_index.json": index_naming("unet"), "unet/model.safetensors": b"u" * 12_000_000}
    hub.files |= {"x/first": usable, "x/other": {**usable, "unet/model.safetensors": b"u"}}
    preset = replace(PRESET, options={"styles": {"a": "x/first", "b": "x/other"}})
    del hub.files["x/first"]["unet/model.safetensors"]  # what an interruption leaves: no weights yet
    with pytest.raises(ModelBroken):
        pull_from(hub, preset)
    assert not is_downloaded(preset)


def test_an_interrupted_pull_does_not_count_as_downloaded(hub: FakeHub) -> None:
    index = {"_class_name": "LTXPipeline", "vae": ["a", "B"], "transformer": ["a", "B"]}
    hub.files["some/model"]["model_index.json"] = json.dumps(index).encode()
    pull_from(hub)
    assert is_downloaded(PRESET)
    shutil.rmtree(next(Path(constants.HF_HUB_CACHE).rglob("transformer")))
    assert not is_downloaded(PRESET)
    with pytest.raises(ModelMissing):
        weights.find_pipeline(PRESET, ("LTXPipeline",))


def test_a_pinned_commit_is_downloaded_and_used(hub: FakeHub) -> None:
    pinned = replace(PRESET, revisions={"some/model": COMMIT})
    assert pull_from(hub, pinned)[0] == {"some/model": COMMIT}
    assert is_downloaded(pinned)
    assert not is_downloaded(replace(PRESET, revision="f" * 40))
    with pytest.raises(ModelBroken, match="f" * 40):
        pull_from(hub, replace(PRESET, revision="f" * 40))


def test_pulled_commits_are_recorded_and_used_afterwards(tmp_path: Path) -> None:
    assert weights_lock.with_pinned_commits(PRESET, weights_lock.read_commits(tmp_path)) == PRESET
    weights_lock.write_commits(tmp_path, {"some/model": COMMIT, "an/other": "a" * 40})
    weights_lock.write_commits(tmp_path, {"an/other": "b" * 40})
    commits = weights_lock.read_commits(tmp_path)
    assert commits == {"some/model": COMMIT, "an/other": "b" * 40}
    assert weights_lock.with_pinned_commits(PRESET, commits).pinned_commit("some/model") == COMMIT
    named = replace(PRESET, revision="c" * 40)
    assert weights_lock.with_pinned_commits(named, commits).pinned_commit("some/model") == "c" * 40


@pytest.mark.parametrize("text", ["= =", '"some/model" = 3'])
def test_a_broken_list_of_commits_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / weights_lock.LOCK_FILE).write_text(text)
    with pytest.raises(PresetBroken, match=weights_lock.LOCK_FILE):
        weights_lock.read_commits(tmp_path)
