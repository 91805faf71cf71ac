"""MusicGen's delayed codebooks: frame t of codebook k is in column t + 1 + delay(k)."""

from __future__ import annotations

import torch

UNKNOWN = -1


def delays(codebooks: int, channels: int) -> torch.Tensor:
    """The delay of each codebook; stereo models interleave left and right, which have the same delay."""
    return torch.arange(codebooks) // channels


def delayed_columns(known: torch.Tensor, frames: int, channels: int, pad: int) -> torch.Tensor:
    """The content of each column: known codes, padding, or UNKNOWN where the model generates.

    `known` is (jobs, codebooks, frames so far); the result is (jobs, codebooks, columns).
    """
    jobs, codebooks, given = known.shape
    delay = delays(codebooks, channels)
    columns = torch.full((jobs, codebooks, frames + 1 + int(delay.max())), pad)
    for book, shift in enumerate(delay.tolist()):
        columns[:, book, 1 + shift : 1 + shift + frames] = UNKNOWN
        columns[:, book, 1 + shift : 1 + shift + given] = known[:, book]
    return columns


def frames_from_columns(columns: torch.Tensor, frames: int, channels: int) -> torch.Tensor:
    """Undo the delay: the frames from the columns."""
    delay = delays(columns.shape[1], channels).tolist()
    rows = [columns[:, book, 1 + shift : 1 + shift + frames] for book, shift in enumerate(delay)]
    return torch.stack(rows, dim=1)
