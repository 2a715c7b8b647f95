"""Small anti-aliased pictures made of ellipses, capsules and rounded boxes, and how to lay one over another.

A sprite is its pixels (h, w, 4) float32 (255 x colour x coverage, and 1 - coverage), and where their upper left corner lies. Each shape is painted on a grid three times as
fine and averaged, so its edges are soft. Sprites are cached: a look is drawn once, then only copied.

    >>> dot = sprite((("ellipse", 0, 0, 4, 4, 0, (255, 0, 0)),))
    >>> dot.pixels.shape, dot.x, dot.y, dot.pixels[4, 4].tolist()
    ((9, 9, 4), -4, -4, [255.0, 0.0, 0.0, 0.0])
"""
from functools import lru_cache
from typing import NamedTuple

import numpy as np

FINE = 3


class Sprite(NamedTuple):
    """A small picture: pixels (h, w, 4) float32, and the place of its upper left corner from its middle, in pixels."""

    pixels: np.ndarray
    x: int
    y: int


def extent(shape):
    """Give how far a shape reaches from (0, 0), in pixels, at most."""
    kind, *p = shape
    if kind == "capsule":
        x0, y0, x1, y1, r, _ = p
        return max(abs(x0), abs(x1)) + r, max(abs(y0), abs(y1)) + r
    x, y, a, b = p[:4]
    turned = p[4] if kind == "ellipse" else p[5]
    reach = (a, b) if not turned else (max(a, b) * (1 if kind == "ellipse" else 1.42),) * 2
    return abs(x) + reach[0], abs(y) + reach[1]


def inside(shape, X, Y):
    """Tell which points lie in a shape.

    ("ellipse", x, y, rx, ry, turn, colour); ("box", x, y, half width, half height, corner, turn, colour);
    ("capsule", x0, y0, x1, y1, r, colour). Pixels, turns in radians, colour (r, g, b).
    """
    kind, *p = shape
    if kind == "capsule":
        x0, y0, x1, y1, r, _ = p
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((X - x0) * dx + (Y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        return (X - x0 - t * dx) ** 2 + (Y - y0 - t * dy) ** 2 <= r * r
    turn = p[4] if kind == "ellipse" else p[5]
    u, v = X - p[0], Y - p[1]
    u, v = np.cos(turn) * u + np.sin(turn) * v, np.cos(turn) * v - np.sin(turn) * u
    if kind == "ellipse":
        return (u / p[2]) ** 2 + (v / p[3]) ** 2 <= 1
    corner = p[4]
    qx, qy = np.maximum(np.abs(u) - p[2] + corner, 0), np.maximum(np.abs(v) - p[3] + corner, 0)
    return (np.abs(u) <= p[2]) & (np.abs(v) <= p[3]) & (qx * qx + qy * qy <= corner * corner + 1e-9)


@lru_cache(maxsize=20000)
def sprite(shapes):
    """Paint shapes, a tuple of tuples, back to front around (0, 0); return the sprite, (0, 0) at its middle."""
    w, h = (int(np.ceil(max(e[i] for e in map(extent, shapes)))) + 1 for i in (0, 1))
    ys, xs = ((np.arange((2 * n + 1) * FINE) + 0.5) / FINE - n - 0.5 for n in (h, w))
    X, Y = np.meshgrid(xs, ys)
    paint = np.zeros((*X.shape, 4), np.float32)
    for shape in shapes:
        paint[inside(shape, X, Y)] = (*shape[-1], 255)
    pixels = paint.reshape(2 * h + 1, FINE, 2 * w + 1, FINE, 4).mean((1, 3))
    pixels[..., 3] = 1 - pixels[..., 3] / 255
    rows, columns = (np.flatnonzero((pixels[..., 3] < 1).any(axis)) for axis in (1, 0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Sprite(np.ascontiguousarray(pixels, np.float32), int(columns[0]) - w, int(rows[0]) - h)


def faded(picture, share):
    """Make a sprite let through what lies below it: share 1 leaves it as it is, 0 makes it invisible."""
    pixels = picture.pixels * np.float32(share)
    pixels[..., 3] += 1 - np.float32(share)
    return Sprite(pixels, picture.x, picture.y)


def paste(canvas, picture, x, y):
    """Lay a sprite over a canvas (H, W, 3) float32 0..255, its middle at (x, y) rounded to a pixel, cut at the borders."""
    x0, y0 = int(round(x)) + picture.x, int(round(y)) + picture.y
    top, left = max(0, -y0), max(0, -x0)
    part = picture.pixels[top : max(top, canvas.shape[0] - y0), left : max(left, canvas.shape[1] - x0)]
    if part.size:
        window = canvas[y0 + top : y0 + top + part.shape[0], x0 + left : x0 + left + part.shape[1]]
        window *= part[..., 3:]
        window += part[..., :3]


def mix(a, b, t):
    """Mix two colours: a at t = 0, b at t = 1.

    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    return tuple(int(round(p + (q - p) * t)) for p, q in zip(a, b))


def turned(x, y, turn):
    """Turn a point about (0, 0)."""
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
