"""Still pictures of a clip: thumbnail, preview and contact sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from generation.media.files import explain_os_error, rename_durably

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generation.clip import Frames

POSTER_SIDE, POSTER_BYTES = 320, 200_000  # the limits of a Telegram thumbnail
PREVIEW_SIDE = 640
_BACKGROUND, _TEXT_COLOUR, _MUTED_COLOUR = (18, 19, 23), (236, 236, 240), (150, 153, 163)
_CELL, _GAP, _MARGIN = 320, 14, 28


def poster(pixels: NDArray[np.uint8], target: Path) -> Path:
    """Write a JPEG thumbnail of the frame with the most contrast."""
    picture = Image.fromarray(pixels[_most_contrasted_frame(pixels)])
    picture.thumbnail((POSTER_SIDE, POSTER_SIDE), Image.Resampling.LANCZOS)
    for quality in (88, 75, 60, 40):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() < POSTER_BYTES:
            break
    return _write(data.getvalue(), target)


def preview(pixels: NDArray[np.uint8], target: Path) -> Path:
    """Write a JPEG preview of the generated frames, large enough for a chat."""
    picture = Image.fromarray(pixels[_most_contrasted_frame(pixels)])
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR)
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    return _write(data.getvalue(), target)


def _most_contrasted_frame(pixels: NDArray[np.uint8]) -> int:
    """The frame with the most contrast among eight, so that a fade from black is not chosen."""
    candidates = sorted({len(pixels) * eighth // 8 for eighth in range(8)})
    return max(candidates, key=lambda index: float(pixels[index, ::8, ::8].std()))


def contact_sheet(frames: Frames, target: Path, *, title: str = "", columns: int = 4, rows: int = 3) -> Path:
    """Write a contact sheet PNG: evenly spaced frames with their times, under a title."""
    cells = min(columns * rows, len(frames.pixels))
    columns = min(columns, cells)
    picks = [round(cell * (len(frames.pixels) - 1) / max(1, cells - 1)) for cell in range(cells)]
    _, height, width, _ = frames.pixels.shape
    cell_height = max(1, round(_CELL * height / width))
    head, step = 58, cell_height + 34
    page = Image.new(
        "RGB",
        (
            2 * _MARGIN + columns * (_CELL + _GAP) - _GAP,
            2 * _MARGIN + head + -(-cells // columns) * step - 12,
        ),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(page)
    facts = f"{width} x {height}   {len(frames.pixels)} frames   {frames.fps:g} fps   {frames.seconds:.1f} s"
    draw.text(
        (_MARGIN, _MARGIN - 6), _truncate(draw, title, page.width - 2 * _MARGIN), _TEXT_COLOUR, _font(22)
    )
    draw.text((_MARGIN, _MARGIN + 24), facts, _MUTED_COLOUR, _font(14))
    for cell, pick in enumerate(picks):
        at = (_MARGIN + cell % columns * (_CELL + _GAP), _MARGIN + head + cell // columns * step)
        picture = Image.fromarray(frames.pixels[pick])
        page.paste(picture.resize((_CELL, cell_height), Image.Resampling.LANCZOS), at)
        draw.text((at[0], at[1] + cell_height + 5), _timestamp(pick / frames.fps), _MUTED_COLOUR, _font(13))
    data = io.BytesIO()
    page.save(data, "PNG", compress_level=4)  # a third larger than with level 9, for a tenth of the work
    return _write(data.getvalue(), target)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _truncate(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    text = " ".join(text.split())
    shown = text
    while shown and draw.textlength(shown, _font(22)) > width:
        text = text[:-1]
        shown = text.rstrip() + "…"
    return shown


def _timestamp(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:05.2f}"


def _write(data: bytes, target: Path) -> Path:
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(data)
        rename_durably(part, target)
    except OSError as error:
        raise explain_os_error(error, target.parent, "stills") from error
    finally:
        part.unlink(missing_ok=True)
    return target
