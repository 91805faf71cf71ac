"""Train the diffusion transformer and its T5 together on cached latents by flow matching.

python -m training.pocket.transformer --work DIR --steps 20000
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from diffusers import LTXPipeline, LTXVideoTransformer3DModel
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from training.pocket import captions, latents, principal_components, text, training_run
from training.pocket.muon import Muon
from training.pocket.procedural_clips import FPS, SAMPLING_WEIGHTS, ClipSpec

HEADS, HEAD_SIZE, LAYERS = 5, 32, 5
ROPE = (
    principal_components.BLOCK_FRAMES / FPS,
    principal_components.BLOCK_SIZE,
    principal_components.BLOCK_SIZE,
)
_PADDED_LENGTHS = (
    24,
    24,
    24,
    24,
    24,
    24,
    64,
    128,
)  # T5 attends to padding, so it is trained with several lengths.
_EMPTY_CAPTION_SHARE = 0.12  # Share of captions left empty, for guidance.
_RATE, _MUON_RATE = 2e-3, 0.015


def build() -> LTXVideoTransformer3DModel:
    model = LTXVideoTransformer3DModel(
        in_channels=principal_components.CHANNELS,
        out_channels=principal_components.CHANNELS,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_SIZE,
        cross_attention_dim=HEADS * HEAD_SIZE,
        num_layers=LAYERS,
        caption_channels=text.WIDTH,
    )
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    return model


def sigmas(count: int, generator: torch.Generator) -> Tensor:
    """Logit-normal, shifted to noisy levels, where the caption matters most; stratified over the batch."""
    strata = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    normal = math.sqrt(2) * torch.erfinv((2 * strata - 1).clamp(-0.9999, 0.9999))
    return torch.sigmoid(0.4 + 1.2 * normal)


class Trainer:
    def __init__(self, raw: Tensor, specs: Sequence[ClipSpec], *, worker: int = 0) -> None:
        torch.manual_seed(0)
        self.device, self.worker, self.step, self.specs = training_run.device(), worker, 0, specs
        self.mean, self.deviation = principal_components.channel_scale(raw[:4000].float())
        view = (1, -1, 1, 1, 1)
        normal = (raw.float() - self.mean.view(view)) / self.deviation.view(view)
        self.frames, self.height, self.width = normal.shape[2:]
        self.data = LTXPipeline._pack_latents(normal, 1, 1)  # noqa: SLF001
        self.cumulative_weights = list(accumulate(SAMPLING_WEIGHTS.get(spec.actor, 1.0) for spec in specs))
        self.tokenizer = text.tokenizer(free_phrasing=False)
        self.encoder = text.encoder(self.tokenizer.get_vocab()).to(self.device)
        self.model = build().to(self.device)
        matrices = [
            p for n, p in self.model.transformer_blocks.named_parameters() if p.ndim == 2 and "table" not in n
        ]
        chosen = {id(p) for p in matrices}
        self.parameters = list(dict.fromkeys([*self.model.parameters(), *self.encoder.parameters()]))
        rest = [p for p in self.parameters if id(p) not in chosen]
        self.muon = Muon(matrices, rate=_MUON_RATE)
        self.adam = torch.optim.AdamW(rest, lr=_RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        self.average = training_run.Average(self.parameters, longest=0.998)

    def loss(self, size: int) -> Tensor:
        random, noise = training_run.seeded_generators(0, self.step, self.worker)
        pick = random.choices(range(len(self.data)), cum_weights=self.cumulative_weights, k=size)
        prompts = [
            "" if random.random() < _EMPTY_CAPTION_SHARE else captions.training_caption(self.specs[i], random)
            for i in pick
        ]
        padded_length = training_run.seeded_generators(5, self.step)[0].choice(_PADDED_LENGTHS)
        tokens = self.tokenizer(
            prompts, padding="max_length", max_length=padded_length, truncation=True, return_tensors="pt"
        )
        sigma = sigmas(size, noise)
        clean = self.data[pick]
        gaussian = torch.randn(clean.shape, generator=noise)
        level = sigma.view(-1, 1, 1)
        noisy = (1 - level) * clean + level * gaussian
        found = self.model(
            hidden_states=noisy.to(self.device),
            encoder_hidden_states=self.encoder(tokens.input_ids.to(self.device))[
                0
            ],  # No mask here, as in the pipeline.
            timestep=(sigma * 1000).to(self.device),
            encoder_attention_mask=tokens.attention_mask.bool().to(self.device),
            num_frames=self.frames,
            height=self.height,
            width=self.width,
            rope_interpolation_scale=ROPE,
            return_dict=False,
        )[0]
        return functional.mse_loss(found, (gaussian - clean).to(self.device))

    def train_step(
        self,
        size: int,
        rate_factor: float,
        average_gradients: Callable[[list[nn.Parameter]], None] | None = None,
    ) -> float:
        loss = self.loss(size)
        self.adam.zero_grad(set_to_none=True)
        self.muon.zero_grad()
        torch.autograd.backward(loss)
        if average_gradients:
            average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = _RATE * rate_factor
        self.adam.step()
        self.muon.step(rate_factor)
        self.average.update(self.step)
        self.step += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "encoder": self.encoder.state_dict(),
            "average": self.average.values,
            "adam": self.adam.state_dict(),
            "muon": self.muon.momenta,
            "mean": self.mean,
            "deviation": self.deviation,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.encoder.load_state_dict(state["encoder"])
        self.average.values = [v.to(self.device) for v in state["average"]]
        self.adam.load_state_dict(state["adam"])
        self.muon.momenta = [m.to(self.device) for m in state["muon"]]


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    """Average the gradients over the workers."""
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.flatten() for g in grads])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    for parameter, part in zip(
        parameters, torch.split_with_sizes(flat, [p.numel() for p in parameters]), strict=True
    ):
        parameter.grad = part.view_as(parameter)


def run(worker: int, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    if options.workers > 1:
        rendezvous = (options.work / f"rendezvous-{os.getppid()}").resolve().as_uri()
        torch.distributed.init_process_group("gloo", rendezvous, rank=worker, world_size=options.workers)
    raw, specs = latents.read(options.work, options.clips)
    trainer, state_file = Trainer(raw, specs, worker=worker), options.work / "transformer.pt"
    if state := training_run.load(state_file):
        trainer.restore(state)
    total, since, saved = 0.0, time.monotonic(), time.monotonic()
    schedule = training_run.TrainingSchedule(
        steps=options.steps, cooldown=options.cooldown, warmup=60, minutes=options.minutes
    )
    while not schedule.finished(trainer.step):
        rate_factor = schedule.rate_factor(trainer.step)
        total += trainer.train_step(
            options.size, rate_factor, _average_gradients if options.workers > 1 else None
        )
        if worker == 0 and trainer.step % 50 == 0:
            seconds = (time.monotonic() - since) / 50
            row = {
                "step": trainer.step,
                "loss": total / 50,
                "s": seconds,
                "clips": options.size * options.workers,
            }
            training_run.log(options.work / "transformer.jsonl", **row)
            total, since = 0.0, time.monotonic()
        if worker == 0 and (time.monotonic() - saved > 180 or schedule.finished(trainer.step)):
            training_run.save(state_file, trainer.state())
            saved = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--cooldown", type=int, default=2_000)
    parser.add_argument("--clips", type=int, default=24_000)
    parser.add_argument("--size", type=int, default=32, help="clips a step, for each worker")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument(
        "--minutes",
        type=float,
        default=0.0,
        help="end after this time; the learning rate falls over all of it",
    )
    options = parser.parse_args()
    if options.workers > 1 and options.minutes:
        parser.error("--minutes is for one worker: several would not end at the same step")
    if options.workers > 1:
        spawn(run, args=(options,), nprocs=options.workers)  # type: ignore[no-untyped-call]  # untyped in torch
    else:
        run(0, options)


if __name__ == "__main__":
    main()
