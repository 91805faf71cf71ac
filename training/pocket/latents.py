"""Draw and encode many clips once, so that the transformer trains on latents only.

python -m training.pocket.latents --work DIR --clips 24000
"""

import argparse
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from training.pocket import principal_components, training_run
from training.pocket.principal_components import Basis
from training.pocket.procedural_clips import ClipSpec, draw_clip, split_specs

SHARD = 2000


def write(work: Path, count: int) -> None:
    basis = principal_components.load_basis(work / "basis.pt")
    (work / "latents").mkdir(exist_ok=True)
    for shard in range(count // SHARD):
        path = _path(work, shard)
        if not path.exists():
            training_run.save(path, {"latents": _encode(basis, shard)})
            print(path.name, flush=True)


def read(work: Path, count: int) -> tuple[Tensor, list[ClipSpec]]:
    """Latents (count, channels, 5, 4, 4) in half precision, and the specification of each."""
    train = split_specs()[0]
    shards = [torch.load(_path(work, k), weights_only=True)["latents"] for k in range(count // SHARD)]
    return torch.cat(shards), [train[i % len(train)] for i in range(len(shards) * SHARD)]


def _path(work: Path, shard: int) -> Path:
    return work / "latents" / f"{shard:03}.pt"


def _encode(basis: Basis, shard: int, step: int = 50) -> Tensor:
    train = split_specs()[0]
    found = []
    for start in range(shard * SHARD, (shard + 1) * SHARD, step):
        clips = [draw_clip(train[i % len(train)], Random(i * 7919 + 11)) for i in range(start, start + step)]
        found.append(basis.encode(torch.from_numpy(np.stack(clips))).half())
    return torch.cat(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=24_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write(options.work, options.clips)


if __name__ == "__main__":
    main()
