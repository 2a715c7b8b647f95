"""The floor under a corpus whose story is known: the exact Bayes losses on the very inputs that a model is scored on.

A corpus from the kitchen carries emission.npz, the measured P(visual token | action, phase, style); with the kitchen's tables that is
all the oracle needs. Any other corpus has no floor, and says nothing of one.
"""
import numpy as np

from minivbert.kitchen.narrate import WORDS
from minivbert.kitchen.oracle import Oracle
from minivbert.kitchen.recipes import ACTIONS, World

SLOT_NAMES = {"V": "verb", "I": "ingredient", "R": "preposition", "P": "place", "T": "tool", "G": "look", "A": "manner"}


def oracle_of(corpus, inputs):
    """Build the oracle of a kitchen corpus for the way `inputs` (an `InputConfig`) are drawn; None for any other corpus."""
    path = corpus.folder / "emission.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        emission = file["emission"].astype(np.float64)
    world = World(lags=tuple(corpus.meta["lags"]))
    return Oracle(world, corpus.vocab.vocab, emission, concat=inputs.concat, rates=(1 / inputs.subsample,) * inputs.subsample,
                  window=inputs.window)


def floor_figures(oracle, batches):
    """Score the oracle on batches: {"text_floor_nats", "video_floor_nats", "text_ceiling", "alignment_ceiling", ...}.

    A floor is a mean -log p of the truth in nats, a ceiling the accuracy of the oracle's best guess.
    """
    sums = {}
    for batch in batches:
        for part, row in oracle.floor(batch).items():
            sums[part] = sums.get(part, 0.0) + np.asarray(row, float)
    out = {}
    for part, (nats, count, correct) in sums.items():
        out |= {f"{part}_floor_nats": float(nats / max(count, 1)), f"{part}_ceiling": float(correct / max(count, 1))}
    return out


def token_kinds(corpus, emission):
    """Name the kind of every token: {"text": (Vt,) slot of the sentence, "video": (Vv,) the verb it most likely shows}."""
    slots = {}
    for slot, table in WORDS.items():
        for words in table.values():
            for word in words:
                slots[word] = SLOT_NAMES[slot] if slots.get(word, SLOT_NAMES[slot]) == SLOT_NAMES[slot] else "several kinds"
    verbs = np.array([verb for verb, _ in ACTIONS])
    return {"text": np.array([slots.get(word, "fixed words") for word in corpus.vocab.vocab]),
            "video": verbs[emission.sum((1, 2)).argmax(0)]}
