"""From an error to the sentence that the user reads, and what they can do about it."""

from __future__ import annotations

import structlog

from bot.domain.errors import USER_ERRORS, PromptRefused
from bot.domain.jobs import Action
from bot.i18n import messages
from generation.errors import ExplainedError

log = structlog.get_logger(__name__)


def explain_and_log(error: Exception, language: str, *, request: str) -> str:
    """Return the sentence for the user, and log the error unless the user can correct it.

    `request` says in the log what failed: "a command", "a button press".
    """
    if isinstance(error, ExplainedError) and not isinstance(error, USER_ERRORS):
        log.warning("request failed", request=request, exc_info=error)
    elif not isinstance(error, USER_ERRORS):
        log.error("request failed unexpectedly", request=request, exc_info=error)
    return messages.explain(error, language)


def appeal_action(error: Exception) -> Action | None:
    """Return the action that asks an admin to review a refused prompt, if `error` is such a refusal."""
    if isinstance(error, PromptRefused) and error.refusal:
        return Action("appeal", error.refusal)
    return None
