"""`python -m bot` and the `matinee` command: reads the line, the settings, and hands over."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bot.cli import parser

DONE, FAILED, BAD_REQUEST, CANNOT_START, CANCELLED = 0, 1, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    args = parser.build_parser().parse_args(argv)
    # Only now: --help and usage errors answer without loading the studio.
    from bot.cli.commands import run_command  # noqa: PLC0415

    return run_command(args)


if __name__ == "__main__":
    sys.exit(main())
