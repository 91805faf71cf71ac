"""What each verb of the command line does: settings, then the app, then an exit code."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shlex
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from bot.admin.admin import VERBS
from bot.cli import doctor, maintenance_commands, model_weights, recipe_command, tables, wish_arguments
from bot.cli.terminal import Show, Target, Terminal, show_for
from bot.domain.errors import PERSONAL, Died, OutputUnusable, StartError, TooLate
from bot.domain.jobs import Job, ReplyTo, Requester, State
from bot.domain.quota import Allowance, Balance
from bot.i18n import messages
from bot.runtime import app, config, event_loop, frontend_registry, logs
from bot.runtime.settings import Settings, load
from bot.store import spending
from bot.store.store import Store
from bot.studio.studio import Studio, Ticket
from generation.errors import GenerationError, Told, UnknownChoice
from generation.media.identity import own
from generation.media.provenance import Mark, read_recipe, verify
from generation.models.common import weights_lock
from generation.models.common.device import card_of, guess
from generation.models.common.pull import Weighty
from generation.request import Kind, Request, Wish, near

DONE, FAILED, WRONG, CANNOT_START, CANCELLED = 0, 1, 2, 3, 130


def run_command(args: Namespace) -> int:
    """The edge of the program: whatever stops it becomes one sentence and an exit code."""
    language = "en"
    try:
        settings = load(file=args.config, flags=_flags(args))
        language = _language(settings)
        secrets = [settings.discord.token.reveal(), settings.telegram.token.reveal()]
        secrets.append(settings.telegram.webhook_secret.reveal())
        quiet = args.command != "run"
        level = "error" if quiet and settings.log.level == "info" else settings.log.level
        logs.start(level=level, style=settings.log.format, prompts=settings.log.prompts, secrets=secrets)
        return event_loop.run(COMMANDS[args.command](settings, args))
    except Told as error:
        return _tell(error, language, as_json=getattr(args, "json", False))
    except KeyboardInterrupt:
        return CANCELLED
    except ExceptionGroup as group:  # of what `run` keeps alive, something died
        structlog.get_logger(__name__).critical("died", exc_info=group)
        return _tell(told_in(group), language, as_json=False) or FAILED


def told_in(group: BaseExceptionGroup[BaseException]) -> Told:
    """What a person can be told of it."""
    told: BaseException | None = group.subgroup(Told)
    while isinstance(told, BaseExceptionGroup):
        told = told.exceptions[0]
    return told if isinstance(told, Told) else Died()


def _flags(args: Namespace) -> dict[str, str]:
    flags = dict(map(wish_arguments.pair, args.set))
    return flags | ({"studio.data": args.data} if args.data else {})


def _tell(error: Told, language: str, *, as_json: bool) -> int:
    sentence = messages.explain(error, language)
    print(sentence, file=sys.stderr)
    if reason := messages.particulars(error.to_json()):
        print(f"({reason})", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": {**error.to_json(), "message": sentence}}, ensure_ascii=False))
    if isinstance(error, PERSONAL):
        return WRONG
    # A GenerationError that comes this far was met at the start, not in a job.
    return CANNOT_START if isinstance(error, StartError | GenerationError) else FAILED


async def _make(settings: Settings, args: Namespace) -> int:
    asked = wish_arguments.from_arguments(args)
    limit = wish_arguments.byte_count(args.limit) if args.limit else 0
    out = args.out or wish_arguments.free_name(Path("clips"), args.prompt)
    target = Target(out, out.with_suffix(".png") if args.sheet else None, args.recipe)
    target.check()
    show = show_for(quiet=args.json or args.quiet)
    terminal = Terminal(show)
    try:
        async with app.opened(settings, {"cli": lambda _: terminal}) as studio_app:
            job, note = await _one_clip(studio_app, terminal, asked, target.reply(limit), settings)
    finally:
        show.close()
    return _outcome(job, target, note=note, as_json=args.json)


async def _one_clip(
    studio_app: app.App, terminal: Terminal, asked: Wish, reply_to: ReplyTo, settings: Settings
) -> tuple[Job, str]:
    """The job as it ended, and what was rounded or passed over."""
    studio, me = studio_app.studio, _me(settings)
    await _say_cut_short(studio, me, terminal.show)
    ticket = await studio.submit(asked, me, reply_to)
    _say_chosen(ticket, terminal.show)
    terminal.job = studio_app.worker.only = ticket.job.id
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _cancel_soon, studio, ticket.job.id, me)
    await studio_app.serve()
    return await studio.job(ticket.job.id), messages.adjusted(ticket.adjustments, me.language)


_cancelling: set[asyncio.Task[None]] = set()


def _cancel_soon(studio: Studio, job: int, me: Requester) -> None:
    """Ctrl-C: the second one, while the first is under way, changes nothing."""
    if not _cancelling:
        _cancelling.add(asyncio.create_task(_cancel(studio, job, me)))


async def _cancel(studio: Studio, job: int, me: Requester) -> None:
    with suppress(TooLate):  # painted already: let it arrive
        await studio.cancel(job, me)


async def _say_cut_short(studio: Studio, me: Requester, show: Show) -> None:
    """Nobody waits any more for what a dead terminal asked for."""
    for job in await studio.waiting(limit=1000):
        if job.reply_to.platform == "cli":
            await studio.cancel(job.id, me)
            show.note(messages.words("cut short", me.language, job=job.id))


def _say_chosen(ticket: Ticket, show: Show) -> None:
    language = ticket.job.requester.language
    if ticket.adjustments:
        show.note(messages.adjusted(ticket.adjustments, language))
    if ticket.inferred:
        music = messages.music_line(ticket.job.request.music, language)
        show.note(messages.words("chosen", language, music=music))


def _language(settings: Settings) -> str:
    """Of the sentences on this terminal; auto is the terminal's own."""
    chosen = settings.studio.language
    own_words = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return messages.nearest(next(filter(None, own_words), "") if chosen == "auto" else chosen)


