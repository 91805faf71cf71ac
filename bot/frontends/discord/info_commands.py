"""Commands that show or change what is: the queue, one's clips, credits, settings, help, privacy."""

# Annotations are read by discord.py with values that are known only here, so they stay unquoted.

import io
import json
from typing import Any, Literal

import discord
from discord import app_commands

from bot.domain.jobs import Action, Job
from bot.domain.quota import Balance
from bot.frontends.discord import attachments
from bot.frontends.discord.autocomplete import Offers
from bot.frontends.discord.cards import Card, tame
from bot.frontends.discord.command_registration import Language, register
from bot.frontends.discord.handlers import Asker, Desk, job_number
from bot.frontends.discord.job_cards import hidden, in_a_box
from bot.frontends.discord.responses import honest, tell
from bot.i18n import messages
from bot.pipeline.delivery import Button

Word = app_commands.Range[str, 1, 100]
Sentence = app_commands.Range[str, 1, 500]
SHOWN = 15


def add_looking(tree: app_commands.CommandTree[Any], desk: Desk) -> None:
    offers = Offers(desk.studio)
    looks = Looks(desk)
    register(tree, "queue", looks.queue)
    register(tree, "cancel", looks.cancel, clip=offers.stoppable)
    register(tree, "history", looks.history)
    register(tree, "quota", looks.quota)
    register(tree, "settings", looks.settings, genre=offers.genre, model=offers.model)
    register(tree, "models", looks.models)
    register(tree, "recipe", looks.recipe, clip=offers.mine)
    register(tree, "report", looks.report)
    register(tree, "appeal", looks.appeal)
    register(tree, "help", looks.help)
    register(tree, "privacy", looks.privacy)


