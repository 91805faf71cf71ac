"""Run every benchmark in turn and print all goals at the end."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

NOT_BENCHMARKS = {"__main__", "report", "memory_count", "simulated_gpu", "fake_bot_api"}


def main() -> int:
    goals: list[tuple[str, dict[str, object]]] = []
    folder = Path(__file__).parent
    for name in sorted(
        module.name for module in pkgutil.iter_modules([str(folder)]) if module.name not in NOT_BENCHMARKS
    ):
        print(f"\n## {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        # In its own process, so that memory and threads do not affect the next benchmark.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  (our own module)
        print(done.stdout, end="", flush=True)
        ran: dict[str, object] = {"name": "ran", "met": done.returncode == 0}
        goals += [(name, goal) for goal in _goals(done.stdout) or [ran]]
    print("\n## All goals")
    for name, goal in goals:
        print(
            "met   " if goal["met"] else "MISSED",
            name,
            "-",
            goal["name"],
            goal.get("value", ""),
            goal.get("goal", ""),
        )
    return 0 if all(goal["met"] for _, goal in goals) else 1


def _goals(output: str) -> list[dict[str, object]]:
    try:
        found: list[dict[str, object]] = json.loads(output.strip().splitlines()[-1])["goals"]
    except (IndexError, ValueError, KeyError, TypeError):
        return []
    return found


if __name__ == "__main__":
    sys.exit(main())
