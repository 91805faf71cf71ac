"""The cards of a job: queued, in progress, ended, and its recipe."""

from __future__ import annotations

from bot.domain.jobs import Job, JobState
from bot.frontends.common.buttons import job_button
from bot.frontends.common.job_texts import music_text, queued_text
from bot.frontends.common.progress_bar import progress_bar
from bot.frontends.common.recipe_command import job_recipe, slash_command
from bot.frontends.discord.cards import GOLD, GREY, Card, escape_markup
from bot.i18n import messages
from bot.store.store import Eta
from bot.studio.access import has_hidden_prompt
from generation.progress import Progress

PROGRESS_BAR_WIDTH = 14

BUTTONS_AFTER_END = {
    JobState.FAILED: ("reroll", "edit"),
    JobState.CANCELLED: ("reroll", "edit"),
    JobState.UNCERTAIN: ("again",),
}
"""The next steps offered to the user, so that nothing has to be typed again."""


def prompt_title(job: Job) -> str:
    return "" if has_hidden_prompt(job) else messages.sanitized(job.request.prompt, 200)


def waiting_card(job: Job, *, queue_position: int, eta: Eta | None, notes: tuple[str, ...] = ()) -> Card:
    language = job.requester.language
    return Card(
        title=prompt_title(job),
        body=escape_markup(queued_text(job, queue_position=queue_position, eta=eta, language=language)),
        facts="\n".join(filter(None, (*notes, music_text(job, language)))),
        buttons=(job_button("cancel", job),),
        colour=GOLD,
    )


def progress_card(job: Job, text: str, progress: Progress, *, preview: str | None = None) -> Card:
    """`preview` is the name of an attached preview picture."""
    preview_note = messages.translate("preview", job.requester.language) if preview else ""
    return Card(
        title=prompt_title(job),
        body=f"{progress_bar(progress.fraction, PROGRESS_BAR_WIDTH)}\n{escape_markup(text)}",
        facts="\n".join(filter(None, (preview_note, music_text(job, job.requester.language)))),
        media=preview,
        buttons=(job_button("cancel", job),),
        colour=GOLD,
    )


def ended_card(job: Job, text: str) -> Card:
    buttons = tuple(job_button(verb, job) for verb in BUTTONS_AFTER_END.get(job.state, ()))
    return Card(title=prompt_title(job), body=escape_markup(text), buttons=buttons, colour=GREY)


def code_block(line: str) -> str:
    """Format a line as a code block to copy; backticks are replaced, as they would end the block."""
    return f"```\n{line.replace('`', chr(0x2CB))}\n```"


def recipe_card(job: Job, language: str) -> Card:
    recipe = job_recipe(job, language, slash_command)
    return Card(
        title=recipe.title, body=code_block(recipe.command), facts=messages.summary_line(job, language)
    )
