"""Failpoints: each is in the code once, can be triggered and has a declared outcome."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from generation import failpoint
from generation.failpoint import ARMED_POINTS, Armed, Effect, FailPoint
from tests.faults.matrix import declared_fail_points
from tests.paths import ROOT


def failpoints_in(path: Path) -> list[str]:
    """The names of the failpoints in a source file."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    passed = [
        call.args[0]
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "pass_failpoint" and call.args
    ]
    return [failpoint.attr for failpoint in passed if isinstance(failpoint, ast.Attribute)]


def test_each_failpoint_is_passed_once_in_the_code_and_has_a_declared_outcome() -> None:
    files = [path for package in ("bot", "generation") for path in (ROOT / package).rglob("*.py")]
    found = [name for path in files for name in failpoints_in(path)]
    assert sorted(found) == sorted(point.name for point in FailPoint)
    assert declared_fail_points() == set(FailPoint)


def test_nothing_is_armed_unless_the_environment_says_so() -> None:
    assert ARMED_POINTS == {}
    for point in FailPoint:
        failpoint.pass_failpoint(point)


def test_the_environment_variable_is_parsed_whole_or_rejected() -> None:
    assert failpoint.parse("sent=die@2, commit=fail") == {
        FailPoint.SENT: Armed(Effect.DIE, 2),
        FailPoint.COMMIT: Armed(Effect.FAIL),
    }
    for text in ("sent", "sent=explode", "nowhere=die", "sent=die@soon"):
        with pytest.raises(ValueError, match=r"is not a valid|invalid literal"):
            failpoint.parse(text)


SCRIPT = """
from generation.failpoint import FailPoint, pass_failpoint
for _ in range(3):
    try:
        pass_failpoint(FailPoint.SENT)
        print("passed", flush=True)
    except OSError:
        print("failed", flush=True)
"""


@pytest.mark.parametrize(
    ("armed", "output", "code"),
    [
        ("", "passed passed passed", 0),
        ("sent=fail@2", "passed failed passed", 0),
        ("sent=die@3", "passed passed", -9),
        ("sent=exit", "", 0),
    ],
)
def test_a_failpoint_triggers_at_the_given_pass_and_only_once(
    tmp_path: Path, armed: str, output: str, code: int
) -> None:
    triggered = tmp_path / "triggered"
    environment = {
        failpoint.ENV_VAR: armed,
        failpoint.TRIGGERED_FILE_ENV_VAR: str(triggered),
        "PYTHONPATH": str(ROOT),
    }
    for expected_output, expected_code in ((output, code), ("passed passed passed", 0)):
        ran = subprocess.run(  # noqa: S603  (our own script)
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        assert (ran.stdout.split(), ran.returncode) == (expected_output.split(), expected_code)
    assert triggered.exists() == bool(armed)
