"""Commands that start no job: the queue, the user's clips, credits, settings, help, privacy."""

# discord.py evaluates these annotations in this module, so they stay unquoted.

import io
from typing import Any, Literal

import discord
from discord import app_commands

from bot.domain.jobs import Action, Job
from bot.domain.quota import Balance
from bot.frontends.common import account_actions
from bot.frontends.common.buttons import action_button
from bot.frontends.common.job_texts import MAX_LISTED, ledger_lines, model_lines, others_line
from bot.frontends.common.preferences import check_preferences
from bot.frontends.common.recipe_command import file_recipe, slash_command
from bot.frontends.discord import attachments
from bot.frontends.discord.autocomplete import Autocompleter
from bot.frontends.discord.cards import Card, escape_markup
from bot.frontends.discord.command_registration import Language, register_command
from bot.frontends.discord.handlers import Asker, InteractionHandlers, parse_job_number
from bot.frontends.discord.job_cards import code_block
from bot.frontends.discord.responses import explain_errors, respond
from bot.i18n import messages

ShortText = app_commands.Range[str, 1, 100]
LongText = app_commands.Range[str, 1, 500]


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
            waiting = await self._studio.waiting(asker.viewer, MAX_LISTED)
            lines = [escape_markup(messages.job_line(job, asker.language)) for job in waiting.jobs]
            if waiting.others:
                lines.append(escape_markup(others_line(waiting.others, asker.language)))
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
            jobs = await self._studio.history(asker.viewer, MAX_LISTED)
            lines = [_history_line(job, asker.language) for job in jobs]
            empty = escape_markup(messages.translate("history.empty", asker.language))
            title = messages.translate("history.title", asker.language)
            await respond(interaction, Card(title=title, body="\n".join(lines) or empty))

    async def quota(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            balance = await self._studio.balance(asker.viewer)
            entries = await self._studio.ledger_entries(asker.viewer, MAX_LISTED)
            card = Card(
                title=messages.translate("quota.title", asker.language),
                body=balance_text(balance, asker.language),
                facts="\n".join(ledger_lines(entries, asker.language)),
            )
            await respond(interaction, card)

    async def settings(  # noqa: PLR0913  (one parameter for each option of the command)
        self,
        interaction: discord.Interaction[Any],
        genre: ShortText | None = None,
        model: ShortText | None = None,
        language: Language = None,
        ping: bool | None = None,  # noqa: FBT001  (discord.py passes options by name)
        recipe: bool | None = None,  # noqa: FBT001  (as above)
        forget: bool = False,  # noqa: FBT001, FBT002  (as above)
        link: ShortText | None = None,
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if link is not None:
                reply = await account_actions.link_account(self._studio, asker.viewer, link)
                await respond(interaction, Card(body=escape_markup(reply.text), buttons=reply.buttons))
                return
            changes = {
                "genre": genre,
                "model": model,
                "language": language,
                "ping": ping,
                "recipe": recipe,
            }
            check_preferences(self._studio, genre=genre, model=model)
            for name, value in changes.items():
                if forget or value is not None:
                    await self._studio.change_setting(asker.viewer, name, value)
            await respond(interaction, settings_card(await self._handlers.load_asker(interaction)))

    async def models(self, interaction: discord.Interaction[Any]) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            lines = model_lines(self._studio.presets, asker.language)
            chosen = asker.preferences.get("model") or self._studio.default_model
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
            request = await attachments.read_recipe(
                file,
                self._studio,
                asker.viewer,
                limit=interaction.filesize_limit,
            )
            found = file_recipe(request, file.filename, asker.language, slash_command)
            if found.command:
                card = Card(title=escape_markup(found.title), body=code_block(found.command))
            else:
                card = Card(body=escape_markup(found.title))
            await respond(interaction, card)

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
            text = self._handlers.with_command_mentions(messages.translate("help.discord", asker.language))
            title = messages.translate("help.title", asker.language)
            await respond(interaction, Card(title=title, body=text))

    async def privacy(
        self,
        interaction: discord.Interaction[Any],
        do: Literal["read", "export", "delete"] | None = None,
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if do == "export":
                data = await account_actions.export_personal_data(self._studio, asker.viewer)
                file = discord.File(io.BytesIO(data), account_actions.EXPORT_FILE)
                text = escape_markup(messages.translate("privacy.export", asker.language))
                await interaction.edit_original_response(content=text, attachments=[file])
                return
            key = "privacy.sure" if do == "delete" else "privacy.discord"
            confirm = action_button(Action("forget", 0), asker.language)
            card = Card(
                title=messages.translate("privacy.title", asker.language),
                body=escape_markup(messages.translate(key, asker.language)),
                buttons=(confirm,) if do == "delete" else (),
            )
            await respond(interaction, card)


def timestamp(at: float) -> str:
    """Format a time that Discord shows in the reader's time zone, with the remaining time."""
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


def _history_line(job: Job, language: str) -> str:
    line = escape_markup(messages.job_line(job, language))
    if not job.message or job.reply_to.private:
        return line
    server = job.requester.community_key.rpartition(":")[2] or "@me"
    return f"{line} [↗](https://discord.com/channels/{server}/{job.reply_to.chat}/{job.message})"
