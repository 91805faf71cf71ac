"""Encoded prompts are kept within a number of bytes of main memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from generation.models.common.prompt_cache import MAX_BYTES, MAX_PROMPTS, PromptCache

pytestmark = pytest.mark.slow
MEGABYTE = 1_000_000


class Encoder:
    """Encodes a prompt to one megabyte for itself and one for its negative prompt, like `encode_prompt`."""

    def __init__(self, device: str = "cpu") -> None:
        self.calls: list[str] = []
        self.device = device

    def __call__(self, prompt: str, **_: Any) -> Any:
        self.calls.append(prompt)
        value = float(len(self.calls))
        states = [torch.full((MEGABYTE // 4,), value, device=self.device) for _ in range(2)]
        return states[0], None, {"negative": states[1], "masks": [torch.ones(1, device=self.device)]}


def test_a_cached_result_is_the_same() -> None:
    encoder = Encoder()
    cache = PromptCache(encoder)
    first, again = cache("a boat", negative=""), cache("a boat", negative="")
    assert encoder.calls == ["a boat"]
    assert torch.equal(first[0], again[0])
    assert again[1] is None
    assert torch.equal(first[2]["negative"], again[2]["negative"])
    assert type(again[2]["masks"]) is list


def test_the_oldest_prompts_make_place_for_new_ones() -> None:
    encoder = Encoder()
    cache = PromptCache(encoder, max_bytes=7 * MEGABYTE)
    for prompt in ("a", "b", "c", "a", "d"):  # "b" is the least recently used one when "d" needs its bytes
        cache(prompt)
        assert cache.kept_bytes() <= 7 * MEGABYTE
    assert encoder.calls == ["a", "b", "c", "d"]
    cache("a")
    assert encoder.calls == ["a", "b", "c", "d"]
    cache("b")
    assert encoder.calls == ["a", "b", "c", "d", "b"]


def test_a_prompt_larger_than_the_bound_is_kept_alone_for_a_reroll() -> None:
    encoder = Encoder()
    cache = PromptCache(encoder, max_bytes=MEGABYTE)
    cache("a")
    cache("a")
    assert encoder.calls == ["a"]
    cache("b")
    assert cache.kept_bytes() < 3 * MEGABYTE


def test_prompts_of_ltx2_stay_within_the_bound() -> None:
    """Counted at the published sizes: 1,024 tokens, 49 layers of 3,840 values of two bytes, two prompts."""
    one_prompt = 2 * 1024 * 49 * 3840 * 2
    assert MAX_PROMPTS * one_prompt > 24_000_000_000
    assert 2 * one_prompt < MAX_BYTES


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_kept_results_take_no_memory_of_the_gpu() -> None:
    cache = PromptCache(Encoder("cuda"))
    before = torch.cuda.memory_allocated()
    for prompt in "abcdefgh":
        assert cache(prompt)[0].is_cuda
    assert torch.cuda.memory_allocated() - before < 3 * MEGABYTE
    assert cache("a")[0].is_cuda
