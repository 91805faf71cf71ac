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
from tests.fakes.telegram_app import running_app


async def main(folder: str, url: str, token: str, *modes: str) -> None:
    structlog.configure(processors=[_print_event])
    webhook = None
    if "webhook" in modes:
        port = int(modes[-1])
        webhook = Webhook(url=f"http://127.0.0.1:{port}/hook", secret="s" * 24, port=port)
    async with running_app(
        Path(folder), Options(token=token, api_url=url, webhook=webhook, stars_per_credit=2)
    ) as app:
        if "late" in modes:
            app.telegram.deliver_as_new_message()
        await asyncio.Event().wait()


def _print_event(_logger: object, _level: str, event: MutableMapping[str, Any]) -> str:
    """One word a line: what has just happened. Whoever reads it may kill us before the next."""
    return str(event["event"])


if __name__ == "__main__":
    event_loop.run(main(*sys.argv[1:]))
