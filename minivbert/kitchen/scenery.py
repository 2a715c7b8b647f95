"""What stays when the food changes: six styles of kitchen, boards and pans, and the hand with its tool."""

from functools import lru_cache

import numpy as np

from minivbert.kitchen.foods import HANDLE
from minivbert.kitchen.sprites import mix, paste, sprite

SIDE = 96
# counter, its second tone, wall, tile joint, board, pan, bowl, sleeve, light (factors of r, g, b), mirrored
LOOKS = (
    dict(
        counter=(196, 164, 124),
        grain=(180, 146, 106),
        wall=(236, 232, 220),
        joint=(208, 204, 192),
        board=(226, 192, 140),
        pan=(52, 52, 58),
        bowl=(112, 152, 196),
        sleeve=(60, 90, 160),
        light=(1.0, 1.0, 1.0),
        mirror=False,
    ),
    dict(
        counter=(86, 92, 104),
        grain=(76, 82, 92),
        wall=(170, 206, 214),
        joint=(144, 182, 192),
        board=(200, 150, 96),
        pan=(128, 62, 48),
        bowl=(236, 226, 200),
        sleeve=(200, 60, 60),
        light=(0.95, 1.0, 1.06),
        mirror=True,
    ),
    dict(
        counter=(238, 236, 232),
        grain=(224, 222, 220),
        wall=(120, 156, 120),
        joint=(104, 138, 104),
        board=(150, 100, 62),
        pan=(90, 96, 104),
        bowl=(206, 92, 84),
        sleeve=(240, 240, 236),
        light=(1.04, 1.0, 0.92),
        mirror=False,
    ),
    dict(
        counter=(120, 74, 48),
        grain=(108, 64, 40),
        wall=(244, 210, 150),
        joint=(224, 186, 124),
        board=(240, 226, 196),
        pan=(40, 44, 40),
        bowl=(90, 140, 104),
        sleeve=(90, 60, 110),
        light=(1.06, 0.97, 0.84),
        mirror=True,
    ),
    dict(
        counter=(84, 132, 138),
        grain=(74, 120, 126),
        wall=(250, 246, 240),
        joint=(236, 190, 180),
        board=(216, 176, 150),
        pan=(70, 60, 84),
        bowl=(246, 206, 96),
        sleeve=(48, 48, 52),
        light=(1.0, 0.98, 0.95),
        mirror=False,
    ),
    dict(
        counter=(206, 188, 196),
        grain=(192, 172, 182),
        wall=(96, 88, 116),
        joint=(84, 76, 102),
        board=(178, 190, 180),
        pan=(160, 164, 170),
        bowl=(120, 96, 150),
        sleeve=(236, 160, 60),
        light=(0.90, 0.93, 1.05),
        mirror=True,
    ),
)
STEEL, STEEL_DARK = (206, 212, 220), (150, 158, 168)
SKIN, SKIN_DARK = (236, 188, 152), (214, 160, 124)


@lru_cache(maxsize=None)
def background(style):
    """Paint the still kitchen of a style: tiled wall above, counter below, a shelf; (96, 96, 3) float32."""
    look, canvas = LOOKS[style], np.empty((SIDE, SIDE, 3), np.float32)
    canvas[:26], canvas[26:] = look["wall"], look["counter"]
    canvas[[8, 17]] = look["joint"]
    for row, y in enumerate((0, 9, 18)):
        canvas[y : y + 8, (6 if row % 2 else 0) :: 16] = look["joint"]
    canvas[24:27] = mix(look["counter"], (0, 0, 0), 0.35)
    for y in range(31, SIDE, 11):
        canvas[y : y + 4] = look["grain"]
    things = (("box", 0, 0, 4, 6, 2, 0, look["bowl"]), ("box", 0, -6, 3, 1, 1, 0, HANDLE))
    paste(canvas, sprite(things), 84, 17)
    paste(
        canvas,
        sprite(
            (
                ("capsule", 0, 0, 0, -8, 1, (80, 130, 70)),
                ("ellipse", -4, -8, 4, 3, 0, (70, 140, 70)),
                ("ellipse", 4, -9, 4, 3, 0, (90, 160, 80)),
                ("box", 0, 4, 4, 4, 1, 0, (190, 104, 70)),
            )
        ),
        11,
        16,
    )
    return canvas


