"""The VAE: its latents are principal components, its decoder starts as their inverse and is trained from there.

    python -m training.pocket.vae --work DIR --steps 12000
"""

import argparse
import time
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo
from torch import Tensor, nn

from training.pocket import principal, runs
from training.pocket.principal import CHANNELS, Basis
from training.pocket.theatre import perform, plays

_WIDE, _FINE = 96, 48  # Decoder channels at latent resolution, and at the finest one.
_OFFSET = 3.0
_SILU_SLOPE = 0.9277  # of silu at 1
_NOISE = 0.05  # Jitter on latents while training, so that a sampler's small errors are forgiven.


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
        decoder_block_out_channels=(_FINE, _WIDE),
        decoder_layers_per_block=(1, 2, 1),
        decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False,) * 3,
        upsample_residual=(False,) * 2,
        upsample_factor=(1, 2),
    )


@torch.no_grad()
def invert(decoder: nn.Module, basis: Basis, clips: Tensor) -> None:
    """Set the decoder's weights so that it begins as the linear inverse of the basis, block by block by block."""
    block = basis.vectors.reshape(2, 2, 2, 8, 2, 8, 3, CHANNELS)
    mean = basis.mean.reshape(2, 2, 2, 8, 2, 8, 3)
    halves = block.permute(0, 2, 4, 1, 3, 5, 6, 7).reshape(8, -1, CHANNELS)
    half_means = mean.permute(0, 2, 4, 1, 3, 5, 6).reshape(8, -1)
    rows = principal.blocks(clips).reshape(-1, 2, 2, 2, 8, 2, 8, 3).permute(0, 1, 3, 5, 2, 4, 6, 7)
    half_mean, half_basis, _ = principal.components(rows.reshape(-1, 384), _WIDE // 2)
    patches = rows.reshape(-1, 2, 2, 4, 2, 4, 3).permute(0, 1, 2, 4, 6, 5, 3).reshape(-1, 48)
    patch_mean, patch_basis, spread = principal.components(patches, _FINE - 1)
    level = _level_basis()

    _identity(decoder.conv_in.conv)
    first = torch.einsum("ph,jpc->hjc", half_basis, halves)
    first_bias = torch.einsum("ph,jp->hj", half_basis, half_means - half_mean)
    _centre(decoder.up_blocks[0].upsamplers[0].conv.conv, first.flatten(0, 1), first_bias.flatten())
    quarters = half_basis.reshape(2, 2, 4, 2, 4, 3, -1).permute(0, 1, 3, 5, 4, 2, 6).reshape(8, 48, -1)
    quarter_means = half_mean.reshape(2, 2, 4, 2, 4, 3).permute(0, 1, 3, 5, 4, 2).reshape(8, 48)
    whiten = level @ (patch_basis / spread).T
    second = torch.einsum("op,jpc->ojc", whiten, quarters)
    second_bias = torch.einsum("op,jp->oj", whiten, quarter_means - patch_mean) + _OFFSET
    _centre(decoder.up_blocks[1].upsamplers[0].conv.conv, second.flatten(0, 1), second_bias.flatten())
    gain = (_OFFSET**2 + 1) ** 0.5 / _SILU_SLOPE
    _centre(decoder.conv_out.conv, (patch_basis * spread) @ level.T * gain, patch_mean)
    for module in decoder.modules():
        if hasattr(module, "conv2"):
            nn.init.zeros_(module.conv2.conv.weight)
            nn.init.zeros_(module.conv2.conv.bias)


def _level_basis() -> Tensor:
    """Orthonormal directions with zero sum: a common offset in the channels passes the last norm unfelt."""
    seed = torch.cat([torch.ones(_FINE, 1), torch.eye(_FINE)[:, 1:]], dim=1)
    return torch.linalg.qr(seed)[0][:, 1:]


def _centre(conv: nn.Conv3d, weight: Tensor, bias: Tensor) -> None:
    conv.weight.zero_()
    conv.weight[:, :, 1, 1, 1] = weight
    conv.bias.copy_(bias)


def _identity(conv: nn.Conv3d) -> None:
    _centre(conv, torch.eye(conv.out_channels, conv.in_channels), torch.zeros(conv.out_channels))


def pixels(clips: Tensor) -> Tensor:
    return clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def loss(found: Tensor, true: Tensor) -> Tensor:
    """Plain error forgets the actor, who is small: saturated and moving pixels count for more."""
    vivid = true.amax(1, keepdim=True) - true.amin(1, keepdim=True) > 1.0
    moving = (true - true.mean(2, keepdim=True)).abs().amax(1, keepdim=True) > 0.2
    weight = 1 + 3 * (vivid | moving)
    miss = found - true
    edges = (miss[..., 1:] - miss[..., :-1]).abs().mean() + (miss[..., 1:, :] - miss[..., :-1, :]).abs().mean()
    return (weight * (0.4 * miss.abs() + miss.square())).mean() + 0.3 * edges


def batch(random: Random, size: int) -> Tensor:
    train = plays()[0]
    return torch.from_numpy(np.stack([perform(random.choice(train), random) for _ in range(size)]))


def train(work: Path, *, steps: int, size: int, rate: float, cooldown: int, every: int = 200) -> None:
    basis_file, state_file = work / "basis.pt", work / "vae.pt"
    if not basis_file.exists():
        principal.solve().save(basis_file)
    basis, where = principal.load_basis(basis_file), runs.device()
    vae = build()
    invert(vae.decoder, basis, principal.sample_clips(200, seed=3))
    decoder = vae.decoder.to(where)
    parameters = list(decoder.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    average, step = runs.Average(parameters, longest=0.998), 0
    if state := runs.load(state_file):
        decoder.load_state_dict(state["decoder"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, step = [v.to(where) for v in state["average"]], state["step"]
    held = batch(Random(9), 24)
    spread = basis.encode(held).std((0, 2, 3, 4)).view(1, -1, 1, 1, 1)
    total, since = 0.0, time.monotonic()
    while step < steps:
        random, noise = runs.draws(1, step)
        clips = batch(random, size)
        latents = basis.encode(clips)
        latents = latents + _NOISE * spread * torch.randn(latents.shape, generator=noise)
        for group in optimizer.param_groups:
            group["lr"] = rate * runs.pace(step, steps, warmup=50, cooldown=cooldown)
        error = loss(decoder(latents.to(where)), pixels(clips).to(where))
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(step)
        step, total = step + 1, total + float(error.detach())
        if step % every == 0 or step == steps:
            average.swap()
            with torch.no_grad():
                found = decoder(basis.encode(held).to(where)).cpu()
            average.swap()
            seconds = (time.monotonic() - since) / every
            runs.log(work / "vae.jsonl", step=step, loss=total / every, psnr=runs.psnr(found, pixels(held)), s=seconds)
            total, since = 0.0, time.monotonic()
            runs.save(
                state_file,
                {
                    "decoder": decoder.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.values,
                    "step": step,
                },
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--size", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cooldown", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    train(options.work, steps=options.steps, size=options.size, rate=options.rate, cooldown=options.cooldown)


if __name__ == "__main__":
    main()
