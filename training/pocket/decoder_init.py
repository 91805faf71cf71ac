"""Initialize LTX's decoder as the linear inverse of the principal components.

Each upsampler splits a block into 2x2x2 smaller ones, so its weights are the projections from one block size
to the next. An offset that all channels share makes the last norm and SiLU almost linear.
"""

from typing import Any

import torch
from torch import Tensor, nn

from training.pocket import principal_components
from training.pocket.principal_components import CHANNELS, Basis

LATENT_LEVEL_CHANNELS, FINEST_LEVEL_CHANNELS = (
    96,
    48,
)  # Decoder channels at latent resolution, and at the finest one.
_OFFSET = 3.0
_SILU_SLOPE = 0.9277  # slope of SiLU at 1


@torch.no_grad()
def init_as_inverse(decoder: Any, basis: Basis, clips: Tensor) -> None:
    """Set the decoder's weights so that it starts as the linear inverse of the basis."""
    block = basis.vectors.reshape(2, 2, 2, 8, 2, 8, 3, CHANNELS)
    mean = basis.mean.reshape(2, 2, 2, 8, 2, 8, 3)
    halves = block.permute(0, 2, 4, 1, 3, 5, 6, 7).reshape(8, -1, CHANNELS)
    half_means = mean.permute(0, 2, 4, 1, 3, 5, 6).reshape(8, -1)
    rows = (
        principal_components.to_blocks(clips).reshape(-1, 2, 2, 2, 8, 2, 8, 3).permute(0, 1, 3, 5, 2, 4, 6, 7)
    )
    half_mean, half_basis, _ = principal_components.components(
        rows.reshape(-1, 384), LATENT_LEVEL_CHANNELS // 2
    )
    patches = rows.reshape(-1, 2, 2, 4, 2, 4, 3).permute(0, 1, 2, 4, 6, 5, 3).reshape(-1, 48)
    patch_mean, patch_basis, spread = principal_components.components(patches, FINEST_LEVEL_CHANNELS - 1)
    zero_sum_basis = _zero_sum_basis()

    _set_identity(decoder.conv_in.conv)
    first = torch.einsum("ph,jpc->hjc", half_basis, halves)
    first_bias = torch.einsum("ph,jp->hj", half_basis, half_means - half_mean)
    _set_centre_tap(decoder.up_blocks[0].upsamplers[0].conv.conv, first.flatten(0, 1), first_bias.flatten())
    quarters = half_basis.reshape(2, 2, 4, 2, 4, 3, -1).permute(0, 1, 3, 5, 4, 2, 6).reshape(8, 48, -1)
    quarter_means = half_mean.reshape(2, 2, 4, 2, 4, 3).permute(0, 1, 3, 5, 4, 2).reshape(8, 48)
    whiten = zero_sum_basis @ (patch_basis / spread).T
    second = torch.einsum("op,jpc->ojc", whiten, quarters)
    second_bias = torch.einsum("op,jp->oj", whiten, quarter_means - patch_mean) + _OFFSET
    _set_centre_tap(decoder.up_blocks[1].upsamplers[0].conv.conv, second.flatten(0, 1), second_bias.flatten())
    gain = (_OFFSET**2 + 1) ** 0.5 / _SILU_SLOPE
    _set_centre_tap(decoder.conv_out.conv, (patch_basis * spread) @ zero_sum_basis.T * gain, patch_mean)
    for module in decoder.modules():
        if hasattr(module, "conv2"):
            nn.init.zeros_(module.conv2.conv.weight)
            nn.init.zeros_(module.conv2.conv.bias)


def _zero_sum_basis() -> Tensor:
    """Orthonormal directions with zero sum, which a common offset of all channels does not change."""
    seed = torch.cat([torch.ones(FINEST_LEVEL_CHANNELS, 1), torch.eye(FINEST_LEVEL_CHANNELS)[:, 1:]], dim=1)
    directions: Tensor = torch.linalg.qr(seed)[0][:, 1:]
    return directions


def _set_centre_tap(conv: nn.Conv3d, weight: Tensor, bias: Tensor) -> None:
    conv.weight.zero_()
    conv.weight[:, :, 1, 1, 1] = weight
    assert conv.bias is not None
    conv.bias.copy_(bias)


def _set_identity(conv: nn.Conv3d) -> None:
    _set_centre_tap(conv, torch.eye(conv.out_channels, conv.in_channels), torch.zeros(conv.out_channels))
