"""Draw one clip of a show: the surface, the ingredient as it changes, a hand with its tool in the verb's own motion.

    picture = background(style) + scene(verb, ingredient, phase, progress) + hand(verb, time)

What is drawn depends on (verb, ingredient, phase, style) and on a few draws that are made anew for every clip and up front: where
things lie, how far the phase has come, when the motion starts, the light. So clips of a show are independent given those four, and
frame k looks the same whether all frames are drawn or some.

    >>> clip = draw_clip("slice", "tomato", 1, 0, np.random.default_rng(0), at=[0, 15])
    >>> clip.shape, clip.dtype
    ((2, 96, 96, 3), dtype('uint8'))
"""
import difflib
from functools import lru_cache

import numpy as np

from minivbert.kitchen.recipes import INGREDIENTS, PHASES, STYLES, VERBS
from minivbert.kitchen.sprites import faded, mix, paste, sprite

SIDE, FRAMES = 96, 30
TURNS = 8                    # turns of pieces are multiples of pi / 8, so that sprites can be cached

# counter, its second tone, wall, tile joint, board, pan, bowl, sleeve, light (factors of r, g, b), mirrored
LOOKS = (
    dict(counter=(196, 164, 124), grain=(180, 146, 106), wall=(236, 232, 220), joint=(208, 204, 192), board=(226, 192, 140),
         pan=(52, 52, 58), bowl=(112, 152, 196), sleeve=(60, 90, 160), light=(1.0, 1.0, 1.0), mirror=False),
    dict(counter=(86, 92, 104), grain=(76, 82, 92), wall=(170, 206, 214), joint=(144, 182, 192), board=(200, 150, 96),
         pan=(128, 62, 48), bowl=(236, 226, 200), sleeve=(200, 60, 60), light=(0.95, 1.0, 1.06), mirror=True),
    dict(counter=(238, 236, 232), grain=(224, 222, 220), wall=(120, 156, 120), joint=(104, 138, 104), board=(150, 100, 62),
         pan=(90, 96, 104), bowl=(206, 92, 84), sleeve=(240, 240, 236), light=(1.04, 1.0, 0.92), mirror=False),
    dict(counter=(120, 74, 48), grain=(108, 64, 40), wall=(244, 210, 150), joint=(224, 186, 124), board=(240, 226, 196),
         pan=(40, 44, 40), bowl=(90, 140, 104), sleeve=(90, 60, 110), light=(1.06, 0.97, 0.84), mirror=True),
    dict(counter=(84, 132, 138), grain=(74, 120, 126), wall=(250, 246, 240), joint=(236, 190, 180), board=(216, 176, 150),
         pan=(70, 60, 84), bowl=(246, 206, 96), sleeve=(48, 48, 52), light=(1.0, 0.98, 0.95), mirror=False),
    dict(counter=(206, 188, 196), grain=(192, 172, 182), wall=(96, 88, 116), joint=(84, 76, 102), board=(178, 190, 180),
         pan=(160, 164, 170), bowl=(120, 96, 150), sleeve=(236, 160, 60), light=(0.90, 0.93, 1.05), mirror=True),
)
# skin, flesh, inside (seeds, yolk, rings), half width and half height of the whole
FOODS = {
    "tomato": ((206, 44, 36), (232, 92, 72), (250, 196, 120), 10, 9), "onion": ((198, 134, 70), (244, 236, 240), (200, 160, 200), 9, 9),
    "carrot": ((236, 124, 30), (250, 156, 62), (252, 190, 110), 15, 5), "potato": ((150, 108, 68), (246, 224, 150), (238, 212, 130), 12, 9),
    "mushroom": ((206, 186, 164), (246, 240, 230), (150, 116, 92), 10, 8), "pepper": ((46, 140, 52), (120, 196, 84), (240, 236, 190), 9, 11),
    "apple": ((216, 32, 70), (250, 244, 206), (120, 70, 40), 10, 10), "egg": ((246, 222, 196), (252, 250, 244), (250, 184, 30), 7, 9),
    "cheese": ((244, 178, 36), (252, 208, 72), (222, 150, 20), 13, 9), "bread": ((166, 100, 46), (246, 222, 176), (230, 200, 146), 16, 9),
    "dough": ((240, 226, 196), (246, 234, 208), (226, 206, 168), 11, 9), "milk": ((250, 250, 252), (250, 250, 252), (222, 230, 244), 9, 9),
    "chicken": ((242, 176, 150), (250, 206, 184), (236, 150, 126), 14, 9), "fish": ((120, 150, 176), (250, 150, 110), (236, 236, 240), 17, 7),
    "rice": ((252, 250, 240), (252, 250, 240), (226, 222, 206), 10, 8), "basil": ((40, 120, 40), (72, 164, 60), (110, 196, 90), 10, 7),
}
STEEL, STEEL_DARK, HANDLE, SKIN, SKIN_DARK = (206, 212, 220), (150, 158, 168), (74, 50, 38), (236, 188, 152), (214, 160, 124)
BROWN, GLOW, WATER, STEAM = (168, 92, 34), (255, 150, 40), (150, 190, 214), (240, 244, 248)


