"""Scenes on a board: slice, chop, peel, grate, roll.

A scene is called with the still canvas, the food, phase and progress, the style's look, where it stands and 64 random places of the unit
disc. It paints what does not move and returns `move(canvas, t, start, jitter)`, which paints what does at time t (0 to 2 pi a clip).
"""
import numpy as np

from minivbert.kitchen.foods import FOODS, HANDLE, piece, scatter, whole
from minivbert.kitchen.scenery import STEEL, STEEL_DARK, hand, vessel
from minivbert.kitchen.sprites import left_of, mix, paste, sprite, turned


def cut_scene(tool, cut, strokes, tall):
    """Make the scene of slicing or chopping on a board: what is left on the left, what is cut on the right."""

    def scene(still, food, phase, progress, look, x, y, places):
        vessel(still, "board", look, x, y)
        _, flesh, _, _, b = FOODS[food]
        left = (1.0, 0.55, 0.0)[phase] - (0.06, 0.1, 0.0)[phase] * progress
        if left:
            rest = left_of(sprite(whole(food)), left)
            paste(still, rest, x - 18, y - 1)
            if phase:
                face = sprite((("ellipse", 0, 0, 2.2, b * 0.85, 0, flesh),))
                paste(still, face, x - 19 + rest.x + rest.adds.shape[1], y - 1)
        n = ((1, 7, 14) if cut == "slice" else (3, 14, 34))[phase] + (phase > 0) * int(2 * progress)
        scatter(
            still,
            lambda t: piece(food, t, cut),
            places,
            x + (12 if phase < 2 else 3),
            y + 1,
            (12, 17, 26)[phase],
            11,
            n,
        )
        tip = x + (-6, 0, 8)[phase]

        def move(canvas, t, start, _):
            swing = np.sin(strokes * t + start)
            paste(
                canvas,
                hand(tool, look["sleeve"]),
                tip + (5 * swing if not tall else 0) + 4,
                y - 6 + (tall * swing if tall else 2 * np.cos(strokes * t + start)),
            )

        return move

    return scene


def peel_scene(still, food, phase, progress, look, x, y, places):
    """Peel on a board: skin gives way to flesh, peels pile up."""
    vessel(still, "board", look, x, y)
    skin, flesh, _, a, b = FOODS[food]
    scatter(
        still,
        lambda t: (
            (("capsule", -4, 0, 4, 0, 1.5, skin), ("capsule", -3, -1, 3, -1, 0.6, mix(skin, (255, 255, 255), 0.4)))
            if t < 1.5
            else (("capsule", 0, -4, 0, 4, 1.5, skin),)
        ),
        places,
        x + 21,
        y + 6,
        11,
        9,
        (1, 6, 13)[phase] + int(progress * 2),
    )
    shape = whole(food, 1.3, mix(flesh, skin, 0.08) if phase == 2 else None)
    paste(still, sprite(shape), x - 8, y - 2)
    if phase == 1:
        paste(
            still,
            sprite(tuple(("ellipse", dx, 0, 3.4, b * 0.82, 0, flesh) for dx in (-a * 0.75, -a * 0.15))),
            x - 8,
            y - 2,
        )

    def move(canvas, t, start, _):
        swing = np.sin(2 * t + start)
        paste(canvas, hand("peeler", look["sleeve"]), x - 8 + 11 * swing, y - 5 - 3 * np.cos(2 * t + start) ** 2)

    return move


def grate_scene(still, food, phase, progress, look, x, y, places):
    """Grate on a board: the block shrinks, the heap grows."""
    vessel(still, "board", look, x, y)
    skin, flesh, inner, _, _ = FOODS[food]
    scatter(
        still,
        lambda t: (
            ("capsule", *turned(-3, 0, t), *turned(3, 0, t), 1.1, flesh),
            ("capsule", *turned(-1, 0.5, t), *turned(2, 0.5, t), 0.5, inner),
        ),
        places,
        x - 18,
        y + 7,
        (7, 12, 16)[phase],
        (4, 7, 9)[phase],
        (5, 24, 56)[phase],
    )
    holes = tuple(("ellipse", dx, dy, 1.3, 1, 0, (90, 96, 104)) for dx in (-5, 0, 5) for dy in (-9, -4, 1, 6, 11))
    paste(
        still,
        sprite(
            (
                ("box", 1, 2, 11, 19, 2, 0, STEEL_DARK),
                ("box", 0, 0, 10, 18, 2, 0, STEEL),
                ("box", 0, -17, 5, 2, 1, 0, HANDLE),
            )
            + holes
        ),
        x + 4,
        y - 6,
    )

    def move(canvas, t, start, _):
        dy = -4 + 9 * np.sin(3 * t + start)
        size = (8, 6, 3)[phase]
        paste(
            canvas,
            sprite(
                (("box", 0, 0, size, size * 0.7, 1.5, 0, skin), ("box", -1, -1, size - 1.5, size * 0.5, 1, 0, flesh))
            ),
            x + 8,
            y + dy,
        )
        paste(canvas, hand("grater", look["sleeve"]), x + 2, y + dy - 4)

    return move


def roll_scene(still, food, phase, progress, look, x, y, places):
    """Roll on a floured board: a ball, a thick disc, a wide thin disc."""
    vessel(still, "board", look, x, y)
    scatter(
        still,
        lambda t: (("ellipse", 0, 0, 3, 2, t, mix(look["board"], (255, 255, 255), 0.7)),),
        places,
        x,
        y,
        32,
        15,
        12,
    )
    _, flesh, inner, _, _ = FOODS[food]
    a, b = ((11, 9), (20, 12), (31, 16))[phase]
    a += 2 * progress
    paste(
        still,
        sprite(
            (
                ("ellipse", 0.5, 3 - phase, round(a), b, 0, mix(inner, (0, 0, 0), 0.2)),
                ("ellipse", 0, 0, round(a), b, 0, flesh),
                ("ellipse", -a // 3, -b // 3, a // 3, b // 5, 0, mix(flesh, (255, 255, 255), 0.5)),
            )
        ),
        x - 2,
        y,
    )

    def move(canvas, t, start, _):
        py = y - 2 + 11 * np.sin(2 * t + start)
        paste(
            canvas,
            sprite(
                (
                    ("capsule", -33, 0, 33, 0, 2, (140, 84, 48)),
                    ("box", 0, 1, 22, 5.2, 3, 0, (150, 96, 56)),
                    ("box", 0, 0, 22, 4.4, 3, 0, (200, 146, 96)),
                    ("capsule", -18, -2, 18, -2, 0.9, (230, 184, 136)),
                )
            ),
            x - 4,
            py,
        )
        paste(canvas, hand("pin", look["sleeve"]), x + 13, py - 9)

    return move
