"""The list of parsers: every function of ours that decodes bytes or text, found in the code.

A target names the parsers it reaches in `covers`. Everything else that is found must be in TRUSTED, with the
reason why no stranger's bytes get there; so a new parser without a target fails a test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from tests.paths import ROOT

DECODERS = {
    "json.loads",
    "json.load",
    "tomllib.loads",
    "tomllib.load",
    "msgspec.convert",
    "msgspec.json.decode",
    "msgspec.json.Decoder",
    "Image.open",
    "av.open",
    "c2pa.Reader",
    "sqlite3.connect",
    "shlex.split",
    "ast.literal_eval",
    "Update.de_json",
    "struct.unpack",
    "pickle.load",
    "pickle.loads",
    "ZoneInfo",
    "ast.parse",
    "torch.load",
    "safe_open",
    "load_file",
    "Request.from_json",
    "Clip.from_json",
}
"""Calls that turn bytes or text into something else."""
PARSER_NAMES = (
    "parse_",
    "_parse_",
    "check_picture",
    "check_sound",
    "check_mp4",
    "read_metadata",
    "from_json",
)
"""Beginnings of the names of functions that do it themselves."""

OWN_ROWS = "rows of our own database; those of a restored one are checked before"
OWN_FILE = "a file that Matinee ships or wrote itself"
OWN_PROCESS = "messages between our own processes"
OPERATOR = "files and programs that the operator chose to install"
CHECKED = "called only with a file that a parser with a target has accepted"
TRUSTED: Mapping[str, str] = {
    "bot.domain.quota:_day_bounds": "the name of a time zone that the settings accepted",
    "bot.frontends.discord.command_translations:translation_table": OWN_FILE,
    "bot.frontends.telegram.transport:AiohttpRequest.parse_json_payload": "answers of Telegram's own server",
    "bot.i18n.messages:_load_language": OWN_FILE,
    "bot.maintenance.heartbeat:Heartbeat.read": OWN_FILE,
    "bot.moderation.*": OWN_FILE,
    "bot.runtime.config:lossy_measurements": OWN_FILE,
    "bot.store.admin_decisions:*": OWN_ROWS,
    "bot.store.backup:_keep_old_database": OWN_FILE,
    "bot.store.backup:copy_database": OWN_FILE,
    "bot.store.deletion_list:DeletionList.read": OWN_FILE,
    "bot.store.integrity:input_files": OWN_ROWS,
    "bot.store.migrate:_back_up": OWN_FILE,
    "bot.store.people:*": OWN_ROWS,
    "bot.store.privacy:*": OWN_ROWS,
    "bot.store.uploads:*": OWN_ROWS,
    "generation.engines.local.*": OWN_PROCESS,
    "generation.errors:ExplainedError.from_json": OWN_PROCESS,
    "generation.failpoint:parse": "a variable that only tests set",
    "generation.media.ffmpeg:_parse_version": OPERATOR,
    "generation.media.fit_still:fit_still": OWN_FILE,
    "generation.media.loudness_meter:_file_frames": OWN_FILE,
    "generation.media.nsfw:*": OWN_FILE,
    "generation.media.nsfw_process:*": OWN_PROCESS,
    "generation.media.probe:decoded_frames": CHECKED,
    "generation.media.probe:read_frames": CHECKED,
    "generation.models.animatediff:*": OPERATOR,
    "generation.models.common.first_frames:last_frames": CHECKED,
    "generation.models.common.measured_scores:*": OPERATOR,
    "generation.models.common.memory_plan:Resources.from_json": OWN_PROCESS,
    "generation.models.common.pull:*": OPERATOR,
    "generation.models.common.videocrafter:*": OPERATOR,
    "generation.models.common.vocabulary:*": OPERATOR,
    "generation.models.common.weights:*": OPERATOR,
    "generation.models.common.weights_lock:read_commits": OWN_FILE,
    "generation.models.modelscope:*": OPERATOR,
    "generation.music.common.audio_finish:check_sound": "numbers that a model computed",
    "generation.music.common.theory:*": "letters of the genre tables, which are checked when they are read",
    "generation.music.external_process:_Process.receive": OPERATOR,
    "generation.order:Order.from_json": OWN_PROCESS,
}
"""Why no stranger's bytes get there."""


@cache
def parsers() -> frozenset[str]:
    """Every function that decodes something, as module:qualified name."""
    return frozenset(
        f"{module_name(path)}:{name}"
        for path in _files()
        for name in _inside(ast.parse(path.read_text("utf-8")), ())
    )


def _inside(node: ast.AST, path: tuple[str, ...]) -> Iterator[str]:
    """Names of the functions below this node that decode something; nested ones belong to the outer one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _inside(child, (*path, child.name))
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            named = child.name == "parse" or child.name.startswith(PARSER_NAMES)
            if named or any(_is_decoder(one) for one in ast.walk(child)):
                yield ".".join((*path, child.name))
        elif any(_is_decoder(one) for one in ast.walk(child)):
            yield ".".join((*path, "<module>"))


def _is_decoder(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in DECODERS


def without_target(covered: Iterable[str]) -> list[str]:
    """The parsers that neither a target covers nor a reason excuses."""
    patterns = [*covered, *TRUSTED]
    return sorted(name for name in parsers() if not any(fnmatchcase(name, pattern) for pattern in patterns))


def unknown_names(covered: Iterable[str]) -> list[str]:
    """Names of targets and reasons that are nowhere in the code, for example after a renaming."""
    known = _definitions()
    return sorted(
        pattern for pattern in (*covered, *TRUSTED) if not any(fnmatchcase(name, pattern) for name in known)
    )


@cache
def _definitions() -> frozenset[str]:
    """Every class and function, as module:qualified name."""
    return frozenset(
        f"{module_name(path)}:{name}"
        for path in _files()
        for name in _names(ast.parse(path.read_text("utf-8")), ())
    )


def _names(node: ast.AST, path: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join((*path, child.name))
            if isinstance(child, ast.ClassDef):
                yield from _names(child, (*path, child.name))


def _files() -> list[Path]:
    return sorted(path for folder in ("bot", "generation") for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)
