"""The report of a benchmark: tables, then one line of JSON with every figure and goal."""

from __future__ import annotations

import json
import operator
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
}


@dataclass
class Report:
    """Collects figures and checks goals against measured values."""

    question: str
    figures: dict[str, Any] = field(default_factory=dict)
    goals: list[dict[str, Any]] = field(default_factory=list)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        cells = [[str(cell) for cell in row] for row in (header, *rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for number, row in enumerate(cells):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if number == 0:
                print("  ".join("-" * width for width in widths))

    def goal(self, name: str, value: float, sign: str, bound: float) -> None:
        met = _COMPARISONS[sign](value, bound)
        self.goals.append({"name": name, "goal": f"{sign} {bound:g}", "value": round(value, 4), "met": met})

    def finish(self) -> None:
        """Print the goals and the JSON line; the exit code is 1 if a goal is missed."""
        print()
        for goal in self.goals:
            verdict = "met   " if goal["met"] else "MISSED"
            print(f"{verdict} {goal['name']}: {goal['value']:g} (goal {goal['goal']})")
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
        facts = {"question": self.question, "machine": machine, **self.figures, "goals": self.goals}
        print(json.dumps(facts))
        sys.exit(0 if all(goal["met"] for goal in self.goals) else 1)
