"""A full or nearly full disk is reported, jobs are refunded, and no partial file stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.domain.errors import DiskLow
from bot.i18n import messages
from tests.bot.app_harness import CREDITS, open_studio
from tests.factories import make_reply_to, make_viewer, make_wish
from tests.paths import ROOT

pytestmark = pytest.mark.slow

MOUNT_AND_RUN = 'mount -t tmpfs -o size="$1" tmpfs "$2" && cd "$2" && exec "$3" "$4"'
SCRIPT = """
import json, subprocess, sys
from pathlib import Path

def matinee(*words):
    done = subprocess.run([sys.executable, "-m", "bot", *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr

size = ["--model", "testcard", "--size", "512x384", "--seconds", "6", "--steps", "2"]
made = matinee("make", "a fox", *size, "--json", "--set", "studio.disk_floor_mb=0")
left = [str(path) for path in Path(".").rglob("*") if ".part" in path.name]
found = {"make": made, "left": left, "check": matinee("check"), "quota": matinee("quota", "--json")}
print(json.dumps(found))
"""


async def test_below_the_disk_floor_clips_are_refused_and_cost_nothing(tmp_path: Path) -> None:
    async with open_studio(tmp_path, min_free_disk=10**18) as (store, studio, _):
        wish, reply_to = make_wish(), make_reply_to()
        with pytest.raises(DiskLow) as refusal:
            await studio.submit(wish, make_viewer("ana"), reply_to)
        assert "nearly full" in messages.explain(refusal.value)
        assert (await studio.balance(make_viewer("ana"))).left == CREDITS
        assert not await store.waiting()


def _can_mount_tmpfs() -> bool:
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and not subprocess.run(  # noqa: S603  (a harmless command)
            [unshare, "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            check=False,
            capture_output=True,
        ).returncode
    )


@pytest.mark.skipif(not _can_mount_tmpfs(), reason="only where a small disk can be mounted")
@pytest.mark.parametrize("size", ["640k", "680k"])
@pytest.mark.timeout(200)  # it starts three processes
def test_a_disk_that_fills_during_a_clip_is_reported_and_refunded(tmp_path: Path, size: str) -> None:
    script, disk = tmp_path / "script.py", tmp_path / "disk"
    script.write_text(SCRIPT)
    disk.mkdir()
    unshare = shutil.which("unshare")
    assert unshare is not None
    done = subprocess.run(  # noqa: S603  (a fixed command)
        [unshare, "--user", "--map-root-user", "--mount",
         "sh", "-c", MOUNT_AND_RUN, "-", size, disk, sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    facts = json.loads(done.stdout)
    code, out, err = facts["make"]
    assert code == 1
    assert "The disk is full" in json.loads(out)["error"]["message"], out + err
    assert "Traceback" not in err
    assert facts["left"] == []
    assert facts["check"][0] == 0, facts["check"]
    assert sum(entry["credits"] for entry in json.loads(facts["quota"][1])["entries"]) == 0
