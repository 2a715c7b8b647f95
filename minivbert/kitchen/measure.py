"""Measure P(visual token | action, phase, style) by counting, say how far off the table is, draw tokens from it.

Counts n of N clips a cell (a, p, y) are smoothed by (a, p) in all styles, those by all clips, those by 1 a word:

    P(v | a, p, y) = (n_apy(v) + m Q(v | a, p)) / (N + m)       m of `STRENGTHS`: the best leave-one-out likelihood
    Q(v | a, p)    = (n_ap(v) + Q(v)) / (Y N + 1)
    Q(v)           = (n(v) + 1) / (A P Y N + V)                 so no word has probability 0

How far off? C(n), the nats that a table made of n clips a cell pays for other clips, falls towards the entropy. If what
is above the entropy falls as any power of n, three points give how much is left (Aitken's extrapolation):

    mean KL(true || P) = d q / (1 - q)        d = C(N/2) - C(N),  q = d / (C(N/4) - C(N/2))

C(N) is scored by leaving one clip out, C(N/2) and C(N/4) on the clips that random parts leave over. Simulations with
known tables agree within 40 % (`tests/test_measure.py`).

Axes: A actions, P phases, Y styles, N clips a cell, V visual words, L clips of a show.

Not stated in the paper, our choice: everything here; the paper's world has no table.

    >>> tokens = np.random.default_rng(0).integers(2, size=(1, 3, 6, 100))
    >>> emission, error = measure(tokens, 2)
    >>> emission.shape, bool(abs(emission - 0.5).max() < 0.2), error < 0.02
    ((1, 3, 6, 2), True, True)
"""
import numpy as np

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)    # what all styles' clips are worth, in clips
SPLITS = 64                                           # random parts that C(N/2) and C(N/4) are averaged over


def measure(token_APYN, words):
    """Estimate the table from N clips of each (action, phase, style).

    token (A, P, Y, N) int in 0 .. words - 1. Returns emission (A, P, Y, words) float64, rows sum to 1, nothing is 0;
    error [nats]: the estimated mean over cells of KL(true || emission).
    Raises ValueError on fewer than 8 clips a cell or a token out of range.
    """
    N = token_APYN.shape[-1]
    if N < 8:
        raise ValueError(f"{N} clips of each (action, phase, style), expected at least 8: draw more clips")
    if token_APYN.min() < 0 or token_APYN.max() >= words:
        raise ValueError(f"tokens from {token_APYN.min()} to {token_APYN.max()}, expected 0 to {words - 1}: "
                         "give the tree's number of leaves as `words`")
    n_APYV = count(token_APYN, words)
    strength = max(STRENGTHS, key=lambda m: -left_out(n_APYV, m))
    rng, cost = np.random.default_rng(0), []
    for part in (N // 4, N // 2):
        nats = []
        for _ in range(SPLITS):
            mixed_APYN = rng.permuted(token_APYN, axis=-1)
            some_APYV = count(mixed_APYN[..., :part], words)
            other_APYV = n_APYV - some_APYV
            nats.append(-(np.log(smooth(some_APYV, strength)) * other_APYV).sum() / other_APYV.sum())
        cost.append(np.mean(nats))
    before, last = cost[0] - cost[1], cost[1] - left_out(n_APYV, strength)
    # where chance leaves no falling curve to follow, q is taken for 1/2, that of 1 / n
    error = last * last / (before - last) if 0 < last < before else max(last, 0.0)
    return smooth(n_APYV, strength), float(error)


def count(token_APYN, words):
    """Count the words of each cell: (A, P, Y, words) float64.

    >>> count(np.array([[[[0, 2, 2]]]]), 3).tolist()
    [[[[1.0, 0.0, 2.0]]]]
    """
    *cells, N = token_APYN.shape
    index = np.arange(np.prod(cells)).repeat(N) * words + token_APYN.ravel()
    return np.bincount(index, minlength=int(np.prod(cells)) * words).reshape(*cells, words).astype(np.float64)


def smooth(n_APYV, strength, less=0):
    """Turn counts into a table (A, P, Y, V); less=1: each entry as if one such clip were not there."""
    n_AP1V, n_V = n_APYV.sum(2, keepdims=True), n_APYV.sum((0, 1, 2))
    anything_V = (n_V - less + 1) / (n_V.sum() - less + len(n_V))
    pooled_AP1V = (n_AP1V - less + anything_V) / (n_AP1V.sum(-1, keepdims=True) - less + 1)
    return (n_APYV - less + strength * pooled_AP1V) / (n_APYV.sum(-1, keepdims=True) - less + strength)


def left_out(n_APYV, strength):
    """Give the mean -log p [nats] of each clip under the table of all other clips."""
    seen = n_APYV > 0
    return float(-(np.log(smooth(n_APYV, strength, less=1)[seen]) * n_APYV[seen]).sum() / n_APYV.sum())


def sample_tokens(show, emission_APYV, rng):
    """Draw the visual token of every clip of a show, each from its own row of the table: (L,) int."""
    below_LV = emission_APYV[show.action, show.phase, show.style].astype(np.float64).cumsum(1)
    return (below_LV[:, :-1] <= rng.random((len(below_LV), 1)) * below_LV[:, -1:]).sum(1)
