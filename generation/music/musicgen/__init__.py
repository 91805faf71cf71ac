"""MusicGen through transformers' weights, with our own decoding: batched, windowed, exact in length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from generation.clip import Score
from generation.errors import ModelBroken, OutOfMemory
from generation.music.common import weights
from generation.music.common.audio_finish import finished
from generation.music.common.registry import score
from generation.music.musicgen import cuda_graphs
from generation.music.musicgen import delay_pattern as layout
from generation.music.musicgen.decoder import Decoder, Heard, Run, chances, drawn, guided
from generation.progress import OnStep
from generation.request import Music

__all__ = ["MusicGen"]

WINDOW, KEPT = 30.0, 12.0
"""Seconds the model was trained on, and how much of one window the next goes on from."""


@score("musicgen")
class MusicGen:
    def __init__(self, model: Any, tokenizer: Any, options: dict[str, Any]) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.name = str(options.get("name", "musicgen"))
        self.guidance = float(options.get("guidance", 3.0))
        self.top = int(options.get("top_k", 250))
        self.decoder = Decoder(model.decoder)
        self.recordings = cuda_graphs.for_decoder(self.decoder)
        self.rate = int(model.config.audio_encoder.sampling_rate)
        self.per_second = float(model.config.audio_encoder.frame_rate)
        self.takes_melody = hasattr(model, "audio_enc_to_dec_proj")

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        name = str(options.get("name", "musicgen"))
        found = weights.folder(options, "musicgen")
        device, dtype = weights.device_and_type(options)
        import transformers  # noqa: PLC0415  (heavy)

        transformers.utils.logging.disable_progress_bar()
        try:
            config = transformers.AutoConfig.from_pretrained(found, local_files_only=True)
            kind = "MusicgenMelody" if config.model_type == "musicgen_melody" else "Musicgen"
            model = getattr(transformers, f"{kind}ForConditionalGeneration").from_pretrained(
                found, dtype=dtype, use_safetensors=True, local_files_only=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(found, local_files_only=True)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(name) from error
        except Exception as error:
            raise ModelBroken(name, f"{type(error).__name__}: {error}"[:500]) from error
        return cls(model.to(device).eval(), tokenizer, options)

    def score(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Score:
        return self.score_together([music], samples, rate, on_step)[0]

    @torch.inference_mode()
    def score_together(self, jobs: Sequence[Music], samples: int, rate: int, on_step: OnStep) -> list[Score]:
        """Several pieces of one length in one batch: each from its own words and seed."""
        frames = math.ceil(samples / rate * self.per_second) + 1
        made = self.codes(jobs, frames, on_step)
        sounds = self._sounding(made)
        return [finished(sound.T.float().cpu().numpy(), self.rate, samples, rate) for sound in sounds]

    @torch.inference_mode()
    def codes(self, jobs: Sequence[Music], frames: int, on_step: OnStep) -> Tensor:
        """(jobs, codebooks, frames); beyond the model's window each next one goes on from the last."""
        heard = self._heard(jobs)
        books = self.decoder.codebooks
        window, kept = round(WINDOW * self.per_second), round(KEPT * self.per_second)
        draws = torch.stack([chances(one.seed, books, frames + books) for one in jobs], dim=1)
        so_far = torch.empty(len(jobs), books, 0, dtype=torch.long)
        while so_far.shape[2] < frames:
            start = max(0, so_far.shape[2] - kept)
            length = min(window, frames - start)
            made = self._window(
                heard, so_far[:, :, start:], length, draws[start:], _Steps(on_step, start, length, frames)
            )
            so_far = torch.cat([so_far[:, :, :start], made], dim=2)
        return so_far

    def _window(self, heard: Heard, known: Tensor, frames: int, draws: Tensor, steps: _Steps) -> Tensor:
        decoder, device = self.decoder, self.decoder.embed.device
        plan = layout.planned(known, frames, decoder.channels, decoder.pad).to(device)
        draws = draws.to(device)
        first = known.shape[2] + 1
        start = decoder.begin(heard, plan.shape[2])
        run: Run | cuda_graphs.Recording = start
        fresh = plan[:, :, :first]
        doubled = len(heard.states) // len(plan)
        for column in range(first, plan.shape[2]):
            steps.tell(column - 1)
            if column == first + 1 and self.recordings:
                run = self.recordings.going_on(start)
            logits = guided(run.logits(fresh.repeat(doubled, 1, 1)), self.guidance)
            now = drawn(logits, draws[column - 1], self.top)
            wanted = plan[:, :, column]
            plan[:, :, column] = torch.where(wanted == layout.UNKNOWN, now, wanted)
            fresh = plan[:, :, column : column + 1]
        steps.tell(frames)
        return layout.codes(plan, frames, decoder.channels).cpu()

    def _heard(self, jobs: Sequence[Music]) -> Heard:
        tokens = self.tokenizer([one.words for one in jobs], padding=True, return_tensors="pt")
        tokens = tokens.to(self.model.device)
        mask = tokens["attention_mask"]
        states = self.model.text_encoder(**tokens).last_hidden_state
        if states.shape[-1] != self.decoder.width:
            states = self.model.enc_to_dec_proj(states)
        states = states * mask[..., None]
        if self.takes_melody:
            return self._with_melody(states, jobs)
        if not math.isclose(self.guidance, 1.0):
            states, mask = (
                torch.cat([states, torch.zeros_like(states)]),
                torch.cat([mask, torch.zeros_like(mask)]),
            )
        return Heard(states, mask, before=False)

    def _with_melody(self, states: Tensor, jobs: Sequence[Music]) -> Heard:
        from generation.music.musicgen.melody import chroma_states  # noqa: PLC0415  (melody models only)

        tunes = chroma_states(self.model, jobs)
        if not math.isclose(self.guidance, 1.0):
            nothing = chroma_states(self.model, [Music(genre="", maker="")] * len(jobs))
            states, tunes = torch.cat([states, torch.zeros_like(states)]), torch.cat([tunes, nothing])
        return Heard(torch.cat([tunes.to(states), states], dim=1), None, before=True)

    def _sounding(self, codes: Tensor) -> Tensor:
        """(jobs, channels, samples) from the codec; a stereo model's codebooks are left and right in turn."""
        codec, codes = self.model.audio_encoder, codes.to(self.model.device)
        channels = self.decoder.channels
        scales = [None] * len(codes)
        ears = [
            codec.decode(codes[None, :, ear::channels], audio_scales=scales).audio_values
            for ear in range(channels)
        ]
        return torch.cat(ears, dim=1)

    def close(self) -> None:
        del self.model, self.decoder, self.recordings


class _Steps:
    """Progress over all windows: what is redone at a seam is not counted twice."""

    def __init__(self, on_step: OnStep, start: int, length: int, total: int) -> None:
        self.on_step, self.start, self.length, self.total = on_step, start, length, total

    def tell(self, frame: int) -> None:
        self.on_step(self.start + min(frame, self.length), self.total)
