"""Record the commit of each pulled repository; it is used until a later one is pulled."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from generation.errors import PresetBroken
from generation.media.files import write_atomically
from generation.models.common.preset import Preset
from generation.models.common.pull import sources

LOCK_FILE = "models.lock.toml"
HEADER = "# The commits that `matinee models pull` downloaded. `revision` in a preset takes precedence.\n"


def read_commits(folder: Path) -> dict[str, str]:
    """Commits by repository; raises PresetBroken when the file is invalid."""
    file = folder / LOCK_FILE
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a wrong folder is reported when it is opened
        return {}
    except (OSError, ValueError) as error:
        raise PresetBroken(str(file), f"cannot be read: {error}") from error
    if not all(isinstance(commit, str) for commit in found.values()):
        raise PresetBroken(str(file), "must name one commit for each repository")
    return found


def write_commits(folder: Path, commits: Mapping[str, str]) -> None:
    commits_by_source = read_commits(folder) | dict(commits)
    lines = [
        f"{json.dumps(source)} = {json.dumps(commit)}\n"
        for source, commit in sorted(commits_by_source.items())
    ]
    write_atomically(folder / LOCK_FILE, (HEADER + "".join(lines)).encode())


def with_pinned_commits(preset: Preset, commits: Mapping[str, str]) -> Preset:
    """The preset with pulled commits for the repositories that it does not pin itself."""
    pulled_revisions = {source: commits[source] for source in sources(preset) if source in commits}
    return replace(preset, revisions={**pulled_revisions, **preset.revisions})
