"""A music maker that lives in another interpreter, with libraries that cannot be installed beside ours."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from generation.clip import Score
from generation.errors import AttachmentRefused, ModelBroken, ScoreFailed
from generation.music.common.audio_decode import read
from generation.music.common.audio_finish import finished
from generation.music.common.registry import score
from generation.progress import OnStep
from generation.request import Music

__all__ = ["Elsewhere"]

PATIENCE = 300.0
ASK_EVERY = 0.2
"""Seconds between two looks whether the piece is still wanted, while the other side says nothing."""


@score("external_process")
class Elsewhere:
    """JSON lines: {"words", "seconds", ...} to it, {"step": [1, 9]} and {"done": true} from it."""

    def __init__(self, name: str, command: Sequence[str], patience: float) -> None:
        self.name, self._command, self._patience = name, tuple(command), patience
        self._process: _Process | None = None

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        name, command = str(options.get("name", "external_process")), options.get("command", ())
        if isinstance(command, str) or not command:
            raise ModelBroken(name, "options.command must be a list: an interpreter and what it shall run")
        return cls(name, [str(part) for part in command], float(options.get("patience", PATIENCE)))

    def score(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Score:
        on_step(0, 1)
        with tempfile.TemporaryDirectory(prefix="matinee-score-") as folder:
            file = Path(folder) / "score.wav"
            wish = {
                "words": music.words,
                "genre": music.genre,
                "mood": music.mood,
                "bpm": music.bpm,
                "instruments": list(music.instruments),
                "seed": music.seed,
                "melody": music.melody,
                "seconds": samples / rate,
                "file": str(file),
            }
            self._ask(wish, on_step)
            try:
                heard = read(file)
            except AttachmentRefused as error:
                raise ScoreFailed(self.name, f"its file is {error.reason}") from error
        return finished(heard.samples, heard.rate, samples, rate)

    def _ask(self, wish: dict[str, Any], on_step: OnStep) -> None:
        process = self._running()
        try:
            process.tell(wish)
            refusal = self._listen(process, on_step)
        except _Lost as error:
            self.close()
            raise ScoreFailed(self.name, str(error)) from error
        except BaseException:  # no longer wanted: the other side knows no other way to be told
            self.close()
            raise

        if refusal:
            raise ScoreFailed(self.name, refusal[:500])

    def _listen(self, process: _Process, on_step: OnStep) -> str:
        """Until it is done, or the words with which it refuses."""
        while not (line := process.hear(self._patience, on_step)).get("done"):
            if "error" in line:
                return str(line["error"]) or "it refused"
            done, total = line.get("step", (0, 1))
            on_step(int(done), int(total))
        return ""

    def _running(self) -> _Process:
        if self._process is None or not self._process.alive:
            self.close()
            try:
                self._process = _Process(self._command)
            except OSError as error:
                raise ModelBroken(self.name, f"{self._command[0]}: {error.strerror or error}") from error
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class _Lost(Exception):
    """The other side is gone, silent, or speaks no JSON."""


class _Process:
    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (the operator's own command)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_plain()
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._said: deque[str] = deque(maxlen=5)
        for read_all in (self._read_lines, self._read_errors):
            threading.Thread(target=read_all, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def tell(self, wish: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(wish).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise _Lost(self._why("has ended")) from error

    def hear(self, patience: float, on_step: OnStep) -> dict[str, Any]:
        """The next line; meanwhile asks through `on_step` whether anybody still wants it."""
        waited = 0.0
        while True:
            try:
                line = self._lines.get(timeout=ASK_EVERY)
            except queue.Empty:
                on_step(0, 1)
                waited += ASK_EVERY
                if waited > patience:
                    raise _Lost(self._why(f"has said nothing for {patience:g} s")) from None
                continue
            if not line:
                raise _Lost(self._why("has ended"))
            with suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    return said

    def end(self) -> None:
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
                self._said.append(line.decode(errors="replace").rstrip())

    def _why(self, what: str) -> str:
        return f"{what}: {' | '.join(self._said)}" if self._said else what


def _plain() -> dict[str, str]:
    """Without what would make another interpreter find our libraries, and without our secrets."""
    ours = ("PYTHON", "VIRTUAL_ENV", "MATINEE_", "DISCORD_", "TELEGRAM_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
