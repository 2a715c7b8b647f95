"""Draw one clip of a show: the surface, the ingredient as it changes, a hand with its tool in its own motion.

    picture = background(style) + scene(verb, ingredient, phase, progress) + hand(verb, time)

What is drawn depends on (verb, ingredient, phase, style) and on a few draws made anew for every clip and up
front: where things lie, how far the phase has come, when the motion starts, the light. So clips of a show
are independent given those four, and frame k looks the same whether all frames are drawn or some.

Not stated in the paper, our choice: everything here; the paper's world is YouTube.

    >>> clip = draw_clip("slice", "tomato", 1, 0, np.random.default_rng(0), at=[0, 15])
    >>> clip.shape, clip.dtype
    ((2, 96, 96, 3), dtype('uint8'))
"""
import difflib

import numpy as np

from minivbert.kitchen.cooking import bake_scene, boil_scene, fry_scene
from minivbert.kitchen.cutting import cut_scene, grate_scene, peel_scene, roll_scene
from minivbert.kitchen.mixing import mash_scene, pour_scene, sprinkle_scene, whisk_scene
from minivbert.kitchen.recipes import INGREDIENTS, PHASES, STYLES, VERBS
from minivbert.kitchen.scenery import LOOKS, SIDE, background

FRAMES = 30
TURNS = 8  # turns of pieces are multiples of pi / 8, so that sprites can be cached
SCENES = {
    "slice": cut_scene("knife", "slice", 2, 0),
    "chop": cut_scene("knife", "cube", 6, 5),
    "peel": peel_scene,
    "grate": grate_scene,
    "fry": fry_scene,
    "boil": boil_scene,
    "whisk": whisk_scene,
    "mash": mash_scene,
    "pour": pour_scene,
    "roll": roll_scene,
    "bake": bake_scene,
    "sprinkle": sprinkle_scene,
}


def draw_clip(verb, ingredient, phase, style, rng, at=range(FRAMES)):
    """Draw the frames `at` (0 to 29) of one clip of 1.5 s.

    verb, ingredient: names out of `VERBS` and `INGREDIENTS`; phase 0 to 2; style 0 to 5.
    rng: np.random.Generator, of which every clip draws the same number of times.
    Returns (len(at), 96, 96, 3) uint8. Raises ValueError for a name or number that there is not.
    """
    for name, known in ((verb, tuple(VERBS)), (ingredient, INGREDIENTS)):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            choices = ", ".join(known)
            raise ValueError(f"nothing is called {name!r} here; did you mean {near[0]!r}? Known: {choices}")
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
    light = np.tile(np.array(look["light"], np.float32) * np.float32(flicker), (SIDE, SIDE, 1))
    out, canvas = np.empty((len(at), SIDE, SIDE, 3), np.uint8), np.empty_like(still)
    for i, k in enumerate(at):
        canvas[:] = still
        move(canvas, 2 * np.pi * k / FRAMES, start, jitter[k])
        canvas *= light
        out[i] = np.minimum(canvas, 255, out=canvas)
    return out.take(range(SIDE)[::-1], 2) if look["mirror"] else out
