"""`matinee make` as a user runs it: a process with arguments, output, an exit code and a file."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import pytest

from generation.media.probe import probe, read_frames
from tests.conftest import ORIGINAL_PATH_VARIABLE
from tests.fork_server import fork_server
from tests.paths import ROOT

pytestmark = pytest.mark.slow

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
TESTCARD = ("--model", "testcard")
SMALL_CLIP = (*TESTCARD, "--size", "128x128", "--seconds", "1", "--steps", "2", "--seed", "7")


def start_process(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a new interpreter, with the ffmpeg that is installed on this machine."""
    return subprocess.Popen(  # noqa: S603  (the command under test)
        [sys.executable, "-m", "bot", *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"PATH": os.environ[ORIGINAL_PATH_VARIABLE]} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_matinee(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a command in a forked process, which saves the imports.

    With `variables` a new interpreter is started, because libraries read them when they are imported.
    """
    if variables:
        process = start_process(folder, *arguments, **variables)
        out, err = process.communicate(timeout=250)
        return process.returncode, out, err
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        files = {"out": stdout.fileno(), "err": stderr.fileno()}
        forked = fork_server().spawn("bot", *arguments, folder=folder, environment=ENVIRONMENT, **files)
        code = forked.join(timeout=250)
        for file in (stdout, stderr):
            file.seek(0)
        return code, stdout.read(), stderr.read()


def states(folder: Path) -> dict[int, str]:
    with sqlite3.connect(folder / "data" / "matinee.db") as database:
        return dict(database.execute("SELECT id, state FROM job"))


def spent(folder: Path) -> int:
    with sqlite3.connect(folder / "data" / "matinee.db") as database:
        total: int = database.execute("SELECT coalesce(sum(credits), 0) FROM ledger").fetchone()[0]
    return -total


def test_a_prompt_becomes_a_clip_with_music_and_a_contact_sheet(tmp_path: Path) -> None:
    code, out, err = run_matinee(
        tmp_path, "make", "a fox in the snow", "--genre", "lofi", "--sheet", "--json", *SMALL_CLIP
    )
    assert (code, err) == (0, "")
    facts: dict[str, Any] = json.loads(out)
    clip = probe(tmp_path / facts["clip"])
    assert (clip.video_codec, clip.pixel_format, clip.audio_codec) == ("h264", "yuv420p", "aac")
    assert clip.frames == facts["request"]["frames"] == 24
    data = (tmp_path / facts["clip"]).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert (tmp_path / facts["sheet"]).read_bytes().startswith(b"\x89PNG")
    assert facts["request"]["music"]["genre"] == "lofi"
    assert states(tmp_path) == {1: "delivered"}
    code, out, _ = run_matinee(tmp_path, "verify", facts["clip"])
    assert (code, "made by AI (Test card), signed by this Matinee" in out) == (0, True)
    (tmp_path / facts["clip"]).write_bytes(data[:-9] + b"changed!!")
    code, out, _ = run_matinee(tmp_path, "verify", facts["clip"])
    assert (code, "changed afterwards" in out) == (1, True)


def test_the_recipe_command_makes_the_same_clip_again(tmp_path: Path) -> None:
    _, out, _ = run_matinee(
        tmp_path, "make", 'a fox; it\'s "snow"', "--genre", "jazz", "--quiet", *SMALL_CLIP
    )
    first = out.strip()
    code, recipe, _ = run_matinee(tmp_path, "recipe", first)
    assert (code, "jazz" in recipe, "a fox; it's" in recipe) == (0, True, True)
    code, out, _ = run_matinee(tmp_path, "recipe", first, "--json")
    facts = json.loads(out)
    assert (facts["request"]["seed"], facts["request"]["prompt"]) == (7, 'a fox; it\'s "snow"')
    arguments = shlex.split(facts["command"])[1:]
    code, out, _ = run_matinee(tmp_path, *arguments, "--quiet", "--no-recipe")
    second = out.strip()
    assert (read_frames(tmp_path / second).pixels == read_frames(tmp_path / first).pixels).all()
    code, recipe, _ = run_matinee(tmp_path, "recipe", second)
    assert (code, "contains no recipe" in recipe) == (1, True)
    assert run_matinee(tmp_path, "verify", first)[0] == run_matinee(tmp_path, "verify", second)[0] == 0


def test_the_default_model_works_and_names_unknown_words(tmp_path: Path) -> None:
    arguments = ("make", "a glass rocket rising over the snow at night", "--seed", "7", "--sheet")
    code, out, err = run_matinee(tmp_path, *arguments, "--size", "301x200", OMP_NUM_THREADS="1")
    assert code == 0, err
    assert "301x200" in err
    assert "does not know “glass”" in err
    assert "pocket knows: red, orange" in err
    clip = probe(tmp_path / out.split()[0])
    assert (clip.width, clip.height, clip.frames, clip.audio) == (300, 200, 17, True)


def test_no_clip_replaces_another_and_silence_is_silent(tmp_path: Path) -> None:
    for name in ("clips/a-fox.mp4", "clips/a-fox-2.mp4"):
        code, out, _ = run_matinee(tmp_path, "make", "A fox!", "--no-music", "--quiet", *SMALL_CLIP)
        assert (code, out.strip()) == (0, name)
        assert not probe(tmp_path / name).audio


def test_own_track_is_used_and_a_melody_needs_a_melody_maker(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "tune.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", 9000 * (-1) ** (n // 10)) for n in range(24_000)))
    code, out, _ = run_matinee(tmp_path, "make", "A fox!", "--track", "tune.wav", "--json", *SMALL_CLIP)
    facts = json.loads(out)
    assert code == 0
    assert facts["request"]["music"]["maker"] == "track"
    assert probe(tmp_path / facts["clip"]).audio
    code, _, err = run_matinee(
        tmp_path, "make", "A fox!", "--maker", "band", "--melody", "tune.wav", *SMALL_CLIP
    )
    assert (code, "band cannot follow a melody" in err) == (2, True)
    assert states(tmp_path) == {1: "delivered"}


def test_music_makers_are_listed_with_licences(tmp_path: Path) -> None:
    code, out, _ = run_matinee(tmp_path, "makers", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert code == 0
    assert found["band"]["default"]
    assert found["band"]["here"]
    assert not found["musicgen-small"]["commercial_ok"]
    commercial = json.loads(run_matinee(tmp_path, "makers", "--json", "--set", "studio.commercial=true")[1])
    assert {"band", "ace-step"} <= {one["name"] for one in commercial}
    assert all(one["commercial_ok"] for one in commercial)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["make", ""], 2, "The prompt is empty"),
        (["make", "x" * 5000], 2, "5000 characters"),
        (["make", "fox", "--seconds", "-1"], 2, "Choose seconds from"),
        (["make", "fox", "--size", "7x7"], 2, "Choose size from"),
        (["make", "fox", "--size", "big"], 2, "Example"),
        (["make", "fox", "--model", "testcart"], 2, "Did you mean “testcard”"),
        (["make", "fox", "--genre", "lofy"], 2, "Did you mean “lofi”"),
        (["make", "fox", "--limit", "much"], 2, "Example"),
        (["make", "fox", "--limit", "5kB"], 2, "A clip this long does not fit under 5 kB"),
        (["recipe", "absent.mp4"], 2, "no such file"),
        (["make", "fox", "--out", "/dev/null/clip.mp4"], 2, "cannot be used"),
        (["make", "fox", "--out", "clip.avi"], 2, "ends in .mp4"),
        (["make", "fox", "--data", "/dev/null/data"], 3, "cannot be used"),
        (["make", "fox", "--set", "engine.slotz=3"], 3, "Did you mean “slots”"),
        (["make", "fox", "--set", "engine.ffmpeg=/bin/false"], 3, "No usable ffmpeg"),
        (["make", "fox", "--config", "absent.toml"], 3, "absent.toml"),
        (["make", "fox", "--maker", "pianist"], 2, "no maker called"),
        (["make", "fox", "--track", "absent.mp3"], 2, "cannot be read"),
        (["make", "fox", "--track", "data/words.mp3"], 2, "cannot be"),
        (["make", "fox", "--maker", "band", "--melody", "tune.wav"], 2, "cannot be"),
        (["make", "fox", "--model", "testcard", "--genre", "native"], 2, "no own sound"),
        (["make", "fox", "--image", "absent.png"], 2, "absent.png"),
        (["queue", "--set", "studio.model=testcart"], 0, "Nothing waits"),
        (["models", "--set", "studio.model=testcart"], 3, "there is no model testcart"),
        (["run"], 3, "No chat is configured"),
    ],
)
def test_bad_input_gets_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    exit_code, out, err = run_matinee(tmp_path, *arguments)
    assert exit_code == code
    assert message in out + err
    assert "Traceback" not in out + err


def test_errors_are_json_objects_with_json(tmp_path: Path) -> None:
    code, out, _ = run_matinee(tmp_path, "make", "fox", "--model", "testcart", "--json")
    error = json.loads(out)["error"]
    assert code == 2
    assert (error["kind"], error["facts"]["near"]) == ("UnknownChoice", "testcard")


def test_ctrl_c_cancels_and_refunds(tmp_path: Path) -> None:
    process = start_process(
        tmp_path,
        "make",
        "a fox",
        "--size",
        "1024x768",
        "--seconds",
        "10",
        "--fps",
        "60",
        "--no-music",
        *TESTCARD,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Generating frames"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "is cancelled" in err
    assert out == ""
    assert states(tmp_path) == {1: "cancelled"}
    assert spent(tmp_path) == 0
    assert not list(tmp_path.rglob("*.part"))


def test_a_second_instance_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = start_process(
        tmp_path, "make", "a fox", "--size", "512x512", "--seconds", "10", "--no-music", *TESTCARD
    )
    assert first.stderr is not None
    first.stderr.readline()
    code, _, err = run_matinee(tmp_path, "make", "another", *SMALL_CLIP)
    assert code == 3
    assert f"process {first.pid}" in err
    assert run_matinee(tmp_path, "queue")[0] == 0  # reading is always allowed
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_corrupt_database_is_reported_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "data" / "matinee.db"
    file.parent.mkdir()
    file.write_bytes(b"this is not a database..." * 400)
    before = file.read_bytes()
    code, _, err = run_matinee(tmp_path, "make", "a fox", *SMALL_CLIP)
    assert code == 3
    assert "damaged" in err
    assert "Traceback" not in err
    assert file.read_bytes() == before


def test_jobs_of_a_killed_terminal_are_cancelled_and_reported(tmp_path: Path) -> None:
    first = start_process(
        tmp_path, "make", "a fox", "--size", "1024x768", "--seconds", "10", "--no-music", *TESTCARD
    )
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("Generating frames"):
            break
    first.kill()
    first.communicate(timeout=30)
    code, _, err = run_matinee(tmp_path, "make", "another", "--no-music", *SMALL_CLIP)
    assert code == 0
    assert "#1, was interrupted" in err
    assert states(tmp_path) == {1: "cancelled", 2: "delivered"}
    assert spent(tmp_path) == 1


def test_help_and_imports_are_light(tmp_path: Path) -> None:
    heavy = "{'torch','diffusers','transformers','discord','telegram','numpy','rich','av','PIL','aiosqlite'}"
    for code in ("import bot", "import bot.__main__", "from bot.cli import parser; parser.build_parser()"):
        done = subprocess.run(  # noqa: S603  (the code under test)
            [sys.executable, "-c", f"import sys; {code}; print(*({heavy} & set(sys.modules)))"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == ""


@pytest.mark.parametrize("listing", ["models", "genres", "queue", "quota", "history", "doctor"])
def test_every_listing_prints_text_and_json(tmp_path: Path, listing: str) -> None:
    code, out, err = run_matinee(tmp_path, listing)
    assert (code, err) == (0, "")
    assert out.strip()
    code, out, _ = run_matinee(tmp_path, listing, "--json")
    assert code == 0
    json.loads(out)


def test_a_clip_is_extended_and_enlarged_from_its_file(tmp_path: Path) -> None:
    code, _, err = run_matinee(
        tmp_path, "make", "a fox", "--out", "one.mp4", "--no-music", "--quiet", *SMALL_CLIP
    )
    assert code == 0, err
    arguments = ("make", "a fox", "--model", "testcard", "--no-music", "--json")
    code, out, err = run_matinee(tmp_path, *arguments, "--bigger", "one.mp4", "--out", "big.mp4")
    assert code == 0, err
    small, big = probe(tmp_path / "one.mp4"), probe(tmp_path / "big.mp4")
    assert (big.frames, big.fps) == (small.frames, small.fps)
    assert (big.width, big.height) == (2 * small.width, 2 * small.height)
    code, out, err = run_matinee(
        tmp_path, *arguments, "--extend", "one.mp4", "--out", "on.mp4", "--seconds", "1"
    )
    assert code == 0, err
    longer = probe(tmp_path / "on.mp4")
    assert (longer.width, longer.height) == (small.width, small.height)
    assert longer.frames > small.frames
    code, out, err = run_matinee(tmp_path, *arguments, "--bigger", "data/matinee.db")
    assert (code, spent(tmp_path) >= 0) == (2, True)
    assert "cannot be used" in json.loads(out)["error"]["message"]


def test_models_are_listed_with_their_measured_scores(tmp_path: Path) -> None:
    code, out, _ = run_matinee(tmp_path, "models")
    assert code == 0
    assert "pocket shows what was asked" in out
    _, out, _ = run_matinee(tmp_path, "models", "--json")
    scores = {model["name"]: model["scores"] for model in json.loads(out)}
    assert scores["pocket"]["scores"]["templates"]["colour"] >= 90
    assert scores["testcard"] is None
