"""Which commit of each repository was pulled: written down, and used until somebody asks for a later one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from generation.errors import PresetBroken
from generation.media.files import write_whole
from generation.models.common.preset import Preset
from generation.models.common.pull import sources

FILE = "models.lock.toml"
HEAD = "# The commits that `matinee models pull` brought. `revision` in a preset goes before them.\n"


def read(folder: Path) -> dict[str, str]:
    """Commits by repository; raises PresetBroken when the file is no such list."""
    file = folder / FILE
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a folder that is none is told when it is opened
        return {}
    except (OSError, ValueError) as error:
        raise PresetBroken(str(file), f"cannot be read: {error}") from error
    if not all(isinstance(commit, str) for commit in found.values()):
        raise PresetBroken(str(file), "should name one commit for each repository")
    return found


def write(folder: Path, commits: Mapping[str, str]) -> None:
    kept = read(folder) | dict(commits)
    lines = [f"{json.dumps(source)} = {json.dumps(commit)}\n" for source, commit in sorted(kept.items())]
    write_whole(folder / FILE, (HEAD + "".join(lines)).encode())


def pinned(preset: Preset, commits: Mapping[str, str]) -> Preset:
    """What its table does not pin is pinned to what was pulled."""
    theirs = {source: commits[source] for source in sources(preset) if source in commits}
    return replace(preset, revisions={**theirs, **preset.revisions})
