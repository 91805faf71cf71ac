"""Texts that every frontend takes: option lines, actions, job numbers, prompts, admin lines."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from bot.cli.parser import build_parser
from bot.cli.terminal_frontend import OutputTarget
from bot.cli.wish_arguments import parse_byte_count, parse_setting, wish_from_arguments
from bot.domain.errors import USER_ERRORS, StartError
from bot.domain.jobs import Action
from bot.frontends.common.job_numbers import split_job_number
from bot.frontends.telegram.clip_sender import SentMessage
from bot.frontends.telegram.option_menu import MenuChoices
from bot.frontends.telegram.option_parser import parse_wish
from bot.frontends.telegram.preferences import parse_choice
from bot.i18n import messages
from bot.runtime import config
from bot.runtime.settings import load
from generation.errors import ExplainedError
from generation.models.common.device import parse_device
from generation.request import Wish
from tests.bot.app_harness import open_studio
from tests.factories import make_reply_to, make_requester, make_viewer
from tests.fuzz.target import HOSTILE_TEXTS, Call, Target, from_json, to_bytes, to_json, to_text

LINES = tuple(
    to_bytes(line)
    for line in (
        "a fox in the snow #lofi 8s 9:16 seed=7 --no-music",
        "a fox genre:lofi mood:calm tempo:92bpm instruments:piano,bass",
        'a cat model=tiny negative="blur, text" 704x512 24fps guidance=3.5 steps=20',
        "a car of the 80s, for 8 seconds",
        "a sign that says “open” --style noir --camera zoom-in",
        "#17 jazz",
        "17 lofi slow",
        'prompt="a dog" aspect=square maker=band cfg=2',
    )
)
ADMIN_LINES = tuple(
    to_bytes(line)
    for line in (
        "quota grant discord:42 10",
        "block 42 7d rude words",
        "queue move 3 front",
        "channel deny telegram:7",
        "review list",
        "review pardon 1",
        "quota role <@&12> patron",
        "stats week",
        "queue clear yes",
        "announce hello",
        "model off testcard",
        "unblock <@42>",
        "quota set pool:discord:7 5",
        "review close 3",
    )
)
ARGUMENTS = tuple(
    to_json(words)
    for words in (
        [
            "make",
            "a fox",
            "--seconds",
            "3",
            "--size",
            "64x64",
            "--seed",
            "7",
            "--genre",
            "lofi",
            "--limit",
            "8MB",
        ],
        [
            "make",
            "a fox",
            "--fps",
            "nan",
            "--steps",
            "4",
            "--guidance",
            "1.5",
            "--tempo",
            "92",
            "--json",
            "--quiet",
        ],
        [
            "make",
            "--model=testcard",
            "a",
            "--no-music",
            "--instruments",
            "piano,bass",
            "--negative",
            "x",
            "--fast",
        ],
        [
            "make",
            "a",
            "--image",
            "missing.png",
            "--track",
            "missing.wav",
            "--aspect",
            "16:9",
            "--style",
            "noir",
        ],
        ["models", "pull", "testcard", "--card", "T4:16"],
        ["doctor", "--card", "24", "--json"],
        ["queue", "--set", "engine.slots=3", "--data", "x", "--config", "a.toml"],
        ["restore", "a.db", "--resume"],
        ["admin", "quota", "grant", "42", "10"],
        ["verify", "a.mp4"],
        ["recipe", "a.mp4", "--json"],
    )
)


@asynccontextmanager
async def _option_line(_: Path) -> AsyncIterator[Call]:
    genres = ("lofi", "jazz", "pop")

    def call(data: bytes) -> None:
        text = to_text(data)
        try:
            parse_wish(text, genres=genres)
        except USER_ERRORS as error:
            explain(error)

    yield call


@asynccontextmanager
async def _wish(folder: Path) -> AsyncIterator[Call]:
    """A typed wish, until it is a job: rules, limits, music, price, the queue."""
    async with open_studio(folder, credits_=10**9, makers=("band",)) as (_, studio, _events):
        genres = tuple(studio.genres)

        async def call(data: bytes) -> None:
            try:
                wish = parse_wish(to_text(data), genres=genres)
                submission = await studio.submit(wish, make_viewer("ana"), make_reply_to())
            except USER_ERRORS as error:
                explain(error)
                return
            messages.adjustments_text(submission.adjustments).encode()
            messages.summary_line(submission.job).encode()
            await studio.cancel(submission.job.id, make_viewer("ana"))

        yield call


@asynccontextmanager
async def _actions(_: Path) -> AsyncIterator[Call]:
    def call(data: bytes) -> None:
        text = to_text(data)
        action = Action.parse(text)
        if action is not None:
            MenuChoices.parse(action.choice)
            parse_choice(action.choice)
            str(action)
        SentMessage.parse(text)
        split_job_number(text)

    yield call


@asynccontextmanager
async def _policy(_: Path) -> AsyncIterator[Call]:
    policy, viewer = config.read_policy(load(environment={})), make_requester()

    def call(data: bytes) -> None:
        prompt, _, negative = to_text(data)[:2000].partition("\n")
        policy.check(Wish(prompt=prompt, negative=negative), viewer)

    yield call


@asynccontextmanager
async def _admin_line(folder: Path) -> AsyncIterator[Call]:
    admin = make_viewer("boss", platform="telegram", admin=True)
    async with open_studio(folder) as (_, studio, _events):

        async def call(data: bytes) -> None:
            try:
                answer = await studio.administer(to_text(data), admin)
            except USER_ERRORS as error:
                explain(error)
            else:
                answer.to_text().encode()

        yield call


@asynccontextmanager
async def _arguments(folder: Path) -> AsyncIterator[Call]:
    parser = build_parser()
    async with open_studio(folder, credits_=10**9, makers=("band",)) as (_, studio, _events):

        async def call(data: bytes) -> None:
            words = from_json(data)
            if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
                return
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    args = parser.parse_args([word.replace("\0", "") for word in words])
                for setting in args.set:
                    parse_setting(setting)
                if getattr(args, "card", None):
                    parse_device(args.card)
                if args.command == "make":
                    if args.limit:
                        parse_byte_count(args.limit)
                    submission = await studio.submit(
                        wish_from_arguments(args), make_viewer("ana"), make_reply_to()
                    )
                    await studio.cancel(submission.job.id, make_viewer("ana"))
                    OutputTarget(args.out or Path("a.mp4"), None, args.recipe).to_reply(0)
            except (*USER_ERRORS, StartError) as error:
                explain(error, on_terminal=True)

        yield call


def explain(error: ExplainedError, *, on_terminal: bool = False) -> None:
    """The sentence for the user, which must be text that can be sent; a terminal shows any text."""
    sentence = messages.explain(error)
    assert sentence != messages.translate("Unexpected"), "an error without a sentence"
    sentence.encode(errors="backslashreplace" if on_terminal else "strict")


TARGETS = (
    Target(
        name="option line",
        shape="text",
        seeds=lambda: (*LINES, *HOSTILE_TEXTS),
        open=_option_line,
        covers=(
            "bot.frontends.telegram.option_parser:*",
            "bot.frontends.telegram.make_commands:MakeCommands._parse_wish",
        ),
        share=2,
    ),
    Target(
        name="wish, until it is queued",
        shape="text",
        seeds=lambda: LINES,
        open=_wish,
        covers=(
            "bot.studio.submission:Submitter.submit",
            "bot.store.job_rows:*",
            "generation.music.common.music_choice:*",
        ),
        share=2,
        reopen_after=1000,
    ),
    Target(
        name="actions, sent messages and job numbers",
        shape="text",
        seeds=lambda: [
            b"reroll:17",
            b"score:17:jazz",
            b"ask:0:lofi/8/9:16",
            b"set:5:genre=lofi",
            b"7/8/file",
            b"#17 a",
        ],
        open=_actions,
        covers=(
            "bot.domain.jobs:Action.parse",
            "bot.frontends.telegram.option_menu:MenuChoices.parse",
            "bot.frontends.telegram.preferences:parse_choice",
            "bot.frontends.telegram.clip_sender:SentMessage.parse",
            "bot.frontends.common.job_numbers:split_job_number",
        ),
    ),
    Target(
        name="prompt, before the rules",
        shape="text",
        seeds=lambda: (*LINES, *HOSTILE_TEXTS, b"a c4t in th3 sn0w\nblur, t e x t"),
        open=_policy,
        answers=USER_ERRORS,
        covers=("bot.moderation.prompt_policy:PromptPolicy.check",),
    ),
    Target(
        name="line of an admin",
        shape="text",
        seeds=lambda: ADMIN_LINES,
        open=_admin_line,
        covers=("bot.admin.admin:*", "bot.admin.arguments:*"),
        reopen_after=2000,
    ),
    Target(
        name="command line",
        shape="json",
        seeds=lambda: ARGUMENTS,
        open=_arguments,
        answers=(SystemExit,),
        covers=(
            "bot.cli.parser:build_parser",
            "bot.cli.wish_arguments:parse_byte_count",
            "bot.cli.wish_arguments:parse_setting",
            "bot.cli.wish_arguments:parse_size",
            "generation.models.common.device:parse_device",
        ),
        reopen_after=1000,
    ),
)
