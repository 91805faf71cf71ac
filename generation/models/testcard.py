"""A test card that shows the prompt: no weights, no torch; any size, frame rate and length; seeded."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from generation.clip import Frames
from generation.models.common.first_frames import first_frames
from generation.models.common.registry import picture_model
from generation.request import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image, ImageDraw

    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.progress import OnStep
    from generation.request import Request

BAR_COLOURS = ("#bfbdb6", "#bfb52e", "#2fb7bd", "#33b24f", "#b540ad", "#c0392f", "#2b4fc7")
LOWER_BAR_COLOURS = ("#2b4fc7", "#15161a", "#b540ad", "#15161a", "#2fb7bd", "#15161a", "#bfbdb6")
ACCENT_COLOURS = ("#ffb347", "#7ee0c3", "#ff7f8f", "#9ec5ff", "#ffe27a", "#d7b3ff")
BACKGROUND_COLOUR = "#15161a"
TEXT_COLOUR = "#f4f1ea"


@picture_model("testcard")
class TestCard:
    __test__ = False  # its name looks like a test class to pytest

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> TestCard:  # noqa: ARG003  (the signature of every family)
        return cls()

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        import numpy as np  # noqa: PLC0415  (heavy)

        drawing = TestCardDrawing(request)
        pixels = np.empty((request.frames, request.height, request.width, 3), np.uint8)
        for step in range(request.steps):
            first, end = (request.frames * edge // request.steps for edge in (step, step + 1))
            for number in range(first, end):
                pixels[number] = np.asarray(drawing.frame(number))
            on_step(step + 1, request.steps)
        return Frames(pixels, request.fps, overlap=1 if request.kind is Kind.EXTEND else 0)

    def close(self) -> None:
        """There is nothing to release."""


class TestCardDrawing:
    """The test card of one request: the static part is drawn once, the moving parts for each frame."""

    def __init__(self, request: Request) -> None:
        rng = random.Random(request.seed)  # noqa: S311  (the seed of a picture, not a secret)
        self.request = request
        self.accent = rng.choice(ACCENT_COLOURS)
        self.phase = rng.random()
        self.direction = rng.choice((-1, 1))
        self.width, self.height = request.width, request.height
        self.strip_rows = round(self.height * 0.66), round(self.height * 0.73)
        self.unit = max(8, min(self.width, self.height) // 16)
        self.background = self._draw_background()
        self.dot_mask = self._make_dot_mask()

    def frame(self, number: int) -> Image.Image:
        image = self.background.copy()
        self._draw_sweep(image, number / max(1, self.request.frames))
        self._draw_sliding_dot(image, number / self.request.fps)
        self._draw_frame_number(image, number)
        return image

    def _draw_background(self) -> Image.Image:
        from PIL import Image, ImageDraw  # noqa: PLC0415  (heavy)

        image = Image.new("RGB", (self.width, self.height), BACKGROUND_COLOUR)
        draw = ImageDraw.Draw(image)
        self._draw_bars(image, draw)
        self._draw_prompt(draw)
        return image

    def _draw_bars(self, image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
        """Draw the colour bars, or the first frame that the request starts from."""
        top, bottom = self.strip_rows
        first = first_frames(self.request, self.width, top, source_frames=1)
        for row, (colours, y0, y1) in enumerate(((BAR_COLOURS, 0, top), (LOWER_BAR_COLOURS, top, bottom))):
            for column, colour in enumerate(colours):
                x0, x1 = (round(self.width * edge / len(colours)) for edge in (column, column + 1))
                draw.rectangle((x0, y0, x1 - 1, y1 - 1 + row), fill=colour)
        if first:
            image.paste(first[-1], (0, 0))

    def _draw_prompt(self, draw: ImageDraw.ImageDraw) -> None:
        from PIL import ImageFont  # noqa: PLC0415  (heavy)

        size = max(9, round(self.unit * 0.85))
        font = ImageFont.load_default(size)
        left, y = self.unit, self.strip_rows[1] + self.unit * 0.7
        widest = self.width - 2 * left - self._counter_width()
        for line in _wrap_text(self.request.prompt, lambda text: font.getlength(text) <= widest, 2):
            draw.text((left, y), line, font=font, fill=TEXT_COLOUR)
            y += size * 1.25
        facts = f"matinee  {self.width}x{self.height}  {self.request.fps:g} fps  seed {self.request.seed}"
        small = ImageFont.load_default(max(8, round(size * 0.6)))
        if small.getlength(facts) <= widest:
            draw.text((left, self.height - self.unit * 0.8), facts, font=small, fill="#8d8a83", anchor="lb")

    def _counter_width(self) -> float:
        from PIL import ImageFont  # noqa: PLC0415  (heavy)

        return ImageFont.load_default(self.unit * 1.6).getlength("0000") + self.unit

    def _make_dot_mask(self) -> Image.Image:
        from PIL import Image, ImageDraw  # noqa: PLC0415  (heavy)

        side = max(6, self.strip_rows[1] - self.strip_rows[0])
        mask = Image.new("L", (side * 4, side * 4), 0)
        ImageDraw.Draw(mask).ellipse((side * 0.4, side * 0.4, side * 3.6, side * 3.6), fill=255)
        return mask.resize((side, side))

    def _draw_sweep(self, image: Image.Image, share: float) -> None:
        """Draw a circle, as on a film leader, whose pointer turns once in a clip."""
        from PIL import Image, ImageDraw  # noqa: PLC0415  (heavy)

        radius = round(min(self.width * 0.28, self.strip_rows[0] * 0.38))
        side = 2 * radius + 2 * self.unit // 4
        middle, reach, pen = side, radius * 2, max(2, self.unit // 4)
        mask = Image.new("L", (side * 2, side * 2), 0)
        draw = ImageDraw.Draw(mask)
        box = (middle - reach, middle - reach, middle + reach, middle + reach)
        start = 360 * self.phase
        swept = sorted((start, start + self.direction * 360 * share))
        draw.pieslice(box, swept[0], swept[1], fill=90)
        draw.ellipse(box, outline=255, width=pen)
        inner = reach * 0.82
        draw.ellipse((middle - inner, middle - inner, middle + inner, middle + inner), outline=150, width=pen)
        angle = math.radians(start + self.direction * 360 * share)
        tip = middle + reach * math.cos(angle), middle + reach * math.sin(angle)
        draw.line((middle, middle, *tip), fill=255, width=pen)
        corner = (self.width - side) // 2, (self.strip_rows[0] - side) // 2
        image.paste(BACKGROUND_COLOUR, corner, mask.resize((side, side)))

    def _draw_sliding_dot(self, image: Image.Image, seconds: float) -> None:
        """Draw a dot that moves along the strip and slows down at its ends, like a pendulum."""
        side = self.dot_mask.width
        swing = 0.5 - 0.5 * math.cos(math.tau * (seconds / 3 + self.phase))
        image.paste(self.accent, (round((self.width - side) * swing), self.strip_rows[0]), self.dot_mask)

    def _draw_frame_number(self, image: Image.Image, number: int) -> None:
        from PIL import ImageDraw, ImageFont  # noqa: PLC0415  (heavy)

        font = ImageFont.load_default(self.unit * 1.6)
        at = self.width - self.unit, (self.strip_rows[1] + self.height) / 2
        ImageDraw.Draw(image).text(at, f"{number:04}", font=font, fill=self.accent, anchor="rm")


def _wrap_text(text: str, fits: Callable[[str], bool], max_lines: int) -> list[str]:
    """Wrap `text` into at most `max_lines` lines that fit; an ellipsis marks where it is cut."""
    lines, words = [""], [word[:80] for word in text.split()]
    while words:
        longer = f"{lines[-1]} {words[0]}".strip()
        if fits(longer) or not lines[-1]:
            lines[-1] = longer
            words.pop(0)
        elif len(lines) < max_lines:
            lines.append("")
        else:
            break
    cut = bool(words)
    while lines[-1] and (cut or not fits(lines[-1])) and not fits(lines[-1] + "\u2026"):
        lines[-1] = lines[-1][:-1]
        cut = True
    return [*lines[:-1], lines[-1].rstrip() + ("\u2026" if cut else "")]
