"""Small anti-aliased pictures made of ellipses, capsules and rounded boxes, and how to lay one over another.

A sprite is what it adds to a picture (colour x coverage), what it lets through of the picture below
(1 - coverage) and where its upper left corner lies. Each shape is painted on a grid three times as fine and
averaged, so its edges are soft. Sprites are cached: a look is drawn once, then only copied.

    >>> dot = sprite((("ellipse", 0, 0, 4, 4, 0, (255, 0, 0)),))
    >>> dot.adds.shape, dot.x, dot.y, dot.adds[4, 4].tolist(), dot.lets[4, 4].tolist()
    ((9, 9, 3), -4, -4, [255.0, 0.0, 0.0], [0.0, 0.0, 0.0])
"""
from functools import lru_cache
from typing import NamedTuple

import numpy as np

FINE = 3


class Sprite(NamedTuple):
    """A small picture: what it adds, 0 to 255, and the share it lets through, both (h, w, 3) float32; and its
    upper left corner seen from its middle, in pixels. The share is kept thrice, for speed.
    """

    adds: np.ndarray
    lets: np.ndarray
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
    u, v = np.abs(u), np.abs(v)
    qx, qy = np.maximum(u - p[2] + corner, 0), np.maximum(v - p[3] + corner, 0)
    return (u <= p[2]) & (v <= p[3]) & (qx * qx + qy * qy <= corner * corner + 1e-9)


@lru_cache(maxsize=20000)
def sprite(shapes):
    """Paint shapes, a tuple of tuples, back to front; return the sprite, (0, 0) at its middle."""
    w, h = (int(np.ceil(max(e[i] for e in map(extent, shapes)))) + 1 for i in (0, 1))
    ys, xs = ((np.arange((2 * n + 1) * FINE) + 0.5) / FINE - n - 0.5 for n in (h, w))
    X, Y = np.meshgrid(xs, ys)
    paint = np.zeros((*X.shape, 4), np.float32)
    for shape in shapes:
        paint[inside(shape, X, Y)] = (*shape[-1], 255)
    pixels = paint.reshape(2 * h + 1, FINE, 2 * w + 1, FINE, 4).mean((1, 3))
    adds, lets = pixels[..., :3], (1 - pixels[..., 3:] / 255).repeat(3, 2)
    rows, columns = (np.flatnonzero((lets < 1).any((axis, 2))) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Sprite(adds[part].copy(), lets[part].copy(), int(columns[0]) - w, int(rows[0]) - h)


def faded(picture, share):
    """Make a sprite let through what lies below it: share 1 leaves it as it is, 0 makes it invisible."""
    share = np.float32(share)
    return Sprite(picture.adds * share, picture.lets * share + (1 - share), picture.x, picture.y)


def left_of(picture, share):
    """Cut a sprite straight down: keep its left share, 0 to 1, where it lies."""
    kept = max(1, round(share * picture.adds.shape[1]))
    return Sprite(picture.adds[:, :kept], picture.lets[:, :kept], picture.x, picture.y)


def paste(canvas, picture, x, y):
    """Lay a sprite over a canvas (H, W, 3) float32 0..255, its middle at the pixel nearest (x, y)."""
    adds, lets, x0, y0 = picture
    x0, y0 = round(x) + x0, round(y) + y0
    (h, w, _), (H, W, _) = adds.shape, canvas.shape
    if x0 < 0 or y0 < 0 or x0 + w > W or y0 + h > H:
        part = np.s_[max(0, -y0) : max(0, H - y0), max(0, -x0) : max(0, W - x0)]
        adds, lets, x0, y0 = adds[part], lets[part], max(0, x0), max(0, y0)
        h, w, _ = adds.shape
    window = canvas[y0 : y0 + h, x0 : x0 + w]
    window *= lets
    window += adds


def mix(a, b, t):
    """Mix two colours: a at t = 0, b at t = 1.

    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    return tuple(int(round(p + (q - p) * t)) for p, q in zip(a, b))


def turned(x, y, turn):
    """Turn a point about (0, 0)."""
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
