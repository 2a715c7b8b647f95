"""Dishes, steps and phases: the story of a cooking show, as plain tables whose probabilities are known.

A show is a hidden Markov chain with one state a clip of 1.5 s:

    dish ~ DISHES,  style ~ uniform(6)                       once a show
    slot by slot down the dish: one option ~ its table        (or the slot is skipped)
    three phases an option: begun, half way, done             each lasts a geometric number of clips
    visual token ~ P(v | verb, ingredient, phase, style)      independently, clip by clip

What the camera sees depends on the state and the style alone, so the exact answer to "which token is hidden here?"
is a forward-backward pass (`oracle.py`). `film.py` draws the states, `narrate.py` talks about them.

Axes: D dishes, S states of a dish (the last one is END, "the show is over"), A actions (verb, ingredient), P = 3 phases.

Not stated in the paper, our choice: everything here; the paper's world is YouTube.

    >>> world = World()
    >>> show = world.sample(np.random.default_rng(0))
    >>> len(show.action) == len(show.phase) > 0
    True
"""
from dataclasses import dataclass, field

import numpy as np

PHASES = 3
STYLES = 6
CLIP_SECONDS = 1.5

# verb: probability that a phase goes on for another clip (mean clips a phase = 1 / (1 - stay))
VERBS = {
    "peel": 0.50, "slice": 0.50, "chop": 0.55, "grate": 0.50, "fry": 0.55, "boil": 0.60,
    "whisk": 0.45, "mash": 0.50, "pour": 0.35, "roll": 0.50, "bake": 0.60, "sprinkle": 0.35,
}
INGREDIENTS = ("tomato", "onion", "carrot", "potato", "mushroom", "pepper", "apple", "egg",
               "cheese", "bread", "dough", "milk", "chicken", "fish", "rice", "basil")

