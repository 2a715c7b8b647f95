"""Flat k-means: k-means++ seeds, Lloyd's algorithm; what a node of the tree (`hkmeans.py`) is split by.

    assign    each point to its nearest centroid
    update    each centroid to the mean of its points                                              (Lloyd 1957)
    seed      next centroid = a point drawn with probability ~ its squared distance to those chosen  (k-means++)

Axes: N points, F features, K centroids.

Not stated in the paper (VideoBERT), our choice: seeding, number of iterations, an emptied cluster moves to the point farthest from its
centroid.

    >>> sorted(kmeans(np.array([[0.0], [2.0], [10.0], [12.0]]), 2, np.random.default_rng(0)).ravel().tolist())
    [1.0, 11.0]
"""
import numpy as np

HUGE = 1e15             # squares of larger numbers, added up, leave float32


def squared_distances(x_NF, c_KF, square_N=None):
    """Give |x - c|^2 (N, K), never below 0; square_N: |x|^2, where it is known already.

    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    square_N = (x_NF ** 2).sum(1) if square_N is None else square_N
    return np.maximum(square_N[:, None] - x_NF @ (2 * c_KF.T) + (c_KF ** 2).sum(1), 0)


def seed_centroids(x_NF, k, rng):
    """Choose up to k distinct points by k-means++; fewer where the points have fewer distinct values."""
    chosen, square_N = [int(rng.integers(len(x_NF)))], (x_NF ** 2).sum(1)
    nearest_N = np.full(len(x_NF), np.inf)
    while True:
        one_F = x_NF[chosen[-1]]
        apart_N = squared_distances(x_NF, one_F[None], square_N)[:, 0].astype(np.float64)
        close = np.flatnonzero(apart_N <= 1e-4 * square_N)          # rounding must not make a point differ from itself
        apart_N[close] = ((x_NF[close] - one_F) ** 2).sum(1)
        nearest_N = np.minimum(nearest_N, apart_N)
        if len(chosen) == k or not nearest_N.any():
            return x_NF[chosen].copy()
        below_N = nearest_N.cumsum()
        chosen.append(int(below_N.searchsorted(rng.random() * below_N[-1], side="right")))


def assign_clusters(x_NF, c_KF, square_N=None):
    """Find the centroid nearest to each point: label (N,) int and the squared distance to it (N,) float.

    x (N, F), c (K, F) float; of centroids equally near, the first. square_N: |x|^2, where it is known already.

    >>> assign_clusters(np.array([[0.0], [4.0]]), np.array([[9.0], [1.0]]))
    (array([1, 1]), array([1., 9.]))
    """
    distance_NK = squared_distances(x_NF, c_KF, square_N)
    label_N = distance_NK.argmin(1)
    return label_N, distance_NK[np.arange(len(x_NF)), label_N]


def kmeans_step(x_NF, c_KF, label_N, nearest_N):
    """Move every centroid to the mean of its points; return the labels that it went by (N,) int and centroids (K, F).

    x (N, F), c (K, F) float; label (N,) int, nearest (N,) float: from `assign_clusters`; none of the four is changed. A centroid without
    points takes, before the means, the point that lies farthest from its centroid, the next one without points the next farthest; one
    that has lost its points to these stays where it is.
    """
    label_N, nearest_N = label_N.copy(), nearest_N.copy()
    for empty in np.flatnonzero(np.bincount(label_N, minlength=len(c_KF)) == 0):
        far = int(nearest_N.argmax())
        label_N[far], nearest_N[far] = empty, 0
    count_K = np.bincount(label_N, minlength=len(c_KF)).astype(x_NF.dtype)
    member_KN = (label_N == np.arange(len(c_KF))[:, None]).astype(x_NF.dtype)
    return label_N, np.where(count_K[:, None] > 0, member_KN @ x_NF / np.maximum(count_K, 1)[:, None], c_KF)


def kmeans(x_NF, k, rng, iterations=25):
    """Cluster points (N, F) into at most k clusters; return centroids (K, F), K <= k, in the points' precision.

    Lloyd's algorithm from k-means++ seeds; stops early when no point moves. Points that are not float32 are taken as float64: twice
    the time, and ties are decided as the definition has it. Raises ValueError for no points, NaN or k < 1.
    """
    x_NF = x_NF if x_NF.dtype == np.float32 else x_NF.astype(np.float64)
    if k < 1 or len(x_NF) == 0 or not within(x_NF):
        raise ValueError(f"{len(x_NF)} points, k = {k}: need at least 1 point, k of 1, and numbers that are neither NaN nor huge")
    c_KF, before, square_N = seed_centroids(x_NF, k, rng), None, (x_NF ** 2).sum(1)
    for _ in range(iterations):
        label_N, nearest_N = assign_clusters(x_NF, c_KF, square_N)
        if before is not None and (label_N == before).all():
            break
        before, c_KF = kmeans_step(x_NF, c_KF, label_N, nearest_N)
    return c_KF


def within(x_NF):
    """Tell whether all numbers are usable: not NaN, not infinite, not huge.

    >>> within(np.array([[1.0, -2.0]])), within(np.array([[np.nan]])), within(np.array([[0.0, -1e16]]))
    (True, False, False)
    """
    return bool(-HUGE < x_NF.min(initial=0) and x_NF.max(initial=0) < HUGE)       # NaN fails every comparison
