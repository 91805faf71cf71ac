"""Train LTX's encoder to give the same latents as the principal components.

python -m training.pocket.encoder --work DIR --steps 1500
"""

import argparse
from pathlib import Path
from random import Random

import torch
from torch import nn

from training.pocket import principal_components, training_run, vae

STATE_FILE = "encoder.pt"


def train(work: Path, *, steps: int, size: int, rate: float) -> None:
    torch.manual_seed(0)
    basis, device = principal_components.load_basis(work / "basis.pt"), training_run.device()
    encoder = vae.build().encoder.to(device)
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    spread = basis.encode(vae.training_batch(Random(9), 24)).std((0, 2, 3, 4)).sqrt().view(1, -1, 1, 1, 1)
    step, total = 0, 0.0
    if state := training_run.load(work / STATE_FILE):
        encoder.load_state_dict(state["encoder"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    while step < steps:
        clips = vae.training_batch(training_run.seeded_generators(7, step)[0], size)
        for group in optimizer.param_groups:
            group["lr"] = rate * training_run.rate_factor(step, steps, warmup=50, cooldown=steps // 2)
        found = encoder(vae.pixels(clips).to(device))
        miss = (found[:, : principal_components.CHANNELS] - basis.encode(clips).to(device)) / spread.to(
            device
        )
        log_variance_loss = (
            (found[:, principal_components.CHANNELS] + 8).square().mean()
        )  # All positions share one log-variance: close to none.
        error = miss.square().mean() + 0.01 * log_variance_loss
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(error)
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        step, total = step + 1, total + float(error.detach())
        if step % 100 == 0 or step == steps:
            training_run.log(work / "encoder.jsonl", step=step, loss=total / 100)
            total = 0.0
            state = {"encoder": encoder.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            training_run.save(work / STATE_FILE, state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(options.work, steps=options.steps, size=options.size, rate=options.rate)


if __name__ == "__main__":
    main()