def _me(settings: Settings) -> Requester:
    """Whoever sits at the machine is its operator."""
    name = getpass.getuser()
    return Requester(platform="cli", user=name, name=name, admin=True, language=_language(settings))


def _outcome(job: Job, target: Target, *, note: str, as_json: bool) -> int:
    arrived = job.state is State.DELIVERED
    if as_json:
        facts = _facts(job, target, arrived=arrived) | ({"note": note} if note else {})
        print(json.dumps(facts, ensure_ascii=False))
    elif arrived:
        print(target.clip)
        if target.sheet:
            print(target.sheet)
    if job.state is State.CANCELLED:
        return CANCELLED
    return DONE if arrived else FAILED


def _facts(job: Job, target: Target, *, arrived: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"job": job.id, "state": job.state, "request": job.request.to_json()}
    if arrived:
        facts["clip"] = str(target.clip)
        facts["sheet"] = str(target.sheet) if target.sheet else None
    else:
        facts["error"] = (job.error or {}) | {"message": messages.ended(job, job.requester.language)}
    return facts


async def _models(settings: Settings, args: Namespace) -> int:
    known = config.read_tables(settings)
    if args.action == "pull":
        if args.latest:
            known = config.read_tables(settings, locked=False)
        with_weights = {name: one for name, one in known.makers.items() if one.source}
        return await _pull(settings, {**with_weights, **known.presets}, args.name or settings.studio.model)
    means = config.means(settings)
    card = card_of(args.card) if args.card else guess(means.device)
    tables.models(known.presets, settings.studio.model, card=card, means=means).show(as_json=args.json)
    if not args.json:
        tables.lossy(known.presets, config.prices()).show(as_json=False)
    return DONE


async def _pull(settings: Settings, presets: Mapping[str, Weighty], name: str) -> int:
    if name not in presets:
        raise UnknownChoice("model", name, near(name, tuple(presets)), tuple(presets))
    show = show_for(quiet=False)
    try:
        weights_lock.write(settings.studio.data, await model_weights.bring(presets[name], show))
    finally:
        show.close()
    return DONE


async def _convert(_: Settings, args: Namespace) -> int:
    await model_weights.convert(args.checkpoint, args.folder, args.tokenizer)
    return DONE


async def _genres(settings: Settings, args: Namespace) -> int:
    tables.genres(config.read_tables(settings).genres).show(as_json=args.json)
    return DONE


async def _makers(settings: Settings, args: Namespace) -> int:
    known = config.read_tables(settings).makers
    tables.makers(known, settings.studio.maker).show(as_json=args.json)
    return DONE


async def _queue(settings: Settings, args: Namespace) -> int:
    async with app.looking(settings) as store:
        found = await store.waiting(limit=50) if store else []
    tables.jobs(found, title="Queue", empty="Nothing waits.").show(as_json=args.json)
    return DONE


