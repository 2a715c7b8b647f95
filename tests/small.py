"""A small corpus for tests: kitchen shows whose visual tokens come from a made-up table, written in a second."""
import numpy as np

from minivbert.kitchen.narrate import all_words, narrate
from minivbert.kitchen.recipes import ACTIONS, World
from minivbert.tokens.corpus import Corpus, write_corpus
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

VISUAL_WORDS = 64


def small_corpus(folder, shows=60, speech=0.5, seed=0):
    """Write and open a corpus of so many shows, a tenth of them held out."""
    world, rng = World(speech=speech), np.random.default_rng(seed)
    token = rng.integers(VISUAL_WORDS, size=(len(ACTIONS), 3))
    vocab = WordPiece([*SPECIALS, *all_words()])
    told = [narrate(world.sample(rng), world, rng) for _ in range(shows)]
    videos = [np.where(rng.random(len(s.action)) < 0.1, rng.integers(VISUAL_WORDS), token[s.action, s.phase]) for s in told]
    sentences = [[(vocab.encode(x.text), *x.span) for x in show.sentences] for show in told]
    write_corpus(folder, videos, sentences, vocab, VISUAL_WORDS, held_out=range(0, shows, 10))
    return Corpus.open(folder)