@lru_cache(maxsize=None)
def background(style):
    """Paint the still kitchen of a style: tiled wall above, counter below, a shelf; (96, 96, 3) float32."""
    look, canvas = LOOKS[style], np.empty((SIDE, SIDE, 3), np.float32)
    canvas[:26], canvas[26:] = look["wall"], look["counter"]
    canvas[[8, 17]] = look["joint"]
    for row, y in enumerate((0, 9, 18)):
        canvas[y:y + 8, (6 if row % 2 else 0)::16] = look["joint"]
    canvas[24:27] = mix(look["counter"], (0, 0, 0), 0.35)
    for y in range(31, SIDE, 11):
        canvas[y:y + 4] = look["grain"]
    things = (("box", 0, 0, 4, 6, 2, 0, look["bowl"]), ("box", 0, -6, 3, 1, 1, 0, HANDLE))
    paste(canvas, sprite(things), 84, 17)
    paste(canvas, sprite((("capsule", 0, 0, 0, -8, 1, (80, 130, 70)), ("ellipse", -4, -8, 4, 3, 0, (70, 140, 70)),
                          ("ellipse", 4, -9, 4, 3, 0, (90, 160, 80)), ("box", 0, 4, 4, 4, 1, 0, (190, 104, 70)))), 11, 16)
    return canvas


def turned(x, y, turn):
    """Turn a point about (0, 0)."""
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y


def whole(food, scale=1.0, colour=None):
    """Shape an ingredient as it comes from the shop, scaled in width (what is left of it) and coloured by its skin or `colour`."""
    skin, flesh, inner, a, b = FOODS[food]
    skin = colour or skin
    dark, a = mix(skin, (0, 0, 0), 0.22), max(2.0, a * scale)
    light = mix(skin, (255, 255, 255), 0.4)
    shine = ("ellipse", -a * 0.35, -b * 0.4, a * 0.3, b * 0.2, 0, light)
    if food == "carrot":
        return (("capsule", -a, 0, a * 0.5, 0, b, skin), ("capsule", a * 0.2, 0, a, 0, b * 0.55, skin), ("capsule", -a, 0, -a - 5, -3, 1.5, (70, 150, 60)),
                ("capsule", -a, 0, -a - 5, 2, 1.5, (90, 170, 70)), ("capsule", -a * 0.4, -3, -a * 0.4, 1, 0.7, dark), shine)
    if food == "mushroom":
        return (("box", 0, b * 0.5, a * 0.35, b * 0.7, 2, 0, flesh), ("ellipse", 0, -b * 0.2, a, b * 0.75, 0, skin), shine)
    if food == "cheese":
        return (("box", 0, 0, a, b, 2, 0, skin), ("box", 0, -b * 0.6, a, b * 0.4, 2, 0, flesh), ("ellipse", -a * 0.4, b * 0.2, 2.5, 2, 0, inner),
                ("ellipse", a * 0.4, b * 0.4, 2, 1.6, 0, inner), ("ellipse", a * 0.1, -b * 0.2, 1.5, 1.2, 0, inner))
    if food == "bread":
        return (("box", 0, 0, a, b, 7, 0, skin), ("capsule", -a * 0.5, -4, -a * 0.3, 3, 1.2, flesh), ("capsule", 0, -4, a * 0.15, 3, 1.2, flesh),
                ("capsule", a * 0.45, -4, a * 0.6, 3, 1.2, flesh))
    if food == "fish":
        return (("ellipse", 0, 0, a * 0.8, b, 0, skin), ("box", a * 0.85, 0, 4, 4, 0.5, 0.78, skin), ("ellipse", -a * 0.1, b * 0.35, a * 0.5, b * 0.5, 0, inner),
                ("ellipse", -a * 0.55, -b * 0.2, 1.4, 1.4, 0, (30, 30, 40)))
    if food == "chicken":
        return (("ellipse", -a * 0.15, 0, a * 0.8, b, 0, skin), ("capsule", a * 0.5, 2, a, 5, 2.5, skin), ("ellipse", a * 1.05, 5.5, 2.2, 2.2, 0, (250, 244, 230)),
                ("ellipse", -a * 0.2, b * 0.45, a * 0.4, b * 0.25, 0, inner), shine)
    if food == "basil":
        return tuple(("ellipse", x, y, 6, 4, t, c) for x, y, t, c in ((-7, 2, 0.4, skin), (6, 3, -0.5, skin), (0, -4, 0.1, flesh), (-2, 4, 0.9, flesh), (3, -1, 1.2, inner)))
    if food == "rice":
        return (("box", 0, 2, a, b, 3, 0, (170, 130, 90)), ("ellipse", 0, -5, a * 0.9, 5, 0, skin), ("capsule", -3, -6, -2, -6, 0.8, inner), ("capsule", 3, -4, 4, -4, 0.8, inner))
    if food == "milk":
        return (("box", 0, 0, 6, 9, 2, 0, (120, 170, 220)), ("box", 0, -9, 3, 3, 1, 0, (90, 130, 190)), ("box", 0, 3, 6, 4, 1, 0, skin))
    extra = {"tomato": (("ellipse", 0, -b * 0.85, 4, 1.6, 0, (60, 130, 50)),), "apple": (("capsule", 0, -b, 2, -b - 4, 1, HANDLE), ("ellipse", 5, -b - 2, 3.5, 1.8, -0.4, (80, 160, 60))),
             "pepper": (("capsule", 0, -b, 1, -b - 4, 1.4, (30, 100, 30)), ("capsule", -3, -b * 0.5, -3, b * 0.5, 0.8, dark)),
             "onion": (("capsule", 0, -b, 0, -b - 3, 1.2, dark), ("capsule", -4, -4, -4, 4, 0.7, dark), ("capsule", 4, -4, 4, 4, 0.7, dark)),
             "potato": (("ellipse", 4, 2, 1.2, 0.9, 0, dark), ("ellipse", -3, 4, 1, 0.8, 0, dark), ("ellipse", 6, -3, 1, 0.8, 0, dark))}.get(food, ())
    return (("ellipse", 0, 0, a, b, 0, skin), shine) + extra


