"""What the verbs do that keep the house: health, backup, restore, check."""

from __future__ import annotations

import asyncio
import json
import time
from argparse import Namespace
from dataclasses import asdict

from bot.i18n import messages
from bot.maintenance import backups, integrity_check, temp_files
from bot.maintenance.health import judge
from bot.maintenance.heartbeat import Pulse
from bot.runtime.config import backup_folder
from bot.runtime.settings import Settings

DONE, FAILED = 0, 1


async def health(settings: Settings, args: Namespace) -> int:
    folder = settings.studio.data
    pulse = Pulse.read(folder)
    ailments = judge(pulse, steady=time.monotonic())
    said = [
        messages.ailing(one.part, one.life, since=one.since, why=one.why or str(folder)) for one in ailments
    ]
    if args.json:
        facts = [{**asdict(one), "message": text} for one, text in zip(ailments, said, strict=True)]
        whole = {"healthy": not ailments, "ailments": facts, "pulse": asdict(pulse) if pulse else None}
        print(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        print("\n".join(said) or messages.words("health.well", parts=", ".join(pulse.parts if pulse else ())))
    return FAILED if ailments else DONE


async def backup(settings: Settings, args: Namespace) -> int:
    print(await asyncio.to_thread(backups.take, settings.studio.data, args.to or backup_folder(settings)))
    return DONE


async def restore(settings: Settings, args: Namespace) -> int:
    done = await asyncio.to_thread(backups.restore, args.file, settings.studio.data, resume=args.resume)
    print(messages.words("restored", file=args.file))
    if done.aside:
        print(messages.words("restored.aside", path=done.aside))
    if done.cancelled or done.uncertain:
        print(messages.words("restored.ended", cancelled=done.cancelled, uncertain=done.uncertain))
    return DONE


async def check(settings: Settings, args: Namespace) -> int:
    data = settings.studio.data
    if args.fix:
        await asyncio.to_thread(temp_files.clear, data, older_than=integrity_check.YOUNG)
    report = await asyncio.to_thread(integrity_check.look_over, data)
    said = [messages.words(f"check.{one.kind}", job=one.job, detail=one.detail) for one in report.found]
    if args.json:
        facts = [{**asdict(one), "message": text} for one, text in zip(report.found, said, strict=True)]
        whole = {"sound": report.sound, "jobs": report.jobs, "found": facts}
        print(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        verdict = messages.words("check.sound" if report.sound else "check.unsound", jobs=report.jobs)
        print("\n".join([*said, verdict]))
    return DONE if report.sound else FAILED
