"""Decoding steps as CUDA graphs: steps of a fixed shape, replayed with one launch instead of hundreds."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import torch
from torch import Tensor
from torch.nn import functional

from generation.music.musicgen.decoder import Decoder, DecodingRun

log = structlog.get_logger(__name__)
WARMUP_RUNS = 3
MAX_CACHED_GRAPHS = 4


class FixedShapeRun(DecodingRun):
    """Continues a run after its first columns; the position is a tensor, so that shapes never change."""

    def __init__(self, start: DecodingRun) -> None:
        self.decoder, self.position = start.decoder, start.position
        self.position_embeddings = start.position_embeddings
        self.caches = [cache.clone() for cache in start.caches]
        self.cache_views = [
            cache.view(view.shape) for cache, view in zip(self.caches, start.cache_views, strict=True)
        ]
        self.cross_cache = [(keys.clone(), values.clone()) for keys, values in start.cross_cache]
        self.cross_mask = None if start.cross_mask is None else start.cross_mask.clone()
        count, length = self.cache_views[0].shape[1], self.caches[0].shape[2]
        device = self.position_embeddings.device
        self.ids = torch.zeros(count, 1, self.decoder.codebooks, dtype=torch.long, device=device)
        self.column_index = torch.full((1,), self.position, device=device)
        self._numbers = torch.arange(length, device=device)
        self._future_mask = self._build_future_mask()

    @staticmethod
    def shape(run: DecodingRun) -> tuple[object, ...]:
        """The shape of a run; runs of one shape can share a graph."""
        mask = None if run.cross_mask is None else run.cross_mask.shape
        return run.cache_views[0].shape, run.cross_cache[0][0].shape if run.cross_cache else None, mask

    def copy_from(self, start: DecodingRun) -> None:
        """Continue another run of the same shape."""
        self.position = start.position
        for cache, theirs in zip(self.caches, start.caches, strict=True):
            cache.copy_(theirs)
        for mine, other in zip(self.cross_cache, start.cross_cache, strict=True):
            mine[0].copy_(other[0])
            mine[1].copy_(other[1])
        if self.cross_mask is not None and start.cross_mask is not None:
            self.cross_mask.copy_(start.cross_mask)

    def append_to_cache(self, number: int, new: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        self.cache_views[number].index_copy_(3, self.column_index, new.unsqueeze(3))
        keys, values = self.caches[number].unbind(0)
        return keys, values, self._future_mask

    def compute_logits(self) -> Tensor:
        """The logits after the column `ids` at `column_index`; reads nothing but tensors."""
        self._future_mask = self._build_future_mask()
        embedded = functional.embedding(self.ids + self.decoder.offsets, self.decoder.embed).sum(dim=2)
        return self.project_logits(
            self.decode_column(embedded[:, 0] + self.position_embeddings.index_select(0, self.column_index))
        )

    def _build_future_mask(self) -> Tensor:
        future = self._numbers > self.column_index
        mask = torch.zeros_like(future, dtype=self.position_embeddings.dtype)
        return mask.masked_fill(future, -torch.inf)[None, None]

    def set_inputs(self, columns: Tensor, at: int) -> None:
        self.ids.copy_(columns.transpose(1, 2))
        self.column_index.fill_(at)


class GraphRun:
    """A step captured once and replayed for every column."""

    def __init__(self, start: DecodingRun, capture: Callable[[FixedShapeRun], Callable[[], Tensor]]) -> None:
        self.run = FixedShapeRun(start)
        self.replay = capture(self.run)
        self.run.copy_from(start)  # the capture has changed the caches

    def logits(self, columns: Tensor) -> Tensor:
        self.run.set_inputs(columns, self.run.position)
        after = self.run.position + 1
        logits = self.replay()
        self.run.position = after
        return logits


class GraphCache:
    """Captured graphs of a decoder for a few shapes; falls back to plain steps if capturing fails."""

    def __init__(self, capture: Callable[[FixedShapeRun], Callable[[], Tensor]]) -> None:
        self._capture = capture
        self._runs: dict[tuple[object, ...], GraphRun] = {}

    def resume(self, start: DecodingRun) -> DecodingRun | GraphRun:
        shape = FixedShapeRun.shape(start)
        found = self._runs.pop(shape, None)
        try:
            if found is None:
                found = GraphRun(start, self._capture)
            else:
                found.run.copy_from(start)
        except RuntimeError as error:  # the driver cannot capture, or memory is short
            log.warning("CUDA graph capture failed, continuing without graphs", reason=str(error)[:200])
            return start
        self._runs[shape] = found
        while len(self._runs) > MAX_CACHED_GRAPHS:
            self._runs.pop(next(iter(self._runs)))
        return found


def graph_cache_for(decoder: Decoder) -> GraphCache | None:
    return GraphCache(capture_cuda_graph) if decoder.embed.is_cuda else None


def without_graph(run: FixedShapeRun) -> Callable[[], Tensor]:
    """Compute each step without a graph; a graph must give the same result."""
    return run.compute_logits


def capture_cuda_graph(run: FixedShapeRun) -> Callable[[], Tensor]:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # untyped in torch
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMUP_RUNS):  # libraries choose algorithms and allocate memory before the capture
            run.compute_logits()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # "thread_local": the thread that generates frames may allocate memory during the capture
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        logits = run.compute_logits()

    def replay() -> Tensor:
        graph.replay()
        return logits

    return replay
