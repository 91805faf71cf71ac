"""The admin verbs, and the table that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bot import messages
from bot.admin.desk import (
    SPANS,
    Answer,
    Desk,
    Param,
    Verb,
    a_channel,
    a_count,
    a_day,
    a_job,
    a_model,
    a_person,
    a_place,
    a_span,
    a_tier,
    some_credits,
    words,
)
from bot.errors import NotAllowed
from bot.job import Job
from bot.store import house, ledger, looks, order, people, queue, stats


def quota_show(desk: Desk, person: str) -> Answer:
    account = desk.account(person)
    standing = house.standing(desk.c, person, desk.now)
    tier = desk.plan.tier(person, roles=(), chat="", named=standing.tier)
    allowance = desk.plan.allowance(tier, own=standing.credits)
    found = ledger.balance(desk.c, ledger.Purse(account, allowance), desk.now)
    facts = {
        "person": person,
        "tier": tier.name,
        "used": found.used,
        "limit": found.limit,
        "left": found.left,
    }
    return Answer("quota.show", facts | {"granted": found.granted})


def quota_set(desk: Desk, person: str, credits_: int) -> Answer:
    desk.account(person)
    house.set_credits(desk.c, person, credits_)
    return Answer("quota.set", {"person": person, "credits": credits_})


def quota_grant(desk: Desk, person: str, credits_: int, note: str = "") -> Answer:
    ledger.grant(desk.c, desk.account(person), credits_, note=note, now=desk.now)
    return Answer("quota.grant", {"person": person, "credits": credits_})


def quota_reset(desk: Desk, person: str) -> Answer:
    """The window starts afresh and what was set for the person alone is dropped."""
    purse = ledger.Purse(desk.account(person), desk.plan.base)
    forgiven = ledger.reset(desk.c, purse, note="reset", now=desk.now)
    house.set_credits(desk.c, person, None)
    return Answer("quota.reset", {"person": person, "credits": forgiven})


def quota_tier(desk: Desk, person: str, tier: str | None) -> Answer:
    desk.account(person)
    house.set_tier(desk.c, person, tier)
    return Answer("quota.tier", {"person": person, "tier": tier or "everyone"})


def queue_list(desk: Desk) -> Answer:
    line = looks.waiting(desk.c, 25)
    return Answer("queue.list", {"count": len(line)}, lines=tuple(map(_line, line)))


def _line(job: Job) -> Answer:
    prompt = messages.quoted(job.request.prompt)
    return Answer("line", {"job": job.id, "state": job.state, "who": job.requester.key, "prompt": prompt})


def queue_pause(desk: Desk) -> Answer:
    people.change_fact(desk.c, "paused", True)
    return Answer("queue.pause")


def queue_resume(desk: Desk) -> Answer:
    people.change_fact(desk.c, "paused", False)
    people.change_fact(desk.c, "closed", None)
    return Answer("queue.resume")


def queue_drain(desk: Desk) -> Answer:
    people.change_fact(desk.c, "closed", "drain")
    return Answer("queue.drain")


def queue_cancel(desk: Desk, job: int) -> Answer:
    queue.cancel(desk.c, job, now=desk.now)
    return Answer("queue.cancel", {"job": job}, cancelled=(job,))


def queue_move(desk: Desk, job: int, place: int) -> Answer:
    order.move(desk.c, job, place)
    return Answer("queue.move", {"job": job, "place": looks.place(desk.c, job)})


def queue_clear(desk: Desk, person: str | None = None) -> Answer:
    gone = order.clear(desk.c, person=person, now=desk.now)
    return Answer("queue.clear", {"count": len(gone)})


def block(desk: Desk, person: str, span: float | None = None, reason: str = "") -> Answer:
    until = None if span is None else desk.now + span
    house.block(desk.c, person, until=until, reason=reason or "admin", now=desk.now)
    lasting = "for good" if span is None else messages.span(span)
    return Answer("block", {"person": person, "lasting": lasting})


def unblock(desk: Desk, person: str) -> Answer:
    known = house.unblock(desk.c, person)
    return Answer("unblock" if known else "unblock.none", {"person": person})


def model_enable(desk: Desk, model: str) -> Answer:
    house.take_out(desk.c, "disabled_models", model)
    return Answer("model.enable", {"model": model})


def model_disable(desk: Desk, model: str) -> Answer:
    house.put_in(desk.c, "disabled_models", model)
    return Answer("model.disable", {"model": model})


def model_default(desk: Desk, model: str) -> Answer:
    people.change_fact(desk.c, "default_model", model)
    return Answer("model.default", {"model": model})


def channel_allow(desk: Desk, channel: str) -> Answer:
    house.take_out(desk.c, "denied_channels", channel)
    house.put_in(desk.c, "allowed_channels", channel)
    return Answer("channel.allow", {"channel": channel})


def channel_deny(desk: Desk, channel: str) -> Answer:
    house.take_out(desk.c, "allowed_channels", channel)
    house.put_in(desk.c, "denied_channels", channel)
    return Answer("channel.deny", {"channel": channel})


def channel_forget(desk: Desk, channel: str) -> Answer:
    house.take_out(desk.c, "allowed_channels", channel)
    house.take_out(desk.c, "denied_channels", channel)
    return Answer("channel.forget", {"channel": channel})


def show_stats(desk: Desk, day: str = "today") -> Answer:
    found = stats.stats(desk.c, desk.now - SPANS[day])
    return Answer(
        "stats", {**asdict(found), "gpu": messages.span(found.gpu_seconds), "day": day.capitalize()}
    )


def announce(desk: Desk, text: str) -> Answer:
    house.announce(desk.c, text, now=desk.now, until=desk.now + SPANS["today"])
    return Answer("announce")


def announce_stop(desk: Desk) -> Answer:
    house.announce(desk.c, "", now=desk.now, until=desk.now)
    return Answer("announce.stop")


def show_audit(desk: Desk) -> Answer:
    rows = house.audit(desk.c, 20)
    lines = (
        Answer(
            "audit.line",
            {"at": messages.moment(row.at), "who": row.admin, "verb": row.verb, "what": _told(row.details)},
        )
        for row in rows
    )
    return Answer("audit", {"count": len(rows)}, lines=tuple(lines))


def review_list(desk: Desk) -> Answer:
    held = order.held(desk.c)
    said = house.complaints(desk.c, 20)
    lines = [_line(job) for job in held]
    lines += [
        Answer(
            f"review.{row['kind']}", {"who": row["person"], "job": row["job"] or "-", "words": row["words"]}
        )
        for row in said
    ]
    return Answer("review.list", {"count": len(held), "said": len(said)}, lines=tuple(lines))


def review_release(desk: Desk, job: int) -> Answer:
    order.release(desk.c, job)
    return Answer("review.release", {"job": job})


def review_reject(desk: Desk, job: int) -> Answer:
    order.reject(desk.c, job, NotAllowed("review"), now=desk.now)
    return Answer("review.reject", {"job": job})


def _told(details: Mapping[str, Any]) -> str:
    return messages.quoted(", ".join(f"{name} {value}" for name, value in details.items()), 200)


PERSON, JOB = Param("person", a_person), Param("job", a_job)
NOTE = Param("note", words, optional=True, rest=True)


CREDITS, COUNT = Param("credits", some_credits), Param("credits", a_count)
MODEL, CHANNEL = Param("model", a_model), Param("channel", a_channel)

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("quota show", quota_show, (PERSON,), looks=True),
        Verb("quota set", quota_set, (PERSON, COUNT)),
        Verb("quota grant", quota_grant, (PERSON, CREDITS, NOTE)),
        Verb("quota reset", quota_reset, (PERSON,)),
        Verb("quota tier", quota_tier, (PERSON, Param("tier", a_tier))),
        Verb("queue list", queue_list, looks=True),
        Verb("queue pause", queue_pause),
        Verb("queue resume", queue_resume),
        Verb("queue drain", queue_drain),
        Verb("queue cancel", queue_cancel, (JOB,)),
        Verb("queue move", queue_move, (JOB, Param("place", a_place))),
        Verb("queue clear", queue_clear, (Param("person", a_person, optional=True),)),
        Verb(
            "block",
            block,
            (PERSON, Param("span", a_span, optional=True), Param("reason", words, optional=True, rest=True)),
        ),
        Verb("unblock", unblock, (PERSON,)),
        Verb("model enable", model_enable, (MODEL,)),
        Verb("model disable", model_disable, (MODEL,)),
        Verb("model default", model_default, (MODEL,)),
        Verb("channel allow", channel_allow, (CHANNEL,)),
        Verb("channel deny", channel_deny, (CHANNEL,)),
        Verb("channel forget", channel_forget, (CHANNEL,)),
        Verb("review list", review_list, looks=True),
        Verb("review release", review_release, (JOB,)),
        Verb("review reject", review_reject, (JOB,)),
        Verb("stats", show_stats, (Param("day", a_day, optional=True),), looks=True),
        Verb("announce", announce, (Param("text", words, rest=True),)),
        Verb("announce stop", announce_stop),
        Verb("audit", show_audit, looks=True),
    )
}