def piece(food, turn, cut, tint=None):
    """Shape one piece of an ingredient: cut "slice" or "cube"; tint (colour, share) mixes its colours (frying, boiling)."""
    skin, flesh, inner, a, b = FOODS[food]
    if tint:
        skin, flesh, inner = (mix(c, tint[0], tint[1]) for c in (skin, flesh, inner))
    if cut == "cube":
        if food in ("basil", "rice"):
            return (("ellipse", 0, 0, 2.6, 1.3, turn, flesh), ("ellipse", 0.5, 0, 1.2, 0.6, turn, inner))
        return (("box", 0, 0, 2.9, 2.9, 0.8, turn, mix(skin, (0, 0, 0), 0.15)), ("box", -0.4, -0.4, 2.1, 2.1, 0.6, turn, flesh))
    r = min(a, b) * 0.85
    x, y = turned(r * 0.35, 0, turn)
    if food in ("bread", "cheese"):
        return (("box", 0, 0, r, r * 0.8, 2, turn, skin), ("box", 0, 0, r - 1.4, r * 0.8 - 1.4, 1.5, turn, flesh), ("ellipse", x, y, 1.4, 1.1, 0, inner))
    if food == "mushroom":
        u, v = turned(0, r * 0.55, turn)
        return (("box", u, v, r * 0.3, r * 0.6, 1, turn, flesh), ("ellipse", 0, 0, r, r * 0.65, turn, skin), ("ellipse", 0, 0.5, r * 0.7, r * 0.4, turn, inner))
    if food in ("chicken", "fish"):
        return (("box", 0, 0, r, r * 0.6, 2.4, turn, mix(skin, (0, 0, 0), 0.1)), ("box", 0, 0, r - 1.2, r * 0.6 - 1.2, 1.6, turn, flesh), ("capsule", -x, -y, x, y, 0.7, inner))
    if food == "basil":
        return (("ellipse", 0, 0, 5, 3, turn, skin), ("ellipse", x * 0.4, y * 0.4, 3, 1.6, turn, flesh))
    if food == "egg":
        return (("ellipse", 0, 0, 6.5, 5.5, turn, flesh), ("ellipse", x * 0.3, y * 0.3, 2.8, 2.8, 0, inner))
    rings = {"onion": (("ellipse", 0, 0, r * 0.6, r * 0.6, 0, inner), ("ellipse", 0, 0, r * 0.42, r * 0.42, 0, flesh)),
             "tomato": tuple(("ellipse", *turned(r * 0.5, 0, turn + k * 2.09), 1.5, 1.1, 0, inner) for k in range(3)),
             "apple": (("ellipse", 0, 0, 1.2, 1.2, 0, inner),), "pepper": (("ellipse", 0, 0, r * 0.5, r * 0.5, 0, (60, 90, 50)),)}
    return (("ellipse", 0, 0, r, r, 0, skin), ("ellipse", 0, 0, r - 1.4, r - 1.4, 0, flesh)) + rings.get(food, (("ellipse", 0, 0, r * 0.35, r * 0.35, 0, inner),))


def scatter(canvas, pieces, places, x, y, a, b, n):
    """Lay n pieces (shapes by turn) at places (u, v, turn) of the unit disc, over an ellipse; those further back first."""
    for u, v, turn in sorted(places[:n], key=lambda p: p[1]):
        paste(canvas, sprite(pieces(turn)), x + a * u, y + b * v)


def liquid(canvas, x, y, a, b, colour, light, places, streaks):
    """Fill an ellipse and lay streaks of a lighter colour in it."""
    paste(canvas, sprite((("ellipse", 0, 0, a, b, 0, colour),)), x, y)
    for u, v, turn in places[:streaks]:
        paste(canvas, sprite((("ellipse", 0, 0, 5, 2, turn, light),)), x + 0.7 * a * u, y + 0.7 * b * v)


