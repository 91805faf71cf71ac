"""May this person make this here? Prompt rules, channel rules, flood limits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.errors import PromptRefused
from bot.job import Requester
from generation.request import Wish


class Policy:
    """Every wish passes here before it costs anything; a refusal names its rule."""

    def __init__(self, *, words: Iterable[str] = ()) -> None:
        alternatives = "|".join(map(re.escape, sorted(words)))
        self._words = re.compile(rf"\b(?:{alternatives})\b", re.IGNORECASE) if alternatives else None

    def check(self, wish: Wish, requester: Requester) -> None:
        del requester  # nobody is above the word list
        if self._words and (self._words.search(wish.prompt) or self._words.search(wish.negative)):
            raise PromptRefused("the operator's word list")
