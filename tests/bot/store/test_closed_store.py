"""Only bot/store knows SQLite: other modules call methods of the store, or functions that take a path."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BOT = Path(__file__).parents[3] / "bot"
STORE = BOT / "store"
FORBIDDEN_MODULES = {
    "sqlite3",
    "aiosqlite",
    "bot.store.connection",
    "bot.store.database",
    "bot.store.writer",
}
MODULES_ABOVE = [path for path in sorted(BOT.rglob("*.py")) if STORE not in path.parents]


def imported_names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every (module, name) that is imported, also inside functions; the name is empty for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def takes_a_connection(function: ast.FunctionDef) -> bool:
    annotations = [ast.unparse(argument.annotation) for argument in function.args.args if argument.annotation]
    return bool({"sqlite3.Connection", "sqlite3.Cursor", "SqlExecutor", "Connection"} & set(annotations))


def functions_over_a_connection(module: str) -> set[str]:
    tree = ast.parse((BOT.parent / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {function.name for function in functions if takes_a_connection(function)}


@pytest.mark.parametrize("path", MODULES_ABOVE, ids=lambda path: str(path.relative_to(BOT)))
def test_modules_above_the_store_see_no_connection(path: Path) -> None:
    for module, name in imported_names(ast.parse(path.read_text(encoding="utf-8"))):
        assert module not in FORBIDDEN_MODULES
        assert f"{module}.{name}" not in FORBIDDEN_MODULES
        assert module != "bot.store", "import names from a module of bot.store, not the module"
        if module.startswith("bot.store."):
            assert name, "import names from a module of bot.store, not the module"
            assert name not in functions_over_a_connection(module)


def test_the_check_recognizes_functions_over_a_connection() -> None:
    assert {"claim", "cancel", "requeue"} <= functions_over_a_connection("bot.store.queue")
    assert "used_in_window" in functions_over_a_connection("bot.store.ledger")
    assert "read_snapshot" not in functions_over_a_connection("bot.store.integrity")


def test_public_methods_of_the_store_take_no_connection() -> None:
    tree = ast.parse((STORE / "store.py").read_text(encoding="utf-8"))
    store = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Store")
    methods = [node for node in store.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for method in methods:
        if not method.name.startswith("_"):
            assert "Connection" not in ast.unparse(method.args), method.name
