"""`matinee run` in which SIGUSR1 cancels the task of the chat, as a bug in a library might."""

from __future__ import annotations

import asyncio
import signal
import sys

from bot.runtime import app, event_loop
from bot.runtime.settings import load


async def main(folder: str) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, cancel_chat_task)
    await app.run(load(flags={"studio.data": folder}))


def cancel_chat_task() -> None:
    for task in asyncio.all_tasks():
        if task.get_name() == "telegram":
            task.cancel()


if __name__ == "__main__":
    event_loop.run(main(sys.argv[1]))
