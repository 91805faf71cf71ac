"""What every family promises, tried on its real pipeline with tiny random weights and no network."""

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
from generation.models.common.diffusers_pipeline import Diffused
from generation.models.common.registry import Plan, Preset, families, load
from tests.generation.models import tiny_pipelines
from tests.generation.models.conftest import asked

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::FutureWarning:diffusers"
    ),  # of schedulers' configs, the library's own
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside the libraries at import
    pytest.mark.timeout(300),
]
PIPELINES = sorted(set(families()) - {"testcard"})
CONDITIONED = ["ltx", "ltx2", "wan", "sana", "kandinsky5_i2v", "hunyuan15_i2v"]
BIGGER = ["ltx", "ltx2", "wan", "wan_words", "sana", "modelscope", "animatediff"]
WORDLESS = ["kandinsky5_i2v", "hunyuan15_i2v"]
GUIDED = [family for family in PIPELINES if family != "hunyuan15"]
Tiny = Callable[[str], Preset]


def quiet(_: int, __: int) -> None: ...


@pytest.fixture(scope="module", params=PIPELINES)
def loaded(request: pytest.FixtureRequest, tiny_preset: Tiny) -> Iterator[tuple[str, Any]]:
    """One family, loaded once for all that is asked of it."""
    held = load(tiny_preset(request.param), Plan())
    yield request.param, held
    held.close()


def paint(held: Any, request: Request) -> Frames:
    frames = held.paint(request, quiet)
    assert isinstance(frames, Frames)
    return frames


