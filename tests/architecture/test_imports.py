"""The structure that newcomers rely on: folders only under bot, no import circles, declared dependencies."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from tests.architecture.layer_picture import build_graph, picture, with_picture
from tests.paths import ROOT

OUR_PACKAGES = {"bot", "generation", "tests", "benchmarks", "training"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return build_graph()


def import_circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """The groups of modules that import one another, directly or through others (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if imported not in index:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                circles.append(sorted(group))

    for module in sorted(graph.modules):
        if module not in index:
            visit(module)
    return circles


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    """Imports inside functions and under TYPE_CHECKING count too."""
    assert import_circles(graph) == []


def test_a_circle_is_found_when_there_is_one() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert import_circles(graph) == [["a", "b", "c"]]


def test_bot_holds_only_its_two_entry_files_and_folders() -> None:
    files = {path.name for path in (ROOT / "bot").iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py"}


def imported_packages(folder: Path) -> set[str]:
    """Top-level names of the third-party packages that the files under `folder` import."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - OUR_PACKAGES - sys.stdlib_module_names


def normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared(*extras: str) -> set[str]:
    """Names of the distributions that pyproject.toml requires, with the given extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    return {normalized(re.split(r"[\s<>=~!;\[]", line, maxsplit=1)[0]) for line in required}


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("bot", "generation"), ("quantized", "cluster", "safety", "metrics")),
        (
            ("tests", "benchmarks", "training"),
            ("quantized", "cluster", "safety", "metrics", "dev"),
        ),
    ],
    ids=["product", "development"],
)
def test_every_imported_package_is_declared(folders: tuple[str, ...], extras: tuple[str, ...]) -> None:
    distributions = packages_distributions()
    names = {name for folder in folders for name in imported_packages(ROOT / folder)}
    required = declared(*extras)
    undeclared = {
        name
        for name in names
        if required.isdisjoint(normalized(owner) for owner in distributions.get(name, [name]))
    }
    assert not undeclared, "add them to pyproject.toml"


def test_the_layer_picture_in_the_docs_is_current(graph: grimp.ImportGraph) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert with_picture(page, picture(graph)) == page, "run `make layers`"


def test_every_path_that_the_architecture_page_names_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    paths = set(re.findall(r"`((?:bot|generation|config|tests|training)/[\w/.]+)`", page))
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
