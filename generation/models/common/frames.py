"""Convert a pipeline's floats to pixels, check them, and fit them to the requested size and count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from generation.errors import BadFrames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLACK_THRESHOLD = 1.5  # of 255: with a mean and a deviation below it, a clip is black


def to_uint8_frames(model: str, video: Any) -> NDArray[np.uint8]:
    """Convert (frames, 3, height, width) in 0..1 to uint8 (frames, height, width, 3); raises BadFrames."""
    import torch  # noqa: PLC0415  (heavy)

    if not bool(torch.isfinite(video).all()):
        raise BadFrames(model)
    whole = (video.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    check_frames(model, whole)
    return whole  # type: ignore[no-any-return]  # torch is imported untyped here


def check_frames(model: str, pixels: NDArray[np.uint8]) -> None:
    """Raise BadFrames when all frames are black or all are identical."""
    sample = pixels[:: max(1, len(pixels) // 16)]
    if sample.mean() < BLACK_THRESHOLD and sample.std() < BLACK_THRESHOLD:
        raise BadFrames(model)
    if len(pixels) > 1 and all((frame == pixels[0]).all() for frame in pixels[1:]):
        raise BadFrames(model)


def fit_frames(pixels: NDArray[np.uint8], frames: int, width: int, height: int) -> NDArray[np.uint8]:
    """Resize and crop around the centre; blend neighbouring frames to reach another frame count."""
    import numpy as np  # noqa: PLC0415  (heavy)

    if pixels.shape[:3] == (frames, height, width):
        return pixels
    sized = np.stack([_resize_and_crop(frame, width, height) for frame in pixels])
    if len(sized) == frames:
        return sized
    at = np.linspace(0, len(sized) - 1, frames)
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, len(sized) - 1)
    share = (at - before)[:, None, None, None]
    fitted = np.empty((frames, height, width, 3), np.uint8)
    for number in range(frames):  # one at a time: a whole clip as floats takes much memory
        mix = sized[before[number]] * (1 - share[number]) + sized[after[number]] * share[number]
        fitted[number] = np.round(mix).astype(np.uint8)
    return fitted


def _resize_and_crop(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    import numpy as np  # noqa: PLC0415  (heavy)
    from PIL import Image, ImageOps  # noqa: PLC0415  (heavy)

    whole = ImageOps.fit(Image.fromarray(frame), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(whole)
