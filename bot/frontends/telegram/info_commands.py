"""Commands that show or change what is there: the queue, one's clips, credits, help, privacy, reports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from telegram import InlineKeyboardMarkup
from telegram.error import TelegramError

from bot.domain.errors import NotYours
from bot.domain.jobs import Action, Job
from bot.frontends.telegram import clip_files
from bot.frontends.telegram.keyboards import button, single
from bot.frontends.telegram.preferences import own_number
from bot.frontends.telegram.recipe_text import write
from bot.i18n import messages

if TYPE_CHECKING:
    from bot.frontends.telegram.invocation import Asked
    from bot.frontends.telegram.message_context import Place
    from bot.frontends.telegram.responder import Command, Desk

SHOWN = 15

log = structlog.get_logger(__name__)


@dataclass
class Looking:
    desk: Desk

    @property
    def commands(self) -> dict[str, Command]:
        return {
            "queue": self.queue,
            "cancel": self.cancel,
            "history": self.history,
            "quota": self.quota,
            "models": self.models,
            "recipe": self.recipe,
            "report": self.report,
            "appeal": self.appeal,
            "help": self.help,
            "privacy": self.privacy,
        }

    async def queue(self, asked: Asked) -> None:
        place = asked.place
        waiting = await self.desk.studio.waiting(SHOWN)
        lines = [_queue_line(job, place) for job in waiting]
        mine = [job for job in waiting if _is_mine(job, place) and not job.state.final]
        await self._list(place, "queue", lines, _cancels(mine, place.language) if mine else None)

    async def cancel(self, asked: Asked) -> None:
        """The one with the number or replied to; else the only one of mine that waits, or a choice."""
        place = asked.place
        number, _, _ = asked.words.partition(" ")
        if not number and asked.message.reply_to_message is None:
            asked_at = asked.message.date.timestamp() + 1
            history = await self.desk.studio.history(place.requester, limit=25)
            waiting = [job for job in history if not job.state.final and job.created_at <= asked_at]
            if len(waiting) > 1:
                text = messages.words("cancel.choose", place.language)
                await self.desk.tell(place, text, _cancels(waiting, place.language))
                return
        _, job = await self.desk.which(asked, waiting=True)
        done = await self.desk.studio.cancel(job.id, place.requester)
        await self.desk.tell(place, messages.ended(done, place.language))

    async def history(self, asked: Asked) -> None:
        place = asked.place
        jobs = await self.desk.studio.history(place.requester, SHOWN)
        open_ = place.private
        lines = [messages.job_line(job, place.language, prompt=open_ or _here(job, place)) for job in jobs]
        await self._list(place, "history", lines)

    async def quota(self, asked: Asked) -> None:
        place, studio = asked.place, self.desk.studio
        balance = await studio.balance(place.requester, str(place.chat))
        entries = await studio.entries(place.requester, SHOWN) if place.private else []
        told = [messages.entry_line(e.kind, e.credits, e.job, place.language) for e in entries]
        back = messages.moment(balance.back_at, place.language)
        title = messages.words("quota.title", place.language)
        lines = [title, messages.balance(balance, place.language), *filter(None, told)]
        await self.desk.tell(place, "\n".join(lines), moments={back: balance.back_at})

    async def models(self, asked: Asked) -> None:
        place, studio = asked.place, self.desk.studio
        lines = [
            messages.words(
                "models.line",
                place.language,
                name=name,
                title=preset.title,
                seconds=f"{preset.limits.max_seconds:g}",
                cost=f"{preset.cost:g}",
            )
            for name, preset in studio.presets.items()
        ]
        chosen = (await self.desk.preferences(place)).get("model") or studio.house.model
        lines.append(messages.words("model.chosen", place.language, name=chosen))
        await self._list(place, "models", lines)

    async def recipe(self, asked: Asked) -> None:
        """Of a clip made here; of any other file, what it tells itself."""
        film = None if asked.words else clip_files.of(asked.message)
        if film is not None and await self.desk.replied(asked) is None:
            await self._recipe_of(film, asked.place)
            return
        _, job = await self.desk.which(asked)
        title = messages.words("recipe.title", asked.place.language, job=job.id)
        await self.desk.tell(asked.place, title, code=write(job.request))

    async def _recipe_of(self, film: clip_files.Film, place: Place) -> None:
        request = await clip_files.recipe(film, self.desk.voice.bot)
        name = messages.quoted(film.name, 60)
        if request is None:
            await self.desk.tell(place, messages.words("recipe.untold", place.language, file=name))
            return
        title = messages.words("recipe.of", place.language, file=name)
        await self.desk.tell(place, title, code=write(request))

    async def report(self, asked: Asked) -> None:
        """/report in reply to a clip, with what is wrong with it; its button says the same without words."""
        words, job = await self.desk.which(asked)
        await self.desk.tell(asked.place, await self.reported(job, asked.place, words))

    async def reported(self, job: Job, place: Place, words: str = "") -> str:
        fresh = await self.desk.studio.report(job.id, place.requester, words)
        return messages.words("reported" if fresh else "reported.before", place.language, job=job.id)

    async def appeal(self, asked: Asked) -> None:
        """/appeal, with words or without: an admin looks at the last refusal."""
        await self.desk.tell(asked.place, await self.appealed(asked.place, asked.words))

    async def appealed(self, place: Place, words: str = "", *, refusal: int = 0) -> str:
        fresh = await self.desk.studio.appeal(place.requester, words, refusal=refusal)
        return messages.words("appealed" if fresh else "reported.before", place.language)

    async def delete(self, job: Job, place: Place, message: int) -> str:
        """The message with the clip goes; its owner, operators and the group's admins may do that."""
        owner = _is_mine(job, place) or place.requester.admin
        if not (owner or await self.desk.is_chat_admin(place)):
            raise NotYours(job.id)
        try:
            await self.desk.voice.bot.delete_message(place.chat, message)
        except TelegramError as error:
            log.info("message not deleted", job=job.id, reason=error.message)
            return messages.words("not deleted", place.language)
        log.info("message deleted", job=job.id, by=place.requester.key)
        return messages.words("deleted", place.language, job=job.id)

    async def help(self, asked: Asked) -> None:
        title = messages.words("help.title", asked.place.language)
        await self.desk.tell(
            asked.place, f"{title}\n\n{messages.words('help.telegram', asked.place.language)}"
        )

    async def privacy(self, asked: Asked) -> None:
        """What is kept; with "delete" it can go, with "export" it comes as a file, in private only."""
        place, do = asked.place, asked.words.strip().lower()
        if do == "export" and place.private:
            data = await self.desk.studio.export(place.requester)
            file = json.dumps(data, ensure_ascii=False, indent=2).encode()
            told = messages.words("privacy.export", place.language)
            await self.desk.voice.hand(self.desk.where(place), file, "matinee-data.json", told)
        elif do == "delete":
            sure = single(Action("forget", own_number(place)), place.language)
            await self.desk.tell(place, messages.words("privacy.sure", place.language), sure)
        elif do == "export":
            await self.desk.tell(place, messages.words("private only", place.language))
        else:
            title = messages.words("privacy.title", place.language)
            await self.desk.tell(place, f"{title}\n{messages.words('privacy', place.language)}")

    async def forget(self, place: Place) -> str:
        swept = await self.desk.studio.forget(place.requester)
        self.desk.tongues.choose(place.requester.key, None)
        return messages.words("privacy.deleted", place.language, count=swept.jobs)

    async def _list(
        self, place: Place, name: str, lines: list[str], keyboard: InlineKeyboardMarkup | None = None
    ) -> None:
        """A title and its lines, or what is said when there are none."""
        if not lines:
            await self.desk.tell(place, messages.words(f"{name}.empty", place.language))
            return
        title = messages.words(f"{name}.title", place.language)
        await self.desk.tell(place, "\n".join([title, *lines]), keyboard)


def _cancels(jobs: list[Job], language: str) -> InlineKeyboardMarkup:
    label = messages.words("button.cancel", language)
    return InlineKeyboardMarkup([[button(f"✖️ {label} #{job.id}", Action("cancel", job.id))] for job in jobs])


def _is_mine(job: Job, place: Place) -> bool:
    return job.requester.key == place.requester.key


def _here(job: Job, place: Place) -> bool:
    return job.reply_to.platform == place.requester.platform and job.reply_to.chat == str(place.chat)


def _queue_line(job: Job, place: Place) -> str:
    """Others' words are shown only where everybody could see them anyway."""
    return messages.job_line(
        job, place.language, prompt=_here(job, place) or (place.private and _is_mine(job, place))
    )
