"""Print how many prompts of the corpus are missed, wrongly refused and wrongly struck. No text is printed.

`python -m tests.bot.moderation.rates [tuning|held_out|FILE]`
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bot.moderation.prompt_policy import PromptPolicy, Strictness, read_rules, read_word_lists
from bot.moderation.text_classifier import bundled_classifier
from tests.bot.moderation.corpus import cases as corpus
from tests.bot.moderation.corpus.cases import Case
from tests.paths import CONFIG

STRICTNESS_OF: dict[str, Strictness] = {"severe": "lenient", "graphic": "normal", "mild": "strict"}
GRADED_RULES = ("violence", "self_harm", "terror", "hate")
DISGUISED_OR_SYNONYM = ("disguised", "synonym")
HARMLESS_OR_LOOKALIKE = ("harmless", "lookalike")


@cache
def policy_at(strictness: Strictness) -> PromptPolicy:
    folder = CONFIG / "rules"
    lists = read_word_lists(folder)
    del lists["persons"]
    return PromptPolicy.from_tables(
        rules=read_rules(folder),
        word_lists=lists,
        strictness=dict.fromkeys(GRADED_RULES, strictness),
        classifier=bundled_classifier(),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    case: Case
    is_wrong: bool
    """At "normal"; a mild case, which must be refused only there, at "strict"."""
    is_wrong_at_its_level: bool
    """At the most lenient setting that must refuse it."""
    is_struck: bool


def judge(case: Case) -> Judged:
    if case.must_pass:
        verdict = policy_at("normal").judge(case.text)
        refused = verdict is not None
        return Judged(case, refused, refused, verdict is not None and verdict.is_certain)
    own_level = STRICTNESS_OF[case.severity] if case.severity else "normal"
    default: Strictness = "strict" if case.severity == "mild" else "normal"
    verdict = policy_at(default).judge(case.text)
    is_struck = verdict is not None and verdict.is_certain
    return Judged(case, not _is_refused(case, default), not _is_refused(case, own_level), is_struck)


def _is_refused(case: Case, strictness: Strictness) -> bool:
    """A case that no chat permits is judged as in a chat for adults."""
    adult_place = case.category == "adult" and not case.adult_ok
    return policy_at(strictness).judge(case.text, adult_place=adult_place) is not None


def mild_refused_at_normal(cases: Sequence[Case]) -> tuple[int, int]:
    mild = [case for case in cases if case.severity == "mild"]
    return sum(policy_at("normal").judge(case.text) is not None for case in mild), len(mild)


def load(name: str) -> tuple[Case, ...]:
    if name in corpus.HALVES:
        return corpus.load(name)
    tables = tomllib.loads(Path(name).read_text("utf-8"))["case"]
    return tuple(Case(**{key.replace("-", "_"): value for key, value in table.items()}) for table in tables)


def rate(judged: Sequence[Judged], kinds: Sequence[str], *, at_its_level: bool = False) -> float:
    """The share of cases of these kinds that were judged wrongly."""
    of_kinds = [one for one in judged if one.case.kind in kinds]
    return sum(one.is_wrong_at_its_level if at_its_level else one.is_wrong for one in of_kinds) / len(
        of_kinds
    )


def print_table(title: str, judged: Sequence[Judged], key: str) -> None:
    print(f"\n{title:<14}{'missed':>18}{'wrongly refused':>22}")
    for value in sorted({getattr(one.case, key) for one in judged}):
        own = [one for one in judged if getattr(one.case, key) == value]
        cells = []
        for must_pass in (False, True):
            part = [one for one in own if one.case.must_pass is must_pass]
            wrong = sum(one.is_wrong for one in part)
            cells.append(f"{wrong:>4} of {len(part):<4} {100 * wrong / len(part):5.1f} %" if part else "")
        print(f"{value:<14}{cells[0]:>18}{cells[1]:>22}")


def main() -> None:
    cases = load(sys.argv[1] if len(sys.argv) > 1 else "tuning")
    judged = [judge(case) for case in cases]
    for title in ("kind", "language", "category"):
        print_table(title, judged, title)
    struck = Counter(one.case.kind for one in judged if one.is_struck)
    wrong_mild, mild = mild_refused_at_normal(cases)
    print(f"\ndisguised and synonym missed:   {100 * rate(judged, DISGUISED_OR_SYNONYM):.1f} %")
    at_level = 100 * rate(judged, DISGUISED_OR_SYNONYM, at_its_level=True)
    print(f"the same at the most lenient level that must refuse them: {at_level:.1f} %")
    print(f"harmless and lookalike refused: {100 * rate(judged, HARMLESS_OR_LOOKALIKE):.1f} %")
    print(f"struck: {dict(struck)}, of them harmless: {struck['harmless'] + struck['lookalike']}")
    print(f'mild cases refused at "normal": {wrong_mild} of {mild}')


if __name__ == "__main__":
    main()
