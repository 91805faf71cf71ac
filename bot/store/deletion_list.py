"""The list of deletions beside the database, so that a restored backup does not bring deleted data back.

It holds no key of a user: only a keyed hash and the time. A backup knows the keys, so their hashes can be
compared; the list alone names nobody.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bot.store.people import forgotten_token
from generation.media.files import write_atomically

FILE_NAME = "deletions.json"
KEPT_SECONDS = 366 * 86_400.0
"""A backup that is older than this brings back what was deleted since."""
_WRITE_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class DeletionList:
    pepper: str
    times: dict[str, float] = field(default_factory=dict)
    """When the data was deleted last, by the hash of the user's key."""

    @classmethod
    def read(cls, folder: Path) -> DeletionList | None:
        """None if there is none. Raises OSError or ValueError if it cannot be read."""
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        facts = json.loads(path.read_text("ascii"))
        return cls(str(facts["pepper"]), {str(token): float(at) for token, at in facts["deleted"].items()})

    def deleted_at(self, keys: Iterable[str]) -> dict[str, float]:
        """Those of the users who deleted their data, and when."""
        tokens = {key: forgotten_token(self.pepper, key) for key in keys}
        return {key: self.times[token] for key, token in tokens.items() if token in self.times}


def record(folder: Path, key: str, now: float) -> None:
    """Add a deletion, and drop those that are too old. Raises a GenerationError such as DiskFull. Blocks."""
    with _WRITE_LOCK:
        known = DeletionList.read(folder) or DeletionList(secrets.token_hex(32))
        times = {token: at for token, at in known.times.items() if at > now - KEPT_SECONDS}
        times[forgotten_token(known.pepper, key)] = now
        facts = {"pepper": known.pepper, "deleted": times}
        write_atomically(folder / FILE_NAME, json.dumps(facts).encode("ascii"))
