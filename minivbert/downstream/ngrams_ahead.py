"""What can be foretold without a transformer: n-gram models of visual tokens, h clips ahead.

    unigram    p(v at t + h)                          how common is it?
    bigram     p(v at t + h | v at t)                 counted directly at distance h: no chain of one-step guesses
    trigram    p(v at t + h | v at t - 1, v at t)

Each backs off on the one before with a Dirichlet prior, a times the lower order's probabilities added to the counts,

    p(y | x) = (count(x, y) + a p_lower(y)) / (count(x) + a)

with a chosen to make the training tokens likeliest, each with itself left out. So the baselines of claim C7 are as strong as counting can
make them: they know the distance h and that tokens are consecutive clips, and they are trained on every training video.

Axes: B rows asked about, N counted positions, V visual words.

    >>> model = NGramsAhead([np.array([0, 1, 0, 1, 0, 1, 0, 1])], V=2, ahead=1)
    >>> model.predict(np.array([[1, 0]]))["bigram"].argmax(1).tolist()
    [1]
"""
from itertools import pairwise

import numpy as np

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
ORDERS = ("unigram", "bigram", "trigram")


class Counts:
    """How often a token follows a context, kept sparse: most of the V contexts x V tokens are never seen."""

    def __init__(self, context_N, next_N, V):
        """context (N,) int, next (N,) int in 0 .. V - 1."""
        self.V = V
        self.key, self.inverse, self.count = np.unique(context_N * V + next_N, return_inverse=True, return_counts=True)
        self.context, start = np.unique(self.key // V, return_index=True)
        self.total = np.add.reduceat(self.count, start) if len(start) else np.zeros(0, int)

    def rows(self, context_B):
        """Give counts (B, V) after each context."""
        low, high = np.searchsorted(self.key, context_B * self.V), np.searchsorted(self.key, (context_B + 1) * self.V)
        length, out = high - low, np.zeros((len(context_B), self.V))
        row = np.repeat(np.arange(len(context_B)), length)
        at = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + np.repeat(low, length)
        out[row, self.key[at] % self.V] = self.count[at]
        return out

    def smooth(self, context_B, lower_BV, strength):
        """Give p(next | context) (B, V) backed off on lower (B, V)."""
        count_BV = self.rows(context_B)
        return (count_BV + strength * lower_BV) / (count_BV.sum(1, keepdims=True) + strength)

    def left_out(self, lower_N, strength):
        """Give p(next | context) (N,) of every counted position as if it had not been counted; lower (N,): the same of the lower order."""
        total = self.total[np.searchsorted(self.context, self.key // self.V)]
        return (self.count[self.inverse] - 1 + strength * lower_N) / (total[self.inverse] - 1 + strength)


class NGramsAhead:
    """Unigram, bigram and trigram, all for one distance."""

    def __init__(self, videos, V, ahead):
        """videos: list of token arrays; ahead: the distance h in clips. Raises ValueError if no video is longer than that and a clip."""
        items = [np.stack([v[:-ahead - 1], v[1:-ahead], v[1 + ahead:]], 1) for v in videos if len(v) > ahead + 1]
        if not items:
            raise ValueError(f"no training video is longer than {ahead + 1} clips, so there is nothing to count; give more videos")
        before_N, here_N, next_N = np.concatenate(items).astype(np.int64).T
        count_V, self.V = np.bincount(next_N, minlength=V), V
        self.unigram = (count_V + 0.5) / (count_V.sum() + 0.5 * V)
        self.tables, self.strengths = (Counts(here_N, next_N, V), Counts(before_N * V + here_N, next_N, V)), []
        lower_N = (count_V[next_N] - 0.5) / (count_V.sum() - 1 + 0.5 * V)
        for table in self.tables:
            tried = [table.left_out(lower_N, a) for a in STRENGTHS]
            best = int(np.argmax([np.log(p_N).sum() for p_N in tried]))
            lower_N = tried[best]
            self.strengths.append(STRENGTHS[best])

    def predict(self, last_B2):
        """Give {"unigram", "bigram", "trigram"}: (B, V) probabilities of the token `ahead` clips after the last two tokens (B, 2)."""
        last_B2 = np.asarray(last_B2, np.int64)
        out = {"unigram": np.broadcast_to(self.unigram, (len(last_B2), self.V))}
        contexts = last_B2[:, 1], last_B2[:, 0] * self.V + last_B2[:, 1]
        for (lower, name), table, context_B, strength in zip(pairwise(ORDERS), self.tables, contexts, self.strengths):
            out[name] = table.smooth(context_B, out[lower], strength)
        return out
