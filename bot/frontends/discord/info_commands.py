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
from bot.frontends.discord.autocomplete import Autocompleter
from bot.frontends.discord.cards import Card, escape_markup
from bot.frontends.discord.command_registration import Language, register_command
from bot.frontends.discord.handlers import Asker, InteractionHandlers, parse_job_number
from bot.frontends.discord.job_cards import code_block, is_prompt_hidden
from bot.frontends.discord.responses import explain_errors, respond
from bot.i18n import messages
from bot.pipeline.delivery import Button

ShortText = app_commands.Range[str, 1, 100]
LongText = app_commands.Range[str, 1, 500]
MAX_LISTED = 15


def add_info_commands(tree: app_commands.CommandTree[Any], handlers: InteractionHandlers) -> None:
    autocompleter = Autocompleter(handlers.studio)
    commands = InfoCommands(handlers)
    register_command(tree, "queue", commands.queue)
    register_command(tree, "cancel", commands.cancel, clip=autocompleter.cancellable_jobs)
    register_command(tree, "history", commands.history)
    register_command(tree, "quota", commands.quota)
    register_command(
        tree, "settings", commands.settings, genre=autocompleter.genre, model=autocompleter.model
    )
    register_command(tree, "models", commands.models)
    register_command(tree, "recipe", commands.recipe, clip=autocompleter.own_jobs)
    register_command(tree, "report", commands.report)
    register_command(tree, "appeal", commands.appeal)
    register_command(tree, "help", commands.help)
    register_command(tree, "privacy", commands.privacy)


