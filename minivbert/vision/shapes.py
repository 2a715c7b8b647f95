"""Draw g16: 16 x 16 grey pictures of ten shapes, small enough that a CPU can tell a ViT from a convolutional network in minutes.

    picture = sloping background + 0 to 2 clutter bars + one shape + noise

A shape stands anywhere, its radius is .19 to .30 of the width, it is turned by up to 15 degrees; it is lighter than what is behind it.
Nothing about a picture but its shape tells the class: no position, no size, no grey value.

A shape is a function of its own coordinates (u to the right, v down, radius 1) that is positive inside and falls by about 1 a radius
towards the outside, so that its edge can be drawn one pixel soft.

Axes: N pictures, H height, W width, 1 grey channel.

Not stated in a paper, our choice: everything here (Dosovitskiy et al. 2020 use ImageNet and JFT).

    >>> images, labels = draw_shapes(5, np.random.default_rng(0))
    >>> images.shape, images.dtype, labels.tolist()
    ((5, 16, 16, 1), dtype('uint8'), [8, 6, 5, 2, 3])
"""
import numpy as np

SIDE = 16
BLOCK = 4000                           # pictures drawn at a time: arrays of 8 MB


def disc(u, v):
    """A full circle."""
    return 0.92 - np.hypot(u, v)


def square(u, v):
    """Four sides."""
    return 0.78 - np.maximum(abs(u), abs(v))


def triangle(u, v):
    """Three sides, one corner up."""
    return 0.55 - np.maximum(v, 0.866 * abs(u) - 0.5 * v)


def star(u, v):
    """Five points, one of them up."""
    tip, long, short = np.pi / 5, 1.05, 0.42                       # half the angle between two points; radii of points and notches
    angle = abs((np.arctan2(u, -v) + tip) % (2 * tip) - tip)       # from the nearest point's axis
    along, across = np.hypot(u, v) * np.cos(angle), np.hypot(u, v) * np.sin(angle)
    dx, dy = short * np.cos(tip) - long, short * np.sin(tip)       # the edge, from point to notch
    return ((long - along) * dy + across * dx) / np.hypot(dx, dy)


def plus(u, v):
    """Two bars, upright."""
    return np.maximum(np.minimum(0.95 - abs(u), 0.3 - abs(v)), np.minimum(0.3 - abs(u), 0.95 - abs(v)))


def cross(u, v):
    """Two bars, aslant."""
    return plus((u - v) * 0.7071, (u + v) * 0.7071)


def ring(u, v):
    """A circle with a hole."""
    return 0.24 - abs(np.hypot(u, v) - 0.72)


def heart(u, v):
    """Two bows above, a point below."""
    return 0.9 - np.hypot(0.95 * u, -1.1 * v + 0.35 - 0.75 * np.sqrt(abs(u)))


def crescent(u, v):
    """A circle out of whose right side another one is cut."""
    return np.minimum(0.95 - np.hypot(u, v), np.hypot(u - 0.55, v) - 0.75)


def half_disc(u, v):
    """The lower half of a circle."""
    return np.minimum(1.0 - np.hypot(u, v + 0.45), v + 0.45)


SHAPES = (disc, square, triangle, star, plus, ring, heart, crescent, cross, half_disc)
NAMES = tuple(shape.__name__.replace("_", "-") for shape in SHAPES)


def draw_shapes(count, rng, side=SIDE, noise=0.05):
    """Draw labelled pictures.

    rng: np.random.Generator; side: width and height [pixels]; noise: its standard deviation, the full range of grey being 1.
    Returns images (N, H, W, 1) uint8, labels (N,) int64, indices into `NAMES`.
    """
    blocks = [_draw(min(BLOCK, count - at), rng, side, noise) for at in range(0, count, BLOCK)]
    images, labels = zip(*blocks)
    return np.concatenate(images), np.concatenate(labels)


def _draw(count, rng, side, noise):
    """Draw one block."""
    def amount(low, high):
        return rng.uniform(low, high, (count, 1, 1))
    label_N = rng.integers(len(SHAPES), size=count)
    y_HW, x_HW = (np.mgrid[:side, :side] + 0.5) / side
    level, slope, towards = amount(0.15, 0.45), amount(0, 0.25), amount(0, 2 * np.pi)
    picture_NHW = level + slope * ((x_HW - 0.5) * np.cos(towards) + (y_HW - 0.5) * np.sin(towards))
    bars = rng.integers(3, size=(count, 1, 1))
    for bar in range(2):
        u_NHW, v_NHW = _turned(x_HW - amount(0, 1), y_HW - amount(0, 1), amount(0, np.pi))
        inside_NHW = np.minimum(amount(0.12, 0.3) - abs(u_NHW), amount(0.02, 0.05) - abs(v_NHW))
        picture_NHW += (bars > bar) * amount(0.1, 0.4) * np.clip(0.5 + inside_NHW * side, 0, 1)
    radius, turn = amount(0.19, 0.30), np.deg2rad(amount(-15, 15))
    x, y = (radius + (1 - 2 * radius) * amount(0, 1) for _ in range(2))
    u_NHW, v_NHW = _turned((x_HW - x) / radius, (y_HW - y) / radius, turn)
    inside_NHW = np.empty(u_NHW.shape)
    for label, shape in enumerate(SHAPES):
        own = label_N == label
        inside_NHW[own] = shape(u_NHW[own], v_NHW[own])
    covered_NHW = np.clip(0.5 + inside_NHW * radius * side, 0, 1)
    picture_NHW += covered_NHW * (np.minimum(level + amount(0.3, 0.6), 1.0) - picture_NHW)
    picture_NHW += noise * rng.standard_normal(picture_NHW.shape)
    return np.clip(np.rint(picture_NHW * 255), 0, 255).astype(np.uint8)[..., None], label_N


def _turned(x, y, angle):
    """Give the coordinates of points seen from axes turned by an angle [radians]."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
