"""The admin verbs, and the table that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from bot.admin.arguments import (
    CONFIRMATION,
    DURATION_START,
    STATS_PERIODS,
    AdminContext,
    AdminResult,
    AdminVerb,
    VerbParam,
    parse_channel,
    parse_credits,
    parse_duration,
    parse_job,
    parse_model,
    parse_person,
    parse_positive_credits,
    parse_queue_position,
    parse_role,
    parse_stats_period,
    parse_text,
    parse_tier,
)
from bot.domain.errors import ClipNotAllowed, TooLate
from bot.domain.jobs import Job, JobState
from bot.domain.quota import Allowance
from bot.i18n import messages
from bot.moderation.prompt_policy import strike_timeout

ANNOUNCEMENT_SECONDS = 86_400.0


def quota_show(context: AdminContext, person: str) -> AdminResult:
    context.check_known(person)
    if person.startswith("pool:"):
        return _show_pool(context, person)
    tier, allowance = context.transaction.tier_and_allowance(context.quota_plan, person)
    found = context.transaction.balance(person, allowance)
    used = context.transaction.used_in_window(person, allowance) if found.unlimited else found.used
    facts = {"person": person, "tier": tier.name, "used": used, "limit": found.limit, "left": found.left}
    key = "quota.show.unlimited" if found.unlimited else "quota.show"
    return AdminResult(key, facts | {"granted": found.granted})


def _show_pool(context: AdminContext, pool: str) -> AdminResult:
    allowance = context.quota_plan.pool(pool.removeprefix("pool:")) or Allowance(credits=0)
    found = context.transaction.balance(pool, allowance)
    facts = {"person": pool, "tier": "pool", "used": found.used, "limit": found.limit, "left": found.left}
    return AdminResult("quota.show", facts | {"granted": found.granted})


def quota_set(context: AdminContext, person: str, credits_: int) -> AdminResult:
    context.check_known(person)
    context.transaction.set_credits(person, credits_)
    return AdminResult("quota.set", {"person": person, "credits": credits_})


def quota_grant(context: AdminContext, person: str, credits_: int, note: str = "") -> AdminResult:
    context.check_known(person)
    context.transaction.grant(person, credits_, note=note)
    return AdminResult("quota.grant", {"person": person, "credits": credits_})


def quota_reset(context: AdminContext, person: str) -> AdminResult:
    """Put back what the user spent in this window, and remove their personal number of credits."""
    context.check_known(person)
    refunded = context.transaction.reset_window(person, context.quota_plan.base)
    context.transaction.set_credits(person, None)
    return AdminResult("quota.reset", {"person": person, "credits": refunded})


def quota_tier(context: AdminContext, person: str, tier: str | None) -> AdminResult:
    context.check_known(person)
    context.transaction.set_tier(person, tier)
    return AdminResult("quota.tier", {"person": person, "tier": tier or "everyone"})


def quota_role(context: AdminContext, role: str, tier: str | None) -> AdminResult:
    """Give the role a tier, or remove the role's tier."""
    context.transaction.set_role_tier(role, tier)
    return AdminResult("quota.role" if tier else "quota.role.none", {"role": role, "tier": tier or ""})


def queue_list(context: AdminContext) -> AdminResult:
    waiting_jobs = context.transaction.running_then_queued(25)
    return AdminResult("queue.list", {"count": len(waiting_jobs)}, lines=tuple(map(_job_line, waiting_jobs)))


def _job_line(job: Job) -> AdminResult:
    prompt = messages.sanitized(job.request.prompt)
    return AdminResult(
        "queue.line", {"job": job.id, "state": job.state, "who": job.requester.key, "prompt": prompt}
    )


def queue_pause(context: AdminContext) -> AdminResult:
    context.transaction.set_paused(paused=True)
    return AdminResult("queue.pause")


def queue_resume(context: AdminContext) -> AdminResult:
    context.transaction.set_paused(paused=False)
    context.transaction.set_closed(None)
    return AdminResult("queue.resume")


def queue_drain(context: AdminContext) -> AdminResult:
    context.transaction.set_closed("drain")
    return AdminResult("queue.drain")


def queue_cancel(context: AdminContext, job: int) -> AdminResult:
    before = context.transaction.job(job)
    if before.state is JobState.HELD and before.clip:
        raise TooLate(job, before.state.value)  # a held clip is released or rejected instead
    context.transaction.cancel(job)
    return AdminResult("queue.cancel", {"job": job}, ended_jobs=(job,))


def queue_move(context: AdminContext, job: int, position: int) -> AdminResult:
    context.transaction.move_in_queue(job, position)
    return AdminResult("queue.move", {"job": job, "place": context.transaction.queue_position(job)})


