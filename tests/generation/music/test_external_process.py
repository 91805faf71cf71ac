"""A music maker in another process: it is cancelled, restarted when it dies, and its errors are reported."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from generation.errors import ModelBroken, MusicFailed
from generation.music.common.registry import MusicMaker, load
from generation.progress import Cancelled
from generation.request import Music

MAKER_SCRIPT = """
import json, math, os, struct, sys, wave
print("output of a library that is not JSON")
for line in sys.stdin:
    wish = json.loads(line)
    if wish["words"] == "die":
        sys.stderr.write("no such weights\\n")
        sys.exit(3)
    if wish["words"] == "refuse":
        print(json.dumps({"error": "cannot compose this"}), flush=True)
        continue
    if wish["words"] == "hang":
        for line in sys.stdin:
            pass
    for step in range(3):
        print(json.dumps({"step": [step + 1, 3]}), flush=True)
    with wave.open(wish["file"], "wb") as file:
        file.setparams((1, 2, 32000, 0, "NONE", ""))
        count = int(wish["seconds"] * 32000)
        tone = 2 * math.pi * (220 + wish["seed"]) / 32000
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(tone * n))) for n in range(count)))
    print(json.dumps({"done": True, "secret": os.environ.get("DISCORD_TOKEN")}), flush=True)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "maker.py"
    script.write_text(textwrap.dedent(MAKER_SCRIPT))
    return [sys.executable, "-I", str(script)]


def load_maker(command: list[str], **options: object) -> MusicMaker:
    return load("external", {"maker": "elsewhere", "name": "external", "command": command, **options})


def music(words: str = "warm lofi", seed: int = 1) -> Music:
    return Music(genre="lofi", maker="external", words=words, seed=seed)


def ignore_progress(_done: int, _total: int) -> None: ...


def test_music_has_the_exact_length_and_every_step_is_reported(command: list[str]) -> None:
    maker, steps = load_maker(command), list[tuple[int, int]]()
    for samples in (48_000, 24_001):
        audio = maker.compose(music(), samples, 48_000, lambda done, total: steps.append((done, total)))
        assert audio.samples.shape == (samples, 2)
        assert np.abs(audio.samples).max() > 0.05
    assert [step for step in steps if step[1] == 3] == [(1, 3), (2, 3), (3, 3)] * 2
    maker.close()


def test_cancel_stops_a_piece_while_the_process_is_silent(command: list[str]) -> None:
    maker, calls = load_maker(command), list[int]()

    def cancel_third(done: int, _total: int) -> None:
        calls.append(done)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        maker.compose(music("hang"), 48_000, 48_000, cancel_third)
    assert len(calls) == 3
    assert maker.compose(music(), 4_800, 48_000, ignore_progress).samples.shape == (4_800, 2)
    maker.close()


def test_a_process_survives_a_refusal_and_is_restarted_when_it_dies(command: list[str]) -> None:
    maker = load_maker(command)
    with pytest.raises(MusicFailed, match="cannot compose this"):
        maker.compose(music("refuse"), 4_800, 48_000, ignore_progress)
    with pytest.raises(MusicFailed, match="has ended"):
        maker.compose(music("die"), 4_800, 48_000, ignore_progress)
    assert maker.compose(music(), 4_800, 48_000, ignore_progress).samples.shape == (4_800, 2)
    maker.close()


def test_a_process_that_is_silent_for_too_long_times_out(command: list[str]) -> None:
    maker = load_maker(command, patience=0.3)
    with pytest.raises(MusicFailed, match="sent nothing"):
        maker.compose(music("hang"), 4_800, 48_000, ignore_progress)
    maker.close()


@pytest.mark.parametrize("wrong", [[], "python maker.py", ["/nowhere/python"]])
def test_a_command_that_cannot_be_run_is_reported(wrong: list[str]) -> None:
    with pytest.raises(ModelBroken):
        load_maker(wrong).compose(music(), 4_800, 48_000, ignore_progress)