def vessel(canvas, kind, look, x, y):
    """Draw a board, pan, pot, bowl or plate."""
    dark = lambda c, t=0.3: mix(c, (0, 0, 0), t)
    shadow = mix(look["counter"], (0, 0, 0), 0.22)
    shapes = {
        "board": (
            ("box", 2, 3, 36, 20, 6, 0, shadow),
            ("box", 0, 1.5, 36, 20, 6, 0, dark(look["board"])),
            ("box", 0, 0, 36, 19, 6, 0, look["board"]),
            ("capsule", -30, -8, 20, -8, 0.7, dark(look["board"], 0.1)),
            ("capsule", -20, 8, 30, 8, 0.7, dark(look["board"], 0.1)),
            ("ellipse", 31, 0, 2.2, 2.2, 0, look["counter"]),
        ),
        "pan": (
            ("ellipse", 2, 4, 30, 23, 0, shadow),
            ("capsule", 26, 6, 46, 14, 3.5, HANDLE),
            ("ellipse", 0, 0, 30, 23, 0, dark(look["pan"], 0.45)),
            ("ellipse", 0, 0, 28, 21, 0, mix(look["pan"], (255, 255, 255), 0.25)),
            ("ellipse", 0, 1, 26, 19, 0, look["pan"]),
        ),
        "pot": (
            ("ellipse", 2, 6, 31, 24, 0, shadow),
            ("capsule", -33, 0, 33, 0, 3, dark(STEEL_DARK, 0.4)),
            ("box", 0, 7, 28, 16, 12, 0, STEEL_DARK),
            ("ellipse", 0, 0, 29, 20, 0, STEEL),
            ("ellipse", 0, 0, 26.5, 18, 0, dark(STEEL_DARK, 0.3)),
        ),
        "bowl": (
            ("ellipse", 2, 7, 29, 20, 0, shadow),
            ("ellipse", 0, 5, 27, 20, 0, dark(look["bowl"])),
            ("ellipse", 0, 0, 29, 20, 0, mix(look["bowl"], (255, 255, 255), 0.35)),
            ("ellipse", 0, 0, 26.5, 18, 0, dark(look["bowl"], 0.15)),
        ),
        "plate": (
            ("ellipse", 2, 4, 32, 22, 0, shadow),
            ("ellipse", 0, 1, 32, 22, 0, (200, 200, 206)),
            ("ellipse", 0, 0, 32, 21, 0, (250, 250, 250)),
            ("ellipse", 0, 0, 24, 15, 0, (234, 234, 238)),
        ),
    }
    paste(canvas, sprite(shapes[kind]), x, y)


@lru_cache(maxsize=None)
def hand(tool, sleeve):
    """Draw a hand that comes in from the lower right and holds a tool whose working end is at (0, 0)."""
    arm = (
        ("capsule", 26, 20, 44, 40, 9, sleeve),
        ("capsule", 25, 19, 28, 22, 9.5, mix(sleeve, (255, 255, 255), 0.3)),
        ("capsule", 17, 11, 24, 18, 6, SKIN),
        ("ellipse", 16, 9, 6.5, 5.5, 0.6, SKIN),
        ("capsule", 11, 6, 15, 10, 2, SKIN_DARK),
        ("capsule", 12, 10, 17, 13, 2, SKIN_DARK),
    )
    tools = {
        "knife": (
            ("capsule", -16, 1, 5, 2, 3.4, STEEL),
            ("capsule", -17, 3.4, 5, 4.6, 1, STEEL_DARK),
            ("capsule", 5, 2, 16, 9, 2.4, HANDLE),
        ),
        "peeler": (
            ("capsule", -3, -3, 3, 3, 1.6, STEEL),
            ("capsule", -3, 3, 3, -3, 1.2, STEEL_DARK),
            ("capsule", 1, 1, 15, 9, 2.2, (60, 120, 70)),
        ),
        "grater": (),
        "spatula": (
            ("box", 0, 0, 7, 5, 1.5, 0.5, (60, 60, 66)),
            ("capsule", -3, -1, 2, 2, 0.8, (120, 120, 126)),
            ("capsule", 4, 2, 17, 10, 1.8, STEEL_DARK),
        ),
        "spoon": (("ellipse", 0, 0, 5.5, 3.8, 0.5, (186, 130, 80)), ("capsule", 2, 1, 17, 10, 1.7, (186, 130, 80))),
        "whisk": (
            ("ellipse", -1, -1, 8, 5.5, 0.6, STEEL_DARK),
            ("ellipse", -1, -1, 6.4, 3.9, 0.6, (232, 236, 240)),
            ("capsule", -6, -5, 6, 4, 0.8, STEEL_DARK),
            ("ellipse", -1, -1, 5, 1.4, 0.6, STEEL_DARK),
            ("capsule", 6, 4, 17, 10, 2, STEEL_DARK),
        ),
        "masher": (
            ("box", 0, 1, 9, 3.4, 1.5, 0, STEEL_DARK),
            ("capsule", -6, 1, 6, 1, 1, STEEL),
            ("capsule", 0, -2, 8, -8, 1.4, STEEL_DARK),
            ("capsule", 8, -8, 15, 8, 2.4, HANDLE),
        ),
        "pin": (),
        "mitt": (
            ("ellipse", 3, 2, 10, 8, 0.5, (196, 60, 60)),
            ("ellipse", -3, -5, 4, 3, 0.9, (196, 60, 60)),
            ("capsule", 8, 7, 14, 12, 6, (230, 220, 210)),
        ),
        "fingers": (
            ("capsule", 2, 2, 12, 8, 2, SKIN),
            ("capsule", 6, -1, 14, 6, 2, SKIN),
            ("capsule", 0, 5, 11, 10, 2, SKIN_DARK),
        ),
    }
    # the whole picture is cut at the border, so the sleeve may reach beyond it
    return sprite(tools[tool] + arm) if tool != "knife" else sprite(arm + tools[tool])
