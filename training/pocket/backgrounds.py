"""Draw the backgrounds of the clips: pale by day and dark by night, so that every figure is visible."""

from random import Random

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
SUPERSAMPLED_SIZE = 3 * SIZE  # Drawn three times as large, then averaged, for smooth edges.

Rgb = tuple[int, int, int]

# By place and time: sky above, sky below, ground, second ground.
_PALETTE: dict[tuple[str, str], tuple[Rgb, Rgb, Rgb, Rgb]] = {
    ("sky", "day"): ((112, 184, 246), (190, 224, 250), (246, 250, 254), (246, 250, 254)),
    ("sky", "night"): ((10, 14, 52), (30, 38, 92), (84, 92, 132), (84, 92, 132)),
    ("sea", "day"): ((186, 216, 236), (224, 238, 242), (66, 140, 172), (120, 184, 206)),
    ("sea", "night"): ((16, 20, 48), (36, 44, 84), (6, 58, 78), (26, 88, 108)),
    ("meadow", "day"): ((168, 214, 246), (216, 236, 246), (128, 194, 92), (154, 212, 108)),
    ("meadow", "night"): ((16, 20, 56), (34, 42, 88), (18, 56, 30), (28, 70, 38)),
    ("desert", "day"): ((250, 212, 160), (252, 234, 196), (206, 162, 104), (224, 182, 122)),
    ("desert", "night"): ((28, 20, 54), (58, 42, 84), (84, 58, 44), (104, 74, 56)),
    ("snow", "day"): ((170, 186, 206), (208, 218, 228), (244, 248, 252), (84, 116, 114)),
    ("snow", "night"): ((14, 20, 48), (34, 46, 84), (150, 164, 200), (22, 44, 54)),
    ("city", "day"): ((234, 196, 186), (246, 226, 208), (108, 108, 122), (238, 226, 176)),
    ("city", "night"): ((22, 18, 44), (52, 40, 74), (34, 34, 48), (228, 196, 112)),
    ("space", "night"): ((4, 2, 8), (8, 6, 16), (150, 112, 88), (206, 188, 160)),
}
PLACES = ("sky", "sea", "meadow", "desert", "snow", "city", "space")
SCENES = tuple(_PALETTE)  # Space has no day.
_STARS = (
    (0.08, 0.2),
    (0.2, 0.07),
    (0.33, 0.24),
    (0.47, 0.1),
    (0.62, 0.28),
    (0.9, 0.34),
    (0.14, 0.4),
    (0.96, 0.1),
)
_MOON: Rgb = (228, 230, 216)
_TOWERS = ((0.0, 0.42), (0.17, 0.56), (0.34, 0.36), (0.5, 0.5), (0.68, 0.6), (0.84, 0.44))


class _Canvas:
    def __init__(self, above: Rgb, below: Rgb) -> None:
        fall = np.linspace(0, 1, SUPERSAMPLED_SIZE)[:, None]
        column = (np.array(above) * (1 - fall) + np.array(below) * fall).astype(np.uint8)
        self.image = Image.fromarray(np.repeat(column[:, None], SUPERSAMPLED_SIZE, axis=1))
        self._draw = ImageDraw.Draw(self.image)

    def disc(self, x: float, y: float, radius: float, colour: Rgb, *, flat: float = 1.0) -> None:
        box = (x - radius, y - radius * flat, x + radius, y + radius * flat)
        self._draw.ellipse([k * SUPERSAMPLED_SIZE for k in box], fill=colour)

    def shape(self, points: list[tuple[float, float]], colour: Rgb) -> None:
        self._draw.polygon([(x * SUPERSAMPLED_SIZE, y * SUPERSAMPLED_SIZE) for x, y in points], fill=colour)

    def box(self, x: float, y: float, width: float, height: float, colour: Rgb) -> None:
        self.shape([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)


def _sky(canvas: _Canvas, cloud: Rgb, _: Rgb, random: Random) -> None:
    for x, y, radius in ((0.2, 0.3, 0.08), (0.78, 0.5, 0.09), (0.35, 0.82, 0.08)):
        left, top = x + random.uniform(-0.04, 0.04), y + random.uniform(-0.03, 0.03)
        for step in (-1, 0, 1):
            canvas.disc(left + step * radius, top - (0 if step else 0.4 * radius), radius, cloud)


def _sea(canvas: _Canvas, water: Rgb, crest: Rgb, random: Random) -> None:
    canvas.box(0, 0.58, 1, 0.42, water)
    shift = random.uniform(-0.03, 0.03)
    for y in (0.67, 0.79, 0.91):
        for x in (0.1, 0.43, 0.76):
            canvas.disc(x + shift, y, 0.11, crest, flat=0.16)


def _hills(canvas: _Canvas, far: Rgb, near: Rgb, random: Random) -> None:
    shift = random.uniform(-0.05, 0.05)
    canvas.disc(0.2 + shift, 1.3, 0.75, far)
    canvas.disc(0.85 + shift, 1.45, 0.8, near)
    canvas.box(0, 0.85, 1, 0.15, near)


def _snow(canvas: _Canvas, ground: Rgb, fir: Rgb, random: Random) -> None:
    canvas.box(0, 0.64, 1, 0.36, ground)
    shift = random.uniform(-0.04, 0.04)
    for x in (0.14, 0.5, 0.84):
        canvas.shape([(x + shift, 0.34), (x + shift + 0.11, 0.68), (x + shift - 0.11, 0.68)], fir)


def _city(canvas: _Canvas, wall: Rgb, window: Rgb, random: Random) -> None:
    shift = random.uniform(-0.02, 0.02)
    for x, height in _TOWERS:
        canvas.box(x + shift, 1 - height, 0.14, height, wall)
        for y in (0.04, 0.18, 0.32):
            for column in (0.025, 0.08):
                canvas.box(x + shift + column, 1 - height + y, 0.035, 0.06, window)


def _space(canvas: _Canvas, planet: Rgb, ring: Rgb, random: Random) -> None:
    x, y = 0.78 + random.uniform(-0.03, 0.03), 0.22 + random.uniform(-0.03, 0.03)
    canvas.disc(x, y, 0.14, planet)
    canvas.shape(
        [(x - 0.22, y + 0.04), (x - 0.22, y + 0.08), (x + 0.22, y - 0.04), (x + 0.22, y - 0.08)], ring
    )


_DRAW_PLACE = {
    "sky": _sky,
    "sea": _sea,
    "meadow": _hills,
    "desert": _hills,
    "snow": _snow,
    "city": _city,
    "space": _space,
}


def draw_background(place: str, time: str, random: Random) -> Image.Image:
    above, below, first, second = _PALETTE[place, time]
    canvas = _Canvas(above, below)
    if time == "night":
        for x, y in _STARS:
            canvas.disc(x + random.uniform(-0.01, 0.01), y, 0.012, (210, 214, 224))
        if place != "space":
            canvas.disc(0.78 + random.uniform(-0.04, 0.04), 0.16, 0.09, _MOON)
    _DRAW_PLACE[place](canvas, first, second, random)
    return canvas.image.reduce(SUPERSAMPLED_SIZE // SIZE)
