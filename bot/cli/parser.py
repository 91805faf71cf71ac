"""The arguments of the command line. It imports nothing large, so that `matinee --help` is quick."""

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
    _add_make_options(commands.add_parser("make", parents=[common], help="make a clip in this terminal"))
    _add_models(commands, common)
    _add_listing(commands, common, "genres", "the genres of the music")
    _add_listing(commands, common, "makers", "the music makers and their licences")
    _add_listing(commands, common, "queue", "the jobs that are waiting or in progress")
    _add_listing(commands, common, "quota", "credits used and left, and the last entries")
    _add_listing(commands, common, "history", "my last clips")
    _add_card_option(_add_listing(commands, common, "doctor", "check what Matinee needs on this machine"))
    _add_listing(commands, common, "health", "check the running Matinee; exit code 0 if it is healthy")
    _add_maintenance(commands, common)
    verify = commands.add_parser(
        "verify", parents=[common], help="check a file's signed mark as AI-generated"
    )
    verify.add_argument("file", type=Path)
    recipe = _add_listing(commands, common, "recipe", "how a clip was made, read from its file")
    recipe.add_argument("file", type=Path)
    _add_convert_options(
        commands.add_parser(
            "convert", parents=[common], help="convert a checkpoint into a folder that Matinee loads"
        )
    )
    admin = commands.add_parser("admin", parents=[common], help="run an admin command; see docs/admin.md")
    admin.add_argument(
        "line", nargs="*", metavar="VERB", help="e.g. quota grant discord:42 10; without one, all are listed"
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
    text = "the picture models and what each can do; `models pull NAME` downloads one"
    parser = _add_listing(commands, common, "models", text)
    _add_card_option(parser)
    parser.add_argument(
        "action", nargs="?", choices=("pull",), help="download a model's weights from the hub"
    )
    parser.add_argument(
        "--latest", action="store_true", help="pull: the newest commit instead of the one pulled before"
    )
    parser.add_argument("name", nargs="?", help="the preset to download (default: the one in the settings)")


def _add_maintenance(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    backup = commands.add_parser(
        "backup", parents=[common], help="copy the database, even while Matinee runs"
    )
    backup.add_argument("to", nargs="?", type=Path, help="a file or a folder (default: as in the settings)")
    restore = commands.add_parser("restore", parents=[common], help="replace the database by a backup")
    restore.add_argument("file", type=Path)
    restore.add_argument(
        "--resume",
        action="store_true",
        help="continue the jobs that were waiting in it; without this they are cancelled and refunded,"
        " because they may have been delivered after the backup",
    )
    check = _add_listing(commands, common, "check", "check the database, the credits and the files")
    check.add_argument("--fix", action="store_true", help="remove files that a crash left incomplete")


def _add_card_option(parser: argparse.ArgumentParser) -> None:
    text = "assume this graphics card: gigabytes, or name and gigabytes, e.g. 24 or T4:16"
    parser.add_argument("--card", metavar="GB", help=text)


def _add_convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("videocrafter2",))
    parser.add_argument("checkpoint", type=Path, help="the published .ckpt; no code in it is run")
    parser.add_argument("folder", type=Path, help="the folder to write the model to")
    parser.add_argument(
        "--tokenizer", help="a folder or hub id with a tokenizer (default: sd15's, if downloaded)"
    )


def _add_listing(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, parents=[common], help=text, description=text.capitalize())
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_make_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make one clip: an MP4 with picture and music."
    parser.add_argument("prompt", help="what the clip shows")
    picture = parser.add_argument_group("picture")
    picture.add_argument("--model", help="the picture model; see `matinee models`")
    picture.add_argument("--seconds", type=float)
    picture.add_argument("--size", metavar="WxH", help="in pixels, e.g. 704x512")
    picture.add_argument("--aspect", help="16:9, 9:16 or 1:1 instead of a size")
    picture.add_argument("--fps", type=float)
    picture.add_argument("--seed", type=int, help="the same seed makes the same clip")
    picture.add_argument("--steps", type=int)
    picture.add_argument(
        "--fast", action="store_true", help="use the model's number of steps for quick results"
    )
    picture.add_argument("--guidance", type=float)
    picture.add_argument("--negative", default="", help="what must not be in the picture")
    picture.add_argument("--style")
    picture.add_argument("--camera")
    start = picture.add_mutually_exclusive_group()
    start.add_argument("--image", type=Path, metavar="FILE", help="a picture to use as the first frame")
    start.add_argument("--extend", type=Path, metavar="CLIP", help="continue from the end of this MP4")
    start.add_argument("--bigger", type=Path, metavar="CLIP", help="render this MP4 again at a larger size")
    music = parser.add_argument_group("music")
    music.add_argument("--genre", help="see `matinee genres`; none for silence")
    music.add_argument("--mood")
    music.add_argument("--tempo", help="slow, fast ... or beats per minute")
    music.add_argument("--instruments", default="", help="a list separated by commas")
    music.add_argument(
        "--track", type=Path, metavar="FILE", help="your own music, cut to the length of the clip"
    )
    music.add_argument("--melody", type=Path, metavar="FILE", help="a melody for a melody model to follow")
    music.add_argument("--maker", help="the music maker; see `matinee makers`")
    music.add_argument("--no-music", action="store_true")
    result = parser.add_argument_group("result")
    result.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default: ./clips/...)")
    result.add_argument("--limit", metavar="SIZE", help="the largest size of the file, e.g. 8MB")
    result.add_argument(
        "--no-recipe",
        action="store_const",
        const=False,
        dest="recipe",
        help="do not store prompt, seed and music in the file",
    )
    result.add_argument(
        "--sheet", action="store_true", help="also write a contact sheet, a PNG beside the clip"
    )
    result.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    result.add_argument("--quiet", action="store_true", help="print nothing but the result")