# dish: slots in order; a slot is a table of steps, and what is missing to 1 is the chance to skip the slot
DISHES = {
    "tomato soup": ({"chop onion": 0.8, "slice onion": 0.2}, {"chop tomato": 0.7, "slice tomato": 0.3}, {"fry onion": 0.7},
                    {"boil potato": 0.3, "boil milk": 0.3}, {"mash tomato": 1.0}, {"sprinkle basil": 0.7, "sprinkle cheese": 0.3}),
    "vegetable soup": ({"peel carrot": 0.6, "peel potato": 0.4}, {"chop carrot": 0.7, "chop onion": 0.3}, {"chop pepper": 0.5},
                       {"boil potato": 0.6, "boil carrot": 0.4}, {"sprinkle basil": 1.0}),
    "pizza": ({"roll dough": 1.0}, {"pour tomato": 0.8}, {"grate cheese": 0.6, "slice cheese": 0.4},
              {"slice mushroom": 0.5, "slice pepper": 0.3}, {"bake dough": 1.0}, {"sprinkle basil": 0.6}),
    "cheese pizza": ({"roll dough": 1.0}, {"slice tomato": 0.7}, {"sprinkle cheese": 1.0}, {"bake dough": 1.0}),
    "omelette": ({"whisk egg": 1.0}, {"chop basil": 0.4, "chop pepper": 0.3}, {"pour egg": 0.8}, {"fry egg": 1.0},
                 {"sprinkle cheese": 0.7}),
    "pancakes": ({"pour milk": 1.0}, {"whisk milk": 0.5, "whisk egg": 0.5}, {"fry dough": 1.0}, {"slice apple": 0.6}),
    "french toast": ({"slice bread": 1.0}, {"pour milk": 0.6}, {"whisk egg": 1.0}, {"fry bread": 1.0}, {"slice apple": 0.4}),
    "mashed potatoes": ({"peel potato": 1.0}, {"slice potato": 0.5}, {"boil potato": 1.0}, {"pour milk": 0.8}, {"mash potato": 1.0}),
    "shepherd's pie": ({"chop onion": 0.6, "chop carrot": 0.4}, {"fry onion": 0.7}, {"boil potato": 1.0}, {"mash potato": 1.0},
                       {"sprinkle cheese": 0.6}, {"bake potato": 1.0}),
    "chips": ({"peel potato": 0.8}, {"slice potato": 1.0}, {"fry potato": 0.7, "bake potato": 0.3}, {"sprinkle basil": 0.3},
              {"fry fish": 1.0}),
    "fish dinner": ({"slice fish": 0.7}, {"boil rice": 0.7, "boil potato": 0.3}, {"fry fish": 0.5, "bake fish": 0.5},
                    {"sprinkle basil": 1.0}),
    "roast chicken": ({"peel potato": 0.5, "peel onion": 0.5}, {"chop carrot": 0.5}, {"sprinkle basil": 0.7},
                      {"bake chicken": 1.0}, {"slice chicken": 0.8, "bake potato": 0.2}),
    "chicken soup": ({"peel carrot": 0.7}, {"slice carrot": 0.5, "chop onion": 0.5}, {"slice chicken": 0.6},
                     {"boil chicken": 1.0}, {"boil rice": 0.5}, {"sprinkle basil": 1.0}),
    "fried rice": ({"boil rice": 1.0}, {"chop pepper": 0.5, "chop mushroom": 0.5}, {"whisk egg": 0.6}, {"fry rice": 1.0},
                   {"fry egg": 0.5, "fry chicken": 0.5}),
    "risotto": ({"chop onion": 0.6, "chop mushroom": 0.4}, {"fry mushroom": 0.6, "fry onion": 0.4}, {"boil rice": 1.0},
                {"grate cheese": 0.8}, {"sprinkle cheese": 1.0}),
    "apple pie": ({"peel apple": 0.8}, {"slice apple": 0.6, "chop apple": 0.4}, {"roll dough": 1.0}, {"bake apple": 1.0}),
    "apple sauce": ({"peel apple": 1.0}, {"chop apple": 1.0}, {"boil milk": 0.3}, {"mash apple": 1.0}, {"pour milk": 0.5},
                    {"bake bread": 1.0}),
    "bread": ({"pour milk": 0.7}, {"roll dough": 1.0}, {"bake bread": 1.0}, {"slice bread": 1.0}),
    "sandwich": ({"slice bread": 1.0}, {"boil egg": 0.5, "fry egg": 0.3}, {"slice tomato": 0.8}, {"slice cheese": 1.0},
                 {"fry bread": 0.4}),
    "salad": ({"slice tomato": 0.6, "slice pepper": 0.4}, {"slice onion": 0.5, "slice mushroom": 0.3}, {"grate carrot": 0.7},
              {"boil egg": 0.5}, {"fry chicken": 0.5, "fry fish": 0.2}, {"sprinkle cheese": 0.6, "sprinkle basil": 0.4}),
    "carrot mash": ({"peel carrot": 1.0}, {"slice carrot": 0.6, "grate carrot": 0.4}, {"boil carrot": 1.0}, {"mash carrot": 1.0},
                    {"sprinkle basil": 0.5, "sprinkle cheese": 0.5}),
    "potato cakes": ({"peel potato": 0.7}, {"grate potato": 1.0}, {"whisk egg": 0.7}, {"roll dough": 0.4}, {"fry potato": 1.0}),
    "bruschetta": ({"slice bread": 1.0}, {"fry bread": 0.5, "bake bread": 0.5}, {"chop tomato": 1.0}, {"chop basil": 0.8},
                   {"fry tomato": 0.3}, {"sprinkle basil": 1.0}),
    "stuffed peppers": ({"slice pepper": 1.0}, {"boil rice": 0.8}, {"chop mushroom": 0.6}, {"fry chicken": 0.6, "fry pepper": 0.4},
                        {"grate cheese": 0.6}, {"sprinkle cheese": 1.0}),
}
ACTIONS = tuple(sorted({tuple(step.split()) for slots in DISHES.values() for slot in slots for step in slot}))


@dataclass(frozen=True)
class Show:
    """One cooking show before it is filmed.

    action (L,) int: index into `ACTIONS` a clip; phase (L,) int: 0, 1, 2 a clip; dish, style: int;
    lag: clips by which the cook speaks ahead of the hands (-1: nobody speaks); sentences: see `narrate.py`.
    """
    dish: int
    style: int
    action: np.ndarray
    phase: np.ndarray
    lag: int = -1
    sentences: tuple = ()

    def steps(self):
        """List the steps as (first clip, number of clips, action)."""
        starts = [t for t in range(len(self.action))
                  if t == 0 or self.action[t] != self.action[t - 1] or self.phase[t] < self.phase[t - 1]]
        return [(a, b - a, int(self.action[a])) for a, b in zip(starts, starts[1:] + [len(self.action)])]