def vessel(canvas, kind, look, x, y):
    """Draw a board, pan, pot, bowl or plate."""
    dark = lambda c, t=0.3: mix(c, (0, 0, 0), t)
    shadow = mix(look["counter"], (0, 0, 0), 0.22)
    shapes = {
        "board": (("box", 2, 3, 36, 20, 6, 0, shadow), ("box", 0, 1.5, 36, 20, 6, 0, dark(look["board"])), ("box", 0, 0, 36, 19, 6, 0, look["board"]),
                  ("capsule", -30, -8, 20, -8, 0.7, dark(look["board"], 0.1)), ("capsule", -20, 8, 30, 8, 0.7, dark(look["board"], 0.1)), ("ellipse", 31, 0, 2.2, 2.2, 0, look["counter"])),
        "pan": (("ellipse", 2, 4, 30, 23, 0, shadow), ("capsule", 26, 6, 46, 14, 3.5, HANDLE), ("ellipse", 0, 0, 30, 23, 0, dark(look["pan"], 0.45)), ("ellipse", 0, 0, 28, 21, 0, mix(look["pan"], (255, 255, 255), 0.25)),
                ("ellipse", 0, 1, 26, 19, 0, look["pan"])),
        "pot": (("ellipse", 2, 6, 31, 24, 0, shadow), ("capsule", -33, 0, 33, 0, 3, dark(STEEL_DARK, 0.4)), ("box", 0, 7, 28, 16, 12, 0, STEEL_DARK), ("ellipse", 0, 0, 29, 20, 0, STEEL), ("ellipse", 0, 0, 26.5, 18, 0, dark(STEEL_DARK, 0.3))),
        "bowl": (("ellipse", 2, 7, 29, 20, 0, shadow), ("ellipse", 0, 5, 27, 20, 0, dark(look["bowl"])), ("ellipse", 0, 0, 29, 20, 0, mix(look["bowl"], (255, 255, 255), 0.35)), ("ellipse", 0, 0, 26.5, 18, 0, dark(look["bowl"], 0.15))),
        "plate": (("ellipse", 2, 4, 32, 22, 0, shadow), ("ellipse", 0, 1, 32, 22, 0, (200, 200, 206)), ("ellipse", 0, 0, 32, 21, 0, (250, 250, 250)), ("ellipse", 0, 0, 24, 15, 0, (234, 234, 238))),
    }
    paste(canvas, sprite(shapes[kind]), x, y)


@lru_cache(maxsize=None)
def hand(tool, sleeve):
    """Draw a hand that comes in from the lower right and holds a tool whose working end is at (0, 0)."""
    arm = (("capsule", 26, 20, 44, 40, 9, sleeve), ("capsule", 25, 19, 28, 22, 9.5, mix(sleeve, (255, 255, 255), 0.3)), ("capsule", 17, 11, 24, 18, 6, SKIN),
           ("ellipse", 16, 9, 6.5, 5.5, 0.6, SKIN), ("capsule", 11, 6, 15, 10, 2, SKIN_DARK), ("capsule", 12, 10, 17, 13, 2, SKIN_DARK))
    tools = {
        "knife": (("capsule", -16, 1, 5, 2, 3.4, STEEL), ("capsule", -17, 3.4, 5, 4.6, 1, STEEL_DARK), ("capsule", 5, 2, 16, 9, 2.4, HANDLE)),
        "peeler": (("capsule", -3, -3, 3, 3, 1.6, STEEL), ("capsule", -3, 3, 3, -3, 1.2, STEEL_DARK), ("capsule", 1, 1, 15, 9, 2.2, (60, 120, 70))),
        "grater": (),
        "spatula": (("box", 0, 0, 7, 5, 1.5, 0.5, (60, 60, 66)), ("capsule", -3, -1, 2, 2, 0.8, (120, 120, 126)), ("capsule", 4, 2, 17, 10, 1.8, STEEL_DARK)),
        "spoon": (("ellipse", 0, 0, 5.5, 3.8, 0.5, (186, 130, 80)), ("capsule", 2, 1, 17, 10, 1.7, (186, 130, 80))),
        "whisk": (("ellipse", -1, -1, 8, 5.5, 0.6, STEEL_DARK), ("ellipse", -1, -1, 6.4, 3.9, 0.6, (232, 236, 240)), ("capsule", -6, -5, 6, 4, 0.8, STEEL_DARK), ("ellipse", -1, -1, 5, 1.4, 0.6, STEEL_DARK), ("capsule", 6, 4, 17, 10, 2, STEEL_DARK)),
        "masher": (("box", 0, 1, 9, 3.4, 1.5, 0, STEEL_DARK), ("capsule", -6, 1, 6, 1, 1, STEEL), ("capsule", 0, -2, 8, -8, 1.4, STEEL_DARK), ("capsule", 8, -8, 15, 8, 2.4, HANDLE)),
        "pin": (),
        "mitt": (("ellipse", 3, 2, 10, 8, 0.5, (196, 60, 60)), ("ellipse", -3, -5, 4, 3, 0.9, (196, 60, 60)), ("capsule", 8, 7, 14, 12, 6, (230, 220, 210))),
        "fingers": (("capsule", 2, 2, 12, 8, 2, SKIN), ("capsule", 6, -1, 14, 6, 2, SKIN), ("capsule", 0, 5, 11, 10, 2, SKIN_DARK)),
    }
    # the whole picture is cut at the border, so the sleeve may reach beyond it
    return sprite(tools[tool] + arm) if tool != "knife" else sprite(arm + tools[tool])


