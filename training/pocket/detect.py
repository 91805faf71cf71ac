"""Detect what a clip shows, by fixed rules instead of a trained model, so that scores stay comparable."""

from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from training.pocket.backgrounds import SCENES, SIZE, draw_background
from training.pocket.drawn_figures import COLOURS, FIGURE_NAMES
from training.pocket.procedural_clips import FRAMES, MOTIONS, ClipPixels, ClipSpec, draw_clip, motion_path

Mask = NDArray[np.bool_]
Array = NDArray[np.floating]

_PALETTE = np.array(list(COLOURS.values()), np.float32)
_NAMES = tuple(COLOURS)
_MAX_COLOUR_DISTANCE = 62  # Distance in RGB below which a pixel has a figure's colour.
_MIN_PIXELS = 24  # A frame with fewer pixels shows no figure.
_GRID = 20
_MAX_PATH_DISTANCE = 0.12  # A motion with a larger RMS distance from every known path is none of them.
_MIN_SPIN_CHANGE = 0.05


def detect_spec(clip: ClipPixels) -> ClipSpec:
    """The specification that this clip resembles most; an attribute that is not detected is empty."""
    pixels = clip.astype(np.float32)
    distance = np.linalg.norm(pixels[..., None, :] - _PALETTE, axis=-1)
    nearest, close = distance.argmin(-1), distance.min(-1) < _MAX_COLOUR_DISTANCE
    colour = int(np.bincount(nearest[close], minlength=len(_NAMES)).argmax())
    (place, time), behind = _detect_scene(
        pixels, _largest_patch(distance[..., colour] < _MAX_COLOUR_DISTANCE)
    )
    mask = _largest_patch(_covered_pixels(pixels, _PALETTE[colour], behind))
    return ClipSpec(_NAMES[colour], _detect_figure(mask), place, time, _detect_motion(clip, mask))


def _covered_pixels(pixels: Array, colour: Array, behind: Array) -> Mask:
    """Pixels of which the figure covers at least half."""
    way = colour - behind
    length = np.maximum(np.linalg.norm(way, axis=-1), 1)
    along = ((pixels - behind) * way).sum(-1) / length**2
    aside = np.linalg.norm(pixels - behind - along[..., None] * way, axis=-1)
    return np.asarray((along > 0.5) & (aside < _MAX_COLOUR_DISTANCE))


def _largest_patch(mask: Mask) -> Mask:
    """The largest patch of each frame without holes; smaller patches of the colour are not the figure."""
    kept = np.zeros_like(mask)
    for frame, flat in enumerate(mask):
        labels, count = ndimage.label(ndimage.binary_dilation(flat, iterations=4))
        if count:
            sizes = np.bincount(labels[flat], minlength=count + 1)
            kept[frame] = ndimage.binary_fill_holes(flat & (labels == sizes[1:].argmax() + 1))
    return kept


def _detect_scene(pixels: Array, mask: Mask) -> tuple[tuple[str, str], Array]:
    """The nearest setting, and the background: from the clip, or drawn where the figure covers it."""
    around = np.stack([ndimage.binary_dilation(m, iterations=3) for m in mask])
    seen = np.ma.masked_array(pixels, np.repeat(around[..., None], 3, -1))
    still = np.ma.median(seen, axis=0)  # type: ignore[no-untyped-call]  # numpy.ma is half typed
    scene, known = min(_backgrounds(), key=lambda pair: float(np.abs(still - pair[1]).mean()))
    return scene, still.filled(0) * ~still.mask + known * still.mask


@cache
def _backgrounds() -> list[tuple[tuple[str, str], Array]]:
    random = Random(5)
    return [
        (scene, ndimage.uniform_filter(np.asarray(draw_background(*scene, random), np.float32), (3, 3, 0)))
        for scene in SCENES
        for _ in range(6)
    ]


