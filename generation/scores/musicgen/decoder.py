"""A lean run of MusicGen's decoder: fused projections, a static cache, one column for all jobs at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights as they are used: projections that share an input are one matrix."""

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
class Heard:
    """What the decoder listens to: text by cross-attention, or states in front of the music (melody)."""

    states: Tensor  # (rows, length, width)
    mask: Tensor | None  # (rows, length), 1 where there is something
    before: bool  # stands in front


class Decoder:
    """Shares the weights of a transformers decoder; holds none of a run."""

    def __init__(self, causal: Any) -> None:
        inner, config = causal.model.decoder, causal.config
        self.heads, self.width = config.num_attention_heads, config.hidden_size
        self.codebooks, self.channels = config.num_codebooks, config.audio_channels
        self.vocabulary, self.pad = config.vocab_size, config.pad_token_id
        self.activation = inner.layers[0].activation_fn
        self.layers = [_layer(layer) for layer in inner.layers]
        self.embed = torch.cat([table.weight.detach() for table in inner.embed_tokens])
        rows = inner.embed_tokens[0].weight.shape[0]
        self.offsets = torch.arange(self.codebooks, device=self.embed.device) * rows
        self.positions = inner.embed_positions
        self.norm = _norm(inner.layer_norm)
        self.lm = torch.cat([head.weight.detach() for head in causal.lm_heads])

    def begin(self, heard: Heard, columns: int) -> Run:
        return Run(self, heard, columns)

    def position(self, length: int) -> Tensor:
        if length > len(self.positions.weights):
            self.positions.make_weights(length, self.width)
        weights: Tensor = self.positions.weights[:length]
        return weights.to(self.embed)


class Run:
    """One decoding of a batch: the cache and where it is."""

    def __init__(self, decoder: Decoder, heard: Heard, columns: int) -> None:
        self.decoder, self.at = decoder, 0
        rows, before = len(heard.states), heard.states.shape[1] if heard.before else 0
        length = before + columns
        like = decoder.embed
        shape = (len(decoder.layers), rows, decoder.heads, length, decoder.width // decoder.heads)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        self.places = decoder.position(length)
        self.cross: list[tuple[Tensor, Tensor]] = []
        self.cross_mask: Tensor | None = None
        if heard.before:
            self._forward(heard.states + self.places[:before])
        else:
            self._listen(heard)

    def _listen(self, heard: Heard) -> None:
        for layer in self.decoder.layers:
            assert layer.cross_kv is not None
            keys, values = functional.linear(heard.states, layer.cross_kv).chunk(2, dim=-1)
            self.cross.append((self._split(keys).contiguous(), self._split(values).contiguous()))
        if heard.mask is not None and not heard.mask.all():
            empty = heard.mask.sum(dim=1, keepdim=True) == 0  # the unguided half hears zeros everywhere
            self.cross_mask = (heard.mask.bool() | empty)[:, None, None, :]

    def logits(self, columns: Tensor) -> Tensor:
        """(rows, codebooks, vocabulary) after the last of `columns` (rows, codebooks, new)."""
        decoder = self.decoder
        new = columns.shape[-1]
        ids = columns.transpose(1, 2) + decoder.offsets
        embedded = functional.embedding(ids, decoder.embed).sum(dim=2)
        hidden = self._forward(embedded + self.places[self.at : self.at + new])
        last = functional.layer_norm(hidden[:, -1], (decoder.width,), *decoder.norm)
        return functional.linear(last, decoder.lm).view(-1, decoder.codebooks, decoder.vocabulary)

    def _forward(self, hidden: Tensor) -> Tensor:
        for number, layer in enumerate(self.decoder.layers):
            hidden = hidden + self._attend(number, layer, hidden)
            if layer.cross_q is not None:
                hidden = hidden + self._hear(number, layer, hidden)
            quiet = functional.layer_norm(hidden, (self.decoder.width,), *layer.last_norm)
            hidden = hidden + functional.linear(
                self.decoder.activation(functional.linear(quiet, layer.up)), layer.down
            )
        self.at += hidden.shape[1]
        return hidden

    def _attend(self, number: int, layer: Layer, hidden: Tensor) -> Tensor:
        quiet = functional.layer_norm(hidden, (self.decoder.width,), *layer.norm)
        rows, new, _ = hidden.shape
        projected = functional.linear(quiet, layer.qkv).view(rows, new, 3, self.decoder.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind()
        keys, values = self.keys[number], self.values[number]
        until = self.at + new
        keys[:, :, self.at : until] = key
        values[:, :, self.at : until] = value
        mask = None
        if new > 1:
            mask = torch.ones(new, until, dtype=torch.bool, device=hidden.device).tril(self.at)
        mixed = functional.scaled_dot_product_attention(
            query, keys[:, :, :until], values[:, :, :until], attn_mask=mask
        )
        return functional.linear(mixed.transpose(1, 2).reshape(rows, new, -1), layer.out)

    def _hear(self, number: int, layer: Layer, hidden: Tensor) -> Tensor:
        assert layer.cross_norm is not None
        assert layer.cross_q is not None
        assert layer.cross_out is not None
        quiet = functional.layer_norm(hidden, (self.decoder.width,), *layer.cross_norm)
        query = self._split(functional.linear(quiet, layer.cross_q))
        keys, values = self.cross[number]
        mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=self.cross_mask)
        return functional.linear(mixed.transpose(1, 2).flatten(2), layer.cross_out)

    def _split(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.decoder.heads, -1).transpose(1, 2)


def _norm(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.weight.detach(), layer.bias.detach()


def _layer(layer: Any) -> Layer:
    own = layer.self_attn
    cross = getattr(layer, "encoder_attn", None)
    return Layer(
        norm=_norm(layer.self_attn_layer_norm),
        qkv=torch.cat([own.q_proj.weight, own.k_proj.weight, own.v_proj.weight]).detach(),
        out=own.out_proj.weight.detach(),
        cross_norm=_norm(layer.encoder_attn_layer_norm) if cross else None,
        cross_q=cross.q_proj.weight.detach() if cross else None,
        cross_kv=torch.cat([cross.k_proj.weight, cross.v_proj.weight]).detach() if cross else None,
        cross_out=cross.out_proj.weight.detach() if cross else None,
        last_norm=_norm(layer.final_layer_norm),
        up=layer.fc1.weight.detach(),
        down=layer.fc2.weight.detach(),
    )


def drawn(logits: Tensor, chances: Tensor, top: int) -> Tensor:
    """One code for each codebook by its chance in 0..1: the same draws the same in any batch."""
    best, codes = logits.topk(min(top, logits.shape[-1]))
    if top == 1:
        return codes[..., 0]
    rising = best.float().softmax(dim=-1).cumsum(dim=-1)
    place = (rising < chances[..., None] * rising[..., -1:]).sum(dim=-1, keepdim=True)
    return codes.gather(-1, place.clamp_max(codes.shape[-1] - 1))[..., 0]


def chances(seed: int, codebooks: int, columns: int) -> Tensor:
    """Every draw of a job from its seed alone, on the processor, so that any card makes the same music."""
    own = torch.Generator("cpu").manual_seed(seed)
    return torch.rand(columns, codebooks, generator=own)


def guided(logits: Tensor, guidance: float) -> Tensor:
    """Away from what would be played without words."""
    if math.isclose(guidance, 1.0):
        return logits
    asked, unasked = logits.chunk(2)
    return unasked + guidance * (asked - unasked)