def draw_clip(verb, ingredient, phase, style, rng, at=range(FRAMES)):
    """Draw the frames `at` (0 to 29) of one clip of 1.5 s.

    verb, ingredient: names out of `VERBS` and `INGREDIENTS`; phase 0 to 2; style 0 to 5; rng: np.random.Generator.
    Returns (len(at), 96, 96, 3) uint8. Raises ValueError for a name or number that there is not.
    """
    for name, known in ((verb, tuple(VERBS)), (ingredient, INGREDIENTS)):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            raise ValueError(f"nothing is called {name!r} here; did you mean {near[0]!r}? Known: {', '.join(known)}")
    if phase not in range(PHASES) or style not in range(STYLES):
        raise ValueError(f"phase {phase}, style {style}: expected 0 to {PHASES - 1} and 0 to {STYLES - 1}")
    look = LOOKS[style]
    x, y = 46 + rng.uniform(-2.5, 2.5), 60 + rng.uniform(-2, 2)
    progress, start, flicker = rng.uniform(0, 1), rng.uniform(0, 2 * np.pi), rng.uniform(0.97, 1.03)
    radius, angle = np.sqrt(rng.uniform(0, 1, 64)), rng.uniform(0, 2 * np.pi, 64)
    turn = rng.integers(TURNS, size=64) * np.pi / TURNS
    places = [(float(r * np.cos(a)), float(r * np.sin(a)), float(t)) for r, a, t in zip(radius, angle, turn)]
    jitter = rng.uniform(-1, 1, (FRAMES, 24, 2))
    still = background(style).copy()
    move = SCENES[verb](still, ingredient, phase, progress, look, x, y, places)
    light = np.array(look["light"], np.float32) * np.float32(flicker)
    out = np.empty((len(at), SIDE, SIDE, 3), np.uint8)
    for i, k in enumerate(at):
        canvas = still.copy()
        move(canvas, 2 * np.pi * k / FRAMES, start, jitter[k])
        np.clip(canvas * light, 0, 255, out=canvas)
        out[i] = canvas[:, ::-1] if look["mirror"] else canvas
    return out


def cut_scene(tool, cut, strokes, tall):
    """Make the scene of slicing or chopping on a board: what is left on the left, what is cut on the right."""
    def scene(still, food, phase, progress, look, x, y, places):
        vessel(still, "board", look, x, y)
        left = (1.0, 0.55, 0.0)[phase] - (0.06, 0.1, 0.0)[phase] * progress
        if left:
            paste(still, sprite(whole(food, round(left, 1))), x - 18, y - 1)
        n = ((1, 7, 14) if cut == "slice" else (3, 14, 34))[phase] + (phase > 0) * int(2 * progress)
        scatter(still, lambda t: piece(food, t, cut), places, x + (12 if phase < 2 else 3), y + 1, (12, 17, 26)[phase], 11, n)
        tip = x + (-6, 0, 8)[phase]

        def move(canvas, t, start, _):
            swing = np.sin(strokes * t + start)
            paste(canvas, hand(tool, look["sleeve"]), tip + (5 * swing if not tall else 0) + 4, y - 6 + (tall * swing if tall else 2 * np.cos(strokes * t + start)))
        return move
    return scene


def peel_scene(still, food, phase, progress, look, x, y, places):
    """Peel on a board: skin gives way to flesh, peels pile up."""
    vessel(still, "board", look, x, y)
    skin, flesh, _, a, b = FOODS[food]
    scatter(still, lambda t: (("capsule", -4, 0, 4, 0, 1.5, skin), ("capsule", -3, -1, 3, -1, 0.6, mix(skin, (255, 255, 255), 0.4))) if t < 1.5 else
            (("capsule", 0, -4, 0, 4, 1.5, skin),), places, x + 21, y + 6, 11, 9, (1, 6, 13)[phase] + int(progress * 2))
    shape = whole(food, 1.3, mix(flesh, skin, 0.08) if phase == 2 else None)
    paste(still, sprite(shape), x - 8, y - 2)
    if phase == 1:
        paste(still, sprite(tuple(("ellipse", dx, 0, 3.4, b * 0.82, 0, flesh) for dx in (-a * 0.75, -a * 0.15))), x - 8, y - 2)

    def move(canvas, t, start, _):
        swing = np.sin(2 * t + start)
        paste(canvas, hand("peeler", look["sleeve"]), x - 8 + 11 * swing, y - 5 - 3 * np.cos(2 * t + start) ** 2)
    return move


