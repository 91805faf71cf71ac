"""Enlarge flat art: edges stay sharp, nothing is cropped, and frames are repeated, not blended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

EDGE_STEEPNESS = 3.0
"""Factor by which edges are steepened: about what enlarging eight times blurs them."""
SMALL_DETAIL_PIXELS = 7
"""Details at the border smaller than this, in source pixels, are not continued beyond it."""
LOW_CONTRAST, EDGE_CONTRAST = 20.0, 60.0
"""Contrast between neighbours, of 255: below the first nothing is sharpened, above the second all is."""


def upscale_flat_art(drawings: Pixels, frames: int, width: int, height: int) -> Pixels:
    """Resize to another size and frame count; each drawing is repeated for its share of the time."""
    import numpy as np  # noqa: PLC0415  (heavy)

    drawing_of_frame = (2 * np.arange(frames) + 1) * len(drawings) // (2 * frames)
    used_drawings, frame_indices = np.unique(drawing_of_frame, return_inverse=True)
    canvas = _pad_to_aspect(drawings, width / height)
    return np.stack([_resize_sharp(canvas[number], width, height) for number in used_drawings])[frame_indices]


def _pad_to_aspect(drawings: Pixels, ratio: float) -> Pixels:
    """Continue the background beyond the sides, as it is at the border behind the figures."""
    import numpy as np  # noqa: PLC0415  (heavy)

    count, height, width, _ = drawings.shape
    extra_width = max(0, round(height * ratio) - width)
    if not extra_width:
        extra_height = max(0, round(width / ratio) - height)
        return (
            _pad_to_aspect(drawings.swapaxes(1, 2), (height + extra_height) / width).swapaxes(1, 2)
            if extra_height
            else drawings
        )
    background = np.median(drawings, axis=0)
    border_columns = (_median_filter(rim) for rim in (background[:, :1], background[:, -1:]))
    side_panels = [
        np.broadcast_to(rim, (count, height, wide, 3)).astype(np.uint8)
        for rim, wide in zip(border_columns, (extra_width // 2, extra_width - extra_width // 2), strict=True)
    ]
    return np.concatenate([side_panels[0], drawings, side_panels[1]], axis=2)


def _median_filter(border_column: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Remove small details, which would become stripes."""
    import numpy as np  # noqa: PLC0415  (heavy)

    padded = np.pad(border_column, ((SMALL_DETAIL_PIXELS, SMALL_DETAIL_PIXELS), (0, 0), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * SMALL_DETAIL_PIXELS + 1, axis=0)
    return np.asarray(np.median(windows, axis=-1))


def _resize_sharp(drawing: Pixels, width: int, height: int) -> Pixels:
    """Enlarge, then steepen blurred edges between the darkest and the lightest neighbour."""
    import numpy as np  # noqa: PLC0415  (heavy)

    neighbourhoods = np.lib.stride_tricks.sliding_window_view(
        np.pad(drawing, ((1, 1), (1, 1), (0, 0)), mode="edge"), (3, 3), axis=(0, 1)
    )
    low, high = (
        _resize(neighbourhoods.min((-2, -1)), width, height),
        _resize(neighbourhoods.max((-2, -1)), width, height),
    )
    soft = _resize(drawing, width, height)
    span = np.maximum(high - low, 1)
    steep = low + span * np.clip(((soft - low) / span - 0.5) * EDGE_STEEPNESS + 0.5, 0, 1)
    share = np.clip((span.max(-1, keepdims=True) - LOW_CONTRAST) / (EDGE_CONTRAST - LOW_CONTRAST), 0, 1)
    mixed: Any = soft + (steep - soft) * share
    return mixed.clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]  # numpy loses the type


def _resize(drawing: Pixels, width: int, height: int) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415  (heavy)
    from PIL import Image  # noqa: PLC0415  (heavy)

    image = Image.fromarray(np.ascontiguousarray(drawing))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)
