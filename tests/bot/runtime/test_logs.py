"""Logs are readable on the console and as JSON, and no secret appears in them, not even in tracebacks."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.runtime import logs

BOT_CREDENTIAL = "123456789:AAHabcdefghijklmnopqrstuvwxyz012345"
CONFIGURED_TEXT = "correct-horse-battery"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level


def start_logging(stream: io.StringIO, style: str, *, prompts: bool = True) -> None:
    logs.configure_logging(
        level="info", style=style, prompts=prompts, secrets=[CONFIGURED_TEXT], stream=stream
    )


@pytest.mark.parametrize("style", ["console", "json"])
def test_secrets_are_redacted_everywhere(stream: io.StringIO, style: str) -> None:
    start_logging(stream, style)
    log = structlog.get_logger("test")
    log.info("token is %s", CONFIGURED_TEXT, url=f"https://chat.example/bot{BOT_CREDENTIAL}/send")
    logging.getLogger("library").warning("retrying %s with %s", BOT_CREDENTIAL, CONFIGURED_TEXT)
    try:
        int(f"{CONFIGURED_TEXT} {BOT_CREDENTIAL}")
    except ValueError:
        log.exception("failed")
    written = stream.getvalue()
    assert CONFIGURED_TEXT not in written
    assert BOT_CREDENTIAL not in written
    assert written.count("***") >= 5
    assert "ValueError" in written


def test_json_logs_have_one_object_per_line_with_the_job(stream: io.StringIO) -> None:
    start_logging(stream, "json")
    with structlog.contextvars.bound_contextvars(job=17):
        structlog.get_logger("test").info("rendered", seconds=5.0)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["job"], line["seconds"], line["level"]) == ("rendered", 17, 5.0, "info")


@pytest.mark.parametrize("style", ["console", "json"])
def test_control_characters_in_user_text_are_removed(stream: io.StringIO, style: str) -> None:
    logs.configure_logging(level="info", style=style, prompts=True, secrets=[], stream=stream)
    structlog.get_logger("x").info("queued", prompt="a\x1b[2Jfox\u202egpj.exe\x07", who="a\rb")
    written = stream.getvalue()
    assert "fox" in written
    assert not any(c in written for c in "\x1b\u202e\x07\r")
    assert not any(c in written for c in ("\\u001b", "\\x1b", "\\u202e"))


def test_prompts_are_left_out_if_the_operator_disables_them(stream: io.StringIO) -> None:
    start_logging(stream, "json", prompts=False)
    structlog.get_logger("test").info("queued", prompt="my secret prompt")
    assert "secret prompt" not in stream.getvalue()
    assert json.loads(stream.getvalue())["prompt"] == "<16 characters>"