def queue_clear(context: AdminContext, person: str | None = None) -> AdminResult:
    cancelled = context.transaction.cancel_queued(person=person)
    job_ids = tuple(job.id for job in cancelled)
    return AdminResult("queue.clear", {"count": len(cancelled)}, ended_jobs=job_ids)


def preview_queue_clear(context: AdminContext, person: str | None = None) -> AdminResult:
    line = " ".join(filter(None, ("queue clear", person, CONFIRMATION)))
    return AdminResult(
        "queue.clear.preview", {"count": context.transaction.count_queued(person=person), "line": line}
    )


def block(context: AdminContext, person: str, duration: float | None = None, reason: str = "") -> AdminResult:
    until = None if duration is None else context.transaction.now + duration
    context.transaction.block(person, until=until, reason=reason or "admin")
    lasting = (
        AdminResult("block.forever").to_text
        if duration is None
        else partial(messages.duration_text, duration)
    )
    return AdminResult("block", {"person": person, "lasting": lasting})


def unblock(context: AdminContext, person: str) -> AdminResult:
    known = context.transaction.unblock(person)
    return AdminResult("unblock" if known else "unblock.none", {"person": person})


def model_enable(context: AdminContext, model: str) -> AdminResult:
    context.transaction.enable_model(model)
    return AdminResult("model.enable", {"model": model})


def model_disable(context: AdminContext, model: str) -> AdminResult:
    context.transaction.disable_model(model)
    return AdminResult("model.disable", {"model": model})


def model_default(context: AdminContext, model: str) -> AdminResult:
    context.transaction.set_default_model(model)
    return AdminResult("model.default", {"model": model})


def channel_allow(context: AdminContext, channel: str) -> AdminResult:
    context.transaction.allow_channel(channel)
    return AdminResult("channel.allow", {"channel": channel})


def channel_deny(context: AdminContext, channel: str) -> AdminResult:
    context.transaction.deny_channel(channel)
    return AdminResult("channel.deny", {"channel": channel})


def channel_forget(context: AdminContext, channel: str) -> AdminResult:
    context.transaction.forget_channel(channel)
    return AdminResult("channel.forget", {"channel": channel})


def show_stats(context: AdminContext, period: str = "today") -> AdminResult:
    first = context.transaction.now - (STATS_PERIODS[period] - 1) * 86_400
    found = context.transaction.stats(replace(context.quota_plan.base, rolling=None).window(first)[0])
    gpu = partial(messages.duration_text, found.gpu_seconds)
    return AdminResult("stats", {**asdict(found), "gpu": gpu, "day": AdminResult(f"day.{period}").to_text})


def announce(context: AdminContext, text: str) -> AdminResult:
    context.transaction.announce(text, until=context.transaction.now + ANNOUNCEMENT_SECONDS)
    return AdminResult("announce")


def announce_stop(context: AdminContext) -> AdminResult:
    context.transaction.announce("", until=context.transaction.now)
    return AdminResult("announce.stop")


def show_audit(context: AdminContext) -> AdminResult:
    rows = context.transaction.audit_entries(20)
    lines = (
        AdminResult(
            "audit.line",
            {
                "at": messages.format_time(row.at),
                "who": row.admin,
                "verb": row.verb,
                "what": _format_details(row.details),
            },
        )
        for row in rows
    )
    return AdminResult("audit", {"count": len(rows)}, lines=tuple(lines))


def review_list(context: AdminContext) -> AdminResult:
    held = context.transaction.held_jobs()
    open_reports = context.transaction.open_reports(20)
    lines = [_held_line(context, job) for job in held]
    lines += [
        AdminResult(
            f"review.{one.kind}",
            {
                "number": one.id,
                "who": one.person,
                "job": one.job or "-",
                "words": messages.sanitized(one.words, 300),
            },
        )
        for one in open_reports
    ]
    return AdminResult("review.list", {"count": len(held), "said": len(open_reports)}, lines=tuple(lines))


def _held_line(context: AdminContext, job: Job) -> AdminResult:
    seen = messages.inspection_summary(*(context.transaction.detection(job.id) or ("", 0.0)))
    prompt = messages.sanitized(job.request.prompt)
    return AdminResult(
        "review.held", {"job": job.id, "who": job.requester.key, "seen": seen, "prompt": prompt}
    )


def review_release(context: AdminContext, job: int) -> AdminResult:
    context.transaction.release(job)
    return AdminResult("review.release", {"job": job})


def review_reject(context: AdminContext, job: int) -> AdminResult:
    context.transaction.reject(job, ClipNotAllowed())
    return AdminResult("review.reject", {"job": job}, ended_jobs=(job,))


def review_strike(context: AdminContext, job: int) -> AdminResult:
    """Refuse the held clip as `review reject` does, and give its user a strike."""
    held = context.transaction.job(job)
    result = review_reject(context, job)
    return _struck(context, held.requester.key, result.ended_jobs)


