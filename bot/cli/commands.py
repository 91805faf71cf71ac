"""The commands of the command line: each takes the settings and its arguments and returns an exit code."""

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
from bot.cli.descriptor import FRONTEND
from bot.cli.exit_codes import BAD_REQUEST, CANCELLED, CANNOT_START, DONE, FAILED
from bot.cli.output import Output
from bot.cli.terminal_frontend import OutputTarget, Terminal, choose_output
from bot.domain.errors import USER_ERRORS, Crashed, OutputUnusable, StartError, TooLate
from bot.domain.jobs import Job, JobState, ReplyTo, Requester
from bot.domain.quota import Allowance, Balance
from bot.frontends.common.recipe_command import slash_command
from bot.i18n import messages
from bot.maintenance.file_modes import PRIVATE_UMASK
from bot.runtime import app, composition, config, event_loop, logs
from bot.runtime.settings import Settings, load, remove_secrets
from bot.store.store import Store
from bot.studio.studio import Studio, Submission, Viewer
from generation.errors import ExplainedError, GenerationError, UnknownChoice
from generation.media.guarded_reader import GuardedReader
from generation.media.provenance import SignatureStatus, verify
from generation.media.signing_identity import load_or_create_identity
from generation.models.common import weights_lock
from generation.models.common.device import detect_from_driver, parse_device
from generation.models.common.pull import HasWeights
from generation.request import Kind, Request, Wish, closest_match

COMMANDS_FOR_USERS = frozenset({"make", "convert", "models"})
"""Commands that write files where the user names a place; these get the user's own umask."""


def run_command(args: Namespace) -> int:
    """Run the command of `args`. Every error becomes one sentence on standard error and an exit code."""
    language = "en"
    if args.command not in COMMANDS_FOR_USERS:
        os.umask(PRIVATE_UMASK)
    try:
        settings = load(file=args.config, flags=_flags(args))
        remove_secrets(os.environ, settings.registry, keep_hub_token=args.command == "models")
        language = _language(settings)
        secrets = settings.registry.secret_texts(settings.frontends)
        quiet = args.command != "run"
        level = "error" if quiet and settings.log.level == "info" else settings.log.level
        logs.configure_logging(
            level=level,
            style=settings.log.format,
            prompts=settings.log.prompts,
            secrets=secrets,
            registry=settings.registry,
        )
        return event_loop.run(COMMANDS[args.command](settings, args))
    except ExplainedError as error:
        return _print_error(error, language, as_json=getattr(args, "json", False))
    except KeyboardInterrupt:
        return CANCELLED
    except ExceptionGroup as group:  # one of the tasks of `matinee run` failed
        structlog.get_logger(__name__).critical("stopped by an error", exc_info=group)
        return _print_error(error_to_report(group), language, as_json=False) or FAILED


def error_to_report(group: BaseExceptionGroup[BaseException]) -> ExplainedError:
    """The first error of the group that can be explained to a user."""
    known: BaseException | None = group.subgroup(ExplainedError)
    while isinstance(known, BaseExceptionGroup):
        known = known.exceptions[0]
    return known if isinstance(known, ExplainedError) else Crashed()


def _flags(args: Namespace) -> dict[str, str]:
    flags = dict(map(wish_arguments.parse_setting, args.set))
    return flags | ({"studio.data": args.data} if args.data else {})


def _print_error(error: ExplainedError, language: str, *, as_json: bool) -> int:
    sentence = messages.explain(error, language)
    print(sentence, file=sys.stderr)
    if reason := messages.operator_detail(error.to_json()):
        print(f"({reason})", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": {**error.to_json(), "message": sentence}}, ensure_ascii=False))
    if isinstance(error, USER_ERRORS):
        return BAD_REQUEST
    # A GenerationError that reaches this point was raised at startup, not in a job.
    return CANNOT_START if isinstance(error, StartError | GenerationError) else FAILED


async def _make(settings: Settings, args: Namespace) -> int:
    requested = wish_arguments.wish_from_arguments(args)
    limit = wish_arguments.parse_byte_count(args.limit) if args.limit else 0
    out = args.out or wish_arguments.unused_clip_path(Path("clips"), args.prompt)
    target = OutputTarget(out, out.with_suffix(".png") if args.sheet else None, args.recipe)
    target.check()
    output = choose_output(quiet=args.json or args.quiet)
    terminal = Terminal(output)
    try:
        async with app.open_app(settings, {FRONTEND.name: lambda _: terminal}) as running_app:
            job, note = await _make_one_clip(
                running_app, terminal, requested, target.to_reply(limit), settings
            )
    finally:
        output.close()
    return _print_result(job, target, note=note, as_json=args.json)


async def _make_one_clip(
    running_app: composition.App, terminal: Terminal, requested: Wish, reply_to: ReplyTo, settings: Settings
) -> tuple[Job, str]:
    """The finished job, and a note on what was rounded or ignored."""
    studio, me = running_app.studio, Viewer(requester=_terminal_user(settings), chat=reply_to.chat)
    await _cancel_interrupted_jobs(studio, me, terminal.output)
    submission = await studio.submit(requested, me, reply_to)
    _show_chosen_music(submission, terminal.output)
    terminal.job = running_app.worker.only_job = submission.job.id
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _start_cancel, studio, submission.job.id, me)
    await running_app.serve()
    job = await studio.job(submission.job.id, me)
    return job, messages.adjustments_text(submission.adjustments, me.requester.language)