def _silhouette(mask: Mask) -> Array | None:
    rows, columns = np.nonzero(mask)
    if len(rows) < _MIN_PIXELS:
        return None
    half = max(np.ptp(rows), np.ptp(columns)) / 2 + 1
    middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    box = (middle[1] - half, middle[0] - half, middle[1] + half, middle[0] + half)
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return (
        np.asarray(image.resize((_GRID, _GRID), Image.Resampling.BILINEAR, box=_inside(box)), np.float32)
        / 255
    )


def _inside(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(min(SIZE, max(0, k))) for k in box)
    return left, top, right, bottom


def _detect_figure(mask: Mask) -> str:
    known, names = _silhouettes()
    votes = dict.fromkeys(FIGURE_NAMES, 0.0)
    for flat in mask[1::2]:
        outline = _silhouette(flat)
        if outline is None:
            continue
        distance = np.abs(known - outline.ravel()).mean(1)
        for i in np.argsort(distance)[:5]:
            votes[names[i]] += 1 / (0.02 + distance[i])
    best = max(votes, key=lambda name: votes[name])
    return best if votes[best] else ""


@cache
def _silhouettes() -> tuple[Array, list[str]]:
    random, outlines, names = Random(3), [], []
    for actor in FIGURE_NAMES:
        for motion in (*MOTIONS, "spin", "spin", "spin"):
            spec = ClipSpec("red", actor, "snow", "night", motion)
            pixels = draw_clip(spec, random).astype(np.float32)
            mask = _largest_patch(
                _covered_pixels(
                    pixels, _PALETTE[0], np.asarray(draw_background("snow", "night", Random(0)), np.float32)
                )
            )
            for flat in mask[::2]:
                if (outline := _silhouette(flat)) is not None:
                    outlines.append(outline.ravel())
                    names.append(actor)
    return np.stack(outlines), names


def _detect_motion(clip: ClipPixels, mask: Mask) -> str:
    area = mask.sum((1, 2))
    seen = area >= _MIN_PIXELS / 2
    if seen.sum() < FRAMES // 2:
        return ""
    centres = (
        np.array([ndimage.center_of_mass(m) if s else (0, 0) for m, s in zip(mask, seen, strict=True)]) / SIZE
    )
    path = np.stack([centres[:, 1], centres[:, 0], np.log(np.maximum(area, 1)) / 4], axis=1)[seen]
    found = {name: _path_distance(path, known[seen]) for name, known in _paths().items()}
    best = min(found, key=lambda name: found[name])
    if found[best] > _MAX_PATH_DISTANCE:
        return ""
    return best if best != "spin" or _is_spinning(clip, centres, seen) else ""


def _path_distance(path: Array, known: Array) -> float:
    gap = (path - path.mean(0)) - (known - known.mean(0))
    return float(np.sqrt(np.square(gap).sum(1).mean()))


@cache
def _paths() -> dict[str, Array]:
    """The mean path of each motion: x, y, half the logarithm of the radius, as in `_detect_motion`."""
    found = {}
    for motion in MOTIONS:
        mean = np.mean([motion_path(motion, Random(k)) for k in range(9)], axis=0)
        found[motion] = np.stack([mean[:, 0], mean[:, 1], np.log(mean[:, 2]) / 2], axis=1)
    return found


def _is_spinning(clip: ClipPixels, centres: Array, seen: Mask) -> bool:
    """Whether the figure changes its look: a spinning one does, a still one does not."""
    crops = [_crop(frame, centre) for frame, centre, s in zip(clip, centres, seen, strict=True) if s]
    middle = len(crops) // 2
    changes = [np.abs(crops[k] - crops[k + middle]).mean() for k in range(len(crops) - middle)]
    return float(np.mean(changes)) / 255 > _MIN_SPIN_CHANGE


def _crop(frame: NDArray[np.uint8], centre: Array, half: int = 12) -> Array:
    top, left = (round(float(k) * SIZE) for k in centre)
    padded = np.pad(frame.astype(np.float32), ((half, half), (half, half), (0, 0)), mode="edge")
    return padded[top : top + 2 * half, left : left + 2 * half]