class InfoCommands:
    def __init__(self, handlers: InteractionHandlers) -> None:
        self._handlers = handlers
        self._studio = handlers.studio

    async def queue(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            waiting = await self._studio.waiting(MAX_LISTED)
            lines = [escape_markup(_queue_line(job, asker)) for job in waiting]
            empty = escape_markup(messages.translate("queue.empty", asker.language))
            title = messages.translate("queue.title", asker.language)
            await respond(interaction, Card(title=title, body="\n".join(lines) or empty))

    async def cancel(self, interaction: discord.Interaction[Any], clip: ShortText) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            await self._handlers.cancel(interaction, parse_job_number(clip))

    async def history(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            jobs = await self._studio.history(asker.requester, MAX_LISTED)
            lines = [_history_line(job, asker.language) for job in jobs]
            empty = escape_markup(messages.translate("history.empty", asker.language))
            title = messages.translate("history.title", asker.language)
            await respond(interaction, Card(title=title, body="\n".join(lines) or empty))

    async def quota(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            balance = await self._studio.balance(asker.requester, str(interaction.channel_id or ""))
            entries = await self._studio.ledger_entries(asker.requester, MAX_LISTED)
            told = [messages.ledger_line(e.kind, e.credits, e.job, asker.language) for e in entries]
            card = Card(
                title=messages.translate("quota.title", asker.language),
                body=balance_text(balance, asker.language),
                facts="\n".join(filter(None, told)),
            )
            await respond(interaction, card)

    async def settings(  # noqa: PLR0913  (every option is named by who types it)
        self,
        interaction: discord.Interaction[Any],
        genre: ShortText | None = None,
        model: ShortText | None = None,
        language: Language = None,
        ping: bool | None = None,  # noqa: FBT001  (an option is named by who types it)
        recipe: bool | None = None,  # noqa: FBT001  (as above)
        forget: bool = False,  # noqa: FBT001, FBT002  (as above)
        link: ShortText | None = None,
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if link is not None:
                done = await self._studio.link_account(asker.requester, link)
                told = messages.link_result(code=done.code, other=done.other, language=asker.language)
                await respond(interaction, Card(body=escape_markup(told)))
                return
            changes = {
                "genre": genre,
                "model": model,
                "language": language,
                "ping": ping,
                "recipe": recipe,
            }
            self._handlers.check_preferences(genre, model)
            key = asker.requester.key
            for name, value in changes.items():
                if forget or value is not None:
                    await self._studio.change_setting(key, name, value)
            await respond(interaction, settings_card(await self._handlers.load_asker(interaction)))

    async def models(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            lines = [
                messages.translate(
                    "models.line",
                    asker.language,
                    name=name,
                    title=preset.title,
                    seconds=f"{preset.limits.max_seconds:g}",
                    cost=f"{preset.cost:g}",
                )
                for name, preset in self._studio.presets.items()
            ]
            chosen = asker.preference("model") or self._studio.default_model
            card = Card(
                title=messages.translate("models.title", asker.language),
                body=escape_markup("\n".join(lines)),
                facts=messages.translate("model.chosen", asker.language, name=chosen),
            )
            await respond(interaction, card)

    async def recipe(
        self,
        interaction: discord.Interaction[Any],
        clip: ShortText | None = None,
        file: discord.Attachment | None = None,
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if file is None:
                await self._handlers.recipe(interaction, parse_job_number(clip or ""))
                return
            request = await attachments.read_attached_recipe(file)
            name = messages.sanitized(file.filename, 60)
            if request is None:
                no_recipe = messages.translate("recipe.missing", asker.language, file=name)
                await respond(interaction, Card(body=escape_markup(no_recipe)))
                return
            title = messages.translate("recipe.file_title", asker.language, file=name)
            await respond(
                interaction,
                Card(title=escape_markup(title), body=code_block(messages.recipe_command(request))),
            )

    async def report(
        self, interaction: discord.Interaction[Any], clip: ShortText, why: LongText | None = None
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            await self._handlers.report(interaction, parse_job_number(clip), why or "")

    async def appeal(self, interaction: discord.Interaction[Any], why: LongText | None = None) -> None:
        await self._handlers.appeal(interaction, 0, why or "")

    async def help(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            words = self._handlers.with_command_mentions(messages.translate("help.discord", asker.language))
            title = messages.translate("help.title", asker.language)
            await respond(interaction, Card(title=title, body=words))

    async def privacy(
        self,
        interaction: discord.Interaction[Any],
        do: Literal["read", "export", "delete"] | None = None,
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if do == "export":
                data = json.dumps(await self._studio.export(asker.requester), ensure_ascii=False, indent=2)
                file = discord.File(io.BytesIO(data.encode()), "matinee-data.json")
                told = escape_markup(messages.translate("privacy.export", asker.language))
                await interaction.edit_original_response(content=told, attachments=[file])
                return
            key = "privacy.sure" if do == "delete" else "privacy.discord"
            sure = Button(messages.translate("button.forget", asker.language), Action("forget", 0))
            card = Card(
                title=messages.translate("privacy.title", asker.language),
                body=escape_markup(messages.translate(key, asker.language)),
                buttons=(sure,) if do == "delete" else (),
            )
            await respond(interaction, card)


def timestamp(at: float) -> str:
    """A moment as Discord shows it: in the reader's own zone, and how far away."""
    return f"<t:{int(at)}:t> (<t:{int(at)}:R>)"


def balance_text(balance: Balance, language: str) -> str:
    placeholder = "\0"
    text = escape_markup(messages.balance_text(balance, language, back_at=placeholder))
    return text.replace(placeholder, timestamp(balance.back_at))


def settings_card(asker: Asker) -> Card:
    unset = messages.translate("unset", asker.language)
    values = {
        **asker.own_settings,
        "ping": messages.translate("yes" if asker.own_settings.get("ping") else "no", asker.language),
    }
    if "recipe" in values:
        values["recipe"] = messages.translate("yes" if values["recipe"] else "no", asker.language)
    if "language" in values:
        values["language"] = messages.language_name(values["language"])
    lines = [
        messages.translate(f"setting.{name}", asker.language, value=values.get(name, unset))
        for name in ("genre", "model", "language", "ping", "recipe")
    ]
    return Card(
        title=messages.translate("settings.title", asker.language), body=escape_markup("\n".join(lines))
    )


def _queue_line(job: Job, asker: Asker) -> str:
    """Others' words are shown only where everybody could see them anyway."""
    mine = job.requester.key == asker.requester.key
    near = job.requester.community == asker.requester.community != ""
    show_prompt = mine or (near and not job.reply_to.private and not is_prompt_hidden(job))
    return messages.job_line(job, asker.language, prompt=show_prompt)


def _history_line(job: Job, language: str) -> str:
    line = escape_markup(messages.job_line(job, language))
    if not job.message or job.reply_to.private:
        return line
    place = job.requester.community or "@me"
    return f"{line} [↗](https://discord.com/channels/{place}/{job.reply_to.chat}/{job.message})"