_cancel_tasks: set[asyncio.Task[None]] = set()


def _start_cancel(studio: Studio, job: int, me: Viewer) -> None:
    """Ctrl-C. A second one while the first is being handled has no effect."""
    if not _cancel_tasks:
        _cancel_tasks.add(asyncio.create_task(_cancel(studio, job, me)))


async def _cancel(studio: Studio, job: int, me: Viewer) -> None:
    with suppress(TooLate):  # it is already rendered and will be delivered
        await studio.cancel(job, me)


async def _cancel_interrupted_jobs(studio: Studio, me: Viewer, output: Output) -> None:
    """Cancel the jobs of terminals that ended before their clip was delivered."""
    for job in (await studio.waiting(me, limit=1000)).jobs:
        if job.reply_to.platform == FRONTEND.name:
            await studio.cancel(job.id, me)
            output.print_note(messages.translate("job.interrupted", me.requester.language, job=job.id))


def _show_chosen_music(submission: Submission, output: Output) -> None:
    language = submission.job.requester.language
    if submission.adjustments:
        output.print_note(messages.adjustments_text(submission.adjustments, language))
    if submission.inferred_music:
        music = messages.music_line(submission.job.request.music, language)
        output.print_note(messages.translate("music.chosen", language, music=music))


def _language(settings: Settings) -> str:
    """The language of this terminal's messages; `auto` takes it from the locale variables."""
    chosen = settings.studio.language
    locale_variables = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return messages.nearest_language(next(filter(None, locale_variables), "") if chosen == "auto" else chosen)


def _terminal_user(settings: Settings) -> Requester:
    """The user of the terminal, who has the rights of an admin."""
    name = getpass.getuser()
    return Requester(platform=FRONTEND.name, user=name, name=name, admin=True, language=_language(settings))


def _print_result(job: Job, target: OutputTarget, *, note: str, as_json: bool) -> int:
    delivered = job.state is JobState.DELIVERED
    if as_json:
        result = _result_json(job, target, delivered=delivered) | ({"note": note} if note else {})
        print(json.dumps(result, ensure_ascii=False))
    elif delivered:
        print(target.clip)
        if target.sheet:
            print(target.sheet)
    if job.state is JobState.CANCELLED:
        return CANCELLED
    return DONE if delivered else FAILED


def _result_json(job: Job, target: OutputTarget, *, delivered: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"job": job.id, "state": job.state, "request": job.request.to_json()}
    if delivered:
        facts["clip"] = str(target.clip)
        facts["sheet"] = str(target.sheet) if target.sheet else None
    else:
        facts["error"] = (job.error or {}) | {"message": messages.final_status(job, job.requester.language)}
    return facts


async def _models(settings: Settings, args: Namespace) -> int:
    known = config.read_tables(settings)
    if args.action == "pull":
        if args.latest:
            known = config.read_tables(settings, locked=False)
        with_weights = {name: one for name, one in known.makers.items() if one.source}
        return await _pull(settings, {**with_weights, **known.presets}, args.name or settings.studio.model)
    resources = config.resources(settings)
    card = parse_device(args.card) if args.card else detect_from_driver(resources.device)
    tables.models(known.presets, settings.studio.model, card=card, resources=resources).show(
        as_json=args.json
    )
    if not args.json:
        tables.lossy(known.presets, config.lossy_measurements()).show(as_json=False)
    return DONE


