"""A studio in a process of its own, to be killed: `python -m tests.fakes.telegram_child FOLDER URL TOKEN`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from bot.frontends.telegram.frontend import Options
from tests.fakes.telegram_studio import cinema


async def main(folder: str, url: str, token: str) -> None:
    structlog.configure(processors=[_say])
    async with cinema(Path(folder), Options(token=token, api=url)):
        await asyncio.Event().wait()


def _say(_logger: object, _level: str, event: MutableMapping[str, Any]) -> str:
    """One word a line: what has just happened. Whoever reads it may kill us before the next."""
    return str(event["event"])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
