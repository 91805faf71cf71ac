"""Inline mode: users search their own finished clips and pictures and share them in any chat."""

from __future__ import annotations

import re

from telegram import (
    Bot,
    InlineQuery,
    InlineQueryResultCachedPhoto,
    InlineQueryResultCachedVideo,
    InlineQueryResultsButton,
)
from telegram.error import BadRequest

from bot.domain.jobs import Job, JobState
from bot.frontends.telegram.clip_sender import SentMessage
from bot.frontends.telegram.message_context import PLATFORM, nearest_language, requester_of
from bot.i18n import messages
from bot.studio.studio import Studio, Viewer
from generation.request import Kind

PAGE, MAX_CLIPS = 20, 200
OFFSET = re.compile(r"[0-9]{1,6}")  # a manipulated client may send any text
InlineResult = InlineQueryResultCachedVideo | InlineQueryResultCachedPhoto


async def answer_query(query: InlineQuery, *, bot: Bot, studio: Studio) -> None:
    """Answer with one page of results, newest first, or with a button that opens the chat with the bot."""
    language = nearest_language(query.from_user.language_code)
    requester = requester_of(query.from_user, None, admins=frozenset(), language=language)
    wanted = query.query.lower().strip()
    # inline results cannot be covered by a spoiler
    history = await studio.shareable_history(Viewer(requester=requester), limit=MAX_CLIPS)
    jobs = [job for job in history if wanted in job.request.prompt.lower()]
    found = [result for job in jobs if (result := _inline_result(job)) is not None]
    start = int(query.offset) if OFFSET.fullmatch(query.offset) else 0
    more = start + PAGE < len(found)
    button = InlineQueryResultsButton(messages.translate("share.none", language), start_parameter="share")
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


def _inline_result(job: Job) -> InlineResult | None:
    sent = SentMessage.parse(job.message)
    delivered_here = job.state is JobState.DELIVERED and job.reply_to.platform == PLATFORM
    if not delivered_here or sent is None or not sent.file_id:
        return None
    title = messages.sanitized(job.request.prompt)
    if job.request.kind is Kind.IMAGE:
        return InlineQueryResultCachedPhoto(id=str(job.id), photo_file_id=sent.file_id, title=title)
    return InlineQueryResultCachedVideo(id=str(job.id), video_file_id=sent.file_id, title=title)