async def _pull(settings: Settings, presets: Mapping[str, HasWeights], name: str) -> int:
    if name not in presets:
        raise UnknownChoice("model", name, closest_match(name, tuple(presets)), tuple(presets))
    output = choose_output(quiet=False)
    try:
        weights_lock.write_commits(
            settings.studio.data, await model_weights.pull_weights(presets[name], output)
        )
    finally:
        output.close()
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
    async with app.open_for_reading(settings) as store:
        found = await store.waiting(limit=50) if store else []
    tables.jobs(found, title="Queue", empty="Nothing waits.").show(as_json=args.json)
    return DONE


async def _quota(settings: Settings, args: Namespace) -> int:
    me = _terminal_user(settings)
    policy = config.operator_policy(settings)
    allowance = replace(policy.allowance, unlimited=policy.allowance.unlimited or policy.admins_unlimited)
    async with app.open_for_reading(settings) as store:
        balance = (
            await _balance_with_usage(store, me.key, allowance) if store else config.unused_balance(allowance)
        )
        entries = await store.ledger_entries(me.key) if store else []
    tables.quota(balance, entries).show(as_json=args.json)
    return DONE


async def _balance_with_usage(store: Store, key: str, allowance: Allowance) -> Balance:
    """The balance; for an unlimited one the store does not count, so the used credits are added here."""
    found = await store.balance(key, allowance)
    if not found.unlimited:
        return found
    used = await store.used_in_window(key, allowance)
    return replace(found, used=used)


async def _history(settings: Settings, args: Namespace) -> int:
    async with app.open_for_reading(settings) as store:
        found = await store.history(_terminal_user(settings).key, limit=20) if store else []
    tables.jobs(found, title="My last clips", empty="No clip was made yet.").show(as_json=args.json)
    return DONE


async def _doctor(settings: Settings, args: Namespace) -> int:
    presets = config.read_tables(settings).presets
    results = doctor.run_checks(settings, presets[settings.studio.model])
    if args.card:
        results += doctor.model_fit_on(parse_device(args.card), presets.values(), config.resources(settings))
    doctor.table(results).show(as_json=args.json)
    return CANNOT_START if any(finding.verdict is doctor.Verdict.BAD for finding in results) else DONE


async def _admin(settings: Settings, args: Namespace) -> int:
    if not args.line:
        print("\n".join(verb.usage for verb in VERBS.values()))
        return DONE
    async with app.open_admin(settings) as admin:
        answer = await admin.perform(shlex.join(args.line), _terminal_user(settings))
    print(answer.to_text(_language(settings)))
    return DONE


async def _run(settings: Settings, _: Namespace) -> int:
    for chat, reason in settings.registry.unavailable(settings.frontends).items():
        if reason:
            print(
                messages.translate("frontend.skipped", _language(settings), chat=chat, why=reason),
                file=sys.stderr,
            )
    await app.run(settings)
    return DONE


async def _verify(settings: Settings, args: Namespace) -> int:
    if not args.file.is_file():
        raise OutputUnusable(str(args.file), "there is no such file")
    verdict = await asyncio.to_thread(
        verify, args.file, identity=load_or_create_identity(settings.studio.data)
    )
    holds = verdict.status is SignatureStatus.VALID
    key = f"mark.{verdict.status}{'.ours' if holds and verdict.ours else ''}"
    print(messages.translate(key, _language(settings), file=args.file, model=verdict.model or "?"))
    return DONE if holds else FAILED


async def _recipe(settings: Settings, args: Namespace) -> int:
    if not args.file.is_file():
        raise OutputUnusable(str(args.file), "there is no such file")
    language = settings.studio.language
    request = await GuardedReader().read_recipe(args.file, args.file.name)
    again_command = recipe_command.command_line(request) if request else None
    if args.json:
        facts = {"request": request.to_json() if request else None, "command": again_command}
        print(json.dumps(facts, ensure_ascii=False))
    elif request is None:
        print(messages.translate("recipe.missing", language, file=args.file))
    else:
        _print_recipe(request, again_command, args.file, language)
    return DONE if request else FAILED


def _print_recipe(request: Request, again_command: str | None, file: Path, language: str) -> None:
    tables.recipe(request, title=messages.translate("recipe.file_title", language, file=file)).show(
        as_json=False
    )
    if request.kind is Kind.IMAGE:
        print(messages.translate("recipe.image", language, line=slash_command(request)))
    elif again_command is None:
        print(messages.translate("recipe.derivative", language))
    else:
        print(messages.translate("recipe.command", language), again_command, sep="\n")


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
