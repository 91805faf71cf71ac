"""Steps of one fixed shape, which a graphics card plays back from a recording: one launch for hundreds."""

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
    """Goes on from a run that has heard its start; where it is is a tensor, so no shape ever changes."""

    def __init__(self, start: DecodingRun) -> None:
        self.decoder, self.at = start.decoder, start.position
        self.places = start.position_embeddings
        self.caches = [cache.clone() for cache in start.caches]
        self.rows = [
            cache.view(rows.shape) for cache, rows in zip(self.caches, start.cache_views, strict=True)
        ]
        self.cross_cache = [(keys.clone(), values.clone()) for keys, values in start.cross_cache]
        self.cross_mask = None if start.cross_mask is None else start.cross_mask.clone()
        count, length = self.rows[0].shape[1], self.caches[0].shape[2]
        device = self.places.device
        self.ids = torch.zeros(count, 1, self.decoder.codebooks, dtype=torch.long, device=device)
        self.column_index = torch.full((1,), self.at, device=device)
        self._numbers = torch.arange(length, device=device)
        self._ahead = self._build_future_mask()

    @staticmethod
    def shape(run: DecodingRun) -> tuple[object, ...]:
        """Runs of one shape may share a recording."""
        mask = None if run.cross_mask is None else run.cross_mask.shape
        return run.cache_views[0].shape, run.cross_cache[0][0].shape if run.cross_cache else None, mask

    def copy_from(self, start: DecodingRun) -> None:
        """Take over another run of the same shape."""
        self.at = start.position
        for cache, theirs in zip(self.caches, start.caches, strict=True):
            cache.copy_(theirs)
        for mine, other in zip(self.cross_cache, start.cross_cache, strict=True):
            mine[0].copy_(other[0])
            mine[1].copy_(other[1])
        if self.cross_mask is not None and start.cross_mask is not None:
            self.cross_mask.copy_(start.cross_mask)

    def append_to_cache(self, number: int, new: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        self.rows[number].index_copy_(3, self.column_index, new.unsqueeze(3))
        keys, values = self.caches[number].unbind(0)
        return keys, values, self._ahead

    def compute_logits(self) -> Tensor:
        """The logits after the column in `ids` at `place`: nothing but tensors is read."""
        self._ahead = self._build_future_mask()
        embedded = functional.embedding(self.ids + self.decoder.offsets, self.decoder.embed).sum(dim=2)
        return self.project_logits(
            self.decode_column(embedded[:, 0] + self.places.index_select(0, self.column_index))
        )

    def _build_future_mask(self) -> Tensor:
        ahead = self._numbers > self.column_index
        return torch.zeros_like(ahead, dtype=self.places.dtype).masked_fill(ahead, -torch.inf)[None, None]

    def set_inputs(self, columns: Tensor, at: int) -> None:
        self.ids.copy_(columns.transpose(1, 2))
        self.column_index.fill_(at)


class GraphRun:
    """A step recorded once, played back for every column."""

    def __init__(self, start: DecodingRun, capture: Callable[[FixedShapeRun], Callable[[], Tensor]]) -> None:
        self.run = FixedShapeRun(start)
        self.replay = capture(self.run)
        self.run.copy_from(start)  # the recording has walked over it

    def logits(self, columns: Tensor) -> Tensor:
        self.run.set_inputs(columns, self.run.at)
        after = self.run.at + 1
        heard = self.replay()
        self.run.at = after
        return heard


class GraphCache:
    """The recordings of a decoder, a few shapes of them; plain steps where a card cannot record."""

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
        except RuntimeError as error:  # a driver that cannot, or no memory for one more copy
            log.warning("music plays without a recording", reason=str(error)[:200])
            return start
        self._runs[shape] = found
        while len(self._runs) > MAX_CACHED_GRAPHS:
            self._runs.pop(next(iter(self._runs)))
        return found


def graph_cache_for(decoder: Decoder) -> GraphCache | None:
    return GraphCache(capture_cuda_graph) if decoder.embed.is_cuda else None


def without_graph(run: FixedShapeRun) -> Callable[[], Tensor]:
    """No recording at all: each step computed again. What a recording must equal."""
    return run.compute_logits


def capture_cuda_graph(run: FixedShapeRun) -> Callable[[], Tensor]:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own gap
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARMUP_RUNS):  # libraries choose their ways and take their memory before the recording
            run.compute_logits()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = run.compute_logits()

    def replay() -> Tensor:
        graph.replay()
        return logits

    return replay
