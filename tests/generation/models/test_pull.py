"""Weights are brought from a hub: whole, safe, no more than needed, and again only what is lacking."""

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
from generation.models.common.pull import is_here, pull, sources
from generation.models.common.registry import Preset
from generation.music.common.preset import read_makers
from generation.request import Limits
from tests.generation.models.fake_hub import COMMIT, Hub, running

PRESET = Preset(
    name="small", family="ltx", title="Small", source="some/model", limits=Limits(width=64, height=64)
)
PARTS = {
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
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with running() as server:
        server.files["some/model"] = dict(PARTS)
        yield server


def fetch(hub: Hub, preset: Preset = PRESET) -> tuple[dict[str, str], list[tuple[int, int]]]:
    heard: list[tuple[int, int]] = []
    commits = pull(preset, lambda done, total: heard.append((done, total)), endpoint=hub.url)
    return commits, heard


def names(hub: Hub) -> set[str]:
    return {entry.split("@")[0] for entry in hub.served}


def test_a_pipelines_parts_come_and_nothing_beside_them(hub: Hub) -> None:
    assert not is_here(PRESET)
    commits, heard = fetch(hub)
    assert commits == {"some/model": COMMIT}
    assert names(hub) == {
        "model_index.json",
        "vae/config.json",
        "vae/model.safetensors",
        "transformer/model.safetensors",
    }
    assert is_here(PRESET)
    assert heard[0] == (0, 403_005)
    assert heard[-1] == (403_005, 403_005)
    assert heard == sorted(heard)


def test_a_variant_is_taken_where_there_is_one(hub: Hub) -> None:
    fetch(hub, replace(PRESET, options={"variant": "fp16"}))
    assert {"vae/model.fp16.safetensors", "transformer/model.safetensors"} <= names(hub)
    assert "vae/model.safetensors" not in names(hub)


def test_what_is_here_is_not_brought_again(hub: Hub) -> None:
    fetch(hub)
    hub.served.clear()
    assert fetch(hub)[1] == [(403_005, 403_005)]
    assert hub.served == []


def test_a_broken_line_goes_on_where_it_broke(hub: Hub) -> None:
    hub.files["some/model"]["transformer/model.safetensors"] = b"t" * 12_000_000  # the client writes by 10 MB
    hub.cut_after = 11_000_000
    try:
        fetch(hub)
    except HubUnreachable:
        fetch(hub)
    assert is_here(PRESET)
    assert any(entry.startswith("transformer") and not entry.endswith("@0") for entry in hub.served)


def test_a_repository_of_pickles_is_refused_before_a_byte(hub: Hub) -> None:
    hub.files["some/model"] = {"model_index.json": b"{}", "vae/model.bin": b"p"}
    with pytest.raises(ModelBroken):
        fetch(hub)
    assert hub.served == []


def test_a_gated_one_says_so(hub: Hub) -> None:
    hub.gated.add("some/model")
    with pytest.raises(ModelGated):
        fetch(hub)


def test_an_unknown_one_says_so(hub: Hub) -> None:
    with pytest.raises(ModelBroken):
        fetch(hub, replace(PRESET, source="nobody/nothing"))


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_not_there_says_so() -> None:
    with pytest.raises(HubUnreachable):
        pull(PRESET, lambda *_: None, endpoint="http://127.0.0.1:9")


def test_too_little_room_is_seen_before_a_byte(hub: Hub) -> None:
    files = hub.files["some/model"]

    class Huge(bytes):
        def __len__(self) -> int:
            return 10**16

    files["transformer/model.safetensors"] = Huge()
    with pytest.raises(DiskFull):
        fetch(hub)
    assert hub.served == []


def test_styles_and_cameras_are_part_of_a_preset() -> None:
    options = {
        "styles": {"a": "x/a", "b": "x/b"},
        "cameras": {"in": "y/in"},
        "files": {"4": "four.safetensors"},
    }
    assert sources(replace(PRESET, options=options)) == ("some/model", "x/a", "x/b", "y/in")


def test_of_an_adapter_only_the_named_files_come(hub: Hub) -> None:
    hub.files["some/model"] = {"four.safetensors": b"4", "eight.safetensors": b"8", "config.json": b"{}"}
    fetch(hub, replace(PRESET, options={"files": {"4": "four.safetensors"}}))
    assert names(hub) == {"four.safetensors", "config.json"}


def test_a_music_makers_weights_come_the_same_way(hub: Hub) -> None:
    hub.files["some/music"] = {
        "config.json": b"{}",
        "spiece.model": b"s" * 30,
        "model.safetensors": b"m" * 900,
        "state_dict.bin": b"p" * 900,
    }
    tables = {"player": {"maker": "musicgen", "title": "Player", "source": "some/music"}}
    maker = read_makers(tables)["player"]
    assert not is_here(maker)
    assert pull(maker, lambda *_: None, endpoint=hub.url) == {"some/music": COMMIT}
    assert names(hub) == {"config.json", "spiece.model", "model.safetensors"}
    assert is_here(maker)


def test_a_part_of_which_there_are_only_pickles_is_named_before_a_byte(hub: Hub) -> None:
    del hub.files["some/model"]["vae/model.safetensors"]
    del hub.files["some/model"]["vae/model.fp16.safetensors"]
    with pytest.raises(ModelBroken, match="vae"):
        fetch(hub)
    assert hub.served == []


def test_a_pull_that_was_cut_short_is_not_here_yet(hub: Hub) -> None:
    index = {"_class_name": "LTXPipeline", "vae": ["a", "B"], "transformer": ["a", "B"]}
    hub.files["some/model"]["model_index.json"] = json.dumps(index).encode()
    fetch(hub)
    assert is_here(PRESET)
    shutil.rmtree(next(Path(constants.HF_HUB_CACHE).rglob("transformer")))
    assert not is_here(PRESET)
    with pytest.raises(ModelMissing):
        weights.find(PRESET, ("LTXPipeline",))


def test_a_pinned_commit_is_the_one_that_comes_and_is_used(hub: Hub) -> None:
    pinned = replace(PRESET, revisions={"some/model": COMMIT})
    assert fetch(hub, pinned)[0] == {"some/model": COMMIT}
    assert is_here(pinned)
    assert not is_here(replace(PRESET, revision="f" * 40))
    with pytest.raises(ModelBroken, match="f" * 40):
        fetch(hub, replace(PRESET, revision="f" * 40))


def test_what_was_pulled_is_written_down_and_used_from_then_on(tmp_path: Path) -> None:
    assert weights_lock.pinned(PRESET, weights_lock.read(tmp_path)) == PRESET
    weights_lock.write(tmp_path, {"some/model": COMMIT, "an/other": "a" * 40})
    weights_lock.write(tmp_path, {"an/other": "b" * 40})
    commits = weights_lock.read(tmp_path)
    assert commits == {"some/model": COMMIT, "an/other": "b" * 40}
    assert weights_lock.pinned(PRESET, commits).pin("some/model") == COMMIT
    named = replace(PRESET, revision="c" * 40)
    assert weights_lock.pinned(named, commits).pin("some/model") == "c" * 40


@pytest.mark.parametrize("text", ["= =", '"some/model" = 3'])
def test_a_broken_list_of_commits_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / weights_lock.FILE).write_text(text)
    with pytest.raises(PresetBroken, match=weights_lock.FILE):
        weights_lock.read(tmp_path)
