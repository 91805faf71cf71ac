"""Every error has a sentence in every language, and text typed by users cannot break it."""

from __future__ import annotations

import string
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import bot.domain.errors
import generation.errors
from bot.domain.errors import AlreadyRunning, QueueFull, QuotaSpent
from bot.domain.jobs import JobState
from bot.i18n import messages
from generation.errors import AttachmentRefused, ExplainedError, OutOfRange, UnknownChoice
from tests.factories import make_job

BASE_CLASSES = {"ExplainedError", "RequestError", "GenerationError", "UserError", "StartError"}
SAMPLES: dict[Any, Any] = {int: 7, float: 1.5, str: "word", bool: True}


def error_classes() -> list[type[ExplainedError]]:
    modules = (bot.domain.errors, generation.errors)
    return [
        kind for kind in ExplainedError.kinds.values() if kind.__module__ in {m.__name__ for m in modules}
    ]


def sample_error(kind: type[ExplainedError]) -> ExplainedError:
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]  # every explained error is a dataclass
        hint = hints[field.name]
        values[field.name] = SAMPLES.get(hint, ("a", "b") if "tuple" in str(hint) else None)
    if "whose" in values:
        values["whose"] = "person"
    if "state" in values:
        values["state"] = "running"
    return kind(**values)


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_sentence_of_its_own(kind: type[ExplainedError]) -> None:
    said = messages.explain(sample_error(kind))
    assert said[0].isupper() or said[0].isdigit() or said.startswith(("word", "“"))
    assert "{" not in said
    assert "None" not in said
    if kind.__name__ not in BASE_CLASSES:
        parents = {
            messages.explain(sample_error(parent))
            for parent in kind.__mro__[1:]
            if parent.__name__ in BASE_CLASSES - {"ExplainedError"}
        }
        assert said not in parents


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_survives_json(kind: type[ExplainedError]) -> None:
    error = sample_error(kind)
    back = ExplainedError.from_json(error.to_json())
    assert type(back) is kind
    assert back.facts() == error.facts()


@pytest.mark.parametrize("name", generation.errors.OLD_NAMES)
def test_errors_stored_under_old_names_are_read(name: str) -> None:
    kind = ExplainedError.kinds[generation.errors.current_name(name)]
    stored = {"kind": name, "facts": sample_error(kind).facts()}
    read = ExplainedError.from_json(stored)
    assert type(read) is kind
    assert read.facts() == stored["facts"]
    assert name not in ExplainedError.kinds  # a class of that name would be read instead


def test_the_operator_sees_the_reason_of_an_error_stored_under_an_old_name() -> None:
    stored = {"kind": "PaintFailed", "facts": {"model": "ltx", "reason": "RuntimeError"}}
    assert messages.operator_detail(stored) == "RuntimeError"


def test_an_unexpected_error_reveals_no_details() -> None:
    said = messages.explain(ValueError("secret path"))
    assert "secret" not in said
    assert said == messages.translate("Unexpected")


def test_more_facts_give_a_more_specific_sentence() -> None:
    assert "Did you mean “ltx”" in messages.explain(UnknownChoice("model", "lxt", "ltx", ("ltx", "wan")))
    assert "ltx, wan" in messages.explain(UnknownChoice("model", "zzz", None, ("ltx", "wan")))
    assert "process 42" in messages.explain(AlreadyRunning("data", 42))
    assert messages.explain(QueueFull("person", 5, 5)) != messages.explain(QueueFull("all", 5, 5))


def test_numbers_are_formatted_for_people() -> None:
    assert (
        messages.explain(OutOfRange("seconds", -1.0, 0.5, 10.0)) == "Choose seconds from 0.5 to 10, not -1."
    )
    assert "2 of 10 credits" in messages.explain(QuotaSpent(3, 2, 10, 1_790_000_000.0))


@pytest.mark.parametrize(
    ("count", "said"), [(999, "999 bytes"), (1500, "2 kB"), (8_388_608, "8.4 MB"), (2.5e9, "2.5 GB")]
)
def test_sizes(count: float, said: str) -> None:
    assert messages.file_size(count) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (45, "45 s"), (120, "2 min"), (7200, "2.0 h")])
def test_spans(seconds: float, said: str) -> None:
    assert messages.duration_text(seconds) == said


@pytest.mark.parametrize(
    "typed", ["a\u202eb", "a\u200bb", "a\x00b", "a\x1b[31mb", "\ud800a b", "a\n\n@everyone b" * 40]
)
def test_quoted_user_text_is_sanitized(typed: str) -> None:
    quoted = messages.sanitized(typed)
    assert len(quoted) <= messages.QUOTE_LENGTH
    assert quoted.isprintable()


@pytest.mark.parametrize("language", messages.languages())
def test_every_language_has_the_same_keys_and_placeholders(language: str) -> None:
    folder = Path(messages.__file__).parent / "translations"
    english, theirs = (tomllib.loads((folder / f"{x}.toml").read_text("utf-8")) for x in ("en", language))
    assert theirs.keys() == english.keys()
    for key, text in theirs.items():
        assert placeholders(text) == placeholders(english[key]), key


@pytest.mark.parametrize("language", messages.languages())
@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_is_translated(kind: type[ExplainedError], language: str) -> None:
    said = messages.explain(sample_error(kind), language)
    assert "{" not in said
    assert language == "en" or kind.__name__ == "ConfigBroken" or said != messages.explain(sample_error(kind))


def test_a_narrow_eta_is_shown_as_one_time() -> None:
    job = make_job(state=JobState.QUEUED)
    assert "Ready in about 2 min" in messages.queued_status(job, queue_position=0, eta=(118.0, 122.0))
    assert "Ready in 2 min to 3 min" in messages.queued_status(job, queue_position=0, eta=(100.0, 200.0))


def test_a_locale_finds_the_nearest_language() -> None:
    asked = {
        "pt-BR": "pt",
        "es-419": "es",
        "de_AT.UTF-8": "de",
        "ja": "ja",
        "ko": "en",
        "C.UTF-8": "en",
        "": "en",
    }
    assert {locale: messages.nearest_language(locale) for locale in asked} == asked


def test_times_and_dates_are_localized() -> None:
    spent = QuotaSpent(3, 2, 10, 1_790_000_000.0)
    assert "at 14:13 UTC on 21 September" in messages.explain(spent)
    assert "um 14:13 UTC am 21. September" in messages.explain(spent, "de")
    assert "a las 14:13 UTC del 21 de septiembre" in messages.explain(spent, "es")
    assert "9月21日 14:13 UTC" in messages.explain(spent, "ja")
    assert messages.duration_text(600, "ja") == "10分"


def test_attachment_refusals_are_localized() -> None:
    assert messages.explain(AttachmentRefused("a.gif", "wrong kind"), "de").endswith(
        "kann ich nichts anfangen."
    )
    assert messages.explain(AttachmentRefused("a.gif", "an operator's own words"), "de").endswith(
        "own words."
    )


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
