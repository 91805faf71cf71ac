"""Write emoji_labels.toml: short harmless phrases in many languages, from the labels of emojibase-data.

`python -m training.prompt_rules.emoji_labels FOLDER`, with the folder of the unpacked npm package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LANGUAGES = ("de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "uk", "vi", "zh")
GROUPS = {3, 4, 5, 6, 7}
"""Animals, food, travel, activities, objects."""
SKIPPED = {
    "1F52B", "1F4A3", "1F52A", "1F5E1", "2694", "1FA78", "26B0", "1FAA6", "1F6AC", "1F489", "1F48A", "1FA93",
    "1F9E8", "1F4A5", "1F346", "1F351", "1F51E", "1FAA4", "1F400", "1F401", "1FAB3",
}  # fmt: skip
"""Weapons and what has a second meaning."""
HERE = Path(__file__).parent


def labels(folder: Path, language: str) -> list[str]:
    entries = json.loads((folder / language / "data.json").read_text("utf-8"))
    return [
        entry["label"]
        for entry in entries
        if entry.get("group") in GROUPS and entry["hexcode"] not in SKIPPED
    ]


def main() -> None:
    folder = Path(sys.argv[1])
    lines = ["# Labels of emoji from emojibase-data 17.0.0 (MIT licence, Miles Johnson): see README.md.", ""]
    for language in LANGUAGES:
        quoted = ", ".join(json.dumps(label, ensure_ascii=False) for label in labels(folder, language))
        lines.append(f"{language} = [{quoted}]")
    (HERE / "emoji_labels.toml").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
