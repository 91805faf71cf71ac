"""A file whose name is no text, as an unpacked archive can hold, is named in the answer like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("words", [["verify"], ["recipe"]])
def test_a_file_whose_name_is_no_text_gets_a_sentence(words: list[str], tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/odd-\xff.png"
    (tmp_path / "data").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", name)  # noqa: PTH104  (a Path holds no bytes)
    done = subprocess.run(  # noqa: S603  (a fixed command)
        [sys.executable, "-m", "bot", *words, name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1
    assert done.stdout + done.stderr != b""
