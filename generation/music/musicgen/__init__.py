"""MusicGen with the weights of transformers and its own decoding loop: batches, windows, exact length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from generation.clip import Audio
from generation.errors import BadAudio, ModelBroken, OutOfMemory
from generation.loading_gate import computing, loading
from generation.music.common import weights
from generation.music.common.audio_finish import check_sound, finish_audio
from generation.music.common.registry import music_maker
from generation.music.musicgen.cuda_graphs import GraphRun, graph_cache_for
from generation.music.musicgen.decoder import (
    Conditioning,
    Decoder,
    DecodingRun,
    apply_guidance,
    random_draws,
    sample_codes,
)
from generation.music.musicgen.delay_pattern import UNKNOWN, delayed_columns, frames_from_columns
from generation.progress import OnStep
from generation.request import Music

__all__ = ["MusicGen"]

WINDOW_SECONDS, CONTEXT_SECONDS = 30.0, 12.0
"""Seconds that the model was trained on, and seconds of a window that the next one continues from."""
TOKEN_MULTIPLE = 32
"""Descriptions are padded to a multiple of this many tokens, so that recorded steps fit most of them."""


@music_maker("musicgen")
class MusicGen:
    def __init__(self, model: Any, tokenizer: Any, options: dict[str, Any]) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.name = str(options.get("name", "musicgen"))
        self.guidance = float(options.get("guidance", 3.0))
        self.top_k = int(options.get("top_k", 250))
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.decoder = Decoder(model.decoder)
        self.graph_cache = graph_cache_for(self.decoder)
        self.rate = int(model.config.audio_encoder.sampling_rate)
        self.per_second = float(model.config.audio_encoder.frame_rate)
        self.takes_melody = hasattr(model, "audio_enc_to_dec_proj")

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        name = str(options.get("name", "musicgen"))
        found = weights.find_weights(options, "musicgen")
        device, dtype = weights.device_and_type(options)
        import transformers  # noqa: PLC0415  (heavy)

        transformers.utils.logging.disable_progress_bar()
        try:
            config = transformers.AutoConfig.from_pretrained(found, local_files_only=True)
            kind = "MusicgenMelody" if config.model_type == "musicgen_melody" else "Musicgen"
            with loading():
                model = getattr(transformers, f"{kind}ForConditionalGeneration").from_pretrained(
                    found, dtype=dtype, use_safetensors=True, local_files_only=True
                )
                model.to(device).eval()
            tokenizer = transformers.AutoTokenizer.from_pretrained(found, local_files_only=True)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(name) from error
        except Exception as error:
            raise ModelBroken(name, f"{type(error).__name__}: {error}"[:500]) from error
        return cls(model, tokenizer, options)

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        return self.compose_batch([music], samples, rate, on_step)[0]

    @torch.inference_mode()
    def compose_batch(self, pieces: Sequence[Music], samples: int, rate: int, on_step: OnStep) -> list[Audio]:
        """Compose several pieces of one length in one batch, each from its own prompt and seed."""
        frames = math.ceil(samples / rate * self.per_second) + 1
        with computing(on_step) as step:
            codes = self.generate_codes(pieces, frames, step)
            sounds = [sound.T.float().cpu().numpy() for sound in self.decode_audio(codes)]
        for sound in sounds:
            check_sound(self.name, sound)
        return [finish_audio(sound, self.rate, samples, rate) for sound in sounds]

    @torch.inference_mode()
    def generate_codes(self, pieces: Sequence[Music], frames: int, on_step: OnStep) -> Tensor:
        """Codes (jobs, codebooks, frames); beyond the model's window each window continues the last one."""
        conditioning = self._encode_conditioning(pieces)
        books = self.decoder.codebooks
        window, kept = round(WINDOW_SECONDS * self.per_second), round(CONTEXT_SECONDS * self.per_second)
        draws = torch.stack([random_draws(one.seed, books, frames + books) for one in pieces], dim=1)
        so_far = torch.empty(len(pieces), books, 0, dtype=torch.long)
        while so_far.shape[2] < frames:
            start = max(0, so_far.shape[2] - kept)
            length = min(window, frames - start)
            window_codes = self._generate_window(
                conditioning,
                so_far[:, :, start:],
                length,
                draws[start:],
                _Steps(on_step, start, length, frames),
            )
            so_far = torch.cat([so_far[:, :, :start], window_codes], dim=2)
        return so_far

    def _generate_window(
        self, conditioning: Conditioning, known: Tensor, frames: int, draws: Tensor, steps: _Steps
    ) -> Tensor:
        decoder, device = self.decoder, self.decoder.embed.device
        plan = delayed_columns(known, frames, decoder.channels, decoder.pad).to(device)
        draws = draws.to(device)
        first = known.shape[2] + 1
        start = decoder.start_run(conditioning, plan.shape[2])
        run: DecodingRun | GraphRun = start
        new_columns = plan[:, :, :first]
        guidance_copies = len(conditioning.states) // len(plan)
        for column in range(first, plan.shape[2]):
            steps.report(column - 1)
            if column == first + 1 and self.graph_cache:
                run = self.graph_cache.resume(start)
            logits = apply_guidance(run.logits(new_columns.repeat(guidance_copies, 1, 1)), self.guidance)
            now = sample_codes(logits, draws[column - 1], self.top_k)
            wanted = plan[:, :, column]
            plan[:, :, column] = torch.where(wanted == UNKNOWN, now, wanted)
            new_columns = plan[:, :, column : column + 1]
        if not bool(torch.isfinite(logits).all()):  # a value that is not a number stays in all later steps
            raise BadAudio(self.name)
        steps.report(frames)
        return frames_from_columns(plan, frames, decoder.channels).cpu()

    def _encode_conditioning(self, pieces: Sequence[Music]) -> Conditioning:
        # Not for melodies: their states come before the music, where padding would be attended to.
        multiple = None if self.takes_melody else TOKEN_MULTIPLE
        words = [one.words for one in pieces]
        tokens = self.tokenizer(words, padding=True, pad_to_multiple_of=multiple, return_tensors="pt")
        tokens = tokens.to(self.model.device)
        mask = tokens["attention_mask"]
        states = self.model.text_encoder(**tokens).last_hidden_state
        if states.shape[-1] != self.decoder.width:
            states = self.model.enc_to_dec_proj(states)
        states = states * mask[..., None]
        if self.takes_melody:
            return self._with_melody(states, pieces)
        if not math.isclose(self.guidance, 1.0):
            states, mask = (
                torch.cat([states, torch.zeros_like(states)]),
                torch.cat([mask, torch.zeros_like(mask)]),
            )
        return Conditioning(states, mask, prepended=False)

    def _with_melody(self, states: Tensor, pieces: Sequence[Music]) -> Conditioning:
        from generation.music.musicgen.melody import chroma_states  # noqa: PLC0415  (melody models only)

        melody_states = chroma_states(self.model, pieces)
        if not math.isclose(self.guidance, 1.0):
            nothing = chroma_states(self.model, [Music(genre="", maker="")] * len(pieces))
            states, melody_states = (
                torch.cat([states, torch.zeros_like(states)]),
                torch.cat([melody_states, nothing]),
            )
        return Conditioning(torch.cat([melody_states.to(states), states], dim=1), None, prepended=True)

    def decode_audio(self, codes: Tensor) -> Tensor:
        """Decode to (jobs, channels, samples); codebooks of a stereo model alternate left and right."""
        codec, codes = self.model.audio_encoder, codes.to(self.model.device)
        channels = self.decoder.channels
        scales = [None] * len(codes)
        channel_audio = [
            codec.decode(codes[None, :, channel::channels], audio_scales=scales).audio_values
            for channel in range(channels)
        ]
        return torch.cat(channel_audio, dim=1)

    def close(self) -> None:
        del self.model, self.decoder, self.graph_cache


class _Steps:
    """Progress over all windows; frames in the overlap of two windows are counted once."""

    def __init__(self, on_step: OnStep, start: int, length: int, total: int) -> None:
        self.on_step, self.start, self.length, self.total = on_step, start, length, total

    def report(self, frame: int) -> None:
        self.on_step(self.start + min(frame, self.length), self.total)
