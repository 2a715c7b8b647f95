"""Sixteen ingredients as shapes: whole, and as slices or cubes, in their own colours or on the way to others."""

from minivbert.kitchen.sprites import mix, paste, sprite, turned

HANDLE = (74, 50, 38)
# skin, flesh, inside (seeds, yolk, rings), half width and half height of the whole
FOODS = {
    "tomato": ((206, 44, 36), (232, 92, 72), (250, 196, 120), 10, 9),
    "onion": ((198, 134, 70), (244, 236, 240), (200, 160, 200), 9, 9),
    "carrot": ((236, 124, 30), (250, 156, 62), (252, 190, 110), 15, 5),
    "potato": ((150, 108, 68), (246, 224, 150), (238, 212, 130), 12, 9),
    "mushroom": ((206, 186, 164), (246, 240, 230), (150, 116, 92), 10, 8),
    "pepper": ((46, 140, 52), (120, 196, 84), (240, 236, 190), 9, 11),
    "apple": ((216, 32, 70), (250, 244, 206), (120, 70, 40), 10, 10),
    "egg": ((246, 222, 196), (252, 250, 244), (250, 184, 30), 7, 9),
    "cheese": ((244, 178, 36), (252, 208, 72), (222, 150, 20), 13, 9),
    "bread": ((166, 100, 46), (246, 222, 176), (230, 200, 146), 16, 9),
    "dough": ((240, 226, 196), (246, 234, 208), (226, 206, 168), 11, 9),
    "milk": ((250, 250, 252), (250, 250, 252), (222, 230, 244), 9, 9),
    "chicken": ((242, 176, 150), (250, 206, 184), (236, 150, 126), 14, 9),
    "fish": ((120, 150, 176), (250, 150, 110), (236, 236, 240), 17, 7),
    "rice": ((252, 250, 240), (252, 250, 240), (226, 222, 206), 10, 8),
    "basil": ((40, 120, 40), (72, 164, 60), (110, 196, 90), 10, 7),
}


def whole(food, scale=1.0, colour=None):
    """Shape an ingredient as it comes from the shop, scaled in width (what is left of it) and coloured by its skin or `colour`."""
    skin, flesh, inner, a, b = FOODS[food]
    skin = colour or skin
    dark, a = mix(skin, (0, 0, 0), 0.22), max(2.0, a * scale)
    light = mix(skin, (255, 255, 255), 0.4)
    shine = ("ellipse", -a * 0.35, -b * 0.4, a * 0.3, b * 0.2, 0, light)
    if food == "carrot":
        return (
            ("capsule", -a, 0, a * 0.5, 0, b, skin),
            ("capsule", a * 0.2, 0, a, 0, b * 0.55, skin),
            ("capsule", -a, 0, -a - 5, -3, 1.5, (70, 150, 60)),
            ("capsule", -a, 0, -a - 5, 2, 1.5, (90, 170, 70)),
            ("capsule", -a * 0.4, -3, -a * 0.4, 1, 0.7, dark),
            shine,
        )
    if food == "mushroom":
        return (
            ("box", 0, b * 0.5, a * 0.35, b * 0.7, 2, 0, flesh),
            ("ellipse", 0, -b * 0.2, a, b * 0.75, 0, skin),
            shine,
        )
    if food == "cheese":
        return (
            ("box", 0, 0, a, b, 2, 0, skin),
            ("box", 0, -b * 0.6, a, b * 0.4, 2, 0, flesh),
            ("ellipse", -a * 0.4, b * 0.2, 2.5, 2, 0, inner),
            ("ellipse", a * 0.4, b * 0.4, 2, 1.6, 0, inner),
            ("ellipse", a * 0.1, -b * 0.2, 1.5, 1.2, 0, inner),
        )
    if food == "bread":
        return (
            ("box", 0, 0, a, b, 7, 0, skin),
            ("capsule", -a * 0.5, -4, -a * 0.3, 3, 1.2, flesh),
            ("capsule", 0, -4, a * 0.15, 3, 1.2, flesh),
            ("capsule", a * 0.45, -4, a * 0.6, 3, 1.2, flesh),
        )
    if food == "fish":
        return (
            ("ellipse", 0, 0, a * 0.8, b, 0, skin),
            ("box", a * 0.85, 0, 4, 4, 0.5, 0.78, skin),
            ("ellipse", -a * 0.1, b * 0.35, a * 0.5, b * 0.5, 0, inner),
            ("ellipse", -a * 0.55, -b * 0.2, 1.4, 1.4, 0, (30, 30, 40)),
        )
    if food == "chicken":
        return (
            ("ellipse", -a * 0.15, 0, a * 0.8, b, 0, skin),
            ("capsule", a * 0.5, 2, a, 5, 2.5, skin),
            ("ellipse", a * 1.05, 5.5, 2.2, 2.2, 0, (250, 244, 230)),
            ("ellipse", -a * 0.2, b * 0.45, a * 0.4, b * 0.25, 0, inner),
            shine,
        )
    if food == "basil":
        return tuple(
            ("ellipse", x, y, 6, 4, t, c)
            for x, y, t, c in (
                (-7, 2, 0.4, skin),
                (6, 3, -0.5, skin),
                (0, -4, 0.1, flesh),
                (-2, 4, 0.9, flesh),
                (3, -1, 1.2, inner),
            )
        )
    if food == "rice":
        return (
            ("box", 0, 2, a, b, 3, 0, (170, 130, 90)),
            ("ellipse", 0, -5, a * 0.9, 5, 0, skin),
            ("capsule", -3, -6, -2, -6, 0.8, inner),
            ("capsule", 3, -4, 4, -4, 0.8, inner),
        )
    if food == "milk":
        return (
            ("box", 0, 0, 6, 9, 2, 0, (120, 170, 220)),
            ("box", 0, -9, 3, 3, 1, 0, (90, 130, 190)),
            ("box", 0, 3, 6, 4, 1, 0, skin),
        )
    extra = {
        "tomato": (("ellipse", 0, -b * 0.85, 4, 1.6, 0, (60, 130, 50)),),
        "apple": (("capsule", 0, -b, 2, -b - 4, 1, HANDLE), ("ellipse", 5, -b - 2, 3.5, 1.8, -0.4, (80, 160, 60))),
        "pepper": (
            ("capsule", 0, -b, 1, -b - 4, 1.4, (30, 100, 30)),
            ("capsule", -3, -b * 0.5, -3, b * 0.5, 0.8, dark),
        ),
        "onion": (
            ("capsule", 0, -b, 0, -b - 3, 1.2, dark),
            ("capsule", -4, -4, -4, 4, 0.7, dark),
            ("capsule", 4, -4, 4, 4, 0.7, dark),
        ),
        "potato": (
            ("ellipse", 4, 2, 1.2, 0.9, 0, dark),
            ("ellipse", -3, 4, 1, 0.8, 0, dark),
            ("ellipse", 6, -3, 1, 0.8, 0, dark),
        ),
    }.get(food, ())
    return (("ellipse", 0, 0, a, b, 0, skin), shine) + extra


