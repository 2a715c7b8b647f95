"""How likely a sentence is, given what it is about; words may be hidden.

    P(words | topic, W) = mean over templates of length W of  product over positions of P(word | slot, topic)

A hidden word contributes 1. Topics are the A actions and, last, chatter.

Axes: N sentences of one length W, J templates of that length, A + 1 topics, Q slots (7 slots and every literal word),
Vt words.
"""
import numpy as np

from minivbert.kitchen.narrate import LENGTHS, all_words, slot_words, templates_of
from minivbert.kitchen.recipes import ACTIONS

HIDDEN = -1


class Language:
    """The templates and their words over a vocabulary."""

    def __init__(self, vocab):
        """vocab: list of token strings; raises ValueError if a word of the kitchen is not one token of it."""
        ids = {word: i for i, word in enumerate(vocab)}
        missing = [word for word in all_words() if word not in ids]
        if missing:
            raise ValueError(f"the vocabulary has no token {missing[0]!r} ({len(missing)} of the kitchen's words are missing); "
                             "the oracle needs each as one token: use the corpus' own vocab.txt")
        self.words, self.stop = len(vocab), ids["."]
        topics, names = len(ACTIONS) + 1, []
        self.templates = {W: ([t for t in templates_of(W, False)], [t for t in templates_of(W, True)]) for W in LENGTHS}
        for talk, chatter in self.templates.values():
            names += [word for template in talk + chatter for word in template]
        self.slot_of = {name: q for q, name in enumerate(dict.fromkeys(names))}
        # table (Q, Vt + 1, A + 1): the last word is the hidden one
        self.table = np.zeros((len(self.slot_of), self.words + 1, topics))
        self.table[:, HIDDEN] = 1.0
        for name, q in self.slot_of.items():
            if not name.startswith("{"):
                self.table[q, ids[name]] = 1.0
                continue
            for topic in range(topics - 1):
                for word, p in slot_words(name[1], topic).items():
                    self.table[q, ids[word], topic] = p
        self.fillers = [np.flatnonzero(table[:-1].any(1)) for table in self.table]      # the words that fill a slot

    def slots(self, W):
        """List the templates of length W: [(slots (W,), prior over topics (A + 1,))], a template's share given the topic."""
        talk, chatter = self.templates[W]
        about = np.arange(len(ACTIONS) + 1) < len(ACTIONS)
        return [(np.array([self.slot_of[word] for word in template]), np.where(about == is_talk, 1.0 / len(group), 0.0))
                for group, is_talk in ((talk, True), (chatter, False)) for template in group]

    def likelihood(self, words_NW):
        """Give P(words, template | topic) (J, N, A + 1) of sentences of one length; hidden words are -1."""
        out = []
        for slots_W, prior in self.slots(words_NW.shape[1]):
            p_NA = np.broadcast_to(prior, (len(words_NW), len(prior))).copy()
            for w, q in enumerate(slots_W):
                p_NA *= self.table[q, words_NW[:, w]]
            out.append(p_NA)
        return np.stack(out)

    def hidden_words(self, words_NW, weight_NA, position_N):
        """Give the joint probability (N, Vt) of the sentence and the word at one hidden position of each.

        weight (N, A + 1): probability of each topic and of all other evidence.
        """
        out = np.zeros((len(words_NW), self.words))
        for (slots_W, _), p_NA in zip(self.slots(words_NW.shape[1]), self.likelihood(words_NW)):
            for w in np.unique(position_N):
                here = np.flatnonzero(position_N == w)
                can = self.fillers[slots_W[w]]
                out[here[:, None], can] += (p_NA[here] * weight_NA[here]) @ self.table[slots_W[w], can].T
        return out
