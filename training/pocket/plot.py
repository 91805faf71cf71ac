"""Plot the loss curves of a work folder as one small SVG.

python -m training.pocket.plot --work DIR --to docs/pocket-loss.svg
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, EDGE = 420, 240, 44


def curve(rows: Sequence[dict[str, float]], key: str, title: str, *, left: int, logarithmic: bool) -> str:
    xs, ys = [row["step"] for row in rows], [row[key] for row in rows]
    levels = [math.log(y) for y in ys] if logarithmic else ys
    low, high = min(levels), max(levels)
    points = " ".join(
        f"{left + EDGE + (WIDTH - 2 * EDGE) * x / max(xs):.1f},"
        f"{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (y - low) / ((high - low) or 1):.1f}"
        for x, y in zip(xs, levels, strict=True)
    )
    base, right = HEIGHT - EDGE, left + WIDTH - EDGE
    label = '<text font-family="sans-serif" font-size="11" x="{}" y="{}">{}</text>'
    return "\n".join(
        [
            f'<path d="M{left + EDGE} {EDGE}V{base}H{right}" stroke="#888" fill="none"/>',
            f'<polyline points="{points}" stroke="#1a56c4" stroke-width="1.5" fill="none"/>',
            label.format(left + EDGE, 24, title + (" (logarithmic)" if logarithmic else "")),
            label.format(left + 4, EDGE + 4, f"{max(ys):.3g}"),
            label.format(left + 4, base, f"{min(ys):.3g}"),
            label.format(right - 60, base + 18, f"step {max(xs):.0f}"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    rows = {
        name: [json.loads(line) for line in (options.work / f"{name}.jsonl").read_text().splitlines()]
        for name in ("transformer", "vae")
    }
    size = f'width="{2 * WIDTH}" height="{HEIGHT}"'
    options.to.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="white"/>\n'
        + curve(rows["transformer"], "loss", "transformer: flow-matching loss", left=0, logarithmic=True)
        + "\n"
        + curve(rows["vae"], "psnr", "VAE: dB on unseen clips", left=WIDTH, logarithmic=False)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    main()
