"""What goes before the admins' eyes: reports, appeals, and clips that were set aside."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.errors import NothingToAppeal
from bot.domain.jobs import Action, Job, Requester
from bot.i18n import messages
from bot.moderation.admin_notices import Notice
from bot.store import inspections, reports
from bot.store.store import Store


class Review:
    def __init__(self, store: Store) -> None:
        self.on_notice: Callable[[Notice], None] = _nobody_reads
        self._store = store

    async def report(self, job: Job, requester: Requester, words: str = "") -> bool:
        """The admins are told, and see it under `review list`; False if they have it already."""
        said = messages.quoted(words, 1000)
        number = await self._store.complain("report", person=requester.key, job=job.id, words=said)
        if number is not None:
            text = messages.words(
                "notice.report",
                number=number,
                job=job.id,
                who=requester.key,
                author=job.requester.key,
                words=said or "-",
                prompt=messages.quoted(job.request.prompt, 200),
            )
            self.on_notice(Notice(text=text))
        return number is not None

    async def appeal(self, requester: Requester, words: str = "", *, refusal: int = 0) -> bool:
        """Against this refusal of theirs, or with 0 the last one; raises NothingToAppeal."""
        key = requester.key
        refused = await self._store.look(lambda c, now: reports.refusal(c, key, refusal, now))
        own = messages.quoted(words, 500)
        if refused is None and not own:
            raise NothingToAppeal
        said = " · ".join(filter(None, (own, refused.words if refused else "")))
        about = refused.id if refused else None
        number = await self._store.complain("appeal", person=key, words=said, refused=about)
        if number is not None:
            rule = refused.rule if refused else "-"
            text = messages.words("notice.appeal", number=number, who=key, rule=rule, words=said)
            self.on_notice(Notice(text=text, actions=(Action("pardon", number),)))
        return number is not None

    async def show_held(self, job: Job) -> None:
        """With the clip itself, so that an admin can see what they decide on."""
        seen = await self._store.look(lambda c, _: inspections.seen(c, job.id)) or ("", 0.0)
        text = messages.words(
            "notice.held",
            job=job.id,
            who=job.requester.key,
            seen=messages.sight(*seen),
            prompt=messages.quoted(job.request.prompt, 200),
        )
        actions = (Action("release", job.id), Action("reject", job.id))
        self.on_notice(Notice(text=text, actions=actions, clip=job.clip.path if job.clip else None))


def _nobody_reads(_: Notice) -> None:
    pass
