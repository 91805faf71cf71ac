"""Load the prompt corpus, and count its cases.

`python -m tests.bot.moderation.corpus.cases README.md`, with the path of that file, updates the counts in it.
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

FOLDER = Path(__file__).parent

Half = Literal["tuning", "held_out"]
Kind = Literal["plain", "disguised", "synonym", "harmless", "lookalike"]
Category = Literal["minors", "adult", "people", "violence", "self-harm", "terror", "hate", "none"]
Level = Literal["exploitation", "refuse"]
Severity = Literal["severe", "graphic", "mild"]

HALVES: tuple[Half, ...] = get_args(Half)
KINDS: tuple[Kind, ...] = get_args(Kind)
CATEGORIES: tuple[Category, ...] = get_args(Category)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
GRADED = frozenset({"violence", "self-harm", "terror", "hate"})
"""The categories whose refused cases have a severity."""

BEGIN = "<!-- counts: written by `python -m tests.bot.moderation.corpus.cases` -->"
END = "<!-- end of counts -->"


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt as a user types it, and what the filter must do with it."""

    text: str
    language: str
    """ISO 639-1 code of the language, or of the main one of a mixed text."""
    kind: Kind
    category: Category
    """The rule that a refused case breaks. For a passing one: the rule that could wrongly match, or none."""
    level: Level | None = None
    """Set for cases that must be refused."""
    severity: Severity | None = None
    """Set for refused cases of the graded categories: the most lenient level that still refuses the case."""
    adult_ok: bool = False
    """Whether a chat that is marked as for adults permits the text."""
    why: str = ""

    @property
    def must_pass(self) -> bool:
        """Whether the text is harmless. A mild case is not, although only the strictest level refuses it."""
        return self.level is None

    def refused_at(self, strictness: Severity, *, adult_place: bool = False) -> bool:
        """Whether the filter must refuse the text where the operator chose to refuse up to `strictness`."""
        if self.level is None or (self.adult_ok and adult_place):
            return False
        return self.severity is None or SEVERITIES.index(self.severity) <= SEVERITIES.index(strictness)


_FIELDS = frozenset(field.name for field in fields(Case))


def path(half: Half) -> Path:
    return FOLDER / f"{half}.toml"


def halves_present() -> tuple[Half, ...]:
    """The halves in this checkout. The held-out half is added after the filter is tuned."""
    return tuple(half for half in HALVES if path(half).exists())


def load(half: Half) -> tuple[Case, ...]:
    """All cases of one half, in the order of the file. An unknown key or value raises ValueError."""
    with path(half).open("rb") as file:
        tables = tomllib.load(file)["case"]
    return tuple(_case({key.replace("-", "_"): value for key, value in table.items()}) for table in tables)


def _case(table: dict[str, object]) -> Case:
    if unknown := table.keys() - _FIELDS:
        raise ValueError(f"unknown keys {sorted(unknown)} in {table}")
    case = Case(**table)  # type: ignore[arg-type]  # The values are checked below.
    for name, value, allowed in (
        ("kind", case.kind, KINDS),
        ("category", case.category, CATEGORIES),
        ("level", case.level, (None, *get_args(Level))),
        ("severity", case.severity, (None, *SEVERITIES)),
    ):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r} in {table}")
    return case


def count_tables(half: Half) -> str:
    """Markdown tables that count the cases of a half by language and by category, for each kind."""
    cases = load(half)
    lines = [f"### {half}.toml: {len(cases)} cases"]
    languages = sorted({case.language for case in cases})
    for title, values in (("language", languages), ("category", CATEGORIES), ("severity", SEVERITIES)):
        counts = Counter((getattr(case, title), case.kind) for case in cases)
        lines += ["", f"| {title} | {' | '.join(KINDS)} | all |", "|---|" + "---:|" * (len(KINDS) + 1)]
        for value in values:
            row = [counts[value, kind] for kind in KINDS]
            lines.append(f"| {value} | {' | '.join(map(str, row))} | {sum(row)} |")
        sums = [sum(counts[value, kind] for value in values) for kind in KINDS]
        lines.append(f"| all | {' | '.join(map(str, sums))} | {sum(sums)} |")
    return "\n".join(lines)


def with_counts(document: str) -> str:
    """The document with the counts of this checkout between its two markers."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n\n".join(count_tables(half) for half in halves_present())
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_counts(readme.read_text("utf-8")), "utf-8")
