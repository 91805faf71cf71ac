"""What users do about their account and about refusals, with the sentence that answers it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.domain.jobs import Requester
from bot.i18n import messages
from bot.studio.studio import Studio, Viewer

EXPORT_FILE = "matinee-data.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user reads, and whether anything changed."""

    text: str
    is_new: bool = True


async def link_account(studio: Studio, requester: Requester, code: str) -> str:
    """Make a link code, or use the one that another platform gave; raises InvalidLinkCode."""
    result = await studio.link_account(requester, code)
    return messages.link_result(code=result.code, other=result.other, language=requester.language)


async def export_personal_data(studio: Studio, requester: Requester) -> bytes:
    """Return all that is stored about the user, as the content of EXPORT_FILE."""
    data = await studio.export(requester)
    return json.dumps(data, ensure_ascii=False, indent=2).encode()


async def delete_personal_data(studio: Studio, requester: Requester) -> str:
    deleted = await studio.delete_personal_data(requester)
    return messages.translate("privacy.deleted", requester.language, count=deleted.jobs)


async def report_clip(studio: Studio, job: int, viewer: Viewer, comment: str = "") -> Answer:
    """Report a clip to the admins; a second report by the same user changes nothing."""
    is_new = await studio.report(job, viewer, comment)
    key = "reported" if is_new else "reported.before"
    return Answer(messages.translate(key, viewer.requester.language, job=job), is_new)


async def appeal_refusal(studio: Studio, requester: Requester, comment: str = "", *, refusal: int = 0) -> str:
    """Ask the admins to review a refusal of the user's prompt; 0 is the last one."""
    is_new = await studio.appeal(requester, comment, refusal=refusal)
    return messages.translate("appealed" if is_new else "reported.before", requester.language)
