"""Which centroid is nearest, whatever the order of additions: float32 products, and float64 differences where those cannot tell.

A float32 matrix product differs in its last digits with the number of rows that are multiplied at a time. Where two centroids are nearly
as near, that would decide; so a clip's visual word could depend on the clips beside it, on the size of a chunk or on the number
of processes. Here it does not.

Axes: N points, F features, K centroids.
"""
import numpy as np

BLOCK = 2 ** 20         # numbers turned into float64 at a time: 8 MB
ROUNDING = 2e-6         # error of a float32 product of two vectors over the product of their lengths; seen at 1,024 features: 2e-7


def squares(x_NF):
    """Give |x|^2 (N,) float64, summed in the points' own precision."""
    return np.einsum("nf,nf->n", x_NF, x_NF).astype(np.float64)


def nearest(score_NK, x_NF, c_NKF, length_N, longest):
    """Give the nearest centroid (N,) of each point (N, F) float32.

    score (N, K) float32: <x, c> - |c|^2 / 2, minus infinity where c may not be chosen; the array is spent. c_NKF: a function from point
    numbers (n,) to their centroids (n or 1, K, F). length (N,): |x|; longest: that of the longest centroid.
    """
    best_N, first_N, second_N = best_two(score_NK)
    barred_NK = np.isneginf(score_NK)
    barred_NK[np.arange(len(best_N)), best_N] = False
    close = np.flatnonzero(~(first_N - second_N > 2 * ROUNDING * longest * (length_N + longest)))
    for at in blocks(close, score_NK.shape[1] * x_NF.shape[1]):
        apart_NK = ((x_NF[at, None].astype(np.float64) - c_NKF(at)) ** 2).sum(-1)
        best_N[at] = np.where(barred_NK[at], np.inf, apart_NK).argmin(1)
    return best_N


def best_two(score_NK):
    """Give the column (N,) of each row's largest score, that score and the next one (N,); the largest is overwritten by -infinity.

    >>> [x.tolist() for x in best_two(np.array([[1.0, 3.0, 2.0]]))]
    [[1], [3.0], [2.0]]
    """
    every = np.arange(len(score_NK))
    best_N = score_NK.argmax(1)
    first_N = score_NK[every, best_N]
    score_NK[every, best_N] = -np.inf
    return best_N, first_N, score_NK.max(1)


def blocks(row_N, numbers):
    """Cut row numbers (N,) into pieces of about BLOCK numbers, so many a row."""
    step = max(1, BLOCK // max(1, numbers))
    return (row_N[start:start + step] for start in range(0, len(row_N), step))
