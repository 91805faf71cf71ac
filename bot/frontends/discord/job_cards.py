"""How a job looks at each of its steps: waiting, being made, ended; and its recipe."""

from __future__ import annotations

from bot.domain.jobs import Action, Job, JobState
from bot.frontends.discord.cards import GOLD, GREY, Card, escape_markup, progress_bar
from bot.i18n import messages
from bot.pipeline.delivery import Button
from bot.store.store import Eta
from generation.progress import Progress
from generation.request import Kind

BUTTONS_AFTER_END = {
    JobState.FAILED: ("reroll", "edit"),
    JobState.CANCELLED: ("reroll", "edit"),
    JobState.UNCERTAIN: ("again",),
}
"""What somebody may want next, so that nothing has to be typed twice."""


def is_prompt_hidden(job: Job) -> bool:
    return bool(job.reply_to.facts.get("hidden"))


def prompt_title(job: Job) -> str:
    return "" if is_prompt_hidden(job) else messages.sanitized(job.request.prompt, 200)


def job_button(verb: str, job: Job) -> Button:
    return Button(messages.translate(f"button.{verb}", job.requester.language), Action(verb, job.id))


def waiting_card(job: Job, *, queue_position: int, eta: Eta | None, notes: tuple[str, ...] = ()) -> Card:
    language = job.requester.language
    span = (eta.low, eta.high) if eta else None
    return Card(
        title=prompt_title(job),
        body=escape_markup(
            messages.queued_status(job, queue_position=queue_position, eta=span, language=language)
        ),
        facts="\n".join(filter(None, (*notes, _music_text(job)))),
        buttons=(job_button("cancel", job),),
        colour=GOLD,
    )


def progress_card(job: Job, text: str, progress: Progress, *, preview: str | None = None) -> Card:
    """`preview` is the name of an attached picture of what is on its way."""
    first_look = messages.translate("preview", job.requester.language) if preview else ""
    return Card(
        title=prompt_title(job),
        body=f"{progress_bar(progress)}\n{escape_markup(text)}",
        facts="\n".join(filter(None, (first_look, _music_text(job)))),
        media=preview,
        buttons=(job_button("cancel", job),),
        colour=GOLD,
    )


def _music_text(job: Job) -> str:
    """Which music was chosen, by the person or for them: to be read while there is time to change it."""
    language = job.requester.language
    if job.request.kind is Kind.IMAGE:
        return ""
    return messages.translate(
        "music.chosen", language, music=messages.music_line(job.request.music, language)
    )


def ended_card(job: Job, text: str) -> Card:
    buttons = tuple(job_button(verb, job) for verb in BUTTONS_AFTER_END.get(job.state, ()))
    return Card(title=prompt_title(job), body=escape_markup(text), buttons=buttons, colour=GREY)


def code_block(line: str) -> str:
    """As code, to be copied; it cannot end the box."""
    return f"```\n{line.replace('`', chr(0x2CB))}\n```"


def recipe_card(job: Job, language: str) -> Card:
    return Card(
        title=messages.translate("recipe.title", language, job=job.id),
        body=code_block(messages.recipe_command(job.request)),
        facts=messages.summary_line(job, language),
    )