@dataclass(frozen=True)
class World:
    """The tables of a kitchen, compiled to one Markov chain a dish.

    dishes: names out of `DISHES` (a kitchen of two dishes is small enough to check by brute force).
    lags: P(lag) for lag = 0, 1, 2, ... clips: how far the cook speaks ahead of the hands, drawn once a show.
    speech: share of shows with speech (the paper: ASR and English for 120K of 312K). chatter: share of sentences about nothing.

    start (D, S), transition (D, S, S) float64; state_action, state_phase (D, S) int, -1 at END and padding.
    """
    dishes: tuple = tuple(DISHES)
    lags: tuple = (0.35, 0.30, 0.20, 0.15)
    speech: float = 0.38
    chatter: float = 0.15
    start: np.ndarray = field(init=False, repr=False, compare=False)
    transition: np.ndarray = field(init=False, repr=False, compare=False)
    state_action: np.ndarray = field(init=False, repr=False, compare=False)
    state_phase: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        chains = [compile_dish(DISHES[name]) for name in self.dishes]
        most = max(len(start) for start, *_ in chains)
        D = len(chains)
        start_DS, transition_DSS = np.zeros((D, most)), np.zeros((D, most, most))
        action_DS, phase_DS = np.full((D, most), -1), np.full((D, most), -1)
        for d, (start, transition, action, phase) in enumerate(chains):
            n = len(start) - 1                       # END moves to the last place, shared by all dishes
            at = np.r_[np.arange(n), most - 1]
            start_DS[d, at], action_DS[d, at], phase_DS[d, at] = start, action, phase
            transition_DSS[d][np.ix_(at, at)] = transition
        for name, table in (("start", start_DS), ("transition", transition_DSS),
                            ("state_action", action_DS), ("state_phase", phase_DS)):
            object.__setattr__(self, name, table)

    def sample(self, rng):
        """Draw dish, style and the state of every clip; the cook does not speak yet (`narrate.narrate`)."""
        d, style = int(rng.integers(len(self.dishes))), int(rng.integers(STYLES))
        end = self.start.shape[1] - 1
        states = [rng.choice(end + 1, p=self.start[d])]
        while states[-1] != end:
            states.append(rng.choice(end + 1, p=self.transition[d, states[-1]]))
        return Show(d, style, self.state_action[d, states[:-1]], self.state_phase[d, states[:-1]])


def compile_dish(slots):
    """Turn the slots of a dish into a Markov chain over (slot, option, phase) and END.

    Returns start (S,), transition (S, S), action (S,), phase (S,); END is last, absorbing, with action and phase -1.
    The last slot must not be skippable, so that no show is empty before its first clip.
    """
    options = [(i, step, p) for i, slot in enumerate(slots) for step, p in slot.items()]
    size = PHASES * len(options) + 1
    enter = np.zeros((len(slots) + 1, size))        # enter[i]: where the show goes when slots 0 .. i-1 are over
    enter[-1, -1] = 1.0
    for i in reversed(range(len(slots))):
        for j, (slot, _, p) in enumerate(options):
            if slot == i:
                enter[i, PHASES * j] = p
        enter[i] += (1.0 - sum(slots[i].values())) * enter[i + 1]
    transition = np.zeros((size, size))
    action, phase = np.full(size, -1), np.full(size, -1)
    for j, (slot, step, _) in enumerate(options):
        verb, ingredient = step.split()
        for p in range(PHASES):
            s = PHASES * j + p
            action[s], phase[s] = ACTIONS.index((verb, ingredient)), p
            transition[s] += (1.0 - VERBS[verb]) * (enter[slot + 1] if p == PHASES - 1 else np.eye(size)[s + 1])
            transition[s, s] += VERBS[verb]
    transition[-1, -1] = 1.0
    return enter[0], transition, action, phase
