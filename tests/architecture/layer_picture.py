"""Draw the layers and their imports as text, from the contracts and from the imports that grimp finds.

`python -m tests.architecture.layer_picture docs/architecture.md` updates the picture in that file.
"""

from __future__ import annotations

import sys
import tomllib
from itertools import chain
from pathlib import Path

import grimp

from tests.paths import ROOT

BEGIN = "<!-- layers: written by `make layers` -->"
END = "<!-- end of layers -->"


def layer_ranks(package: str) -> list[list[str]]:
    """The layers of a package, top to bottom; names in one list share a rank."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == [package])
    return [[name.strip(" ()") for name in rank.split("|")] for rank in layers]


def layer_imports(graph: grimp.ImportGraph, package: str) -> dict[str, list[str]]:
    """For each layer, top to bottom, the lower layers that its modules import."""
    names = [
        name for name in chain.from_iterable(layer_ranks(package)) if f"{package}.{name}" in graph.modules
    ]
    imports = {}
    for name in names:
        layer = f"{package}.{name}"
        imported = {
            target.split(".")[1]
            for module in {layer, *graph.find_descendants(layer)}
            for target in graph.find_modules_directly_imported_by(module)
            if target.startswith(f"{package}.")
        }
        imports[name] = [other for other in names if other in imported - {name}]
    return imports


def picture(graph: grimp.ImportGraph) -> str:
    """One table for each package: a line for each layer, with the layers that it imports."""
    lines = ["```text"]
    for package in ("bot", "generation"):
        lines += [f"{package:<12}  imports", f"{'-' * 12}  {'-' * 80}"]
        imports = layer_imports(graph, package)
        lines += [f"{name:<12}  {' '.join(lower)}".rstrip() for name, lower in imports.items()]
        lines.append("")
    return "\n".join([*lines[:-1], "```"])


def with_picture(page: str, drawn: str) -> str:
    """The page with the text between the two markers replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, "the markers are missing"
    return f"{before}{BEGIN}\n{drawn}\n{END}{after}"


def build_graph() -> grimp.ImportGraph:
    return grimp.build_graph("bot", "generation", cache_dir=None)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_picture(target.read_text("utf-8"), picture(build_graph())), encoding="utf-8")
