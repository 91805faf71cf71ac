"""Steps of one fixed shape, which a graphics card plays back from a recording: one launch for hundreds."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import torch
from torch import Tensor
from torch.nn import functional

from generation.music.musicgen.decoder import Decoder, Run

log = structlog.get_logger(__name__)
WARM = 3
KEPT = 4


class Fixed(Run):
    """Goes on from a run that has heard its start; where it is is a tensor, so no shape ever changes."""

    def __init__(self, start: Run) -> None:
        self.decoder, self.at = start.decoder, start.at
        self.places = start.places
        self.caches = [cache.clone() for cache in start.caches]
        self.rows = [cache.view(rows.shape) for cache, rows in zip(self.caches, start.rows, strict=True)]
        self.cross = [(keys.clone(), values.clone()) for keys, values in start.cross]
        self.cross_mask = None if start.cross_mask is None else start.cross_mask.clone()
        count, length = self.rows[0].shape[1], self.caches[0].shape[2]
        device = self.places.device
        self.ids = torch.zeros(count, 1, self.decoder.codebooks, dtype=torch.long, device=device)
        self.place = torch.full((1,), self.at, device=device)
        self._numbers = torch.arange(length, device=device)
        self._ahead = self._passed_over()

    @staticmethod
    def shape(run: Run) -> tuple[object, ...]:
        """Runs of one shape may share a recording."""
        mask = None if run.cross_mask is None else run.cross_mask.shape
        return run.rows[0].shape, run.cross[0][0].shape if run.cross else None, mask

    def begin_at(self, start: Run) -> None:
        """Take over another run of the same shape."""
        self.at = start.at
        for cache, theirs in zip(self.caches, start.caches, strict=True):
            cache.copy_(theirs)
        for mine, other in zip(self.cross, start.cross, strict=True):
            mine[0].copy_(other[0])
            mine[1].copy_(other[1])
        if self.cross_mask is not None and start.cross_mask is not None:
            self.cross_mask.copy_(start.cross_mask)

    def remember(self, number: int, new: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        self.rows[number].index_copy_(3, self.place, new.unsqueeze(3))
        keys, values = self.caches[number].unbind(0)
        return keys, values, self._ahead

    def one(self) -> Tensor:
        """The logits after the column in `ids` at `place`: nothing but tensors is read."""
        self._ahead = self._passed_over()
        embedded = functional.embedding(self.ids + self.decoder.offsets, self.decoder.embed).sum(dim=2)
        return self.read(self.step(embedded[:, 0] + self.places.index_select(0, self.place)))

    def _passed_over(self) -> Tensor:
        ahead = self._numbers > self.place
        return torch.zeros_like(ahead, dtype=self.places.dtype).masked_fill(ahead, -torch.inf)[None, None]

    def tell(self, columns: Tensor, at: int) -> None:
        self.ids.copy_(columns.transpose(1, 2))
        self.place.fill_(at)


class Recording:
    """A step recorded once, played back for every column."""

    def __init__(self, start: Run, record: Callable[[Fixed], Callable[[], Tensor]]) -> None:
        self.run = Fixed(start)
        self.play = record(self.run)
        self.run.begin_at(start)  # the recording has walked over it

    def logits(self, columns: Tensor) -> Tensor:
        self.run.tell(columns, self.run.at)
        after = self.run.at + 1
        heard = self.play()
        self.run.at = after
        return heard


class Studio:
    """The recordings of a decoder, a few shapes of them; plain steps where a card cannot record."""

    def __init__(self, record: Callable[[Fixed], Callable[[], Tensor]]) -> None:
        self._record = record
        self._kept: dict[tuple[object, ...], Recording] = {}

    def going_on(self, start: Run) -> Run | Recording:
        shape = Fixed.shape(start)
        found = self._kept.pop(shape, None)
        try:
            if found is None:
                found = Recording(start, self._record)
            else:
                found.run.begin_at(start)
        except RuntimeError as error:  # a driver that cannot, or no memory for one more copy
            log.warning("music plays without a recording", reason=str(error)[:200])
            return start
        self._kept[shape] = found
        while len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)))
        return found


def for_decoder(decoder: Decoder) -> Studio | None:
    return Studio(cuda_graph) if decoder.embed.is_cuda else None


def plainly(run: Fixed) -> Callable[[], Tensor]:
    """No recording at all: each step computed again. What a recording must equal."""
    return run.one


def cuda_graph(run: Fixed) -> Callable[[], Tensor]:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own gap
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):  # libraries choose their ways and take their memory before the recording
            run.one()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        heard = run.one()

    def play() -> Tensor:
        graph.replay()
        return heard

    return play
