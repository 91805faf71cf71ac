"""Flat art on a larger stage: edges stay crisp, nothing is cut off, and drawings are held, not blended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

STEEP = 3.0
"""How much steeper an edge gets: about what enlarging by eight would blur it."""
SMALL = 7
"""Pixels of a drawing under which a thing at its rim is too small to go on beyond it."""
CALM, EDGE = 20.0, 60.0
"""Of 255: contrast between neighbours that is left alone, and that is an edge for certain."""


def enlarged(drawings: Pixels, frames: int, width: int, height: int) -> Pixels:
    """Another size and count, as a flip-book is filmed: each drawing is shown for its share of the time."""
    import numpy as np  # noqa: PLC0415  (heavy)

    shown = (2 * np.arange(frames) + 1) * len(drawings) // (2 * frames)
    every, places = np.unique(shown, return_inverse=True)
    stage = _widened(drawings, width / height)
    return np.stack([_crisp(stage[number], width, height) for number in every])[places]


def _widened(drawings: Pixels, ratio: float) -> Pixels:
    """The scenery goes on beyond the sides, as it is at the rim behind the actors."""
    import numpy as np  # noqa: PLC0415  (heavy)

    count, height, width, _ = drawings.shape
    more = max(0, round(height * ratio) - width)
    if not more:
        taller = max(0, round(width / ratio) - height)
        return (
            _widened(drawings.swapaxes(1, 2), (height + taller) / width).swapaxes(1, 2)
            if taller
            else drawings
        )
    behind = np.median(drawings, axis=0)
    rims = (_smooth(rim) for rim in (behind[:, :1], behind[:, -1:]))
    wings = [
        np.broadcast_to(rim, (count, height, wide, 3)).astype(np.uint8)
        for rim, wide in zip(rims, (more // 2, more - more // 2), strict=True)
    ]
    return np.concatenate([wings[0], drawings, wings[1]], axis=2)


def _smooth(rim: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Without the small things in it, which would become stripes."""
    import numpy as np  # noqa: PLC0415  (heavy)

    padded = np.pad(rim, ((SMALL, SMALL), (0, 0), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * SMALL + 1, axis=0)
    return np.asarray(np.median(windows, axis=-1))


def _crisp(drawing: Pixels, width: int, height: int) -> Pixels:
    """Between the darkest and the lightest neighbour, a blurred edge is made steep again."""
    import numpy as np  # noqa: PLC0415  (heavy)

    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(drawing, ((1, 1), (1, 1), (0, 0)), mode="edge"), (3, 3), axis=(0, 1)
    )
    low, high = _resized(around.min((-2, -1)), width, height), _resized(around.max((-2, -1)), width, height)
    soft = _resized(drawing, width, height)
    span = np.maximum(high - low, 1)
    steep = low + span * np.clip(((soft - low) / span - 0.5) * STEEP + 0.5, 0, 1)
    share = np.clip((span.max(-1, keepdims=True) - CALM) / (EDGE - CALM), 0, 1)
    mixed: Any = soft + (steep - soft) * share
    return mixed.clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]  # numpy loses it


def _resized(drawing: Pixels, width: int, height: int) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415  (heavy)
    from PIL import Image  # noqa: PLC0415  (heavy)

    image = Image.fromarray(np.ascontiguousarray(drawing))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)
