"""Each shipped frontend provides what its descriptor declares, and only its own folder spells its name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bot.domain.frontend import ConnectingFrontend
from bot.frontends.descriptor import FrontendContext
from bot.moderation.admin_notices import AdminNotifier
from bot.runtime import frontend_registry
from bot.runtime.settings import load
from bot.runtime.supervisor import ReportsConnection
from tests.bot.app_harness import open_studio
from tests.paths import ROOT

OLD_SCHEMA = Path("bot/store/schema/007_words.sql")
"""It was published with a platform's name in it, and a published schema never changes."""
TOKENS = {"DISCORD_TOKEN": "abc", "TELEGRAM_TOKEN": "123456:abc"}


async def test_frontends_provide_what_their_descriptors_declare(tmp_path: Path) -> None:
    settings = load(environment=TOKENS)
    async with open_studio(tmp_path) as (_, studio, *_others):
        for name, descriptor in settings.registry.descriptors.items():
            if descriptor.create is None:
                continue
            frontend = descriptor.create(FrontendContext(studio=studio, settings=settings.frontends[name]))
            assert frontend.name == name
            assert frontend.deduplicates == descriptor.deduplicates_sends, name
            assert isinstance(frontend, ConnectingFrontend) == descriptor.reports_readiness, name
            assert isinstance(frontend, ReportsConnection) == descriptor.reports_readiness, name
            assert isinstance(frontend, AdminNotifier) == (descriptor.admin_chat_pattern is not None), name


def test_reading_the_settings_does_not_import_the_libraries_of_the_chats() -> None:
    code = "import sys; from bot.runtime.settings import load; load(environment={}); print(*sys.modules)"
    finished = subprocess.run(  # noqa: S603  (our own line)
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"discord", "telegram", "torch"} & set(finished.stdout.split())


def own_folders() -> list[Path]:
    modules = (ROOT.joinpath(*module.split(".")) for module in frontend_registry.MODULES)
    return [module if module.is_dir() else module.parent for module in modules]


def texts_in(file: Path) -> Iterator[tuple[int, str]]:
    """The texts of the code in a file, with their lines; docstrings and comments are left out."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".sql":
        for number, line in enumerate(source.splitlines(), 1):
            yield from ((number, text) for text in re.findall(r"'([^']*)'", line.partition("--")[0]))
        return
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_a_platform_is_named_only_in_its_own_folder() -> None:
    name = re.compile(f"(?:{'|'.join(frontend_registry.shipped().platforms)})(?::.*)?")
    patterns = ("bot/**/*.py", "bot/**/*.sql", "generation/**/*.py")
    for file in sorted(file for pattern in patterns for file in ROOT.glob(pattern)):
        path = file.relative_to(ROOT)
        if path == OLD_SCHEMA or any(file.is_relative_to(folder) for folder in own_folders()):
            continue
        for number, text in texts_in(file):
            assert not name.fullmatch(text), f"{path}:{number}: {text}"