def grate_scene(still, food, phase, progress, look, x, y, places):
    """Grate on a board: the block shrinks, the heap grows."""
    vessel(still, "board", look, x, y)
    skin, flesh, inner, _, _ = FOODS[food]
    scatter(still, lambda t: (("capsule", *turned(-3, 0, t), *turned(3, 0, t), 1.1, flesh), ("capsule", *turned(-1, 0.5, t), *turned(2, 0.5, t), 0.5, inner)),
            places, x - 18, y + 7, (7, 12, 16)[phase], (4, 7, 9)[phase], (5, 24, 56)[phase])
    holes = tuple(("ellipse", dx, dy, 1.3, 1, 0, (90, 96, 104)) for dx in (-5, 0, 5) for dy in (-9, -4, 1, 6, 11))
    paste(still, sprite((("box", 1, 2, 11, 19, 2, 0, STEEL_DARK), ("box", 0, 0, 10, 18, 2, 0, STEEL), ("box", 0, -17, 5, 2, 1, 0, HANDLE)) + holes), x + 4, y - 6)

    def move(canvas, t, start, _):
        dy = -4 + 9 * np.sin(3 * t + start)
        size = (8, 6, 3)[phase]
        paste(canvas, sprite((("box", 0, 0, size, size * 0.7, 1.5, 0, skin), ("box", -1, -1, size - 1.5, size * 0.5, 1, 0, flesh))), x + 8, y + dy)
        paste(canvas, hand("grater", look["sleeve"]), x + 2, y + dy - 4)
    return move


def fry_scene(still, food, phase, progress, look, x, y, places):
    """Fry in a pan: raw pieces turn golden brown."""
    paste(still, sprite((("box", 0, 0, 42, 30, 5, 0, (44, 44, 48)), ("ellipse", 0, 0, 33, 26, 0, (90, 40, 36)))), x, y + 1)
    vessel(still, "pan", look, x, y)
    done = (0.0, 0.35, 0.65)[phase] + 0.08 * progress
    if food == "egg":
        white = mix((252, 250, 244), (220, 170, 100), 0.6 * done)
        paste(still, sprite((("ellipse", 0, 0, 15 + phase * 2, 12, 0, mix(white, BROWN, 0.5 * done)), ("ellipse", 0, 0, 13 + phase, 10, 0, white), ("ellipse", 1, -1, 6, 5, 0, mix((250, 184, 30), (226, 120, 30), done)))), x - 3, y)
    elif food == "dough":
        paste(still, sprite((("ellipse", 0, 0, 19, 14, 0, mix((240, 214, 160), BROWN, done * 0.9)), ("ellipse", 0, 0, 17, 12, 0, mix((250, 232, 186), BROWN, done * 0.75)))), x - 2, y)
    else:
        scatter(still, lambda t: piece(food, t, "cube" if food in ("rice", "basil") else "slice", (BROWN, round(done, 1))), places, x - 1, y, 18, 12, 40 if food == "rice" else 8)

    def move(canvas, t, start, jitter):
        for u, v in jitter[:(0, 3, 8)[phase]]:
            paste(canvas, sprite((("ellipse", 0, 0, 1.5, 1.3, 0, (250, 232, 170)),)), x + 22 * u, y + 15 * v)
        if phase == 2:
            steam(canvas, x, y - 18, t, start, 2)
        paste(canvas, hand("spatula", look["sleeve"]), x + 6 + 9 * np.cos(t + start), y + 4 + 6 * np.sin(t + start))
    return move


def steam(canvas, x, y, t, start, n):
    """Let n puffs of steam rise."""
    for j in range(n):
        rise = ((t + start) / (2 * np.pi) + j / n) % 1
        paste(canvas, faded(sprite((("ellipse", 0, 0, 5, 6, 0, STEAM),)), 0.55), x - 12 + 24 * j / max(n - 1, 1) + 2 * np.sin(t + j), y + 4 - 16 * rise)


def boil_scene(still, food, phase, progress, look, x, y, places):
    """Boil in a pot: still water, then bubbles, then a rolling boil with steam."""
    paste(still, sprite((("box", 0, 0, 42, 30, 5, 0, (44, 44, 48)), ("ellipse", 0, 0, 33, 26, 0, (150, 50, 36)))), x, y + 2)
    vessel(still, "pot", look, x, y)
    water = mix(WATER, FOODS[food][1], (0.05, 0.3, 0.55)[phase]) if food != "milk" else mix((250, 250, 252), (250, 226, 190), phase * 0.4)
    paste(still, sprite((("ellipse", 0, 0, 26, 17.5, 0, water), ("ellipse", -8, -7, 9, 3, 0, mix(water, (255, 255, 255), 0.4)))), x, y)
    if food != "milk":
        soft = (FOODS[food][1], (0.0, 0.3, 0.6)[phase])
        scatter(still, (lambda t: piece(food, t, "cube", soft)) if food == "rice" else (lambda t: tuple(
            (k, *[v * 0.55 for v in p[:4]], *p[4:]) if k == "ellipse" else (k, *[v * 0.55 for v in p[:5]], *p[5:]) for k, *p in whole(food, 1.0, mix(FOODS[food][0], *soft)))),
                places, x, y, 18, 11, 40 if food == "rice" else 6)

    def move(canvas, t, start, jitter):
        for u, v in jitter[:(0, 9, 24)[phase]]:
            paste(canvas, sprite((("ellipse", 0, 0, 2.6, 2.2, 0, (250, 252, 255)), ("ellipse", 0, 0, 1.5, 1.2, 0, water))), x + 17 * u, y + 11 * v)
        if phase:
            steam(canvas, x, y - 22, t, start, 2 * phase)
        paste(canvas, hand("spoon", look["sleeve"]), x + 6 + 8 * np.cos(t + start), y + 3 + 5 * np.sin(t + start))
    return move


