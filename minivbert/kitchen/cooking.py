"""Scenes by the fire: fry, boil, bake. What a scene is: see `cutting.py`."""

import numpy as np

from minivbert.kitchen.foods import FOODS, piece, scatter, whole
from minivbert.kitchen.scenery import STEEL, hand, vessel
from minivbert.kitchen.sprites import faded, mix, paste, sprite

BROWN, GLOW, WATER, STEAM = (168, 92, 34), (255, 150, 40), (150, 190, 214), (240, 244, 248)


def fry_scene(still, food, phase, progress, look, x, y, places):
    """Fry in a pan: raw pieces turn golden brown."""
    paste(
        still, sprite((("box", 0, 0, 42, 30, 5, 0, (44, 44, 48)), ("ellipse", 0, 0, 33, 26, 0, (90, 40, 36)))), x, y + 1
    )
    vessel(still, "pan", look, x, y)
    done = (0.0, 0.35, 0.65)[phase] + 0.08 * progress
    if food == "egg":
        white = mix((252, 250, 244), (220, 170, 100), 0.6 * done)
        paste(
            still,
            sprite(
                (
                    ("ellipse", 0, 0, 15 + phase * 2, 12, 0, mix(white, BROWN, 0.5 * done)),
                    ("ellipse", 0, 0, 13 + phase, 10, 0, white),
                    ("ellipse", 1, -1, 6, 5, 0, mix((250, 184, 30), (226, 120, 30), done)),
                )
            ),
            x - 3,
            y,
        )
    elif food == "dough":
        paste(
            still,
            sprite(
                (
                    ("ellipse", 0, 0, 19, 14, 0, mix((240, 214, 160), BROWN, done * 0.9)),
                    ("ellipse", 0, 0, 17, 12, 0, mix((250, 232, 186), BROWN, done * 0.75)),
                )
            ),
            x - 2,
            y,
        )
    else:
        scatter(
            still,
            lambda t: piece(food, t, "cube" if food in ("rice", "basil") else "slice", (BROWN, round(done, 1))),
            places,
            x - 1,
            y,
            18,
            12,
            40 if food == "rice" else 8,
        )

    def move(canvas, t, start, jitter):
        for u, v in jitter[: (0, 3, 8)[phase]]:
            paste(canvas, sprite((("ellipse", 0, 0, 1.5, 1.3, 0, (250, 232, 170)),)), x + 22 * u, y + 15 * v)
        if phase == 2:
            steam(canvas, x, y - 18, t, start, 2)
        paste(canvas, hand("spatula", look["sleeve"]), x + 6 + 9 * np.cos(t + start), y + 4 + 6 * np.sin(t + start))

    return move


def steam(canvas, x, y, t, start, n):
    """Let n puffs of steam rise."""
    for j in range(n):
        rise = ((t + start) / (2 * np.pi) + j / n) % 1
        paste(
            canvas,
            faded(sprite((("ellipse", 0, 0, 5, 6, 0, STEAM),)), 0.55),
            x - 12 + 24 * j / max(n - 1, 1) + 2 * np.sin(t + j),
            y + 4 - 16 * rise,
        )