async def _quota(settings: Settings, args: Namespace) -> int:
    me = _me(settings)
    house = config.house(settings)
    allowance = replace(house.allowance, unlimited=house.allowance.unlimited or house.admins_unlimited)
    async with app.looking(settings) as store:
        balance = await _true_balance(store, me.key, allowance) if store else config.untouched(allowance)
        entries = await store.entries(me.key) if store else []
    tables.quota(balance, entries).show(as_json=args.json)
    return DONE


async def _true_balance(store: Store, key: str, allowance: Allowance) -> Balance:
    """Where nothing is counted down, what was used is told all the same."""
    found = await store.balance(key, allowance)
    if not found.unlimited:
        return found
    used = await store.look(lambda c, now: spending.in_window(c, key, allowance, now))
    return replace(found, used=used)


async def _history(settings: Settings, args: Namespace) -> int:
    async with app.looking(settings) as store:
        found = await store.history(_me(settings).key, limit=20) if store else []
    tables.jobs(found, title="My last clips", empty="No clip was made yet.").show(as_json=args.json)
    return DONE


async def _doctor(settings: Settings, args: Namespace) -> int:
    presets = config.read_tables(settings).presets
    findings = doctor.examine(
        data=settings.studio.data,
        floor=config.house(settings).disk_floor,
        configured_ffmpeg=settings.engine.ffmpeg,
        preset=presets[settings.studio.model],
        means=config.means(settings),
        chats=frontend_registry.left_out(settings),
        after=settings.rules.after,
    )
    if args.card:
        findings += doctor.imagined(card_of(args.card), presets.values(), config.means(settings))
    doctor.table(findings).show(as_json=args.json)
    return CANNOT_START if any(finding.verdict is doctor.Verdict.BAD for finding in findings) else DONE


async def _admin(settings: Settings, args: Namespace) -> int:
    if not args.line:
        print("\n".join(verb.usage for verb in VERBS.values()))
        return DONE
    async with app.administering(settings) as admin:
        answer = await admin.perform(shlex.join(args.line), _me(settings))
    print(answer.said(_language(settings)))
    return DONE


async def _run(settings: Settings, _: Namespace) -> int:
    for chat, why in frontend_registry.left_out(settings).items():
        if why:
            print(messages.words("left out", _language(settings), chat=chat, why=why), file=sys.stderr)
    await app.run(settings)
    return DONE


async def _verify(settings: Settings, args: Namespace) -> int:
    if not args.file.is_file():
        raise OutputUnusable(str(args.file), "there is no such file")
    verdict = await asyncio.to_thread(verify, args.file, identity=own(settings.studio.data))
    holds = verdict.mark is Mark.HOLDS
    key = f"mark.{verdict.mark}{'.ours' if holds and verdict.ours else ''}"
    print(messages.words(key, _language(settings), file=args.file, model=verdict.model or "?"))
    return DONE if holds else FAILED


async def _recipe(settings: Settings, args: Namespace) -> int:
    if not args.file.is_file():
        raise OutputUnusable(str(args.file), "there is no such file")
    language = settings.studio.language
    request = await asyncio.to_thread(read_recipe, args.file)
    again = recipe_command.command(request) if request else None
    if args.json:
        facts = {"request": request.to_json() if request else None, "command": again}
        print(json.dumps(facts, ensure_ascii=False))
    elif request is None:
        print(messages.words("recipe.untold", language, file=args.file))
    else:
        _tell_recipe(request, again, args.file, language)
    return DONE if request else FAILED


def _tell_recipe(request: Request, again: str | None, file: Path, language: str) -> None:
    tables.recipe(request, title=messages.words("recipe.of", language, file=file)).show(as_json=False)
    if request.kind is Kind.IMAGE:
        print(messages.words("recipe.still", language, line=messages.recipe_line(request)))
    elif again is None:
        print(messages.words("recipe.sequel", language))
    else:
        print(messages.words("recipe.again", language), again, sep="\n")


COMMANDS: dict[str, Callable[[Settings, Namespace], Coroutine[Any, Any, int]]] = {
    "make": _make,
    "models": _models,
    "genres": _genres,
    "makers": _makers,
    "queue": _queue,
    "quota": _quota,
    "history": _history,
    "doctor": _doctor,
    "health": maintenance_commands.health,
    "backup": maintenance_commands.backup,
    "restore": maintenance_commands.restore,
    "check": maintenance_commands.check,
    "admin": _admin,
    "convert": _convert,
    "verify": _verify,
    "recipe": _recipe,
    "run": _run,
}
