"""Inline mode: my own finished clips and pictures, to show in any chat."""

from __future__ import annotations

from telegram import (
    Bot,
    InlineQuery,
    InlineQueryResultCachedPhoto,
    InlineQueryResultCachedVideo,
    InlineQueryResultsButton,
)
from telegram.error import BadRequest

from bot.domain.jobs import Job, State
from bot.frontends.telegram.clip_sender import Sent
from bot.frontends.telegram.message_context import NAME, requester, spoken
from bot.i18n import messages
from bot.studio.studio import Studio
from generation.request import Kind

PAGE, MOST = 20, 200
Result = InlineQueryResultCachedVideo | InlineQueryResultCachedPhoto


async def offer(query: InlineQuery, *, bot: Bot, studio: Studio) -> None:
    """Newest first, a page at a time; whoever has none is shown the way to make one."""
    language = spoken(query.from_user.language_code)
    me = requester(query.from_user, None, admins=frozenset(), language=language)
    wanted = query.query.lower().strip()
    jobs = [job for job in await studio.history(me, limit=MOST) if wanted in job.request.prompt.lower()]
    veiled = await studio.veiled(jobs)  # another chat would see them bare
    found = [result for job in jobs if job.id not in veiled and (result := _result(job)) is not None]
    start = int(query.offset) if query.offset.isdecimal() else 0
    more = start + PAGE < len(found)
    button = InlineQueryResultsButton(messages.words("share.none", language), start_parameter="share")
    try:
        await bot.answer_inline_query(
            query.id,
            found[start : start + PAGE],
            cache_time=5,
            is_personal=True,
            next_offset=str(start + PAGE) if more else "",
            button=None if found else button,
        )
    except BadRequest as error:
        if "query is too old" not in error.message.lower():
            raise


def _result(job: Job) -> Result | None:
    sent = Sent.parse(job.message)
    done = job.state is State.DELIVERED and job.reply_to.platform == NAME
    if not done or sent is None or not sent.file:
        return None
    title = messages.quoted(job.request.prompt)
    if job.request.kind is Kind.IMAGE:
        return InlineQueryResultCachedPhoto(id=str(job.id), photo_file_id=sent.file, title=title)
    return InlineQueryResultCachedVideo(id=str(job.id), video_file_id=sent.file, title=title)
