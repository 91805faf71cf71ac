"""Procedural clips: a ClipSpec says what to show, `draw_clip` draws it; the same seed gives the same clip."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.pocket.backgrounds import SCENES, SIZE, SUPERSAMPLED_SIZE, draw_background
from training.pocket.drawn_figures import COLOURS, FIGURE_NAMES, FIGURES, WHITE

FRAMES, FPS = 17, 8
MOTIONS = ("left", "right", "rise", "fall", "bounce", "spin", "grow", "circle")
HELD_OUT_SHARE = 0.06
SAMPLING_WEIGHTS = {
    "star": 2.5,
    "boat": 1.5,
}  # Shapes that are hard to learn are drawn more often in training.

ClipPixels = NDArray[np.uint8]  # (FRAMES, SIZE, SIZE, 3)
MotionPath = NDArray[np.float64]  # (FRAMES, 4): x, y, radius, turn


@dataclass(frozen=True)
class ClipSpec:
    colour: str
    actor: str  # the figure
    place: str
    time: str
    motion: str


@cache
def split_specs() -> tuple[tuple[ClipSpec, ...], tuple[ClipSpec, ...]]:
    """All combinations in a fixed random order: those for training, and those held out."""
    every = [
        ClipSpec(colour, actor, *scene, motion)
        for colour, actor, scene, motion in product(COLOURS, FIGURE_NAMES, SCENES, MOTIONS)
    ]
    Random(123).shuffle(every)
    cut = int(len(every) * HELD_OUT_SHARE)
    return tuple(every[cut:]), tuple(every[:cut])


def draw_clip(spec: ClipSpec, random: Random) -> ClipPixels:
    scene = np.asarray(draw_background(spec.place, spec.time, random), np.float32)
    rgb = tuple(min(255, max(0, c + random.randint(-5, 5))) for c in COLOURS[spec.colour])
    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    for frame, (x, y, radius, turn) in enumerate(motion_path(spec.motion, random)):
        figure = np.asarray(_draw_figure(spec.actor, rgb, (x, y, radius, turn)), np.float32)
        cover = figure[..., 3:] / 255
        clip[frame] = figure[..., :3] * cover + scene * (1 - cover) + 0.5
    return clip


def motion_path(motion: str, random: Random) -> MotionPath:
    t, flat = np.linspace(0, 1, FRAMES), np.ones(FRAMES)
    x, y = (0.5 + random.uniform(-0.05, 0.05)) * flat, (0.52 + random.uniform(-0.05, 0.05)) * flat
    radius, turn = random.uniform(0.175, 0.195) * flat, 0 * flat
    travel = 0.22 + 0.56 * t
    match motion:
        case "left":
            x = 1 - travel
        case "right":
            x = travel
        case "rise":
            y = 1 - travel
        case "fall":
            y = travel
        case "bounce":
            y = 0.74 - 0.46 * np.abs(np.sin(2 * math.pi * t))
        case "spin":
            turn = math.pi * t
        case "grow":
            radius = radius * (0.45 + 1.15 * t)
        case "circle":
            angle = 2 * math.pi * t - math.pi / 2 + random.uniform(-0.15, 0.15)
            x, y = 0.5 + 0.25 * np.cos(angle), 0.5 + 0.25 * np.sin(angle)
    return np.stack([x, y, radius, turn], axis=1)


def _draw_figure(name: str, rgb: tuple[int, ...], pose: tuple[float, float, float, float]) -> Image.Image:
    x, y, radius, turn = pose
    image = Image.new("RGBA", (SUPERSAMPLED_SIZE, SUPERSAMPLED_SIZE))
    draw = ImageDraw.Draw(image)
    cos, sin = radius * math.cos(turn), radius * math.sin(turn)
    for role, points in FIGURES[name]:
        spots = [
            ((x + a * cos - b * sin) * SUPERSAMPLED_SIZE, (y + a * sin + b * cos) * SUPERSAMPLED_SIZE)
            for a, b in points
        ]
        draw.polygon(spots, fill=(*(rgb if role == "own" else WHITE), 255))
    return image.reduce(SUPERSAMPLED_SIZE // SIZE)
