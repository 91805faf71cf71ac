"""The entry point of `python -m bot` and of the `matinee` command."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from bot.cli import parser


def main(argv: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no text
    args = parser.build_parser().parse_args(argv)
    # Imported here so that --help and usage errors do not load the bot.
    from bot.cli.commands import run_command  # noqa: PLC0415

    return run_command(args)


if __name__ == "__main__":
    sys.exit(main())
