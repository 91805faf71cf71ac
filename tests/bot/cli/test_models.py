"""`matinee models`, `models pull` and the errors of broken models, as an operator uses them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.cli.test_make import run_matinee, spent, states
from tests.generation.models import fake_hub
from tests.generation.models.conftest import build_preset

OWN_MODEL_TOML = """
[models.small]
family = "ltx"
title = "Small"
source = "some/model"
licence = "MIT"
memory = {{ resident = 0.1 }}
gated = false
{more}
[models.small.limits]
width = 64
height = 64
min_side = 32
side_multiple = 32
frame_step = 8
frame_offset = 1
fps = 8.0
seconds = 1.1
steps = 2
kinds = ["video", "animate"]
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
]
MAKE_FOX = ("make", "a fox", "--model", "small", "--no-music", "--json")


@pytest.fixture
def model_hub(tmp_path: Path) -> Iterator[tuple[fake_hub.FakeHub, dict[str, str]]]:
    """A hub with a tiny model, and the environment variables of its client."""
    (tmp_path / "matinee.toml").write_text(OWN_MODEL_TOML.format(more=""))
    with fake_hub.running_hub() as server:
        server.files["some/model"] = {"README.md": b"# A model"}
        yield (
            server,
            {
                "HF_ENDPOINT": server.url,
                "HF_HOME": str(tmp_path / "hf"),
                "HF_HUB_DISABLE_XET": "1",
                "OMP_NUM_THREADS": "1",
            },
        )


def tiny_model_files(folder: Path) -> dict[str, bytes]:
    build_preset("ltx", folder)
    root = folder / "weights"
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_a_pulled_model_works_offline_and_damage_is_reported(
    tmp_path: Path, model_hub: tuple[fake_hub.FakeHub, dict[str, str]]
) -> None:
    server, variables = model_hub
    server.files["some/model"] = tiny_model_files(tmp_path / "built")
    code, out, err = run_matinee(tmp_path, "models", "pull", "small", **variables)
    assert (code, "Traceback" in err) == (0, False), err
    assert fake_hub.COMMIT in out + err
    assert fake_hub.COMMIT in (tmp_path / "data" / "models.lock.toml").read_text()

    before = list(server.served_files)
    code, out, err = run_matinee(tmp_path, *MAKE_FOX, **variables, HF_HUB_OFFLINE="1")
    assert code == 0, err
    assert (tmp_path / json.loads(out)["clip"]).is_file()
    assert server.served_files == before

    blob = max((tmp_path / "hf").rglob("blobs/*"), key=lambda file: file.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[9] ^= 0x10
    blob.write_bytes(data)
    paid = spent(tmp_path)
    code, out, err = run_matinee(tmp_path, *MAKE_FOX[:-1], **variables)
    assert (code, spent(tmp_path), "Traceback" in err) == (1, paid, False)
    assert "damaged" in err


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("gated", "accept its terms"),
        ("pickled", "pickled"),
        ("full", "disk is full"),
        ("nowhere", "not on the hub"),
        ("offline", "cannot be reached"),
        ("unknown", "Did you mean"),
    ],
)
def test_a_failed_pull_explains_why(
    tmp_path: Path, model_hub: tuple[fake_hub.FakeHub, dict[str, str]], case: str, message: str
) -> None:
    server, variables = model_hub
    server.files["some/model"] |= {"model_index.json": b"{}", "vae/model.safetensors": b"v" * 99}
    match case:
        case "gated":
            server.gated.add("some/model")
        case "pickled":
            server.files["some/model"]["unet/model.bin"] = b"cos"
        case "full":
            server.reported_sizes["vae/model.safetensors"] = 10**17
        case "nowhere":
            del server.files["some/model"]
        case "offline":
            variables["HF_HUB_OFFLINE"] = "1"
    name = "smal" if case == "unknown" else "small"
    code, out, err = run_matinee(tmp_path, "models", "pull", name, **variables)
    assert code in {2, 3}
    assert message in out + err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("licens = 'MIT'", "licence"),
        ("options = { lossy = ['frist_block'] }", "first_block"),
        ("options = { atention = 'flash' }", "attention"),
    ],
)
def test_a_broken_preset_is_reported_at_startup(tmp_path: Path, more: str, message: str) -> None:
    (tmp_path / "matinee.toml").write_text(OWN_MODEL_TOML.format(more=more))
    code, _, err = run_matinee(tmp_path, "models")
    assert (code, "Traceback" in err) == (3, False)
    assert "small" in err
    assert message in err