def whisk_scene(still, food, phase, progress, look, x, y, places):
    """Whisk in a bowl: apart, streaky, foamy."""
    vessel(still, "bowl", look, x, y)
    _, flesh, inner, _, _ = FOODS[food]
    base = mix(flesh, inner, (0.0, 0.45, 0.5)[phase])
    base = mix(base, (255, 252, 226), 0.5 if phase == 2 else 0)
    liquid(still, x, y + 1, 25, 16, base, inner, places, (0, 9, 0)[phase])
    if phase == 0:
        for dx in (-9, 2, 10):
            paste(still, sprite((("ellipse", 0, 0, 5, 4.4, 0, mix(inner, (0, 0, 0), 0.08)), ("ellipse", -1, -1, 2, 1.4, 0, mix(inner, (255, 255, 255), 0.6)))), x + dx, y + 3 * (dx > 0))
    if phase == 2:
        scatter(still, lambda t: (("ellipse", 0, 0, 4, 3.2, 0, mix(base, (0, 0, 0), 0.1)), ("ellipse", 0, -0.6, 3.4, 2.6, 0, mix(base, (255, 255, 255), 0.6))), places, x, y, 20, 12, 22)

    def move(canvas, t, start, _):
        paste(canvas, hand("whisk", look["sleeve"]), x + 4 + 9 * np.cos(5 * t + start), y + 3 + 6 * np.sin(5 * t + start))
    return move


def mash_scene(still, food, phase, progress, look, x, y, places):
    """Mash in a bowl: lumps, then half and half, then puree."""
    vessel(still, "bowl", look, x, y)
    skin, flesh, inner, _, _ = FOODS[food]
    puree = mix(flesh, (255, 255, 255), 0.12)
    if phase:
        paste(still, sprite((("ellipse", 0, 0, 24 - 5 * (phase == 1), 15 - 3 * (phase == 1), 0, mix(puree, (0, 0, 0), 0.1)), ("ellipse", 0, -1, 22 - 5 * (phase == 1), 13 - 3 * (phase == 1), 0, puree))), x, y + 1)
    lump = lambda t: (("box", 0, 0, 5, 4, 2, t, mix(flesh, (0, 0, 0), 0.25)), ("box", -0.6, -0.8, 4.2, 3.1, 2, t, mix(flesh, inner, 0.3)))
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
            paste(canvas, sprite((("ellipse", 0, 0, 2.4 if wave > 1 else 1.8, 3, 0, colour),)), lip[0] - 9 * np.sqrt(s), lip[1] + (y - lip[1]) * s)
        paste(canvas, sprite((("box", 0, 0, 9, 11, 3, -tilt, (214, 232, 240)), ("box", *turned(0, 3 + 2.5 * phase, -tilt), 7.5, 7.5 - 2.5 * phase, 2, -tilt, colour),
                              ("capsule", *turned(9, -6, -tilt), *turned(13, 0, -tilt), 1.6, (150, 180, 196)), ("capsule", *turned(13, 0, -tilt), *turned(9, 6, -tilt), 1.6, (150, 180, 196)))), jx, jy)
        paste(canvas, hand("fingers", look["sleeve"]), jx + 8, jy - 2)
    return move