def review_confirm(context: AdminContext, number: int) -> AdminResult:
    """Close an appeal or a report as severe, and give a strike to the user whose prompt or clip it is about.

    An appeal against a refusal that brought a strike at once brings no second one.
    """
    is_struck = context.transaction.is_struck_for(number)
    report = context.transaction.close_report(number)
    author = report.person
    if report.kind == "report" and report.job is not None:
        author = context.transaction.job(report.job).requester.key
    return AdminResult("review.close", {"number": number}) if is_struck else _struck(context, author)


def _struck(context: AdminContext, person: str, ended_jobs: tuple[int, ...] = ()) -> AdminResult:
    block = context.transaction.strike(person, "review", timeout_for=strike_timeout)
    if block.until is None:
        return AdminResult("review.struck.for_good", {"person": person}, ended_jobs=ended_jobs)
    facts = {"person": person, "until": messages.format_time(block.until)}
    return AdminResult("review.struck", facts, ended_jobs=ended_jobs)


def review_close(context: AdminContext, number: int) -> AdminResult:
    context.transaction.close_report(number)
    return AdminResult("review.close", {"number": number})


def review_pardon(context: AdminContext, number: int) -> AdminResult:
    """Accept the appeal: close it and unblock its user."""
    appeal = context.transaction.close_report(number)
    context.transaction.unblock(appeal.person)
    return AdminResult("review.pardon", {"number": number, "person": appeal.person})


def _format_details(details: Mapping[str, Any]) -> str:
    return messages.sanitized(", ".join(f"{name} {value}" for name, value in details.items()), 200)


PERSON, JOB, NUMBER = (
    VerbParam("person", parse_person),
    VerbParam("job", parse_job),
    VerbParam("number", parse_job),
)
NOTE = VerbParam("note", parse_text, optional=True, takes_rest=True)


CREDITS, COUNT = VerbParam("credits", parse_positive_credits), VerbParam("credits", parse_credits)
MODEL, CHANNEL = VerbParam("model", parse_model), VerbParam("channel", parse_channel)

VERBS: dict[str, AdminVerb] = {
    verb.name: verb
    for verb in (
        AdminVerb("quota show", quota_show, (PERSON,), read_only=True),
        AdminVerb("quota set", quota_set, (PERSON, COUNT)),
        AdminVerb("quota grant", quota_grant, (PERSON, CREDITS, NOTE)),
        AdminVerb("quota reset", quota_reset, (PERSON,)),
        AdminVerb("quota tier", quota_tier, (PERSON, VerbParam("tier", parse_tier))),
        AdminVerb("quota role", quota_role, (VerbParam("role", parse_role), VerbParam("tier", parse_tier))),
        AdminVerb("queue list", queue_list, read_only=True),
        AdminVerb("queue pause", queue_pause),
        AdminVerb("queue resume", queue_resume),
        AdminVerb("queue drain", queue_drain),
        AdminVerb("queue cancel", queue_cancel, (JOB,)),
        AdminVerb("queue move", queue_move, (JOB, VerbParam("place", parse_queue_position))),
        AdminVerb(
            "queue clear",
            queue_clear,
            (VerbParam("person", parse_person, optional=True),),
            preview=preview_queue_clear,
        ),
        AdminVerb(
            "block",
            block,
            (
                PERSON,
                VerbParam("span", parse_duration, optional=True, only_if_matches=DURATION_START),
                VerbParam("reason", parse_text, optional=True, takes_rest=True),
            ),
        ),
        AdminVerb("unblock", unblock, (PERSON,)),
        AdminVerb("model enable", model_enable, (MODEL,)),
        AdminVerb("model disable", model_disable, (MODEL,)),
        AdminVerb("model default", model_default, (MODEL,)),
        AdminVerb("channel allow", channel_allow, (CHANNEL,)),
        AdminVerb("channel deny", channel_deny, (CHANNEL,)),
        AdminVerb("channel forget", channel_forget, (CHANNEL,)),
        AdminVerb("review list", review_list, read_only=True),
        AdminVerb("review release", review_release, (JOB,)),
        AdminVerb("review reject", review_reject, (JOB,)),
        AdminVerb("review strike", review_strike, (JOB,)),
        AdminVerb("review confirm", review_confirm, (NUMBER,)),
        AdminVerb("review close", review_close, (NUMBER,)),
        AdminVerb("review pardon", review_pardon, (NUMBER,)),
        AdminVerb(
            "stats", show_stats, (VerbParam("day", parse_stats_period, optional=True),), read_only=True
        ),
        AdminVerb("announce", announce, (VerbParam("text", parse_text, takes_rest=True),)),
        AdminVerb("announce stop", announce_stop),
        AdminVerb("audit", show_audit, read_only=True),
    )
}