def test_one_field_is_overridden_and_a_licence_hides_a_model(tmp_path: Path) -> None:
    (tmp_path / "matinee.toml").write_text(
        '[studio]\ncommercial = true\nterritory = "EU"\n[models.ltx]\ncost = 9.0\n'
    )
    code, out, _ = run_matinee(tmp_path, "models", "--json", "--card", "T4:16")
    assert code == 0
    found = {model["name"]: model for model in json.loads(out)}
    assert (found["ltx"]["cost"], found["ltx"]["family"]) == (9.0, "ltx")
    assert not {"modelscope", "videocrafter2", "hunyuan15"} & found.keys()
    assert found["ltx"]["fits"] == ["lean", "offload", "group"]
    assert found["ltx2"]["fits"] == ["group"]
    assert "int8" in found["wan"]["lossy"]


def test_doctor_says_how_each_model_fits_on_another_card(tmp_path: Path) -> None:
    code, out, _ = run_matinee(tmp_path, "doctor", "--json", "--card", "RTX 3060:12")
    assert code == 0
    details = {finding["what"]: finding["detail"] for finding in json.loads(out)}
    assert details["ltx"].startswith("offload on cuda in bfloat16, about 12 GB")
    assert "too small: 14 GB are the least" in details["hunyuan15"]


@pytest.mark.parametrize(
    ("case", "message"),
    [("class", "FluxPipeline"), ("pickled", "pickled")],
)
def test_a_broken_model_folder_is_reported_and_refunded(tmp_path: Path, case: str, message: str) -> None:
    build_preset("ltx", tmp_path / "built")
    folder = tmp_path / "built" / "weights"
    index = folder / "model_index.json"
    if case == "class":
        index.write_text(index.read_text().replace("LTXPipeline", "FluxPipeline"))
    else:
        for file in (folder / "transformer").glob("*.safetensors"):
            shutil.move(file, file.with_suffix(".bin"))
    (tmp_path / "matinee.toml").write_text(OWN_MODEL_TOML.format(more="").replace("some/model", str(folder)))
    code, out, err = run_matinee(tmp_path, *MAKE_FOX[:-1], OMP_NUM_THREADS="1")
    assert (code, states(tmp_path), spent(tmp_path)) == (1, {1: "failed"}, 0), err
    assert message in out + err
    assert "Traceback" not in out + err


MEMORY_HUNGRY_PLUGIN = """
from generation.models.common.registry import picture_model
from generation.models.ltx import Ltx

@picture_model("hungry")
class Hungry(Ltx):
    def frames_from_output(self, output, request):
        import torch
        torch.empty(1 << 50)  # more than any machine has
        return super().frames_from_output(output, request)
"""


def test_a_plugin_model_out_of_memory_is_reported_and_refunded(
    tmp_path: Path,
) -> None:
    build_preset("ltx", tmp_path / "built")
    (tmp_path / "hungry.py").write_text(MEMORY_HUNGRY_PLUGIN)
    own = OWN_MODEL_TOML.format(more="").replace("some/model", str(tmp_path / "built" / "weights"))
    own = own.replace('family = "ltx"', 'family = "hungry"')
    (tmp_path / "matinee.toml").write_text('[engine]\nplugins = ["hungry"]\n' + own)
    code, out, err = run_matinee(tmp_path, *MAKE_FOX, OMP_NUM_THREADS="1")
    assert (code, states(tmp_path), spent(tmp_path)) == (1, {1: "failed"}, 0), err
    assert json.loads(out)["error"]["kind"] == "OutOfMemory"
    assert "not enough memory" in json.loads(out)["error"]["message"]
