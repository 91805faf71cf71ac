"""MusicGen's delayed codebooks: frame t of codebook k stands in column t + 1 + delay(k)."""

from __future__ import annotations

import torch

UNKNOWN = -1


def delays(codebooks: int, channels: int) -> torch.Tensor:
    """Stereo models interleave left and right, which wait together."""
    return torch.arange(codebooks) // channels


def delayed_columns(known: torch.Tensor, frames: int, channels: int, pad: int) -> torch.Tensor:
    """What each column must hold: known codes, the pad, or UNKNOWN where the model is asked.

    `known` is (jobs, codebooks, frames so far); the answer (jobs, codebooks, columns).
    """
    jobs, codebooks, given = known.shape
    wait = delays(codebooks, channels)
    columns = torch.full((jobs, codebooks, frames + 1 + int(wait.max())), pad)
    for book, late in enumerate(wait.tolist()):
        columns[:, book, 1 + late : 1 + late + frames] = UNKNOWN
        columns[:, book, 1 + late : 1 + late + given] = known[:, book]
    return columns


def frames_from_columns(columns: torch.Tensor, frames: int, channels: int) -> torch.Tensor:
    """The frames back out of their columns."""
    wait = delays(columns.shape[1], channels).tolist()
    rows = [columns[:, book, 1 + late : 1 + late + frames] for book, late in enumerate(wait)]
    return torch.stack(rows, dim=1)
