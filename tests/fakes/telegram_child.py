"""Run the application in its own process, so that tests can kill it.

`python -m tests.fakes.telegram_child FOLDER URL TOKEN [late] [webhook PORT]`; `late` sends every clip as a
new message.
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
    """Print only the event name, one per line; the test may kill the process at any of them."""
    return str(event["event"])


if __name__ == "__main__":
    event_loop.run(main(*sys.argv[1:]))
