"""The conditioning of MusicGen melody: the strongest of the twelve notes at each moment of a melody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generation.media.guarded_process import read_sound
from generation.music.common.audio_finish import resample
from generation.request import Music

WINDOW, HOP, NOTES, LONGEST = 16_384, 4096, 12, 30.0


def chroma_states(model: Any, pieces: Sequence[Music]) -> Tensor:
    """States (jobs, chroma length, width) to prepend; without a melody they are those of silence."""
    rate = int(model.config.audio_encoder.sampling_rate)
    length, width = model.config.chroma_length, model.config.decoder.hidden_size
    rows = [_repeated(_chroma(one.melody, rate), length) for one in pieces]
    states = torch.stack(rows).to(model.device, model.dtype)
    projected: Tensor = states if width == NOTES else model.audio_enc_to_dec_proj(states)
    return projected


def _repeated(rows: Tensor, length: int) -> Tensor:
    times = -(-length // len(rows))
    return rows.repeat(times, 1)[:length]


def _chroma(melody: str | None, rate: int) -> Tensor:
    """One-hot rows (moments, notes) of the strongest note."""
    if melody is None:
        return torch.eye(NOTES)[:1]
    from transformers.audio_utils import chroma_filter_bank  # noqa: PLC0415  (heavy)

    audio = read_sound(Path(melody), longest=LONGEST)
    mono = resample(audio.samples.mean(axis=1, keepdims=True).astype(np.float32), audio.rate, rate)[:, 0]
    sound = torch.from_numpy(np.pad(mono, (0, max(0, WINDOW - len(mono)))))
    spectrum = (
        torch.stft(sound, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True).abs() ** 2
    )
    filters = torch.from_numpy(
        chroma_filter_bank(num_frequency_bins=WINDOW, num_chroma=NOTES, sampling_rate=rate, tuning=0)
    ).float()
    strongest = (filters @ spectrum).T.argmax(dim=-1)
    return torch.eye(NOTES)[strongest]
