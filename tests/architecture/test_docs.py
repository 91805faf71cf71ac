"""Documents name tests as evidence: each of them must exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.md")])
NAMED_TEST = re.compile(r"`(?:[\w/]*/)?(test_\w+)(\.py)?`")
NAMED_PATH = re.compile(r"`(tests/[\w/.]+)`")
DEFINITION = re.compile(r"^\s*(?:async )?def (test_\w+)|^class (Test\w+)", re.MULTILINE)


@pytest.fixture(scope="module")
def existing() -> set[str]:
    names = set()
    for file in ROOT.glob("tests/**/test_*.py"):
        names.add(file.name)
        names |= {match[1] or match[2] for match in DEFINITION.finditer(file.read_text("utf-8"))}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path, existing: set[str]) -> None:
    text = page.read_text("utf-8")
    named = {match[1] + (match[2] or "") for match in NAMED_TEST.finditer(text)}
    assert sorted(named - existing) == []
    assert sorted(path for path in NAMED_PATH.findall(text) if not (ROOT / path).exists()) == []


def test_the_threat_model_names_at_least_one_test_in_each_row() -> None:
    page = (ROOT / "docs" / "safety.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    header = rows.index("| who | may try to | what stops it | shown by |")
    table = rows[header + 2 :]
    table = table[: next((at for at, row in enumerate(table) if row.count("|") != 5), len(table))]
    assert len(table) >= 15
    assert all(any(match[1] for match in NAMED_TEST.finditer(row)) or NAMED_PATH.search(row) for row in table)
