"""Draw a contact sheet: each clip as a strip of frames under its caption, enlarged as in the product."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from generation.models.common.flat_art_upscale import upscale_flat_art
from training.pocket.procedural_clips import FRAMES, ClipPixels

_SHOWN = (0, 4, 8, 12, 16)
_LINE, _GAP = 20, 8


def draw_contact_sheet(
    clips: Sequence[tuple[str, ClipPixels]], *, columns: int = 2, side: int = 112
) -> Image.Image:
    width, height = len(_SHOWN) * (side + 2) + _GAP, side + _LINE + _GAP
    page = Image.new("RGB", (width * columns, height * -(-len(clips) // columns)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for number, (caption, clip) in enumerate(clips):
        left, top = number % columns * width, number // columns * height
        draw.text((left + 1, top + 2), caption[:86], fill="black", font=font)
        large = upscale_flat_art(clip, FRAMES, side, side)
        strip = np.concatenate(
            [np.pad(large[k], ((0, 0), (0, 2), (0, 0)), constant_values=255) for k in _SHOWN], 1
        )
        page.paste(Image.fromarray(strip), (left, top + _LINE))
    return page
