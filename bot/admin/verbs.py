"""The admin verbs, and the table that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from bot.admin.arguments import (
    DAYS,
    SPAN,
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
    a_role,
    a_span,
    a_tier,
    some_credits,
    words,
)
from bot.domain.errors import ClipRefused, TooLate
from bot.domain.jobs import Job, State
from bot.domain.quota import Allowance
from bot.i18n import messages
from bot.store import (
    admin_queue,
    admin_state,
    inspections,
    job_queries,
    ledger,
    people,
    queue,
    reports,
    spending,
    stats,
)

ANNOUNCED_FOR = 86_400.0


def quota_show(desk: Desk, person: str) -> Answer:
    account = desk.account(person)
    if person.startswith("pool:"):
        return _pool(desk, person, account)
    tier, allowance = admin_state.terms(desk.c, desk.plan, person, desk.now)
    found = ledger.balance(desk.c, account, allowance, desk.now)
    used = spending.in_window(desk.c, person, allowance, desk.now) if found.unlimited else found.used
    facts = {"person": person, "tier": tier.name, "used": used, "limit": found.limit, "left": found.left}
    key = "quota.show.unlimited" if found.unlimited else "quota.show"
    return Answer(key, facts | {"granted": found.granted})


def _pool(desk: Desk, pool: str, account: int) -> Answer:
    allowance = desk.plan.pool(pool.removeprefix("pool:")) or Allowance(credits=0)
    found = ledger.balance(desk.c, account, allowance, desk.now)
    facts = {"person": pool, "tier": "pool", "used": found.used, "limit": found.limit, "left": found.left}
    return Answer("quota.show", facts | {"granted": found.granted})


def quota_set(desk: Desk, person: str, credits_: int) -> Answer:
    desk.account(person)
    admin_state.set_credits(desk.c, person, credits_)
    return Answer("quota.set", {"person": person, "credits": credits_})


def quota_grant(desk: Desk, person: str, credits_: int, note: str = "") -> Answer:
    ledger.grant(desk.c, desk.account(person), credits_, note=note, now=desk.now)
    return Answer("quota.grant", {"person": person, "credits": credits_})


def quota_reset(desk: Desk, person: str) -> Answer:
    """The window starts afresh and what was set for the person alone is dropped."""
    forgiven = ledger.reset(desk.c, desk.account(person), desk.plan.base, note="reset", now=desk.now)
    admin_state.set_credits(desk.c, person, None)
    return Answer("quota.reset", {"person": person, "credits": forgiven})


def quota_tier(desk: Desk, person: str, tier: str | None) -> Answer:
    desk.account(person)
    admin_state.set_tier(desk.c, person, tier)
    return Answer("quota.tier", {"person": person, "tier": tier or "everyone"})


def quota_role(desk: Desk, role: str, tier: str | None) -> Answer:
    """Whoever has the role is in the tier; without one it means nothing any more."""
    admin_state.set_role(desk.c, role, tier)
    return Answer("quota.role" if tier else "quota.role.none", {"role": role, "tier": tier or ""})


def queue_list(desk: Desk) -> Answer:
    line = job_queries.waiting(desk.c, 25)
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
    before = job_queries.job(desk.c, job)
    if before.state is State.HELD and before.clip:
        raise TooLate(job, before.state.value)  # painted: it is released or rejected
    queue.cancel(desk.c, job, now=desk.now)
    return Answer("queue.cancel", {"job": job}, ended=(job,))


def queue_move(desk: Desk, job: int, place: int) -> Answer:
    admin_queue.move(desk.c, job, place)
    return Answer("queue.move", {"job": job, "place": job_queries.place(desk.c, job)})


def queue_clear(desk: Desk, person: str | None = None) -> Answer:
    gone = admin_queue.clear(desk.c, person=person, now=desk.now)
    return Answer("queue.clear", {"count": len(gone)}, ended=tuple(job.id for job in gone))


def block(desk: Desk, person: str, span: float | None = None, reason: str = "") -> Answer:
    until = None if span is None else desk.now + span
    admin_state.block(desk.c, person, until=until, reason=reason or "admin", now=desk.now)
    lasting = Answer("lasting.forever").said if span is None else partial(messages.span, span)
    return Answer("block", {"person": person, "lasting": lasting})


def unblock(desk: Desk, person: str) -> Answer:
    known = admin_state.unblock(desk.c, person)
    return Answer("unblock" if known else "unblock.none", {"person": person})


def model_enable(desk: Desk, model: str) -> Answer:
    admin_state.take_out(desk.c, "disabled_models", model)
    return Answer("model.enable", {"model": model})


def model_disable(desk: Desk, model: str) -> Answer:
    admin_state.put_in(desk.c, "disabled_models", model)
    return Answer("model.disable", {"model": model})


def model_default(desk: Desk, model: str) -> Answer:
    people.change_fact(desk.c, "default_model", model)
    return Answer("model.default", {"model": model})


def channel_allow(desk: Desk, channel: str) -> Answer:
    admin_state.take_out(desk.c, "denied_channels", channel)
    admin_state.put_in(desk.c, "allowed_channels", channel)
    return Answer("channel.allow", {"channel": channel})


def channel_deny(desk: Desk, channel: str) -> Answer:
    admin_state.take_out(desk.c, "allowed_channels", channel)
    admin_state.put_in(desk.c, "denied_channels", channel)
    return Answer("channel.deny", {"channel": channel})


def channel_forget(desk: Desk, channel: str) -> Answer:
    admin_state.take_out(desk.c, "allowed_channels", channel)
    admin_state.take_out(desk.c, "denied_channels", channel)
    return Answer("channel.forget", {"channel": channel})


def show_stats(desk: Desk, day: str = "today") -> Answer:
    first = desk.now - (DAYS[day] - 1) * 86_400
    found = stats.stats(desk.c, replace(desk.plan.base, rolling=None).window(first)[0])
    gpu = partial(messages.span, found.gpu_seconds)
    return Answer("stats", {**asdict(found), "gpu": gpu, "day": Answer(f"day.{day}").said})


def announce(desk: Desk, text: str) -> Answer:
    admin_state.announce(desk.c, text, now=desk.now, until=desk.now + ANNOUNCED_FOR)
    return Answer("announce")


def announce_stop(desk: Desk) -> Answer:
    admin_state.announce(desk.c, "", now=desk.now, until=desk.now)
    return Answer("announce.stop")


def show_audit(desk: Desk) -> Answer:
    rows = admin_state.audit(desk.c, 20)
    lines = (
        Answer(
            "audit.line",
            {"at": messages.moment(row.at), "who": row.admin, "verb": row.verb, "what": _told(row.details)},
        )
        for row in rows
    )
    return Answer("audit", {"count": len(rows)}, lines=tuple(lines))


def review_list(desk: Desk) -> Answer:
    held = admin_queue.held(desk.c)
    said = reports.waiting(desk.c, 20)
    lines = [_held(desk, job) for job in held]
    lines += [
        Answer(
            f"review.{one.kind}",
            {
                "number": one.id,
                "who": one.person,
                "job": one.job or "-",
                "words": messages.quoted(one.words, 300),
            },
        )
        for one in said
    ]
    return Answer("review.list", {"count": len(held), "said": len(said)}, lines=tuple(lines))


def _held(desk: Desk, job: Job) -> Answer:
    seen = messages.sight(*(inspections.seen(desk.c, job.id) or ("", 0.0)))
    prompt = messages.quoted(job.request.prompt)
    return Answer("review.held", {"job": job.id, "who": job.requester.key, "seen": seen, "prompt": prompt})


def review_release(desk: Desk, job: int) -> Answer:
    released = admin_queue.release(desk.c, job)
    if released.clip:
        inspections.release(desk.c, job, desk.now)
    return Answer("review.release", {"job": job})


def review_reject(desk: Desk, job: int) -> Answer:
    admin_queue.reject(desk.c, job, ClipRefused(), now=desk.now)
    return Answer("review.reject", {"job": job}, ended=(job,))


def review_close(desk: Desk, number: int) -> Answer:
    reports.close(desk.c, number, desk.now)
    return Answer("review.close", {"number": number})


def review_pardon(desk: Desk, number: int) -> Answer:
    """The appeal was right: its person may go on at once."""
    appeal = reports.close(desk.c, number, desk.now)
    admin_state.unblock(desk.c, appeal.person)
    return Answer("review.pardon", {"number": number, "person": appeal.person})


def _told(details: Mapping[str, Any]) -> str:
    return messages.quoted(", ".join(f"{name} {value}" for name, value in details.items()), 200)


PERSON, JOB, NUMBER = Param("person", a_person), Param("job", a_job), Param("number", a_job)
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
        Verb("quota role", quota_role, (Param("role", a_role), Param("tier", a_tier))),
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
            (
                PERSON,
                Param("span", a_span, optional=True, skipped_by=SPAN),
                Param("reason", words, optional=True, rest=True),
            ),
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
        Verb("review close", review_close, (NUMBER,)),
        Verb("review pardon", review_pardon, (NUMBER,)),
        Verb("stats", show_stats, (Param("day", a_day, optional=True),), looks=True),
        Verb("announce", announce, (Param("text", words, rest=True),)),
        Verb("announce stop", announce_stop),
        Verb("audit", show_audit, looks=True),
    )
}
