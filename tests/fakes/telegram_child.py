"""A studio in a process of its own, to be killed.

`python -m tests.fakes.telegram_child FOLDER URL TOKEN [late] [webhook PORT]`; late: a clip is a new message.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from bot.frontends.telegram.frontend import Options
from bot.frontends.telegram.updates import Webhook
from bot.runtime import event_loop
from tests.fakes.telegram_app import cinema


async def main(folder: str, url: str, token: str, *how: str) -> None:
    structlog.configure(processors=[_say])
    hook = None
    if "webhook" in how:
        port = int(how[-1])
        hook = Webhook(address=f"http://127.0.0.1:{port}/hook", secret="s" * 24, port=port)
    async with cinema(Path(folder), Options(token=token, api=url, webhook=hook, stars=2)) as house:
        if "late" in how:
            house.telegram.late()
        await asyncio.Event().wait()


def _say(_logger: object, _level: str, event: MutableMapping[str, Any]) -> str:
    """One word a line: what has just happened. Whoever reads it may kill us before the next."""
    return str(event["event"])


if __name__ == "__main__":
    event_loop.run(main(*sys.argv[1:]))
