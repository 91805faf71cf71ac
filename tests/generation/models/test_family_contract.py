"""The contract of every family, tested on its real pipeline with tiny random weights and no network."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.pipelines.ltx.modeling_latent_upsampler import LTXLatentUpsamplerModel
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file, save_file

from generation import Cancelled, Kind, Request
from generation.clip import Frames
from generation.errors import AttachmentRefused, ModelBroken, ModelMissing, NotOffered
from generation.models.common.diffusers_pipeline import DiffusersModel
from generation.models.common.registry import MemoryPlan, Preset, families, load
from tests.generation.models import tiny_pipelines
from tests.generation.models.conftest import tiny_request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::FutureWarning:diffusers"
    ),  # about schedulers' configs, raised inside the library
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside the libraries at import
    pytest.mark.timeout(300),
]
PIPELINES = sorted(set(families()) - {"testcard"})
IMAGE_CONDITIONED = ["ltx", "ltx2", "wan", "sana", "kandinsky5_i2v", "hunyuan15_i2v"]
BIGGER = ["ltx", "ltx2", "wan", "wan_text_only", "sana", "modelscope", "animatediff"]
NEEDS_IMAGE = ["kandinsky5_i2v", "hunyuan15_i2v"]
WITH_GUIDANCE = [family for family in PIPELINES if family != "hunyuan15"]
PresetFactory = Callable[[str], Preset]


def ignore_progress(_: int, __: int) -> None: ...


@pytest.fixture(scope="module", params=PIPELINES)
def loaded(request: pytest.FixtureRequest, tiny_preset: PresetFactory) -> Iterator[tuple[str, Any]]:
    """One family, loaded once for all tests of this module."""
    held = load(tiny_preset(request.param), MemoryPlan())
    yield request.param, held
    held.close()


def generate(model: Any, request: Request) -> Frames:
    frames = model.generate_frames(request, ignore_progress)
    assert isinstance(frames, Frames)
    return frames


def test_it_generates_the_requested_number_of_frames_and_size(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    request = tiny_request(family, height=64)
    frames = generate(held, request)
    assert frames.pixels.shape == (request.frames, 64, 32, 3)
    assert frames.pixels.dtype == np.uint8
    assert frames.fps == request.fps


def test_a_seed_gives_the_same_frames_and_another_seed_does_not(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    first, other, again = (generate(held, tiny_request(family, seed=seed)).pixels for seed in (1, 2, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_progress_only_grows_and_ends_at_the_total(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    ticks: list[tuple[int, int]] = []
    held.generate_frames(tiny_request(family, steps=3), lambda done, total: ticks.append((done, total)))
    assert ticks == [(1, 3), (2, 3), (3, 3)]


def test_it_stops_within_one_step_and_is_usable_afterwards(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    whole = generate(held, tiny_request(family)).pixels
    done_steps: list[int] = []

    def stop(done: int, _: int) -> None:
        done_steps.append(done)
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        held.generate_frames(tiny_request(family, steps=4), stop)
    assert done_steps == [1, 2]
    assert np.array_equal(generate(held, tiny_request(family)).pixels, whole)


def test_a_reroll_does_not_call_the_text_encoder(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    generate(held, tiny_request(family))
    calls: list[object] = []
    hook = held.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    generate(held, tiny_request(family, seed=99))
    assert calls == []
    generate(held, tiny_request(family, prompt="a quite different boat"))
    hook.remove()
    assert calls != []


def test_negative_prompt_and_guidance_change_the_frames(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    plain = generate(held, tiny_request(family)).pixels
    assert not np.array_equal(plain, generate(held, tiny_request(family, guidance=7.0)).pixels)
    assert not np.array_equal(plain, generate(held, tiny_request(family, negative="zzz blurry fog")).pixels)


def test_the_prompt_matters(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    assert not np.array_equal(
        generate(held, tiny_request(family)).pixels,
        generate(held, tiny_request(family, prompt="two boats, a storm")).pixels,
    )


@pytest.mark.parametrize("family", PIPELINES)
def test_closing_frees_every_weight(family: str, tiny_preset: PresetFactory) -> None:
    held = load(tiny_preset(family), MemoryPlan())
    assert isinstance(held, DiffusersModel)
    generate(held, tiny_request(family))
    parts = [weakref.ref(part) for part in held.pipe.components.values() if hasattr(part, "parameters")]
    assert len(parts) >= 3
    held.close()
    gc.collect()
    assert [part() for part in parts if part() is not None] == []


@pytest.mark.parametrize("family", IMAGE_CONDITIONED)
def test_a_picture_sets_the_first_frame(family: str, tiny_preset: PresetFactory, tmp_path: Path) -> None:
    held = load(tiny_preset(family), MemoryPlan())
    generated = {}
    for name, colour in (("dark", "#200010"), ("light", "#f0ffe0")):
        Image.new("RGB", (90, 40), colour).save(tmp_path / f"{name}.png")
        request = tiny_request(family, kind=Kind.ANIMATE, image=str(tmp_path / f"{name}.png"))
        generated[name] = generate(held, request).pixels
    assert generated["dark"].shape == (tiny_request(family).frames, 32, 32, 3)
    assert not np.array_equal(generated["dark"][0], generated["light"][0])
    held.close()


@pytest.mark.parametrize("family", NEEDS_IMAGE)
def test_image_to_video_weights_refuse_a_prompt_without_an_image(
    family: str, tiny_preset: PresetFactory
) -> None:
    held = load(tiny_preset(family), MemoryPlan())
    with pytest.raises(NotOffered):
        generate(held, tiny_request(family))
    held.close()


@pytest.mark.parametrize("family", PIPELINES)
def test_an_option_that_it_does_not_know_is_refused(family: str, tiny_preset: PresetFactory) -> None:
    preset = tiny_preset(family)
    with pytest.raises(ModelBroken, match="chcekpoint"):
        load(replace(preset, options={**preset.options, "chcekpoint": 1}), MemoryPlan())


def test_a_joint_model_brings_its_own_sound(tiny_preset: PresetFactory) -> None:
    held = load(tiny_preset("ltx2"), MemoryPlan())
    frames = generate(held, tiny_request("ltx2"))
    assert frames.audio is not None
    assert frames.audio.samples.shape[1] == 2
    assert np.abs(frames.audio.samples).max() <= 1
    held.close()


def test_a_style_changes_the_frames_and_can_be_removed(tiny_preset: PresetFactory) -> None:
    preset = tiny_preset("animatediff")
    other = Path(preset.options["styles"]["other"]) / "unet"
    unet = UNet2DConditionModel.from_pretrained(other)
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.02)
    unet.save_pretrained(other)
    held = load(preset, MemoryPlan())
    plain, styled, again = (
        generate(held, tiny_request("animatediff", style=style)).pixels for style in (None, "other", "plain")
    )
    assert not np.array_equal(plain, styled)
    assert np.array_equal(plain, again)
    held.close()


def test_a_style_that_is_not_here_leaves_the_model_usable(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = tiny_preset("animatediff")
    plain = tmp_path / "plain"
    shutil.copytree(preset.options["styles"]["plain"], plain)
    index = json.loads((plain / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]  # named, but not pulled
    (plain / "model_index.json").write_text(json.dumps(index))
    styles = {"plain": str(plain), "gone": str(tmp_path / "gone")}
    held = load(replace(preset, options={**preset.options, "styles": styles}), MemoryPlan())
    before = generate(held, tiny_request("animatediff")).pixels
    with pytest.raises(ModelMissing):
        generate(held, tiny_request("animatediff", style="gone"))
    assert np.array_equal(before, generate(held, tiny_request("animatediff")).pixels)
    held.close()


def camera_lora(preset: Preset, folder: Path) -> str:
    """A motion LoRA for the preset's layers."""
    model = load(preset, MemoryPlan())
    assert isinstance(model, DiffusersModel)
    torch.manual_seed(0)
    model.pipe.unet.add_adapter(
        LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, target_modules=r".*motion_modules.*to_[qv]")
    )
    layers = get_peft_model_state_dict(model.pipe.unet)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    model.close()
    return str(folder)