def piece(food, turn, cut, tint=None):
    """Shape one piece of an ingredient: cut "slice" or "cube"; tint (colour, share) mixes its colours (frying, boiling)."""
    skin, flesh, inner, a, b = FOODS[food]
    if tint:
        skin, flesh, inner = (mix(c, tint[0], tint[1]) for c in (skin, flesh, inner))
    if cut == "cube":
        if food in ("basil", "rice"):
            return (("ellipse", 0, 0, 2.6, 1.3, turn, flesh), ("ellipse", 0.5, 0, 1.2, 0.6, turn, inner))
        return (
            ("box", 0, 0, 2.9, 2.9, 0.8, turn, mix(skin, (0, 0, 0), 0.15)),
            ("box", -0.4, -0.4, 2.1, 2.1, 0.6, turn, flesh),
        )
    r = min(a, b) * 0.85
    x, y = turned(r * 0.35, 0, turn)
    if food in ("bread", "cheese"):
        return (
            ("box", 0, 0, r, r * 0.8, 2, turn, skin),
            ("box", 0, 0, r - 1.4, r * 0.8 - 1.4, 1.5, turn, flesh),
            ("ellipse", x, y, 1.4, 1.1, 0, inner),
        )
    if food == "mushroom":
        u, v = turned(0, r * 0.55, turn)
        return (
            ("box", u, v, r * 0.3, r * 0.6, 1, turn, flesh),
            ("ellipse", 0, 0, r, r * 0.65, turn, skin),
            ("ellipse", 0, 0.5, r * 0.7, r * 0.4, turn, inner),
        )
    if food in ("chicken", "fish"):
        return (
            ("box", 0, 0, r, r * 0.6, 2.4, turn, mix(skin, (0, 0, 0), 0.1)),
            ("box", 0, 0, r - 1.2, r * 0.6 - 1.2, 1.6, turn, flesh),
            ("capsule", -x, -y, x, y, 0.7, inner),
        )
    if food == "basil":
        return (("ellipse", 0, 0, 5, 3, turn, skin), ("ellipse", x * 0.4, y * 0.4, 3, 1.6, turn, flesh))
    if food == "egg":
        return (("ellipse", 0, 0, 6.5, 5.5, turn, flesh), ("ellipse", x * 0.3, y * 0.3, 2.8, 2.8, 0, inner))
    rings = {
        "onion": (("ellipse", 0, 0, r * 0.6, r * 0.6, 0, inner), ("ellipse", 0, 0, r * 0.42, r * 0.42, 0, flesh)),
        "tomato": tuple(("ellipse", *turned(r * 0.5, 0, turn + k * 2.09), 1.5, 1.1, 0, inner) for k in range(3)),
        "apple": (("ellipse", 0, 0, 1.2, 1.2, 0, inner),),
        "pepper": (("ellipse", 0, 0, r * 0.5, r * 0.5, 0, (60, 90, 50)),),
    }
    return (("ellipse", 0, 0, r, r, 0, skin), ("ellipse", 0, 0, r - 1.4, r - 1.4, 0, flesh)) + rings.get(
        food, (("ellipse", 0, 0, r * 0.35, r * 0.35, 0, inner),)
    )


def scatter(canvas, pieces, places, x, y, a, b, n):
    """Lay n pieces (shapes by turn) at places (u, v, turn) of the unit disc, over an ellipse; those further back first."""
    for u, v, turn in sorted(places[:n], key=lambda p: p[1]):
        paste(canvas, sprite(pieces(turn)), x + a * u, y + b * v)


def liquid(canvas, x, y, a, b, colour, light, places, streaks):
    """Fill an ellipse and lay streaks of a lighter colour in it."""
    paste(canvas, sprite((("ellipse", 0, 0, a, b, 0, colour),)), x, y)
    for u, v, turn in places[:streaks]:
        paste(canvas, sprite((("ellipse", 0, 0, 5, 2, turn, light),)), x + 0.7 * a * u, y + 0.7 * b * v)