class Looks:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._studio = desk.studio

    async def queue(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            waiting = await self._studio.waiting(SHOWN)
            lines = [tame(_queue_line(job, asker)) for job in waiting]
            empty = tame(messages.words("queue.empty", asker.language))
            title = messages.words("queue.title", asker.language)
            await tell(interaction, Card(title=title, body="\n".join(lines) or empty))

    async def cancel(self, interaction: discord.Interaction[Any], clip: Word) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            await self._desk.cancel(interaction, job_number(clip))

    async def history(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            jobs = await self._studio.history(asker.requester, SHOWN)
            lines = [_history_line(job, asker.language) for job in jobs]
            empty = tame(messages.words("history.empty", asker.language))
            title = messages.words("history.title", asker.language)
            await tell(interaction, Card(title=title, body="\n".join(lines) or empty))

    async def quota(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            balance = await self._studio.balance(asker.requester, str(interaction.channel_id or ""))
            entries = await self._studio.entries(asker.requester, SHOWN)
            told = [messages.entry_line(e.kind, e.credits, e.job, asker.language) for e in entries]
            card = Card(
                title=messages.words("quota.title", asker.language),
                body=told_balance(balance, asker.language),
                facts="\n".join(filter(None, told)),
            )
            await tell(interaction, card)

    async def settings(  # noqa: PLR0913  (every option is named by who types it)
        self,
        interaction: discord.Interaction[Any],
        genre: Word | None = None,
        model: Word | None = None,
        language: Language = None,
        ping: bool | None = None,  # noqa: FBT001  (an option is named by who types it)
        recipe: bool | None = None,  # noqa: FBT001  (as above)
        forget: bool = False,  # noqa: FBT001, FBT002  (as above)
        link: Word | None = None,
    ) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            if link is not None:
                done = await self._studio.link_up(asker.requester, link)
                told = messages.linked(code=done.code, other=done.other, language=asker.language)
                await tell(interaction, Card(body=tame(told)))
                return
            changes = {
                "genre": genre,
                "model": model,
                "language": language,
                "ping": ping,
                "recipe": recipe,
            }
            self._desk.check_names(genre, model)
            key = asker.requester.key
            for name, value in changes.items():
                if forget or value is not None:
                    await self._studio.change_setting(key, name, value)
            await tell(interaction, settings_card(await self._desk.asker(interaction)))

    async def models(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            lines = [
                messages.words(
                    "models.line",
                    asker.language,
                    name=name,
                    title=preset.title,
                    seconds=f"{preset.limits.max_seconds:g}",
                    cost=f"{preset.cost:g}",
                )
                for name, preset in self._studio.presets.items()
            ]
            chosen = asker.preferred("model") or self._studio.house.model
            card = Card(
                title=messages.words("models.title", asker.language),
                body=tame("\n".join(lines)),
                facts=messages.words("model.chosen", asker.language, name=chosen),
            )
            await tell(interaction, card)

    async def recipe(
        self,
        interaction: discord.Interaction[Any],
        clip: Word | None = None,
        file: discord.Attachment | None = None,
    ) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            if file is None:
                await self._desk.recipe(interaction, job_number(clip or ""))
                return
            request = await attachments.recipe(file)
            name = messages.quoted(file.filename, 60)
            if request is None:
                untold = messages.words("recipe.untold", asker.language, file=name)
                await tell(interaction, Card(body=tame(untold)))
                return
            title = messages.words("recipe.of", asker.language, file=name)
            await tell(interaction, Card(title=tame(title), body=in_a_box(messages.recipe_line(request))))

    async def report(
        self, interaction: discord.Interaction[Any], clip: Word, why: Sentence | None = None
    ) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            await self._desk.report(interaction, job_number(clip), why or "")

    async def appeal(self, interaction: discord.Interaction[Any], why: Sentence | None = None) -> None:
        await self._desk.appeal(interaction, 0, why or "")

    async def help(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            words = self._desk.with_mentions(messages.words("help.discord", asker.language))
            title = messages.words("help.title", asker.language)
            await tell(interaction, Card(title=title, body=words))

    async def privacy(
        self,
        interaction: discord.Interaction[Any],
        do: Literal["read", "export", "delete"] | None = None,
    ) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            if do == "export":
                data = json.dumps(await self._studio.export(asker.requester), ensure_ascii=False, indent=2)
                file = discord.File(io.BytesIO(data.encode()), "matinee-data.json")
                told = tame(messages.words("privacy.export", asker.language))
                await interaction.edit_original_response(content=told, attachments=[file])
                return
            key = "privacy.sure" if do == "delete" else "privacy.discord"
            sure = Button(messages.words("button.forget", asker.language), Action("forget", 0))
            card = Card(
                title=messages.words("privacy.title", asker.language),
                body=tame(messages.words(key, asker.language)),
                buttons=(sure,) if do == "delete" else (),
            )
            await tell(interaction, card)


def stamp(at: float) -> str:
    """A moment as Discord shows it: in the reader's own zone, and how far away."""
    return f"<t:{int(at)}:t> (<t:{int(at)}:R>)"


def told_balance(balance: Balance, language: str) -> str:
    here = "\0"
    told = tame(messages.balance(balance, language, back_at=here))
    return told.replace(here, stamp(balance.back_at))


def settings_card(asker: Asker) -> Card:
    unset = messages.words("unset", asker.language)
    values = {**asker.own, "ping": messages.words("yes" if asker.own.get("ping") else "no", asker.language)}
    if "recipe" in values:
        values["recipe"] = messages.words("yes" if values["recipe"] else "no", asker.language)
    if "language" in values:
        values["language"] = messages.named(values["language"])
    lines = [
        messages.words(f"setting.{name}", asker.language, value=values.get(name, unset))
        for name in ("genre", "model", "language", "ping", "recipe")
    ]
    return Card(title=messages.words("settings.title", asker.language), body=tame("\n".join(lines)))


def _queue_line(job: Job, asker: Asker) -> str:
    """Others' words are shown only where everybody could see them anyway."""
    mine = job.requester.key == asker.requester.key
    near = job.requester.community == asker.requester.community != ""
    open_ = mine or (near and not job.reply_to.private and not hidden(job))
    return messages.job_line(job, asker.language, prompt=open_)


def _history_line(job: Job, language: str) -> str:
    line = tame(messages.job_line(job, language))
    if not job.message or job.reply_to.private:
        return line
    place = job.requester.community or "@me"
    return f"{line} [↗](https://discord.com/channels/{place}/{job.reply_to.chat}/{job.message})"
