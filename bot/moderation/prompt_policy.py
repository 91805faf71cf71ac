"""Content rules for prompts, with word lists from config/rules/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from bot.domain.errors import PromptRefused
from bot.domain.jobs import Requester
from bot.moderation.lexicon import Lexicon
from bot.moderation.text_normalization import scripts_of
from generation.errors import PromptTooLong
from generation.request import PROMPT_LIMIT, Wish

ADULT_PLACE = "adult place"


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    lists: tuple[str, ...]
    severe: bool = False
    also: tuple[str, ...] = ()  # alternative lists that break the rule
    unless: str = ""
    negative: bool = True  # applies to negative prompts too

    def is_broken_by(self, matched_lists: frozenset[str]) -> bool:
        return any(
            all(not matched_lists.isdisjoint(alternatives.split()) for alternatives in lists)
            for lists in (self.lists, self.also)
            if lists
        )


class PromptPolicy:
    """Checks every wish before it costs credits. A refusal names its rule, not the words that matched."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        lexicon: Lexicon | None = None,
        allowed_scripts: frozenset[str] = frozenset(),
    ) -> None:
        self._rules = rules
        self._lexicon = lexicon or Lexicon({})
        self._allowed_scripts = allowed_scripts

    @classmethod
    def from_tables(
        cls,
        *,
        rules: Mapping[str, Any],
        word_lists: Mapping[str, Any],
        operator_words: Iterable[str] = (),
        person_names: Iterable[str] = (),
        allowed_scripts: Iterable[str] = (),
        disabled_rules: Iterable[str] = (),
    ) -> PromptPolicy:
        """Build the policy from the parsed files.

        `operator_words` and `person_names` are the operator's additions. Prompts may use only
        `allowed_scripts`, if there are any. `disabled_rules` do not apply, unless a rule is marked "always".
        """
        all_lists = {**word_lists, "persons": {**word_lists.get("persons", {}), "own": list(person_names)}}
        lexicon = Lexicon(all_lists, operator_words)
        disabled_rules = set(disabled_rules)
        active_rules = []
        for name, rule_table in rules.items():
            if rule_table.get("always") or name not in disabled_rules:
                options = {
                    key: value for key, value in rule_table.items() if key not in {"lists", "also", "always"}
                }
                active_rules.append(
                    Rule(name, tuple(rule_table["lists"]), also=tuple(rule_table.get("also", ())), **options)
                )
        return cls(active_rules, lexicon, frozenset(allowed_scripts))

    def check(self, wish: Wish, requester: Requester, *, adult_place: bool = False) -> None:
        """Raises PromptRefused or PromptTooLong. The rules apply to admins too."""
        del requester
        if len(wish.negative) > PROMPT_LIMIT:
            raise PromptTooLong(len(wish.negative), PROMPT_LIMIT)
        undressed = self._lexicon.excludes_clothing(wish.negative)
        broken = self.first_broken_rule(_described_text(wish), adult_place=adult_place, undressed=undressed)
        if broken is None and wish.negative:
            broken = self.first_broken_rule(wish.negative, adult_place=adult_place, negative=True)
        if broken:
            raise PromptRefused(broken.name)
        if (
            self._allowed_scripts
            and not scripts_of(f"{wish.prompt} {wish.negative}") <= self._allowed_scripts
        ):
            raise PromptRefused("language")

    def first_broken_rule(
        self, text: str, *, adult_place: bool = False, negative: bool = False, undressed: bool = False
    ) -> Rule | None:
        """The first rule that the text breaks; `undressed` if the negative prompt names clothing."""
        matched_lists = self._lexicon.matched_lists(text) | ({"sexual"} if undressed else frozenset())
        for rule in self._rules:
            lifted = (adult_place and rule.unless == ADULT_PLACE) or (negative and not rule.negative)
            if not lifted and rule.is_broken_by(matched_lists):
                return rule
        return None

    def is_severe(self, name: str) -> bool:
        return any(rule.severe for rule in self._rules if rule.name == name)


def _described_text(wish: Wish) -> str:
    """All text that describes the clip, with the names of attached files."""
    paths = (wish.image, wish.source, wish.music.track, wish.music.melody)
    names = [PurePath(path).stem for path in paths if path]
    music = wish.music
    options = (wish.style, wish.camera, wish.aspect, music.genre, music.mood, music.tempo)
    return " ".join([wish.prompt, *filter(None, options), *music.instruments, *names])


STRIKE_TIMEOUTS = (600.0, 3600.0, 86_400.0, 604_800.0)


def strike_timeout(strikes: int) -> float | None:
    """Seconds of the block after so many severe refusals; None until an admin lifts it."""
    return STRIKE_TIMEOUTS[strikes - 1] if strikes <= len(STRIKE_TIMEOUTS) else None
