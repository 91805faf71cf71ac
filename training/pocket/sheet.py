"""A contact sheet: each clip as a strip of frames under its caption."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from training.pocket.theatre import Clip

_SHOWN = (0, 4, 8, 12, 16)


def contact(clips: Sequence[tuple[str, Clip]], columns: int = 2) -> Image.Image:
    side = clips[0][1].shape[1]
    width, height = len(_SHOWN) * side + 8, side + 16
    page = Image.new("RGB", (width * columns, height * -(-len(clips) // columns)), "white")
    draw = ImageDraw.Draw(page)
    for i, (caption, clip) in enumerate(clips):
        left, top = i % columns * width, i // columns * height
        draw.text((left + 2, top + 2), caption[:60], fill="black")
        strip = np.concatenate([clip[k] for k in _SHOWN], axis=1)
        page.paste(Image.fromarray(strip), (left, top + 15))
    return page
