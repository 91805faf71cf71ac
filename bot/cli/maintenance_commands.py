"""The commands for maintenance: health, backup, restore, check."""

from __future__ import annotations

import asyncio
import json
import time
from argparse import Namespace
from dataclasses import asdict

from bot.cli.exit_codes import DONE, FAILED
from bot.i18n import messages
from bot.maintenance import backups, integrity_check, temp_files
from bot.maintenance.health import find_problems
from bot.maintenance.heartbeat import Heartbeat
from bot.runtime.settings import Settings


async def health(settings: Settings, args: Namespace) -> int:
    folder = settings.studio.data
    heartbeat = Heartbeat.read(folder)
    problems = find_problems(heartbeat, monotonic_now=time.monotonic())
    sentences = [
        messages.health_problem(one.part, one.life, since=one.since, why=one.why or str(folder))
        for one in problems
    ]
    if args.json:
        facts = [{**asdict(one), "message": text} for one, text in zip(problems, sentences, strict=True)]
        report_json = {
            "healthy": not problems,
            "ailments": facts,
            "pulse": asdict(heartbeat) if heartbeat else None,
        }
        print(json.dumps(report_json, ensure_ascii=False, indent=2))
    else:
        print(
            "\n".join(sentences)
            or messages.translate("health.ok", parts=", ".join(heartbeat.parts if heartbeat else ()))
        )
    return FAILED if problems else DONE


async def backup(settings: Settings, args: Namespace) -> int:
    print(
        await asyncio.to_thread(
            backups.create_backup,
            settings.studio.data,
            args.to or settings.upkeep.folder_for_backups(settings.studio.data),
        )
    )
    return DONE


async def restore(settings: Settings, args: Namespace) -> int:
    restored = await asyncio.to_thread(
        backups.restore,
        args.file,
        settings.studio.data,
        resume=args.resume,
        platforms_without_final_status=settings.registry.platforms_without_final_status,
    )
    print(messages.translate("restored", file=args.file))
    if restored.old_database:
        print(messages.translate("restored.previous", path=restored.old_database))
    if restored.deleted_again:
        print(messages.translate("restored.deleted", count=restored.deleted_again))
    if restored.cancelled or restored.uncertain:
        print(
            messages.translate(
                "restored.unfinished", cancelled=restored.cancelled, uncertain=restored.uncertain
            )
        )
    return DONE


async def check(settings: Settings, args: Namespace) -> int:
    data = settings.studio.data
    if args.fix:
        await asyncio.to_thread(
            temp_files.remove_temp_files, data, older_than=integrity_check.MIN_TEMP_FILE_AGE
        )
    report = await asyncio.to_thread(integrity_check.check_data_folder, data)
    sentences = [
        messages.translate(f"check.{one.kind}", job=one.job, detail=one.detail) for one in report.problems
    ]
    if args.json:
        facts = [
            {**asdict(one), "message": text} for one, text in zip(report.problems, sentences, strict=True)
        ]
        report_json = {"sound": report.sound, "jobs": report.jobs, "found": facts}
        print(json.dumps(report_json, ensure_ascii=False, indent=2))
    else:
        verdict = messages.translate("check.passed" if report.sound else "check.failed", jobs=report.jobs)
        print("\n".join([*sentences, verdict]))
    return DONE if report.sound else FAILED
