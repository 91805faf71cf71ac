"""The filters of `warnings` belong to the whole process: code that runs in threads must not change them.

`warnings.catch_warnings` in two threads at once can leave "error" behind, after which every warning of any
library is an exception until the process ends.
"""

from __future__ import annotations

import ast

from tests.paths import ROOT

CHANGES_FILTERS = {"catch_warnings", "simplefilter", "filterwarnings", "resetwarnings"}


def test_no_code_changes_the_filters_of_warnings() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("bot", "generation")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in CHANGES_FILTERS)
        or (isinstance(node, ast.alias) and node.name in CHANGES_FILTERS)
    ]
    assert found == []
