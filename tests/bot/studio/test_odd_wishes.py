"""Numbers of any length in a wish get a sentence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bot.cli.parser import build_parser
from bot.cli.wish_arguments import parse_byte_count, wish_from_arguments
from bot.domain.errors import BadOption
from bot.frontends.telegram.option_parser import parse_wish
from generation.errors import OutOfRange
from tests.bot.app_harness import open_studio
from tests.factories import make_reply_to, make_viewer, make_wish


@pytest.mark.parametrize("seconds", [math.inf, math.nan, -math.inf, 1e308, -1.0, 1e-320])
async def test_a_length_that_no_music_can_have_is_refused(seconds: float, tmp_path: Path) -> None:
    async with open_studio(tmp_path) as (_, studio, _events):
        with pytest.raises(OutOfRange) as caught:
            await studio.submit(make_wish(seconds=seconds), make_viewer(), make_reply_to())
    assert caught.value.option == "seconds"


async def test_a_length_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    wish = parse_wish(f"a fox {'9' * 5000}s")
    async with open_studio(tmp_path) as (_, studio, _events):
        with pytest.raises(OutOfRange):
            await studio.submit(wish, make_viewer(), make_reply_to())


@pytest.mark.parametrize("option", ["--image", "--extend", "--bigger", "--track", "--melody", "--out"])
@pytest.mark.parametrize("name", ["odd-\udcff", "."])
def test_a_path_that_cannot_be_saved_with_the_job_is_refused(option: str, name: str) -> None:
    args = build_parser().parse_args(["make", "a fox", option, name])
    with pytest.raises(BadOption) as caught:
        wish_from_arguments(args)
    assert caught.value.option == option


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 400 + "MB"])
def test_a_size_of_thousands_of_digits_is_refused(text: str) -> None:
    with pytest.raises(BadOption):
        parse_byte_count(text)
