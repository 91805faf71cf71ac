"""Train the VAE decoder: latents are principal components, and the decoder starts as their inverse.

python -m training.pocket.vae --work DIR --steps 12000
"""

import argparse
import time
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo
from torch import Tensor, nn

from training.pocket import principal_components, training_run
from training.pocket.decoder_init import FINEST_LEVEL_CHANNELS, LATENT_LEVEL_CHANNELS, init_as_inverse
from training.pocket.principal_components import CHANNELS, Basis
from training.pocket.procedural_clips import SAMPLING_WEIGHTS, draw_clip, split_specs

_MAX_LATENT_NOISE = (
    0.25  # Maximum noise on latents in training, in the sampler's units, so that its errors matter less.
)


def build() -> AutoencoderKLLTXVideo:
    return AutoencoderKLLTXVideo(
        latent_channels=CHANNELS,
        patch_size=4,
        patch_size_t=1,
        block_out_channels=(32, 64, 128),
        down_block_types=("LTXVideo095DownBlock3D",) * 2,
        layers_per_block=(0, 0, 0),
        spatio_temporal_scaling=(True, True),
        downsample_type=("spatiotemporal",) * 2,
        decoder_block_out_channels=(FINEST_LEVEL_CHANNELS, LATENT_LEVEL_CHANNELS),
        decoder_layers_per_block=(1, 2, 1),
        decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False,) * 3,
        upsample_residual=(False,) * 2,
        upsample_factor=(1, 2),
    )


def pixels(clips: Tensor) -> Tensor:
    return clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def loss(found: Tensor, true: Tensor) -> Tensor:
    """Weighted error: saturated and moving pixels, which are mostly the small figure, count more."""
    vivid = true.amax(1, keepdim=True) - true.amin(1, keepdim=True) > 1.0
    moving = (true - true.mean(2, keepdim=True)).abs().amax(1, keepdim=True) > 0.2
    weight = 1 + 3 * (vivid | moving)
    miss = found - true
    edges = (miss[..., 1:] - miss[..., :-1]).abs().mean() + (
        miss[..., 1:, :] - miss[..., :-1, :]
    ).abs().mean()
    return (weight * (0.4 * miss.abs() + miss.square())).mean() + 0.3 * edges


def training_batch(random: Random, size: int) -> Tensor:
    train = split_specs()[0]
    picked = random.choices(train, cum_weights=_cumulative_weights(), k=size)
    return torch.from_numpy(np.stack([draw_clip(spec, random) for spec in picked]))


@cache
def _cumulative_weights() -> list[float]:
    return list(accumulate(SAMPLING_WEIGHTS.get(spec.actor, 1.0) for spec in split_specs()[0]))


class Trainer:
    def __init__(self, basis: Basis, *, rate: float, sample: int = 200, held_out: int = 24) -> None:
        torch.manual_seed(0)
        self.basis, self.rate, self.step, self.device = basis, rate, 0, training_run.device()
        decoder = build().decoder
        init_as_inverse(decoder, basis, principal_components.sample_clips(sample, seed=3))
        self.decoder = decoder.to(self.device)
        self.parameters = list(decoder.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
        )
        self.average = training_run.Average(self.parameters, longest=0.998)
        random, kept = Random(9), split_specs()[1]
        self.held_out_clips = torch.from_numpy(
            np.stack([draw_clip(spec, random) for spec in kept[:held_out]])
        )
        self.latent_scale = principal_components.channel_scale(basis.encode(self.held_out_clips))[1].view(
            1, -1, 1, 1, 1
        )

    def train_step(self, size: int, rate_factor: float) -> float:
        random, noise = training_run.seeded_generators(1, self.step)
        clips = training_batch(random, size)
        latents = self.basis.encode(clips)
        level = _MAX_LATENT_NOISE * torch.rand((size, 1, 1, 1, 1), generator=noise)
        latents = latents + level * self.latent_scale * torch.randn(latents.shape, generator=noise)
        error = loss(self.decoder(latents.to(self.device)), pixels(clips).to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(error)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rate_factor
        self.optimizer.step()
        self.average.update(self.step)
        self.step += 1
        return float(error.detach())

    @torch.no_grad()
    def held_out_psnr(self) -> float:
        """PSNR in decibels on held-out clips, with the averaged weights."""
        self.average.swap()
        found = self.decoder(self.basis.encode(self.held_out_clips).to(self.device)).cpu()
        self.average.swap()
        return training_run.psnr(found, pixels(self.held_out_clips))

    def state(self) -> dict[str, Any]:
        return {
            "decoder": self.decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.values,
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.decoder.load_state_dict(state["decoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.values, self.step = [v.to(self.device) for v in state["average"]], state["step"]


def run(options: argparse.Namespace, every: int = 200) -> None:
    work = options.work
    if not (work / "basis.pt").exists():
        principal_components.fit_basis().save(work / "basis.pt")
    trainer = Trainer(principal_components.load_basis(work / "basis.pt"), rate=options.rate)
    if state := training_run.load(work / "vae.pt"):
        trainer.restore(state)
    total, since = 0.0, time.monotonic()
    schedule = training_run.TrainingSchedule(
        steps=options.steps, cooldown=options.cooldown, warmup=50, minutes=options.minutes
    )
    while not schedule.finished(trainer.step):
        total += trainer.train_step(options.size, schedule.rate_factor(trainer.step))
        if trainer.step % every == 0 or schedule.finished(trainer.step):
            row = {"step": trainer.step, "loss": total / every, "psnr": trainer.held_out_psnr()}
            training_run.log(
                work / "vae.jsonl", **row, s=(time.monotonic() - since) / every, clips=options.size
            )
            training_run.save(work / "vae.pt", trainer.state())
            total, since = 0.0, time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--size", type=int, default=4)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--cooldown", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--minutes",
        type=float,
        default=0.0,
        help="end after this time; the learning rate falls over all of it",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    run(options)


if __name__ == "__main__":
    main()
