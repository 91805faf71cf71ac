"""A music maker in a process of its own, for libraries that conflict with those of Matinee."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
import wave
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from generation.child_environment import PYTHON_PREFIXES, child_environment
from generation.clip import Audio
from generation.errors import AttachmentRefused, ModelBroken, MusicFailed
from generation.media.audio_decode import read_audio
from generation.media.guarded_process import read_sound
from generation.music.common.audio_finish import finish_audio
from generation.music.common.registry import music_maker
from generation.progress import OnStep
from generation.request import Music

__all__ = ["ExternalMaker"]

DEFAULT_TIMEOUT = 300.0
INTERPRETER_PREFIXES = (*PYTHON_PREFIXES, "VIRTUAL_ENV", "CONDA_PREFIX")
"""Variables that describe our Python and would confuse that of the process."""
CANCEL_POLL_SECONDS = 0.2
"""Seconds between checks for cancellation while the process sends nothing."""


@music_maker("external_process")
class ExternalMaker:
    """Exchanges JSON lines with the process.

    It sends {"words", "seconds", ...}; it receives {"step": [1, 9]}, then {"done": true} or {"error": "..."}.
    """

    def __init__(self, name: str, command: Sequence[str], timeout: float) -> None:
        self.name, self._command, self._timeout = name, tuple(command), timeout
        self._process: _Process | None = None

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        name, command = str(options.get("name", "external_process")), options.get("command", ())
        if isinstance(command, str) or not command:
            raise ModelBroken(name, "options.command must be a list: an interpreter and its arguments")
        return cls(name, [str(part) for part in command], float(options.get("patience", DEFAULT_TIMEOUT)))

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        on_step(0, 1)
        with tempfile.TemporaryDirectory(prefix="matinee-music-") as folder:
            file = Path(folder) / "music.wav"
            task = {
                "words": music.words,
                "genre": music.genre,
                "mood": music.mood,
                "bpm": music.bpm,
                "instruments": list(music.instruments),
                "seed": music.seed,
                "melody": music.melody and str(_decoded_melody(Path(music.melody), Path(folder))),
                "seconds": samples / rate,
                "file": str(file),
            }
            self._run_task(task, on_step)
            try:
                audio = read_audio(file)
            except AttachmentRefused as error:
                raise MusicFailed(self.name, f"its file is {error.reason}") from error
        return finish_audio(audio.samples, audio.rate, samples, rate)

    def _run_task(self, task: dict[str, Any], on_step: OnStep) -> None:
        process = self._ensure_process()
        try:
            process.send(task)
            error_text = self._wait_until_done(process, on_step)
        except _ProcessLost as error:
            self.close()
            raise MusicFailed(self.name, str(error)) from error
        except BaseException:  # cancelled: the process can only be stopped by ending it
            self.close()
            raise

        if error_text:
            raise MusicFailed(self.name, error_text[:500])

    def _wait_until_done(self, process: _Process, on_step: OnStep) -> str:
        """Wait for the result; returns the error text of the process, or nothing on success."""
        while not (line := process.receive(self._timeout, on_step)).get("done"):
            if "error" in line:
                return str(line["error"]) or "it refused"
            done, total = line.get("step", (0, 1))
            on_step(int(done), int(total))
        return ""

    def _ensure_process(self) -> _Process:
        if self._process is None or not self._process.alive:
            self.close()
            try:
                self._process = _Process(self._command)
            except OSError as error:
                raise ModelBroken(self.name, f"{self._command[0]}: {error.strerror or error}") from error
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _decoded_melody(melody: Path, folder: Path) -> Path:
    """A WAV of the user's melody: the process does not open what a stranger sent."""
    sound = read_sound(melody)
    target = folder / "melody.wav"
    with wave.open(str(target), "wb") as file:
        file.setnchannels(sound.samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((sound.samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    return target


class _ProcessLost(Exception):
    """The process has ended or is silent for too long."""


class _Process:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (the operator configures the command)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(without_prefixes=INTERPRETER_PREFIXES),
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._stderr_tail: deque[str] = deque(maxlen=5)
        for read_all in (self._read_lines, self._read_errors):
            threading.Thread(target=read_all, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, task: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise _ProcessLost(self._with_stderr("has ended")) from error

    def receive(self, max_silence: float, on_step: OnStep) -> dict[str, Any]:
        """The next JSON line; calls `on_step` while it waits, so that the caller can cancel."""
        waited = 0.0
        while True:
            try:
                line = self._lines.get(timeout=CANCEL_POLL_SECONDS)
            except queue.Empty:
                on_step(0, 1)
                waited += CANCEL_POLL_SECONDS
                if waited > max_silence:
                    raise _ProcessLost(self._with_stderr(f"has sent nothing for {max_silence:g} s")) from None
                continue
            if not line:
                raise _ProcessLost(self._with_stderr("has ended"))
            with suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    return message

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError, OSError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(b"")

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError, OSError):
            for line in self._process.stderr:
                self._stderr_tail.append(line.decode(errors="replace").rstrip())

    def _with_stderr(self, what: str) -> str:
        return f"{what}: {' | '.join(self._stderr_tail)}" if self._stderr_tail else what