def boil_scene(still, food, phase, progress, look, x, y, places):
    """Boil in a pot: still water, then bubbles, then a rolling boil with steam."""
    paste(
        still,
        sprite((("box", 0, 0, 42, 30, 5, 0, (44, 44, 48)), ("ellipse", 0, 0, 33, 26, 0, (150, 50, 36)))),
        x,
        y + 2,
    )
    vessel(still, "pot", look, x, y)
    water = (
        mix(WATER, FOODS[food][1], (0.05, 0.3, 0.55)[phase])
        if food != "milk"
        else mix((250, 250, 252), (250, 226, 190), phase * 0.4)
    )
    paste(
        still,
        sprite((("ellipse", 0, 0, 26, 17.5, 0, water), ("ellipse", -8, -7, 9, 3, 0, mix(water, (255, 255, 255), 0.4)))),
        x,
        y,
    )
    if food != "milk":
        soft = (FOODS[food][1], (0.0, 0.3, 0.6)[phase])
        scatter(
            still,
            (lambda t: piece(food, t, "cube", soft))
            if food == "rice"
            else (
                lambda t: tuple(
                    (k, *[v * 0.55 for v in p[:4]], *p[4:])
                    if k == "ellipse"
                    else (k, *[v * 0.55 for v in p[:5]], *p[5:])
                    for k, *p in whole(food, 1.0, mix(FOODS[food][0], *soft))
                )
            ),
            places,
            x,
            y,
            18,
            11,
            40 if food == "rice" else 6,
        )

    def move(canvas, t, start, jitter):
        for u, v in jitter[: (0, 9, 24)[phase]]:
            paste(
                canvas,
                sprite((("ellipse", 0, 0, 2.6, 2.2, 0, (250, 252, 255)), ("ellipse", 0, 0, 1.5, 1.2, 0, water))),
                x + 17 * u,
                y + 11 * v,
            )
        if phase:
            steam(canvas, x, y - 22, t, start, 2 * phase)
        paste(canvas, hand("spoon", look["sleeve"]), x + 6 + 8 * np.cos(t + start), y + 3 + 5 * np.sin(t + start))

    return move


def bake_scene(still, food, phase, progress, look, x, y, places):
    """Bake behind an oven's window: pale, risen, golden brown."""
    y -= 4
    body = mix(STEEL, look["counter"], 0.2)
    knobs = tuple(("ellipse", dx, -31, 2.6, 2.6, 0, (70, 70, 76)) for dx in (-24, -12, 12, 24))
    paste(
        still,
        sprite(
            (
                ("box", 0, 0, 44, 37, 4, 0, mix(body, (0, 0, 0), 0.35)),
                ("box", 0, -1, 43, 36, 4, 0, body),
                ("box", 0, 3, 36, 25, 3, 0, (40, 34, 34)),
                ("box", 0, 3, 34, 23, 3, 0, (92, 44, 26)),
                ("capsule", -28, -24, 28, -24, 1.6, (90, 90, 96)),
            )
            + knobs
        ),
        x,
        y,
    )
    done, size = (0.0, 0.4, 0.85)[phase] + 0.08 * progress, (0.9, 1.15, 1.3)[phase]
    paste(
        still,
        sprite((("box", 0, 0, 29, 2.4, 1, 0, (150, 150, 156)), ("capsule", -32, 0, 32, 0, 0.8, (110, 110, 116)))),
        x,
        y + 19,
    )
    skin, flesh, _, _, b = FOODS[food]
    pale = flesh if food in ("dough", "bread", "apple", "chicken") else skin
    paste(
        still,
        sprite(whole(food, round(size, 1), mix(mix(pale, (255, 240, 214), 0.3), BROWN, round(done, 1)))),
        x,
        y + 16 - b,
    )
    if food in ("dough", "apple"):
        paste(
            still,
            sprite(
                (
                    ("box", 0, 0, 20, 3, 1, 0, (120, 124, 132)),
                    ("box", 0, -4 - 2 * phase, 19, 4 + 2 * phase, 4, 0, mix((248, 232, 196), BROWN, round(done, 1))),
                )
            ),
            x,
            y + 15,
        )
        paste(
            still,
            sprite(
                tuple(
                    (
                        "ellipse",
                        dx,
                        0,
                        2.2,
                        1.6,
                        0,
                        mix(FOODS["apple"][0] if food == "apple" else FOODS["tomato"][0], BROWN, round(done * 0.6, 1)),
                    )
                    for dx in (-10, 0, 10)
                )
            ),
            x,
            y + 9 - 3 * phase,
        )

    def move(canvas, t, start, _):
        glow = 0.5 + 0.5 * np.sin(2 * t + start)
        paste(canvas, faded(sprite((("capsule", -30, 0, 30, 0, 1.6, GLOW),)), 0.6 + 0.4 * glow), x, y - 16)
        paste(canvas, faded(sprite((("box", 0, 0, 34, 23, 3, 0, GLOW),)), 0.1 * phase + 0.1 * glow), x, y + 3)
        paste(canvas, hand("mitt", look["sleeve"]), x + 34 + 2 * np.cos(t + start), y + 16 + 5 * np.sin(t + start))

    return move
