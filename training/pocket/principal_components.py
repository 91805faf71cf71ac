"""The latent space: principal components of blocks of 4 frames of 16x16 pixels, solved instead of trained.

Latent frame k encodes the clip frames 4k-3 to 4k (the first frame is repeated before the start), as in
LTX's causal VAE; so a clip of 17 frames of 64x64 pixels becomes 5x4x4 latent pixels.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from training.pocket.backgrounds import SIZE
from training.pocket.procedural_clips import draw_clip, split_specs

CHANNELS = 96
BLOCK_SIZE, BLOCK_FRAMES = 16, 4
LATENT_SIDE = SIZE // BLOCK_SIZE
_SAMPLE = 700


@dataclass(frozen=True)
class Basis:
    mean: Tensor  # (BLOCK_FRAMES * BLOCK_SIZE * BLOCK_SIZE * 3,)
    vectors: Tensor  # (the same, CHANNELS), orthonormal columns, largest variance first

    def encode(self, clips: Tensor) -> Tensor:
        """(n, frames, 64, 64, 3) bytes -> (n, CHANNELS, latent frames, 4, 4)"""
        latents = (to_blocks(clips) - self.mean) @ self.vectors
        return latents.permute(0, 4, 1, 2, 3).contiguous()

    def save(self, path: Path) -> None:
        torch.save({"mean": self.mean, "vectors": self.vectors}, path)


def load_basis(path: Path) -> Basis:
    return Basis(**torch.load(path, weights_only=True))


def to_blocks(clips: Tensor) -> Tensor:
    pixels = clips.float() / 127.5 - 1
    pixels = torch.cat([pixels[:, :1].expand(-1, BLOCK_FRAMES - 1, -1, -1, -1), pixels], dim=1)
    count, frames = pixels.shape[0], pixels.shape[1] // BLOCK_FRAMES
    cut = pixels.reshape(count, frames, BLOCK_FRAMES, LATENT_SIDE, BLOCK_SIZE, LATENT_SIDE, BLOCK_SIZE, 3)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(count, frames, LATENT_SIDE, LATENT_SIDE, -1)


def components(rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, the leading principal vectors as columns, and the standard deviation along each."""
    mean = rows.mean(0)
    centred = rows - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    return mean, vectors.flip(1)[:, :count].contiguous(), values.flip(0)[:count].clamp(min=0).sqrt()


def channel_scale(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and divisor of each channel; the divisor is halfway to whitening, which amplifies details."""
    root = sample.std((0, 2, 3, 4)).sqrt()
    mean = sample.mean((0, 2, 3, 4))
    normal = (sample - mean.view(1, -1, 1, 1, 1)) / root.view(1, -1, 1, 1, 1)
    return mean, root * normal.square().mean().sqrt()


def sample_clips(count: int, seed: int) -> Tensor:
    random, train = Random(seed), split_specs()[0]
    return torch.from_numpy(np.stack([draw_clip(random.choice(train), random) for _ in range(count)]))


def fit_basis(count: int = _SAMPLE, seed: int = 2) -> Basis:
    mean, vectors, _ = components(to_blocks(sample_clips(count, seed)).flatten(0, 3), CHANNELS)
    return Basis(mean, vectors)
