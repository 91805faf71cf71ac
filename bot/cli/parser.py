"""The command line's shape. Imports nothing heavy: `matinee --help` answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from bot import __version__

EXIT_CODES = """\
exit codes:
  0    done
  1    the clip could not be made or sent; nothing was charged
  2    the request or an option is wrong
  3    Matinee cannot start: settings, data folder, ffmpeg or database
  130  cancelled with Ctrl-C; nothing was charged
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="matinee",
        description="A film studio for a chat: type a prompt, get a clip with its own music.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"matinee {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    common = _common_options()
    _add_make_options(commands.add_parser("make", parents=[common], help="make a clip here and now"))
    _add_models(commands, common)
    _add_listing(commands, common, "genres", "the genres the music comes in")
    _add_listing(commands, common, "makers", "who can play the music, and under which licence")
    _add_listing(commands, common, "queue", "what is waiting and being made")
    _add_listing(commands, common, "quota", "credits used and left, and the last entries")
    _add_listing(commands, common, "history", "my last clips")
    _add_card_option(_add_listing(commands, common, "doctor", "is everything here that Matinee needs?"))
    _add_listing(commands, common, "health", "is the running Matinee well? exit code 0 if it is")
    _add_maintenance(commands, common)
    verify = commands.add_parser("verify", parents=[common], help="does a file's mark of being AI-made hold?")
    verify.add_argument("file", type=Path)
    recipe = _add_listing(commands, common, "recipe", "how a clip was made, read from its file")
    recipe.add_argument("file", type=Path)
    _add_convert_options(
        commands.add_parser("convert", parents=[common], help="make a checkpoint a folder to load")
    )
    admin = commands.add_parser("admin", parents=[common], help="what an operator may do; see docs/admin.md")
    admin.add_argument(
        "line", nargs="*", metavar="VERB", help="e.g. quota grant discord:42 10; none lists all"
    )
    commands.add_parser("run", parents=[common], help="start the studio and every chat that has a token")
    return parser


def _common_options() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("settings")
    group.add_argument("--config", type=Path, metavar="FILE", help="settings file (default: ./matinee.toml)")
    group.add_argument("--data", metavar="FOLDER", help="data folder (default: ./data)")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting, e.g. --set engine.slots=3",
    )
    return common


def _add_models(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = "the picture models, and what each can do; `models pull NAME` brings one"
    parser = _add_listing(commands, common, "models", text)
    _add_card_option(parser)
    parser.add_argument("action", nargs="?", choices=("pull",), help="bring a model's weights from the hub")
    parser.add_argument(
        "--latest", action="store_true", help="pull: not the commit pulled before, the newest"
    )
    parser.add_argument("name", nargs="?", help="the preset to bring (default: the one in the settings)")


def _add_maintenance(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    backup = commands.add_parser(
        "backup", parents=[common], help="copy the database, also while Matinee runs"
    )
    backup.add_argument("to", nargs="?", type=Path, help="a file or a folder (default: as in the settings)")
    restore = commands.add_parser("restore", parents=[common], help="put a backup in the database's place")
    restore.add_argument("file", type=Path)
    restore.add_argument(
        "--resume",
        action="store_true",
        help="go on with the clips that waited in it; without this they are cancelled and refunded,"
        " since they may have been made after it",
    )
    check = _add_listing(commands, common, "check", "are the database, the credits and the files sound?")
    check.add_argument("--fix", action="store_true", help="remove what a crash left half written")


def _add_card_option(parser: argparse.ArgumentParser) -> None:
    text = "as if this were the card, in gigabytes or by name and gigabytes, e.g. 24 or T4:16"
    parser.add_argument("--card", metavar="GB", help=text)


def _add_convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("videocrafter2",))
    parser.add_argument("checkpoint", type=Path, help="the published .ckpt; nothing in it is run")
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--tokenizer", help="a folder or hub id that has one (default: sd15's, if pulled)")


def _add_listing(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, parents=[common], help=text, description=text.capitalize())
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser


def _add_make_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make one clip: picture, music, one MP4."
    parser.add_argument("prompt", help="what to film")
    picture = parser.add_argument_group("picture")
    picture.add_argument("--model", help="a preset; see `matinee models`")
    picture.add_argument("--seconds", type=float)
    picture.add_argument("--size", metavar="WxH", help="in pixels, e.g. 704x512")
    picture.add_argument("--aspect", help="16:9, 9:16 or 1:1 instead of a size")
    picture.add_argument("--fps", type=float)
    picture.add_argument("--seed", type=int, help="the same seed makes the same clip")
    picture.add_argument("--steps", type=int)
    picture.add_argument("--fast", action="store_true", help="the model's own quick number of steps")
    picture.add_argument("--guidance", type=float)
    picture.add_argument("--negative", default="", help="what must not be in it")
    picture.add_argument("--style")
    picture.add_argument("--camera")
    start = picture.add_mutually_exclusive_group()
    start.add_argument("--image", type=Path, metavar="FILE", help="a picture that is the first frame")
    start.add_argument("--extend", type=Path, metavar="CLIP", help="go on from the end of this MP4")
    start.add_argument("--bigger", type=Path, metavar="CLIP", help="paint this MP4 again at a larger size")
    music = parser.add_argument_group("music")
    music.add_argument("--genre", help="see `matinee genres`; none for silence")
    music.add_argument("--mood")
    music.add_argument("--tempo", help="slow, fast ... or beats a minute")
    music.add_argument("--instruments", default="", help="a list with commas")
    music.add_argument("--track", type=Path, metavar="FILE", help="your own music, cut to the picture")
    music.add_argument("--melody", type=Path, metavar="FILE", help="a tune that a melody model plays after")
    music.add_argument("--maker", help="who plays; see `matinee makers`")
    music.add_argument("--no-music", action="store_true")
    result = parser.add_argument_group("result")
    result.add_argument("--out", type=Path, metavar="FILE", help="where the clip goes (default: ./clips/...)")
    result.add_argument("--limit", metavar="SIZE", help="at most this many bytes, e.g. 8MB")
    result.add_argument(
        "--no-recipe",
        action="store_const",
        const=False,
        dest="recipe",
        help="leave prompt, seed and music out of the file",
    )
    result.add_argument("--sheet", action="store_true", help="also a contact sheet, as PNG beside the clip")
    result.add_argument(
        "--json", action="store_true", help="for machines: one JSON object on standard output"
    )
    result.add_argument("--quiet", action="store_true", help="say nothing but the result")
