"""The figures: flat, symmetric shapes of unit radius (y points down), as coloured polygons."""

import math

Point = tuple[float, float]
Figure = tuple[tuple[str, tuple[Point, ...]], ...]

COLOURS = {
    "red": (222, 22, 32),
    "orange": (255, 128, 0),
    "yellow": (255, 228, 16),
    "green": (0, 128, 56),
    "blue": (24, 60, 232),
    "purple": (148, 40, 204),
    "pink": (255, 92, 196),
    "cyan": (0, 224, 224),
}
WHITE = (248, 248, 242)


def _ngon(sides: int, radius: float, x: float = 0.0, y: float = 0.0) -> tuple[Point, ...]:
    turns = [2 * math.pi * i / sides for i in range(sides)]
    return tuple((x + radius * math.cos(a), y + radius * math.sin(a)) for a in turns)


def _star() -> tuple[Point, ...]:
    spokes = [(0.58 if i % 2 else 1.42, math.pi * i / 5) for i in range(10)]
    return tuple((r * math.sin(a), 0.1 - r * math.cos(a)) for r, a in spokes)


def _heart() -> tuple[Point, ...]:
    turns = [2 * math.pi * i / 28 for i in range(28)]
    return tuple(
        (
            math.sin(t) ** 3 * 1.08,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 14.5,
        )
        for t in turns
    )


# "own" is drawn in the colour of the clip specification, "white" is always white.
FIGURES: dict[str, Figure] = {
    "ball": (("own", _ngon(24, 1.0)), ("white", ((-0.97, -0.2), (0.97, -0.2), (0.97, 0.2), (-0.97, 0.2)))),
    "star": (("own", _star()),),
    "heart": (("own", _heart()),),
    "rocket": (
        ("own", ((0, -1.3), (0.4, -0.6), (0.4, 0.4), (0.85, 1.1), (-0.85, 1.1), (-0.4, 0.4), (-0.4, -0.6))),
        ("white", _ngon(10, 0.22, 0.0, -0.3)),
    ),
    "boat": (
        ("own", ((-1.2, 0.4), (1.2, 0.4), (0.75, 1.0), (-0.75, 1.0))),
        ("own", ((0, -1.2), (0.8, 0.2), (-0.8, 0.2))),
    ),
    "bird": (
        (
            "own",
            (
                (-1.35, -0.6),
                (-0.75, -0.75),
                (0, -0.1),
                (0.75, -0.75),
                (1.35, -0.6),
                (0.35, 0.6),
                (0, 0.45),
                (-0.35, 0.6),
            ),
        ),
    ),
    "cat": (
        ("own", _ngon(20, 0.88, 0.0, 0.2)),
        ("own", ((-0.86, 0.0), (-0.86, -1.1), (-0.15, -0.55))),
        ("own", ((0.86, 0.0), (0.86, -1.1), (0.15, -0.55))),
        ("white", _ngon(10, 0.2, -0.36, 0.1)),
        ("white", _ngon(10, 0.2, 0.36, 0.1)),
    ),
    "car": (
        ("own", ((-1.3, -0.05), (1.3, -0.05), (1.3, 0.5), (-1.3, 0.5))),
        ("own", ((-0.8, 0), (-0.5, -0.72), (0.5, -0.72), (0.8, 0))),
        ("white", ((-0.5, -0.08), (-0.34, -0.52), (0.34, -0.52), (0.5, -0.08))),
        ("own", _ngon(12, 0.34, -0.7, 0.55)),
        ("own", _ngon(12, 0.34, 0.7, 0.55)),
    ),
}
FIGURE_NAMES = tuple(FIGURES)
