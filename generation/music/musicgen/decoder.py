"""A fast MusicGen decoder: fused projections, a static cache, one column of all jobs at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of a layer, transposed; projections with the same input are one matrix."""

    norm: tuple[Tensor, Tensor]
    qkv: Tensor
    out: Tensor
    cross_norm: tuple[Tensor, Tensor] | None
    cross_q: Tensor | None
    cross_kv: Tensor | None
    cross_out: Tensor | None
    last_norm: tuple[Tensor, Tensor]
    up: Tensor
    down: Tensor


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What the decoder is conditioned on: text by cross-attention, or states before the music (melody)."""

    states: Tensor  # (rows, length, width)
    mask: Tensor | None  # (rows, length), 1 for tokens, 0 for padding
    prepended: bool  # whether the states come before the music


class Decoder:
    """Shares the weights of a transformers decoder; has no state of a run."""

    def __init__(self, causal: Any) -> None:
        inner, config = causal.model.decoder, causal.config
        self.heads, self.width = config.num_attention_heads, config.hidden_size
        self.codebooks, self.channels = config.num_codebooks, config.audio_channels
        self.vocabulary, self.pad = config.vocab_size, config.pad_token_id
        self.activation = inner.layers[0].activation_fn
        self.gelu_folded = config.activation_function == "gelu" and causal.device.type == "cpu"
        self.layers = [_layer(layer, math.sqrt(0.5) if self.gelu_folded else 1.0) for layer in inner.layers]
        self.embed = torch.cat([table.weight.detach() for table in inner.embed_tokens])
        rows = inner.embed_tokens[0].weight.shape[0]
        self.offsets = torch.arange(self.codebooks, device=self.embed.device) * rows
        self.positions = inner.embed_positions
        self.norm = _norm(inner.layer_norm)
        self.lm = torch.cat([head.weight.detach() for head in causal.lm_heads])

    def start_run(self, conditioning: Conditioning, columns: int) -> DecodingRun:
        return DecodingRun(self, conditioning, columns)

    def activate(self, inner: Tensor) -> Tensor:
        if (
            self.gelu_folded
        ):  # the rest of GELU is folded into the weights: ten times faster than the library's call
            return torch.addcmul(inner, inner, torch.erf(inner))
        activated: Tensor = self.activation(inner)
        return activated

    def position_embeddings(self, length: int) -> Tensor:
        if length > len(self.positions.weights):
            self.positions.make_weights(length, self.width)
        weights: Tensor = self.positions.weights[:length]
        return weights.to(self.embed)


class DecodingRun:
    """The decoding of one batch: caches and position."""

    def __init__(self, decoder: Decoder, conditioning: Conditioning, columns: int) -> None:
        self.decoder, self.position = decoder, 0
        rows, before = len(conditioning.states), conditioning.states.shape[1] if conditioning.prepended else 0
        length = before + columns
        like = decoder.embed
        shape = (2, rows * decoder.heads, length, decoder.width // decoder.heads)  # keys, then values
        self.caches = [like.new_zeros(shape) for _ in decoder.layers]
        self.cache_views = [cache.view(2, rows, decoder.heads, length, -1) for cache in self.caches]
        self.position_embeddings = decoder.position_embeddings(length)
        self.cross_cache: list[tuple[Tensor, Tensor]] = []
        self.cross_mask: Tensor | None = None
        if conditioning.prepended:
            self._forward(conditioning.states + self.position_embeddings[:before])
        else:
            self._cache_conditioning(conditioning)

    def _cache_conditioning(self, conditioning: Conditioning) -> None:
        for layer in self.decoder.layers:
            assert layer.cross_kv is not None
            keys_and_values = torch.matmul(conditioning.states, layer.cross_kv).chunk(2, dim=-1)
            keys, values = (self._split(one).flatten(0, 1) for one in keys_and_values)
            self.cross_cache.append((keys, values))
        if conditioning.mask is not None:  # also without padding: recorded steps always have a mask
            empty = (
                conditioning.mask.sum(dim=1, keepdim=True) == 0
            )  # the unconditional half attends to zeros everywhere
            padding = ~(conditioning.mask.bool() | empty)
            additive = torch.zeros_like(padding, dtype=conditioning.states.dtype).masked_fill(
                padding, -torch.inf
            )
            self.cross_mask = additive[:, None, :].repeat_interleave(self.decoder.heads, dim=0)

    def logits(self, columns: Tensor) -> Tensor:
        """Logits (rows, codebooks, vocabulary) after the last of `columns` (rows, codebooks, new)."""
        decoder = self.decoder
        new = columns.shape[-1]
        ids = columns.transpose(1, 2) + decoder.offsets
        embedded = functional.embedding(ids, decoder.embed).sum(dim=2)
        placed = embedded + self.position_embeddings[self.position : self.position + new]
        hidden = self.decode_column(placed[:, 0]) if new == 1 else self._forward(placed)[:, -1]
        return self.project_logits(hidden)

    def project_logits(self, hidden: Tensor) -> Tensor:
        decoder = self.decoder
        last = functional.layer_norm(hidden, (decoder.width,), *decoder.norm)
        return functional.linear(last, decoder.lm).view(-1, decoder.codebooks, decoder.vocabulary)

    def decode_column(self, hidden: Tensor) -> Tensor:
        """Decode one column (rows, width): like `_forward` in fewer calls, which is faster."""
        decoder = self.decoder
        rows, heads, width = len(hidden), decoder.heads, (decoder.width,)
        for number, layer in enumerate(decoder.layers):
            new = torch.mm(functional.layer_norm(hidden, width, *layer.norm), layer.qkv)
            split = new.view(rows, 3, heads, -1)
            query = split.select(1, 0).reshape(rows * heads, 1, -1)
            mixed = attention(query, *self.append_to_cache(number, split.narrow(1, 1, 2).transpose(0, 1)))
            hidden = torch.addmm(hidden, mixed.view(rows, -1), layer.out)
            if layer.cross_q is not None and layer.cross_norm is not None and layer.cross_out is not None:
                normed = functional.layer_norm(hidden, width, *layer.cross_norm)
                query = torch.mm(normed, layer.cross_q).view(rows * heads, 1, -1)
                mixed = attention(query, *self.cross_cache[number], self.cross_mask)
                hidden = torch.addmm(hidden, mixed.view(rows, -1), layer.cross_out)
            normed = functional.layer_norm(hidden, width, *layer.last_norm)
            inner = decoder.activate(torch.mm(normed, layer.up))
            hidden = torch.addmm(hidden, inner, layer.down)
        self.position += 1
        return hidden

    def append_to_cache(self, number: int, new: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Append a column's key and value (2, rows, heads, size); returns all keys, all values and a mask."""
        self.cache_views[number].select(3, self.position).copy_(new)
        keys, values = self.caches[number].narrow(2, 0, self.position + 1).unbind(0)
        return keys, values, None

    def _forward(self, hidden: Tensor) -> Tensor:
        for number, layer in enumerate(self.decoder.layers):
            hidden = hidden + self._attend(number, layer, hidden)
            if layer.cross_q is not None:
                hidden = hidden + self._cross_attend(number, layer, hidden)
            normed = functional.layer_norm(hidden, (self.decoder.width,), *layer.last_norm)
            hidden = hidden + torch.matmul(self.decoder.activate(torch.matmul(normed, layer.up)), layer.down)
        self.position += hidden.shape[1]
        return hidden

    def _attend(self, number: int, layer: Layer, hidden: Tensor) -> Tensor:
        normed = functional.layer_norm(hidden, (self.decoder.width,), *layer.norm)
        rows, new, _ = hidden.shape
        projected = torch.matmul(normed, layer.qkv).view(rows, new, 3, self.decoder.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind()
        keys, values = self.cache_views[number].unbind(0)
        until = self.position + new
        keys[:, :, self.position : until] = key
        values[:, :, self.position : until] = value
        mask = None
        if new > 1:
            mask = torch.ones(new, until, dtype=torch.bool, device=hidden.device).tril(self.position)
        mixed = functional.scaled_dot_product_attention(
            query, keys[:, :, :until], values[:, :, :until], attn_mask=mask, scale=1.0
        )
        return torch.matmul(mixed.transpose(1, 2).reshape(rows, new, -1), layer.out)

    def _cross_attend(self, number: int, layer: Layer, hidden: Tensor) -> Tensor:
        assert layer.cross_norm is not None
        assert layer.cross_q is not None
        assert layer.cross_out is not None
        normed = functional.layer_norm(hidden, (self.decoder.width,), *layer.cross_norm)
        query = self._split(torch.matmul(normed, layer.cross_q))
        mixed = attention(query.flatten(0, 1), *self.cross_cache[number], self.cross_mask)
        separated = mixed.view(query.shape)
        return torch.matmul(separated.transpose(1, 2).flatten(2), layer.cross_out)

    def _split(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.decoder.heads, -1).transpose(1, 2)


def attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of a scaled query (rows * heads, new, size); faster than the fused call."""
    transposed = keys.transpose(1, 2)
    scores = torch.bmm(query, transposed) if mask is None else torch.baddbmm(mask, query, transposed)
    return torch.bmm(scores.softmax(dim=-1), values)


def _norm(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.weight.detach(), layer.bias.detach()


def _layer(layer: Any, gelu_scale: float) -> Layer:
    own, cross = layer.self_attn, getattr(layer, "encoder_attn", None)
    return Layer(
        norm=_norm(layer.self_attn_layer_norm),
        qkv=_transposed(own.q_proj.weight * own.scaling, own.k_proj.weight, own.v_proj.weight),
        out=_transposed(own.out_proj.weight),
        cross_norm=_norm(layer.encoder_attn_layer_norm) if cross else None,
        cross_q=_transposed(cross.q_proj.weight * cross.scaling) if cross else None,
        cross_kv=_transposed(cross.k_proj.weight, cross.v_proj.weight) if cross else None,
        cross_out=_transposed(cross.out_proj.weight) if cross else None,
        last_norm=_norm(layer.final_layer_norm),
        up=_transposed(layer.fc1.weight * gelu_scale),
        down=_transposed(layer.fc2.weight * gelu_scale),
    )


def _transposed(*weights: Tensor) -> Tensor:
    return (torch.cat(weights) if len(weights) > 1 else weights[0]).detach().t()


def sample_codes(logits: Tensor, draws: Tensor, top_k: int) -> Tensor:
    """Sample a code for each codebook with uniform draws; the result does not depend on the batch."""
    best, codes = logits.topk(min(top_k, logits.shape[-1]))
    if top_k == 1:
        return codes[..., 0]
    cumulative = best.float().softmax(dim=-1).cumsum(dim=-1)
    index = (cumulative < draws[..., None] * cumulative[..., -1:]).sum(dim=-1, keepdim=True)
    return codes.gather(-1, index.clamp_max(codes.shape[-1] - 1))[..., 0]


def random_draws(seed: int, codebooks: int, columns: int) -> Tensor:
    """All draws of a job from its seed, on the CPU, so that every GPU gives the same music."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.rand(columns, codebooks, generator=generator)


def apply_guidance(logits: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance: move the logits away from the unconditional ones."""
    if math.isclose(guidance, 1.0):
        return logits
    conditional, unconditional = logits.chunk(2)
    return unconditional + guidance * (conditional - unconditional)
