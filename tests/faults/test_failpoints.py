"""Every place where a test can strike is there, can be struck, and has an outcome that somebody declared."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from generation import failpoint
from generation.failpoint import ARMED, Deed, Place, Trap
from tests.faults.matrix import declared
from tests.paths import ROOT


def passed_in(path: Path) -> list[str]:
    """The names of the places that a file passes."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    called = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "here"]
    return [place.attr for place in called if isinstance(place, ast.Attribute)]


def test_every_place_is_passed_once_in_the_code_and_every_one_has_a_declared_outcome() -> None:
    files = [path for room in ("bot", "generation") for path in (ROOT / room).rglob("*.py")]
    found = [name for path in files for name in passed_in(path)]
    assert sorted(found) == sorted(place.name for place in Place)
    assert declared() == set(Place)


def test_nothing_is_armed_unless_the_environment_says_so() -> None:
    assert ARMED == {}
    for place in Place:
        failpoint.here(place)


def test_what_is_armed_is_read_whole_or_not_at_all() -> None:
    assert failpoint.read("sent=die@2, commit=fail") == {
        Place.SENT: Trap(Deed.DIE, 2),
        Place.COMMIT: Trap(Deed.FAIL),
    }
    for text in ("sent", "sent=explode", "nowhere=die", "sent=die@soon"):
        with pytest.raises(ValueError, match=r"is not a valid|invalid literal"):
            failpoint.read(text)


SCRIPT = """
from generation.failpoint import Place, here
for _ in range(3):
    try:
        here(Place.SENT)
        print("passed", flush=True)
    except OSError:
        print("failed", flush=True)
"""


@pytest.mark.parametrize(
    ("traps", "said", "code"),
    [
        ("", "passed passed passed", 0),
        ("sent=fail@2", "passed failed passed", 0),
        ("sent=die@3", "passed passed", -9),
        ("sent=exit", "", 0),
    ],
)
def test_a_place_strikes_at_the_passing_it_was_told_and_once_only(
    tmp_path: Path, traps: str, said: str, code: int
) -> None:
    notes = tmp_path / "notes"
    environment = {failpoint.VARIABLE: traps, failpoint.NOTES: str(notes), "PYTHONPATH": str(ROOT)}
    for told, left in ((said, code), ("passed passed passed", 0)):
        ran = subprocess.run(  # noqa: S603  (our own script)
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        assert (ran.stdout.split(), ran.returncode) == (told.split(), left)
    assert notes.exists() == bool(traps)
