"""Scenes in bowls and on plates: whisk, mash, pour, sprinkle. What a scene is: see `cutting.py`."""

import numpy as np

from minivbert.kitchen.foods import FOODS, liquid, scatter
from minivbert.kitchen.scenery import hand, vessel
from minivbert.kitchen.sprites import mix, paste, sprite, turned


def whisk_scene(still, food, phase, progress, look, x, y, places):
    """Whisk in a bowl: apart, streaky, foamy."""
    vessel(still, "bowl", look, x, y)
    _, flesh, inner, _, _ = FOODS[food]
    base = mix(flesh, inner, (0.0, 0.45, 0.5)[phase])
    base = mix(base, (255, 252, 226), 0.5 if phase == 2 else 0)
    liquid(still, x, y + 1, 25, 16, base, inner, places, (0, 9, 0)[phase])
    if phase == 0:
        for dx in (-9, 2, 10):
            paste(
                still,
                sprite(
                    (
                        ("ellipse", 0, 0, 5, 4.4, 0, mix(inner, (0, 0, 0), 0.08)),
                        ("ellipse", -1, -1, 2, 1.4, 0, mix(inner, (255, 255, 255), 0.6)),
                    )
                ),
                x + dx,
                y + 3 * (dx > 0),
            )
    if phase == 2:
        scatter(
            still,
            lambda t: (
                ("ellipse", 0, 0, 4, 3.2, 0, mix(base, (0, 0, 0), 0.1)),
                ("ellipse", 0, -0.6, 3.4, 2.6, 0, mix(base, (255, 255, 255), 0.6)),
            ),
            places,
            x,
            y,
            20,
            12,
            22,
        )

    def move(canvas, t, start, _):
        paste(
            canvas, hand("whisk", look["sleeve"]), x + 4 + 9 * np.cos(5 * t + start), y + 3 + 6 * np.sin(5 * t + start)
        )

    return move


def mash_scene(still, food, phase, progress, look, x, y, places):
    """Mash in a bowl: lumps, then half and half, then puree."""
    vessel(still, "bowl", look, x, y)
    skin, flesh, inner, _, _ = FOODS[food]
    puree = mix(flesh, (255, 255, 255), 0.12)
    if phase:
        paste(
            still,
            sprite(
                (
                    ("ellipse", 0, 0, 24 - 5 * (phase == 1), 15 - 3 * (phase == 1), 0, mix(puree, (0, 0, 0), 0.1)),
                    ("ellipse", 0, -1, 22 - 5 * (phase == 1), 13 - 3 * (phase == 1), 0, puree),
                )
            ),
            x,
            y + 1,
        )
    lump = lambda t: (
        ("box", 0, 0, 5, 4, 2, t, mix(flesh, (0, 0, 0), 0.25)),
        ("box", -0.6, -0.8, 4.2, 3.1, 2, t, mix(flesh, inner, 0.3)),
    )
    scatter(still, lump, places, x, y, 18, 11, (13, 5, 0)[phase])
    if phase == 2:
        scatter(still, lambda t: (("capsule", -4, 0, 4, 0, 0.9, mix(puree, (0, 0, 0), 0.14)),), places, x, y, 16, 10, 6)

    def move(canvas, t, start, _):
        paste(canvas, hand("masher", look["sleeve"]), x + 3, y - 3 + 7 * np.sin(3 * t + start))

    return move


def pour_scene(still, food, phase, progress, look, x, y, places):
    """Pour from a jug into a bowl: the jug empties, the bowl fills."""
    y += 8
    vessel(still, "bowl", look, x - 8, y)
    _, flesh, inner, _, _ = FOODS[food]
    colour = inner if food == "egg" else flesh
    fill = (0.35, 0.65, 0.95)[phase] + 0.04 * progress
    liquid(still, x - 8, y + 2, 26 * fill, 16.5 * fill, colour, mix(colour, (255, 255, 255), 0.4), places, 3)
    tilt = (0.35, 0.8, 1.25)[phase]

    def move(canvas, t, start, _):
        jx, jy = x + 20 + np.sin(t + start), y - 30 + 1.5 * np.cos(t + start)
        corner = turned(-9, -10, -tilt)
        lip = jx + corner[0], jy + corner[1]
        wave = 1 + 0.6 * np.sin(4 * t + start)
        for s in np.linspace(0, 1, 12):
            paste(
                canvas,
                sprite((("ellipse", 0, 0, 2.4 if wave > 1 else 1.8, 3, 0, colour),)),
                lip[0] - 9 * np.sqrt(s),
                lip[1] + (y - lip[1]) * s,
            )
        paste(
            canvas,
            sprite(
                (
                    ("box", 0, 0, 9, 11, 3, -tilt, (214, 232, 240)),
                    ("box", *turned(0, 3 + 2.5 * phase, -tilt), 7.5, 7.5 - 2.5 * phase, 2, -tilt, colour),
                    ("capsule", *turned(9, -6, -tilt), *turned(13, 0, -tilt), 1.6, (150, 180, 196)),
                    ("capsule", *turned(13, 0, -tilt), *turned(9, 6, -tilt), 1.6, (150, 180, 196)),
                )
            ),
            jx,
            jy,
        )
        paste(canvas, hand("fingers", look["sleeve"]), jx + 8, jy - 2)

    return move


def sprinkle_scene(still, food, phase, progress, look, x, y, places):
    """Sprinkle over a plate: bare, dotted, covered."""
    y += 6
    vessel(still, "plate", look, x, y)
    paste(
        still,
        sprite(
            (
                ("ellipse", 0, 1, 21, 13, 0, (170, 84, 50)),
                ("ellipse", 0, 0, 20, 12, 0, (214, 130, 80)),
                ("ellipse", -5, -4, 8, 3, 0, (230, 160, 110)),
            )
        ),
        x,
        y,
    )
    _, flesh, inner, _, _ = FOODS[food]
    bit = lambda t: (
        ("capsule", *turned(-2, 0, t), *turned(2, 0, t), 1.3, mix(flesh, (0, 0, 0), 0.12)),
        ("capsule", *turned(-1, 0, t), *turned(2, 0, t), 0.7, mix(flesh, inner, 0.5)),
    )
    scatter(still, bit, places, x, y, 19, 11, (2, 20, 62)[phase])

    def move(canvas, t, start, jitter):
        hx, hy = x + 2 + 6 * np.sin(3 * t + start), y - 30 + 2 * np.cos(3 * t + start)
        for j, (u, _) in enumerate(jitter[:7]):
            paste(canvas, sprite(bit(j * np.pi / 8)), hx + 5 * u, hy + 6 + ((4 * t / (2 * np.pi) + j / 7) % 1) * 24)
        paste(canvas, hand("fingers", look["sleeve"]), hx, hy)

    return move