def roll_scene(still, food, phase, progress, look, x, y, places):
    """Roll on a floured board: a ball, a thick disc, a wide thin disc."""
    vessel(still, "board", look, x, y)
    scatter(still, lambda t: (("ellipse", 0, 0, 3, 2, t, mix(look["board"], (255, 255, 255), 0.7)),), places, x, y, 32, 15, 12)
    _, flesh, inner, _, _ = FOODS[food]
    a, b = ((11, 9), (20, 12), (31, 16))[phase]
    a += 2 * progress
    paste(still, sprite((("ellipse", 0.5, 3 - phase, round(a), b, 0, mix(inner, (0, 0, 0), 0.2)), ("ellipse", 0, 0, round(a), b, 0, flesh), ("ellipse", -a // 3, -b // 3, a // 3, b // 5, 0, mix(flesh, (255, 255, 255), 0.5)))), x - 2, y)

    def move(canvas, t, start, _):
        py = y - 2 + 11 * np.sin(2 * t + start)
        paste(canvas, sprite((("capsule", -33, 0, 33, 0, 2, (140, 84, 48)), ("box", 0, 1, 22, 5.2, 3, 0, (150, 96, 56)), ("box", 0, 0, 22, 4.4, 3, 0, (200, 146, 96)), ("capsule", -18, -2, 18, -2, 0.9, (230, 184, 136)))), x - 4, py)
        paste(canvas, hand("pin", look["sleeve"]), x + 13, py - 9)
    return move


def bake_scene(still, food, phase, progress, look, x, y, places):
    """Bake behind an oven's window: pale, risen, golden brown."""
    y -= 4
    body = mix(STEEL, look["counter"], 0.2)
    knobs = tuple(("ellipse", dx, -31, 2.6, 2.6, 0, (70, 70, 76)) for dx in (-24, -12, 12, 24))
    paste(still, sprite((("box", 0, 0, 44, 37, 4, 0, mix(body, (0, 0, 0), 0.35)), ("box", 0, -1, 43, 36, 4, 0, body), ("box", 0, 3, 36, 25, 3, 0, (40, 34, 34)),
                         ("box", 0, 3, 34, 23, 3, 0, (92, 44, 26)), ("capsule", -28, -24, 28, -24, 1.6, (90, 90, 96))) + knobs), x, y)
    done, size = (0.0, 0.4, 0.85)[phase] + 0.08 * progress, (0.9, 1.15, 1.3)[phase]
    paste(still, sprite((("box", 0, 0, 29, 2.4, 1, 0, (150, 150, 156)), ("capsule", -32, 0, 32, 0, 0.8, (110, 110, 116)))), x, y + 19)
    skin, flesh, _, _, b = FOODS[food]
    pale = flesh if food in ("dough", "bread", "apple", "chicken") else skin
    paste(still, sprite(whole(food, round(size, 1), mix(mix(pale, (255, 240, 214), 0.3), BROWN, round(done, 1)))), x, y + 16 - b)
    if food in ("dough", "apple"):
        paste(still, sprite((("box", 0, 0, 20, 3, 1, 0, (120, 124, 132)), ("box", 0, -4 - 2 * phase, 19, 4 + 2 * phase, 4, 0, mix((248, 232, 196), BROWN, round(done, 1))))), x, y + 15)
        paste(still, sprite(tuple(("ellipse", dx, 0, 2.2, 1.6, 0, mix(FOODS["apple"][0] if food == "apple" else FOODS["tomato"][0], BROWN, round(done * 0.6, 1))) for dx in (-10, 0, 10))), x, y + 9 - 3 * phase)

    def move(canvas, t, start, _):
        glow = 0.5 + 0.5 * np.sin(2 * t + start)
        paste(canvas, faded(sprite((("capsule", -30, 0, 30, 0, 1.6, GLOW),)), 0.6 + 0.4 * glow), x, y - 16)
        paste(canvas, faded(sprite((("box", 0, 0, 34, 23, 3, 0, GLOW),)), 0.1 * phase + 0.1 * glow), x, y + 3)
        paste(canvas, hand("mitt", look["sleeve"]), x + 34 + 2 * np.cos(t + start), y + 16 + 5 * np.sin(t + start))
    return move


def sprinkle_scene(still, food, phase, progress, look, x, y, places):
    """Sprinkle over a plate: bare, dotted, covered."""
    y += 6
    vessel(still, "plate", look, x, y)
    paste(still, sprite((("ellipse", 0, 1, 21, 13, 0, (170, 84, 50)), ("ellipse", 0, 0, 20, 12, 0, (214, 130, 80)), ("ellipse", -5, -4, 8, 3, 0, (230, 160, 110)))), x, y)
    _, flesh, inner, _, _ = FOODS[food]
    bit = lambda t: (("capsule", *turned(-2, 0, t), *turned(2, 0, t), 1.3, mix(flesh, (0, 0, 0), 0.12)), ("capsule", *turned(-1, 0, t), *turned(2, 0, t), 0.7, mix(flesh, inner, 0.5)))
    scatter(still, bit, places, x, y, 19, 11, (2, 20, 62)[phase])

    def move(canvas, t, start, jitter):
        hx, hy = x + 2 + 6 * np.sin(3 * t + start), y - 30 + 2 * np.cos(3 * t + start)
        for j, (u, _) in enumerate(jitter[:7]):
            paste(canvas, sprite(bit(j * np.pi / TURNS)), hx + 5 * u, hy + 6 + ((4 * t / (2 * np.pi) + j / 7) % 1) * 24)
        paste(canvas, hand("fingers", look["sleeve"]), hx, hy)
    return move


SCENES = {"slice": cut_scene("knife", "slice", 2, 0), "chop": cut_scene("knife", "cube", 6, 5), "peel": peel_scene, "grate": grate_scene, "fry": fry_scene, "boil": boil_scene,
          "whisk": whisk_scene, "mash": mash_scene, "pour": pour_scene, "roll": roll_scene, "bake": bake_scene, "sprinkle": sprinkle_scene}
