"""How a job looks at each of its steps: waiting, being made, ended; and its recipe."""

from __future__ import annotations

from bot.domain.jobs import Action, Job, State
from bot.frontends.discord.cards import GOLD, GREY, Card, bar, tame
from bot.i18n import messages
from bot.pipeline.delivery import Button
from bot.store.store import Eta
from generation.progress import Progress
from generation.request import Kind

AFTER = {State.FAILED: ("reroll", "edit"), State.CANCELLED: ("reroll", "edit"), State.UNCERTAIN: ("again",)}
"""What somebody may want next, so that nothing has to be typed twice."""


def hidden(job: Job) -> bool:
    return bool(job.reply_to.facts.get("hidden"))


def shown_prompt(job: Job) -> str:
    return "" if hidden(job) else messages.quoted(job.request.prompt, 200)


def button(verb: str, job: Job) -> Button:
    return Button(messages.words(f"button.{verb}", job.requester.language), Action(verb, job.id))


def waiting_card(job: Job, *, place: int, eta: Eta | None, notes: tuple[str, ...] = ()) -> Card:
    language = job.requester.language
    span = (eta.low, eta.high) if eta else None
    return Card(
        title=shown_prompt(job),
        body=tame(messages.queued(job, place=place, eta=span, language=language)),
        facts="\n".join(filter(None, (*notes, _music(job)))),
        buttons=(button("cancel", job),),
        colour=GOLD,
    )


def progress_card(job: Job, text: str, progress: Progress, *, preview: str | None = None) -> Card:
    """`preview` is the name of an attached picture of what is on its way."""
    first_look = messages.words("preview", job.requester.language) if preview else ""
    return Card(
        title=shown_prompt(job),
        body=f"{bar(progress)}\n{tame(text)}",
        facts="\n".join(filter(None, (first_look, _music(job)))),
        media=preview,
        buttons=(button("cancel", job),),
        colour=GOLD,
    )


def _music(job: Job) -> str:
    """Which music was chosen, by the person or for them: to be read while there is time to change it."""
    language = job.requester.language
    if job.request.kind is Kind.IMAGE:
        return ""
    return messages.words("chosen", language, music=messages.music_line(job.request.music, language))


def ended_card(job: Job, text: str) -> Card:
    again = tuple(button(verb, job) for verb in AFTER.get(job.state, ()))
    return Card(title=shown_prompt(job), body=tame(text), buttons=again, colour=GREY)


def in_a_box(line: str) -> str:
    """As code, to be copied; it cannot end the box."""
    return f"```\n{line.replace('`', chr(0x2CB))}\n```"


def recipe_card(job: Job, language: str) -> Card:
    return Card(
        title=messages.words("recipe.title", language, job=job.id),
        body=in_a_box(messages.recipe_line(job.request)),
        facts=messages.facts_line(job, language),
    )
