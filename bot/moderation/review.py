"""Reports, appeals and held clips: save them and notify the admins."""

from __future__ import annotations

from bot.domain.errors import NothingToAppeal
from bot.domain.events import AdminNoticeRaised, EventBus, Notice
from bot.domain.jobs import Action, Job, Requester
from bot.i18n import messages
from bot.store.store import Store


class Review:
    def __init__(self, store: Store, events: EventBus) -> None:
        self._events = events
        self._store = store

    async def report(self, job: Job, requester: Requester, comment: str = "") -> bool:
        """File a report, notify the admins and list it under `review list`; False if it was filed before."""
        sanitized_comment = messages.sanitized(comment, 1000)
        number = await self._store.file_report(
            "report", person=requester.key, job=job.id, words=sanitized_comment
        )
        if number is not None:
            text = messages.translate(
                "notice.report",
                number=number,
                job=job.id,
                who=requester.key,
                author=job.requester.key,
                words=sanitized_comment or "-",
                prompt=messages.sanitized(job.request.prompt, 200),
            )
            self._events.publish(AdminNoticeRaised(Notice(text=text)))
        return number is not None

    async def appeal(self, requester: Requester, comment: str = "", *, refusal: int = 0) -> bool:
        """Appeal against that refusal of the user, or the latest one for 0. Raises NothingToAppeal."""
        key = requester.key
        refused = await self._store.appealable_refusal(key, refusal)
        sanitized_comment = messages.sanitized(comment, 500)
        if refused is None and not sanitized_comment:
            raise NothingToAppeal
        appeal_text = " · ".join(filter(None, (sanitized_comment, refused.words if refused else "")))
        refusal_id = refused.id if refused else None
        number = await self._store.file_report("appeal", person=key, words=appeal_text, refusal_id=refusal_id)
        if number is not None:
            rule = refused.rule if refused else "-"
            text = messages.translate("notice.appeal", number=number, who=key, rule=rule, words=appeal_text)
            notice = Notice(text=text, actions=(Action("pardon", number),))
            self._events.publish(AdminNoticeRaised(notice))
        return number is not None

    async def notify_held(self, job: Job) -> None:
        """Notify the admins of a held clip, with the clip itself."""
        seen = await self._store.detection(job.id) or ("", 0.0)
        text = messages.translate(
            "notice.held",
            job=job.id,
            who=job.requester.key,
            seen=messages.inspection_summary(*seen),
            prompt=messages.sanitized(job.request.prompt, 200),
        )
        actions = (Action("release", job.id), Action("reject", job.id))
        notice = Notice(text=text, actions=actions, clip=job.clip.path if job.clip else None)
        self._events.publish(AdminNoticeRaised(notice))