def test_a_camera_move_can_be_applied_and_removed(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = tiny_preset("animatediff")
    cameras = {"zoom-in": camera_lora(preset, tmp_path)}
    held = load(replace(preset, options={**preset.options, "cameras": cameras}), MemoryPlan())
    still, moved, again, moved_again = (
        generate(held, tiny_request("animatediff", camera=camera)).pixels
        for camera in (None, "zoom-in", None, "zoom-in")
    )
    assert not np.array_equal(still, moved)
    assert np.array_equal(still, again)
    assert np.array_equal(moved, moved_again)
    held.close()


def test_each_number_of_steps_has_its_own_adapter(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = tiny_preset("animatediff")
    shutil.copytree(preset.source, tmp_path / "steps")
    file = tmp_path / "steps" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    save_file(
        {name: weight + 0.3 for name, weight in weights.items()}, tmp_path / "steps" / "two.safetensors"
    )
    files = {"2": "two.safetensors", "4": file.name}
    cameras = {"zoom-in": camera_lora(preset, tmp_path / "camera")}
    options = {**preset.options, "files": files, "cameras": cameras}
    held = load(replace(preset, source=str(tmp_path / "steps"), options=options), MemoryPlan())
    ticks: list[tuple[int, int]] = []
    held.generate_frames(
        tiny_request("animatediff", steps=1), lambda done, total: ticks.append((done, total))
    )
    assert ticks[-1] == (2, 2)
    two, four, two_again = (
        generate(held, tiny_request("animatediff", steps=steps)).pixels for steps in (2, 4, 2)
    )
    assert not np.array_equal(two, four)
    assert np.array_equal(two, two_again)
    moved = generate(held, tiny_request("animatediff", steps=2, camera="zoom-in")).pixels
    assert not np.array_equal(two, moved)
    assert np.array_equal(four, generate(held, tiny_request("animatediff", steps=4)).pixels)
    moved_again = generate(held, tiny_request("animatediff", steps=2, camera="zoom-in")).pixels
    assert np.array_equal(moved, moved_again)
    held.close()


def test_distilled_weights_use_their_own_timesteps(tiny_preset: PresetFactory) -> None:
    preset = tiny_preset("ltx")
    distilled = load(
        replace(preset, options={**preset.options, "timesteps": [1000, 900, 0.03]}), MemoryPlan()
    )
    plain = load(preset, MemoryPlan())
    for steps, same in ((3, False), (2, True)):
        request = tiny_request("ltx", steps=steps)
        assert np.array_equal(generate(plain, request).pixels, generate(distilled, request).pixels) is same
    plain.close()
    distilled.close()


def test_the_frames_of_a_small_model_are_enlarged_to_the_requested_size(tiny_preset: PresetFactory) -> None:
    preset = tiny_preset("ltx")
    native = {"native_width": 32, "native_height": 32, "native_frames": 9, "native_fps": 4.0}
    held = load(replace(preset, options={**preset.options, **native}), MemoryPlan())
    assert generate(held, tiny_request("ltx", width=96, height=64, frames=20)).pixels.shape == (20, 64, 96, 3)
    held.close()


# Broken folders are reported, and none of their code is run.


def copy_weights(preset: Preset, folder: Path) -> Preset:
    shutil.copytree(preset.source, folder / "copy")
    return replace(preset, source=str(folder / "copy"))


def load_failure(preset: Preset) -> str:
    with pytest.raises(ModelBroken) as caught:
        load(preset, MemoryPlan())
    return caught.value.reason


def largest(preset: Preset) -> Path:
    return max(Path(preset.source).rglob("*.safetensors"), key=lambda file: file.stat().st_size)


def test_a_truncated_file_is_named(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = copy_weights(tiny_preset("ltx"), tmp_path)
    file = largest(preset)
    file.write_bytes(file.read_bytes()[:-100])
    assert file.name in load_failure(preset)


def test_a_flipped_bit_in_a_header_is_named(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = copy_weights(tiny_preset("ltx"), tmp_path)
    file = largest(preset)
    data = bytearray(file.read_bytes())
    data[9] ^= 0x10
    file.write_bytes(data)
    assert file.name in load_failure(preset)


def test_pickles_are_refused_unread(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = copy_weights(tiny_preset("ltx"), tmp_path)
    for file in (Path(preset.source) / "transformer").glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    assert "pickled" in load_failure(preset)


def test_another_pipelines_folder_is_refused(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = copy_weights(tiny_preset("ltx"), tmp_path)
    index = Path(preset.source) / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "FluxPipeline"}))
    assert "FluxPipeline" in load_failure(preset)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_folder_without_a_sound_index_is_refused(
    tiny_preset: PresetFactory, tmp_path: Path, text: str | None
) -> None:
    preset = copy_weights(tiny_preset("ltx"), tmp_path)
    index = Path(preset.source) / "model_index.json"
    index.unlink() if text is None else index.write_text(text)
    assert "model_index.json" in load_failure(preset)


def test_a_missing_part_is_named(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    preset = copy_weights(tiny_preset("ltx"), tmp_path)
    shutil.rmtree(Path(preset.source) / "vae")
    assert "vae" in load_failure(preset)


@pytest.mark.parametrize("source", ["nobody/has-this-model", "/no/such/folder", "no repo: at all"])
def test_weights_that_are_not_here_are_missing_not_broken(source: str, tiny_preset: PresetFactory) -> None:
    with pytest.raises(ModelMissing):
        load(replace(tiny_preset("ltx"), source=source), MemoryPlan())


@pytest.mark.parametrize("kind", ["bomb", "text", "cut"])
def test_a_bad_picture_is_refused(kind: str, tiny_preset: PresetFactory, tmp_path: Path) -> None:
    file = tmp_path / "in.png"
    if kind == "bomb":
        Image.new("1", (20_000, 2_000)).save(file)
    elif kind == "text":
        file.write_text("not a picture")
    else:
        Image.effect_noise((200, 200), 50).save(file)
        file.write_bytes(file.read_bytes()[:5000])
    held = load(tiny_preset("ltx"), MemoryPlan())
    with pytest.raises(AttachmentRefused):
        generate(held, tiny_request("ltx", kind=Kind.ANIMATE, image=str(file)))
    held.close()


def write_source_clip(folder: Path, name: str = "source", frames: int = 12, *, reverse: bool = False) -> Path:
    """Write a short clip like those of Matinee (MP4, H.264) that becomes lighter, or darker."""
    path = folder / f"{name}.mp4"
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in reversed(range(frames)) if reverse else range(frames):
            picture = np.full((64, 64, 3), 20 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize("family", IMAGE_CONDITIONED)
def test_a_clip_is_extended_from_its_last_frames(
    family: str, tiny_preset: PresetFactory, tmp_path: Path
) -> None:
    held = load(tiny_preset(family), MemoryPlan())
    generated = []
    for name, reverse in (("up", False), ("down", True)):
        source = str(write_source_clip(tmp_path, name, reverse=reverse))
        generated.append(generate(held, tiny_request(family, frames=17, kind=Kind.EXTEND, source=source)))
    assert generated[0].pixels.shape == (17, 32, 32, 3)
    assert 0 < generated[0].overlap < 17
    assert not np.array_equal(generated[0].pixels[0], generated[1].pixels[0])
    held.close()


def test_a_file_that_is_no_clip_cannot_be_extended(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    held = load(tiny_preset("ltx"), MemoryPlan())
    (tmp_path / "no.mp4").write_text("#EXTM3U")
    with pytest.raises(AttachmentRefused):
        generate(held, tiny_request("ltx", kind=Kind.EXTEND, source=str(tmp_path / "no.mp4")))
    held.close()


def test_a_clip_is_upscaled_through_its_latents(tiny_preset: PresetFactory, tmp_path: Path) -> None:
    tiny_pipelines.seeded(
        LTXLatentUpsamplerModel, in_channels=8, mid_channels=32, num_blocks_per_stage=1
    ).save_pretrained(tmp_path / "upscaler")
    preset = tiny_preset("ltx")
    held = load(
        replace(preset, options={**preset.options, "upscaler": str(tmp_path / "upscaler")}), MemoryPlan()
    )
    source = str(write_source_clip(tmp_path))
    request = tiny_request("ltx", kind=Kind.BIGGER, source=source, width=128, height=128, steps=5)
    ticks: list[tuple[int, int]] = []
    frames = held.generate_frames(request, lambda done, total: ticks.append((done, total)))
    assert frames.pixels.shape == (9, 128, 128, 3)
    assert ticks == [(1, 2), (2, 2)]
    held.close()


@pytest.mark.parametrize("family", BIGGER)
def test_a_clip_is_regenerated_at_a_larger_size(
    family: str, tiny_preset: PresetFactory, tmp_path: Path
) -> None:
    held = load(tiny_preset(family), MemoryPlan())
    generated = []
    for name, reverse in (("up", False), ("down", True)):
        source = str(write_source_clip(tmp_path, name, reverse=reverse))
        request = tiny_request(family, kind=Kind.BIGGER, source=source, width=64, height=64, steps=4)
        ticks: list[tuple[int, int]] = []

        def record_tick(done: int, total: int, to: list[tuple[int, int]] = ticks) -> None:
            to.append((done, total))

        generated.append(held.generate_frames(request, record_tick).pixels)
        assert ticks[-1][0] == ticks[-1][1] >= 2
    assert generated[0].shape == (tiny_request(family).frames, 64, 64, 3)
    assert not np.array_equal(generated[0], generated[1])
    held.close()
