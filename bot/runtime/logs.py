"""Logging to the console or as JSON. Secrets are removed from every line, tracebacks included."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from bot.runtime import frontend_registry
from bot.runtime.frontend_registry import FrontendRegistry

TOKEN_PATTERNS = (re.compile(r"\bhf_[A-Za-z0-9]{20,}"),)  # Hugging Face
INVISIBLE_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
NOISY_LOGGERS = ("httpx", "httpcore", "aiosqlite", "asyncio", "PIL")


class Redactor:
    """Replaces secrets in a finished line by ***: the given ones, and everything that looks like a token."""

    def __init__(self, secrets: Iterable[str], token_patterns: Iterable[re.Pattern[str]]) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True)
        self._patterns = (*TOKEN_PATTERNS, *token_patterns)

    def __call__(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        for pattern in self._patterns:
            line = pattern.sub("***", line)
        return line


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def __init__(self, *, redact: Redactor, renderer: Any, shared: list[Any]) -> None:
        remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(processors=[remove, renderer], foreign_pre_chain=shared)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _replace_control_characters(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Text from users must not move the terminal's cursor or change the direction of its text."""
    for name, value in event.items():
        if isinstance(value, str) and name not in {"exception", "stack"}:
            event[name] = INVISIBLE_CHARACTERS.sub("\ufffd", value)
    return event


def _hide_prompt(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "prompt" in event:
        event["prompt"] = f"<{len(str(event['prompt']))} characters>"
    return event


def configure_logging(
    *,
    level: str,
    style: str,
    prompts: bool,
    secrets: Iterable[str],
    registry: FrontendRegistry | None = None,
    stream: Any = None,
) -> None:
    """Send structlog's and the standard library's records through one handler that removes secrets."""
    stream = stream or sys.stderr
    registry = registry or frontend_registry.shipped()
    for_people = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if prompts else [_hide_prompt]),
        _replace_control_characters,
        *([] if for_people else [structlog.processors.format_exc_info]),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if for_people
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        _Formatter(redact=Redactor(secrets, registry.token_patterns), renderer=renderer, shared=shared)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in (*NOISY_LOGGERS, *registry.quiet_loggers):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
