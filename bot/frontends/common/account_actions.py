"""What users do about their account and about refusals, with the sentence that answers it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.domain.frontend import Button
from bot.frontends.common.buttons import action_button
from bot.i18n import messages
from bot.studio.accounts import link_actions
from bot.studio.studio import Studio, Viewer

EXPORT_FILE = "matinee-data.json"
UNLINK = "unlink"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user reads, and whether anything changed."""

    text: str
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class LinkReply:
    """What the user reads, and the buttons that confirm or refuse a link."""

    text: str
    buttons: tuple[Button, ...] = ()


async def link_account(studio: Studio, viewer: Viewer, typed: str) -> LinkReply:
    """Make a link code, use the one that another platform gave, or undo the link with "unlink".

    Raises PrivateChatOnly, InvalidLinkCode, AlreadyLinked or NotLinked.
    """
    language = viewer.requester.language
    if typed.strip().lower() == UNLINK:
        return LinkReply(await unlink_account(studio, viewer))
    answer = await studio.link_account(viewer, typed)
    if answer.request is None:
        return LinkReply(messages.translate("link.code", language, code=answer.code))
    other = answer.request.other_side(viewer.requester.key)
    return LinkReply(
        messages.link_question(other.key, other.name, language),
        tuple(action_button(action, language) for action in link_actions(answer.request)),
    )


async def unlink_account(studio: Studio, viewer: Viewer) -> str:
    """Undo the link of the user; raises PrivateChatOnly or NotLinked."""
    others = ", ".join(messages.link_name(key) for key in await studio.unlink(viewer))
    return messages.translate("link.undone", viewer.requester.language, other=others)


async def answer_link_request(studio: Studio, viewer: Viewer, number: int, *, agree: bool) -> str:
    """One side's answer to the question of `link_account`; raises InvalidLinkCode or AlreadyLinked."""
    request = await studio.answer_link_request(viewer, number, agree=agree)
    sentence = "link.refused" if not agree else "link.done" if request.complete else "link.waiting"
    other = request.other_side(viewer.requester.key)
    return messages.translate(
        sentence, viewer.requester.language, other=messages.link_name(other.key, other.name)
    )


async def export_personal_data(studio: Studio, viewer: Viewer) -> bytes:
    """Return all that is stored about the user, as the content of EXPORT_FILE."""
    data = await studio.export(viewer)
    return json.dumps(data, ensure_ascii=False, indent=2).encode()


async def delete_personal_data(studio: Studio, viewer: Viewer) -> str:
    deleted = await studio.delete_personal_data(viewer)
    return messages.translate("privacy.deleted", viewer.requester.language, count=deleted.jobs)


async def report_clip(studio: Studio, job: int, viewer: Viewer, comment: str = "") -> Answer:
    """Report a clip to the admins; a second report by the same user changes nothing."""
    is_new = await studio.report(job, viewer, comment)
    key = "reported" if is_new else "reported.before"
    return Answer(messages.translate(key, viewer.requester.language, job=job), is_new)


async def appeal_refusal(studio: Studio, viewer: Viewer, comment: str = "", *, refusal: int = 0) -> str:
    """Ask the admins to review a refusal of the user's prompt; 0 is the last one."""
    is_new = await studio.appeal(viewer, comment, refusal=refusal)
    return messages.translate("appealed" if is_new else "reported.before", viewer.requester.language)
