"""Inline mode: my own finished clips, to show in any chat."""

from __future__ import annotations

from telegram import Bot, InlineQuery, InlineQueryResultCachedVideo
from telegram.error import BadRequest

from bot import messages
from bot.frontends.telegram.parcels import Sent
from bot.frontends.telegram.places import requester
from bot.job import Job, State
from bot.studio import Studio

MOST = 50


async def offer(query: InlineQuery, *, bot: Bot, studio: Studio) -> None:
    me = requester(query.from_user, None, admins=frozenset())
    found = [
        result
        for job in await studio.history(me, limit=MOST)
        if query.query.lower().strip() in job.request.prompt.lower() and (result := _result(job))
    ]
    try:
        await bot.answer_inline_query(query.id, found, cache_time=5, is_personal=True)
    except BadRequest as error:
        if "query is too old" not in error.message.lower():
            raise


def _result(job: Job) -> InlineQueryResultCachedVideo | None:
    sent = Sent.parse(job.message)
    if (
        job.state is not State.DELIVERED
        or sent is None
        or not sent.file
        or job.reply_to.platform != "telegram"
    ):
        return None
    return InlineQueryResultCachedVideo(
        id=str(job.id), video_file_id=sent.file, title=messages.quoted(job.request.prompt)
    )
