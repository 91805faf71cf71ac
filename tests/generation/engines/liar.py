"""A child that says hello and then only rubbish: run as the engine's command by a test."""

from __future__ import annotations

import sys
import time


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(kind: str) -> None:
    say('{"hello":{"pid":1}}')
    say('{"beat":null}')
    if kind == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    if kind == "lines":
        while True:
            say('{"progress": 7}\nhm\n[]\n{"done":["nobody",{}]}')
            time.sleep(0.001)


main(sys.argv[1])
