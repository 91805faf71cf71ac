"""The Muon optimizer: momentum matrices are made nearly orthogonal, which makes training faster."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Muon:
    def __init__(self, matrices: Sequence[nn.Parameter], *, rate: float, momentum: float = 0.95) -> None:
        self._matrices, self._rate, self._momentum = list(matrices), rate, momentum
        self.momenta = [torch.zeros_like(p) for p in matrices]

    def zero_grad(self) -> None:
        for parameter in self._matrices:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate_factor: float) -> None:
        for shape in sorted({tuple(p.shape) for p in self._matrices}):
            alike = [
                (p, m) for p, m in zip(self._matrices, self.momenta, strict=True) if tuple(p.shape) == shape
            ]
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p, _ in alike]
            for gradient, (_, momentum) in zip(gradients, alike, strict=True):
                momentum.mul_(self._momentum).add_(gradient)
            lookahead = [
                gradient + self._momentum * m for gradient, (_, m) in zip(gradients, alike, strict=True)
            ]
            updates = _orthogonal(torch.stack(lookahead))
            step_size = self._rate * rate_factor * max(1.0, shape[0] / shape[1]) ** 0.5
            for (parameter, _), update in zip(alike, updates, strict=True):
                parameter.mul_(1 - 0.01 * self._rate * rate_factor).sub_(step_size * update)


def _orthogonal(stack: Tensor, rounds: int = 4) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrices, all at once."""
    tall = stack.shape[-2] > stack.shape[-1]
    x: Tensor = stack.mT if tall else stack
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x
