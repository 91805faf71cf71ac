"""Who chose a language, all at once: asked for once at a start, not once a message."""

from __future__ import annotations

import sqlite3

CHOSEN_LANGUAGES = """
SELECT key, json_extract(settings, '$.language') FROM person
WHERE key >= :start AND key < :end AND json_extract(settings, '$.language') IS NOT NULL
"""


def chosen_languages(c: sqlite3.Connection, platform: str) -> dict[str, str]:
    bounds = {"start": f"{platform}:", "end": f"{platform};"}  # what follows a colon
    return {key: str(language) for key, language in c.execute(CHOSEN_LANGUAGES, bounds)}
