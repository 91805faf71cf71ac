"""Fake child processes, used as the engine's command; most send invalid lines once they are ready."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def send_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complete_every_order() -> None:
    """Complete every order at once and ask for a restart after each."""
    for line in sys.stdin:
        name, facts = parse_message(line)
        if name == "close":
            return
        if name == "order":
            send_line('{"needs_restart":null}')
            clip = {"path": "/clip", "size": os.getpid(), "audio": False}
            clip |= dict.fromkeys(("width", "height", "fps", "frames", "seconds"), 1)
            send_line(json.dumps({"done": [facts["label"], clip]}))


def start_two_then_die(*, music: bool) -> None:
    """Report two orders as started, then exit. The frames of the first are done, its music perhaps not."""
    for _ in range(2):
        order = next(facts for name, facts in map(parse_message, sys.stdin) if name == "order")
        send_line(json.dumps({"progress": [order["label"], "painting", 0, 4]}))
        if music:
            send_line(json.dumps({"progress": [order["label"], "scoring", 1, 4]}))


def parse_message(line: str) -> tuple[str, Any]:
    name, facts = next(iter(json.loads(line).items()))
    return str(name), facts


def main(kind: str) -> None:
    send_line('{"ready":{"pid":1}}')
    send_line('{"heartbeat":null}')
    if kind in {"frames", "music"}:
        start_two_then_die(music=kind == "music")
    if kind == "needs_restart":
        complete_every_order()
    if kind == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    if kind == "lines":
        while True:
            send_line('{"progress": 7}\nhm\n[]\n{"done":["nobody",{}]}')
            time.sleep(0.001)


main(sys.argv[1])