def test_it_paints_as_many_pictures_of_the_size_asked_for(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    request = asked(family, height=64)
    frames = paint(held, request)
    assert frames.pixels.shape == (request.frames, 64, 32, 3)
    assert frames.pixels.dtype == np.uint8
    assert frames.fps == request.fps


def test_a_seed_paints_the_same_bits_again_and_another_does_not(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    first, other, again = (paint(held, asked(family, seed=seed)).pixels for seed in (1, 2, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_its_progress_only_grows_and_ends_at_all(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    ticks: list[tuple[int, int]] = []
    held.paint(asked(family, steps=3), lambda done, total: ticks.append((done, total)))
    assert ticks == [(1, 3), (2, 3), (3, 3)]


def test_it_stops_within_one_step_and_is_usable_afterwards(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    whole = paint(held, asked(family)).pixels
    done_steps: list[int] = []

    def stop(done: int, _: int) -> None:
        done_steps.append(done)
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        held.paint(asked(family, steps=4), stop)
    assert done_steps == [1, 2]
    assert np.array_equal(paint(held, asked(family)).pixels, whole)


def test_a_reroll_asks_no_text_encoder(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    paint(held, asked(family))
    calls: list[object] = []
    hook = held.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    paint(held, asked(family, seed=99))
    assert calls == []
    paint(held, asked(family, prompt="a quite different boat"))
    hook.remove()
    assert calls != []


def test_what_one_does_not_want_and_how_much_matter(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    plain = paint(held, asked(family)).pixels
    assert not np.array_equal(plain, paint(held, asked(family, guidance=7.0)).pixels)
    assert not np.array_equal(plain, paint(held, asked(family, negative="zzz blurry fog")).pixels)


def test_the_prompt_matters(loaded: tuple[str, Any]) -> None:
    family, held = loaded
    assert not np.array_equal(
        paint(held, asked(family)).pixels, paint(held, asked(family, prompt="two boats, a storm")).pixels
    )


@pytest.mark.parametrize("family", PIPELINES)
def test_closing_gives_every_weight_back(family: str, tiny_preset: Tiny) -> None:
    held = load(tiny_preset(family), Plan())
    assert isinstance(held, Diffused)
    paint(held, asked(family))
    parts = [weakref.ref(part) for part in held.pipe.components.values() if hasattr(part, "parameters")]
    assert len(parts) >= 3
    held.close()
    gc.collect()
    assert [part() for part in parts if part() is not None] == []


@pytest.mark.parametrize("family", CONDITIONED)
def test_a_picture_sets_the_first_frame(family: str, tiny_preset: Tiny, tmp_path: Path) -> None:
    held = load(tiny_preset(family), Plan())
    painted = {}
    for name, colour in (("dark", "#200010"), ("light", "#f0ffe0")):
        Image.new("RGB", (90, 40), colour).save(tmp_path / f"{name}.png")
        request = asked(family, kind=Kind.ANIMATE, image=str(tmp_path / f"{name}.png"))
        painted[name] = paint(held, request).pixels
    assert painted["dark"].shape == (asked(family).frames, 32, 32, 3)
    assert not np.array_equal(painted["dark"][0], painted["light"][0])
    held.close()


@pytest.mark.parametrize("family", WORDLESS)
def test_weights_made_for_a_picture_do_not_paint_from_words_alone(family: str, tiny_preset: Tiny) -> None:
    held = load(tiny_preset(family), Plan())
    with pytest.raises(NotOffered):
        paint(held, asked(family))
    held.close()


@pytest.mark.parametrize("family", PIPELINES)
def test_an_option_that_it_does_not_know_is_refused(family: str, tiny_preset: Tiny) -> None:
    preset = tiny_preset(family)
    with pytest.raises(ModelBroken, match="chcekpoint"):
        load(replace(preset, options={**preset.options, "chcekpoint": 1}), Plan())


def test_a_joint_model_brings_its_own_sound(tiny_preset: Tiny) -> None:
    held = load(tiny_preset("ltx2"), Plan())
    frames = paint(held, asked("ltx2"))
    assert frames.audio is not None
    assert frames.audio.samples.shape[1] == 2
    assert np.abs(frames.audio.samples).max() <= 1
    held.close()


def test_a_style_changes_the_hand_and_can_be_taken_off(tiny_preset: Tiny) -> None:
    preset = tiny_preset("animatediff")
    other = Path(preset.options["styles"]["other"]) / "unet"
    unet = UNet2DConditionModel.from_pretrained(other)
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.02)
    unet.save_pretrained(other)
    held = load(preset, Plan())
    plain, styled, again = (
        paint(held, asked("animatediff", style=style)).pixels for style in (None, "other", "plain")
    )
    assert not np.array_equal(plain, styled)
    assert np.array_equal(plain, again)
    held.close()


def camera(preset: Preset, folder: Path) -> str:
    """A motion LoRA for the preset's layers."""
    maker = load(preset, Plan())
    assert isinstance(maker, Diffused)
    torch.manual_seed(0)
    maker.pipe.unet.add_adapter(
        LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, target_modules=r".*motion_modules.*to_[qv]")
    )
    layers = get_peft_model_state_dict(maker.pipe.unet)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    maker.close()
    return str(folder)


def test_a_camera_move_is_put_on_and_taken_off(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = tiny_preset("animatediff")
    cameras = {"zoom-in": camera(preset, tmp_path)}
    held = load(replace(preset, options={**preset.options, "cameras": cameras}), Plan())
    still, moved, again, moved_again = (
        paint(held, asked("animatediff", camera=camera)).pixels
        for camera in (None, "zoom-in", None, "zoom-in")
    )
    assert not np.array_equal(still, moved)
    assert np.array_equal(still, again)
    assert np.array_equal(moved, moved_again)
    held.close()


def test_each_number_of_steps_has_its_own_adapter(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = tiny_preset("animatediff")
    shutil.copytree(preset.source, tmp_path / "steps")
    file = tmp_path / "steps" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    save_file(
        {name: weight + 0.3 for name, weight in weights.items()}, tmp_path / "steps" / "two.safetensors"
    )
    files = {"2": "two.safetensors", "4": file.name}
    cameras = {"zoom-in": camera(preset, tmp_path / "camera")}
    options = {**preset.options, "files": files, "cameras": cameras}
    held = load(replace(preset, source=str(tmp_path / "steps"), options=options), Plan())
    ticks: list[tuple[int, int]] = []
    held.paint(asked("animatediff", steps=1), lambda done, total: ticks.append((done, total)))
    assert ticks[-1] == (2, 2)
    two, four, two_again = (paint(held, asked("animatediff", steps=steps)).pixels for steps in (2, 4, 2))
    assert not np.array_equal(two, four)
    assert np.array_equal(two, two_again)
    moved = paint(held, asked("animatediff", steps=2, camera="zoom-in")).pixels
    assert not np.array_equal(two, moved)
    assert np.array_equal(four, paint(held, asked("animatediff", steps=4)).pixels)
    moved_again = paint(held, asked("animatediff", steps=2, camera="zoom-in")).pixels
    assert np.array_equal(moved, moved_again)
    held.close()


def test_distilled_weights_are_asked_at_their_own_times(tiny_preset: Tiny) -> None:
    preset = tiny_preset("ltx")
    distilled = load(replace(preset, options={**preset.options, "timesteps": [1000, 900, 0.03]}), Plan())
    plain = load(preset, Plan())
    for steps, same in ((3, False), (2, True)):
        request = asked("ltx", steps=steps)
        assert np.array_equal(paint(plain, request).pixels, paint(distilled, request).pixels) is same
    plain.close()
    distilled.close()


def test_a_small_model_is_enlarged_to_what_was_asked_for(tiny_preset: Tiny) -> None:
    preset = tiny_preset("ltx")
    native = {"native_width": 32, "native_height": 32, "native_frames": 9, "native_fps": 4.0}
    held = load(replace(preset, options={**preset.options, **native}), Plan())
    assert paint(held, asked("ltx", width=96, height=64, frames=20)).pixels.shape == (20, 64, 96, 3)
    held.close()


# What is wrong with a folder is said, and nothing of it is run.


def copied(preset: Preset, folder: Path) -> Preset:
    shutil.copytree(preset.source, folder / "copy")
    return replace(preset, source=str(folder / "copy"))


def refused(preset: Preset) -> str:
    with pytest.raises(ModelBroken) as caught:
        load(preset, Plan())
    return caught.value.reason


def largest(preset: Preset) -> Path:
    return max(Path(preset.source).rglob("*.safetensors"), key=lambda file: file.stat().st_size)


def test_a_truncated_file_is_named(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = copied(tiny_preset("ltx"), tmp_path)
    file = largest(preset)
    file.write_bytes(file.read_bytes()[:-100])
    assert file.name in refused(preset)


def test_a_flipped_bit_in_a_header_is_named(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = copied(tiny_preset("ltx"), tmp_path)
    file = largest(preset)
    data = bytearray(file.read_bytes())
    data[9] ^= 0x10
    file.write_bytes(data)
    assert file.name in refused(preset)


def test_pickles_are_refused_unread(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = copied(tiny_preset("ltx"), tmp_path)
    for file in (Path(preset.source) / "transformer").glob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))
    assert "pickled" in refused(preset)


def test_another_pipelines_folder_is_refused(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = copied(tiny_preset("ltx"), tmp_path)
    index = Path(preset.source) / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "FluxPipeline"}))
    assert "FluxPipeline" in refused(preset)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_folder_without_a_sound_index_is_refused(
    tiny_preset: Tiny, tmp_path: Path, text: str | None
) -> None:
    preset = copied(tiny_preset("ltx"), tmp_path)
    index = Path(preset.source) / "model_index.json"
    index.unlink() if text is None else index.write_text(text)
    assert "model_index.json" in refused(preset)


def test_a_missing_part_is_named(tiny_preset: Tiny, tmp_path: Path) -> None:
    preset = copied(tiny_preset("ltx"), tmp_path)
    shutil.rmtree(Path(preset.source) / "vae")
    assert "vae" in refused(preset)


@pytest.mark.parametrize("source", ["nobody/has-this-model", "/no/such/folder", "no repo: at all"])
def test_weights_that_are_not_here_are_missing_not_broken(source: str, tiny_preset: Tiny) -> None:
    with pytest.raises(ModelMissing):
        load(replace(tiny_preset("ltx"), source=source), Plan())


@pytest.mark.parametrize("kind", ["bomb", "text", "cut"])
def test_a_bad_picture_is_refused(kind: str, tiny_preset: Tiny, tmp_path: Path) -> None:
    file = tmp_path / "in.png"
    if kind == "bomb":
        Image.new("1", (20_000, 2_000)).save(file)
    elif kind == "text":
        file.write_text("no picture")
    else:
        Image.effect_noise((200, 200), 50).save(file)
        file.write_bytes(file.read_bytes()[:5000])
    held = load(tiny_preset("ltx"), Plan())
    with pytest.raises(AttachmentRefused):
        paint(held, asked("ltx", kind=Kind.ANIMATE, image=str(file)))
    held.close()


def film(folder: Path, name: str = "source", frames: int = 12, *, reverse: bool = False) -> Path:
    """A short clip as ours are: MP4, H.264; it grows lighter, or darker."""
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


@pytest.mark.parametrize("family", CONDITIONED)
def test_a_clip_goes_on_from_its_last_frames(family: str, tiny_preset: Tiny, tmp_path: Path) -> None:
    held = load(tiny_preset(family), Plan())
    painted = []
    for name, reverse in (("up", False), ("down", True)):
        source = str(film(tmp_path, name, reverse=reverse))
        painted.append(paint(held, asked(family, frames=17, kind=Kind.EXTEND, source=source)))
    assert painted[0].pixels.shape == (17, 32, 32, 3)
    assert 0 < painted[0].carried < 17
    assert not np.array_equal(painted[0].pixels[0], painted[1].pixels[0])
    held.close()


def test_what_is_no_clip_is_not_gone_on_from(tiny_preset: Tiny, tmp_path: Path) -> None:
    held = load(tiny_preset("ltx"), Plan())
    (tmp_path / "no.mp4").write_text("#EXTM3U")
    with pytest.raises(AttachmentRefused):
        paint(held, asked("ltx", kind=Kind.EXTEND, source=str(tmp_path / "no.mp4")))
    held.close()


def test_a_clip_is_made_bigger_through_its_latents(tiny_preset: Tiny, tmp_path: Path) -> None:
    tiny_pipelines.seeded(
        LTXLatentUpsamplerModel, in_channels=8, mid_channels=32, num_blocks_per_stage=1
    ).save_pretrained(tmp_path / "upscaler")
    preset = tiny_preset("ltx")
    held = load(replace(preset, options={**preset.options, "upscaler": str(tmp_path / "upscaler")}), Plan())
    source = str(film(tmp_path))
    request = asked("ltx", kind=Kind.BIGGER, source=source, width=128, height=128, steps=5)
    ticks: list[tuple[int, int]] = []
    frames = held.paint(request, lambda done, total: ticks.append((done, total)))
    assert frames.pixels.shape == (9, 128, 128, 3)
    assert ticks == [(1, 2), (2, 2)]
    held.close()


@pytest.mark.parametrize("family", BIGGER)
def test_a_clip_is_painted_again_at_a_larger_size(family: str, tiny_preset: Tiny, tmp_path: Path) -> None:
    held = load(tiny_preset(family), Plan())
    painted = []
    for name, reverse in (("up", False), ("down", True)):
        source = str(film(tmp_path, name, reverse=reverse))
        request = asked(family, kind=Kind.BIGGER, source=source, width=64, height=64, steps=4)
        ticks: list[tuple[int, int]] = []

        def heard(done: int, total: int, to: list[tuple[int, int]] = ticks) -> None:
            to.append((done, total))

        painted.append(held.paint(request, heard).pixels)
        assert ticks[-1][0] == ticks[-1][1] >= 2
    assert painted[0].shape == (asked(family).frames, 64, 64, 3)
    assert not np.array_equal(painted[0], painted[1])
    held.close()
