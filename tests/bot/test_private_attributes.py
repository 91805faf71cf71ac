"""Private parts of libraries that Matinee uses, and the versions in which they were read.

When a test here fails after an upgrade, read the new version's source, then raise the version below.
"""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import version
from pathlib import Path

import aiosqlite
import pytest
from telegram.request import RequestData
from telegram.request._requestparameter import RequestParameter

ROOT = Path(__file__).parents[2]
READ_IN = {"aiosqlite": "0.22", "python-telegram-bot": "22.8"}
PRIVATE_IMPORTS = {"bot/frontends/telegram/client.py": {"telegram.request._requestparameter"}}
PRIVATE_ATTRIBUTES = {"bot/store/writer.py": {"_execute", "_conn"}}


@pytest.mark.parametrize("library", READ_IN)
def test_private_parts_were_read_in_the_installed_version(library: str) -> None:
    assert version(library).startswith(READ_IN[library]), f"read the private parts of {library} again"


async def test_aiosqlite_runs_a_function_over_the_connection_in_its_thread(tmp_path: Path) -> None:
    parameters = list(inspect.signature(aiosqlite.Connection._execute).parameters)
    assert parameters == ["self", "fn", "args", "kwargs"]
    async with aiosqlite.connect(tmp_path / "database") as connection:
        rows = await connection._execute(lambda raw: raw.execute("SELECT 1").fetchall(), connection._conn)  # type: ignore[no-untyped-call]
    assert rows == [(1,)]


def test_telegram_accepts_request_parameters_without_files() -> None:
    data = RequestData([RequestParameter("text", "hello", None), RequestParameter("chat_id", 1, None)])
    assert data.parameters == {"text": "hello", "chat_id": 1}
    assert not data.contains_files


@pytest.mark.parametrize("folder", ["bot", "generation"])
def test_no_other_private_module_of_a_library_is_imported(folder: str) -> None:
    found = {
        str(path.relative_to(ROOT)): modules
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (modules := _private_imports(ast.parse(path.read_text())))
    }
    assert found == {path: modules for path, modules in PRIVATE_IMPORTS.items() if path.startswith(folder)}


def test_no_other_file_of_the_bot_uses_private_attributes() -> None:
    """Ruff reports every private attribute of another object; SLF001 marks the lines that are exempt."""
    found = {
        str(path.relative_to(ROOT)) for path in (ROOT / "bot").rglob("*.py") if "SLF001" in path.read_text()
    }
    assert found == set(PRIVATE_ATTRIBUTES)


@pytest.mark.parametrize("path", PRIVATE_ATTRIBUTES)
def test_the_listed_private_attributes_are_still_used(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used >= PRIVATE_ATTRIBUTES[path], "remove attributes from the list that are no longer used"


def _private_imports(tree: ast.Module) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules.update(name.name for name in node.names)
    own = ("bot.", "generation.")
    return {
        module
        for module in modules
        if not module.startswith(own) and any(_is_private(part) for part in module.split("."))
    }


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
