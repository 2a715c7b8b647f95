"""Hierarchical k-means: features -> visual tokens, by descending a tree of centroids.

VideoBERT, section 4.1: d = 4 levels of k = 12 clusters, 12^4 = 20,736 visual words. k-means splits all points into k clusters,
then each cluster into k, d levels deep. With c_n the centroid of node n,

    fit       minimise  sum_i |x_i - c_(node of i)|^2  among the points of one node at a time      (Lloyd 1957)
    seed      next centroid = a point drawn with probability ~ its squared distance to those chosen  (k-means++)
    encode    at each level go to the nearest of k children: d k distances a point, not k^d

Node j of level l is the parent of nodes j k .. j k + k - 1 of level l + 1, so a leaf's digits in base k are its path. A node with fewer
distinct points than k leaves its last children *unused*: their ids stay reserved, encoding never returns them.

Axes: N points, F features, k children, C = k^d leaves.

Not stated in the paper, our choice: seeding, number of Lloyd iterations, an emptied cluster moves to the point farthest from its centroid.
Data that does not fit in memory is clustered on a uniform sample of each node's points, and every point is then assigned.

    >>> rng = np.random.default_rng(0)
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]], np.float32)
    >>> tree = fit(points, k=2, depth=2, rng=rng)
    >>> tokens = tree.encode(points)
    >>> bool(tokens[2] // 2 == tokens[3] // 2), int(tree.leaf_used.sum())
    (True, 4)
"""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minivbert.files import replace_file

CHUNK = 2 ** 24         # numbers of features read at a time: 64 MB as float32
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
    nearest_N = squared_distances(x_NF, x_NF[chosen], square_N)[:, 0]
    while len(chosen) < k:
        different_N = (x_NF != x_NF[chosen[-1]]).any(1)
        nearest_N = np.where(different_N, nearest_N, 0)        # rounding must not make a point differ from itself
        if nearest_N.sum() == 0:
            break
        chosen.append(int(rng.choice(len(x_NF), p=nearest_N / nearest_N.sum())))
        nearest_N = np.minimum(nearest_N, squared_distances(x_NF, x_NF[chosen[-1:]], square_N)[:, 0])
    return x_NF[chosen].copy()


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
    count_K = np.bincount(label_N, minlength=len(c_KF))
    member_KN = (label_N == np.arange(len(c_KF))[:, None]).astype(np.float64)
    return label_N, np.where(count_K[:, None] > 0, member_KN @ x_NF / np.maximum(count_K, 1)[:, None], c_KF)


def kmeans(x_NF, k, rng, iterations=25):
    """Cluster points (N, F) into at most k clusters; return centroids (K, F), K <= k.

    Lloyd's algorithm from k-means++ seeds; stops early when no point moves. Raises ValueError for no points, NaN or k < 1.
    """
    x_NF = check(x_NF).astype(np.float64)
    if k < 1 or len(x_NF) == 0 or not (np.abs(x_NF) < HUGE).all():
        raise ValueError(f"{len(x_NF)} points, k = {k}: need at least 1 point, k of 1, and numbers that are neither NaN nor huge")
    c_KF, before, square_N = seed_centroids(x_NF, k, rng), None, (x_NF ** 2).sum(1)
    for _ in range(iterations):
        label_N, nearest_N = assign_clusters(x_NF, c_KF, square_N)
        if before is not None and (label_N == before).all():
            break
        before, c_KF = kmeans_step(x_NF, c_KF, label_N, nearest_N)
    return c_KF


@dataclass(frozen=True)
class Tree:
    """A fitted tree. centroids: one (k^(l+1), F) float32 array a level l; used: one (k^(l+1),) bool array a level."""
    k: int
    centroids: tuple
    used: tuple

    @property
    def depth(self):
        """Count the levels, d."""
        return len(self.centroids)

    @property
    def width(self):
        """Count the features, F."""
        return self.centroids[0].shape[1]

    @property
    def leaf_centroids(self):
        """Give the centroids (C, F) of the visual words; zeros where unused."""
        return self.centroids[-1]

    @property
    def leaf_used(self):
        """Tell which visual words (C,) any point fell to in fitting."""
        return self.used[-1]

    def encode(self, features_NF):
        """Turn features (N, F) into tokens (N,) int64, chunk by chunk; raise ValueError for another width or for NaN."""
        features_NF = check(features_NF, self.width)
        node_N = np.zeros(len(features_NF), np.int64)
        for part, x_NF in chunks(features_NF):
            for c_CF, used_C in zip(self.centroids, self.used):
                node_N[part] = descend(x_NF, node_N[part], c_CF, used_C, self.k)
        return node_N

    def save(self, path):
        """Write the tree as .npz."""
        arrays = {f"centroids_{l}": c for l, c in enumerate(self.centroids)} | {f"used_{l}": u for l, u in enumerate(self.used)}
        replace_file(Path(path), lambda temporary: np.savez(temporary, k=self.k, **arrays))

    @classmethod
    def load(cls, path):
        """Read a tree; raise ValueError if the file is missing or no tree."""
        try:
            with np.load(path, allow_pickle=False) as file:
                levels = sum(name.startswith("used_") for name in file.files)
                tree = cls(int(file["k"]), *(tuple(file[f"{name}_{l}"] for l in range(levels)) for name in ("centroids", "used")))
        except Exception as error:                # np.load raises a dozen kinds for a wrong file
            raise ValueError(f"{path}: not a k-means tree ({str(error).partition(chr(10))[0]}); give the tree.npz of a corpus") from error
        sizes = [tree.k ** (l + 1) for l in range(levels)]
        if not levels or sizes != [len(c) for c in tree.centroids] or sizes != [len(u) for u in tree.used]:
            raise ValueError(f"{path}: {levels} levels of sizes {[len(c) for c in tree.centroids]}, expected powers of k = {tree.k}; "
                             "give the tree.npz of a corpus")
        parents = (np.ones(1, bool),) + tree.used
        if any((used.reshape(-1, tree.k).any(1) != parent).any() for parent, used in zip(parents, tree.used)):
            raise ValueError(f"{path}: used nodes without used children, or the reverse; give the tree.npz of a corpus")
        if any(c.shape[1:] != (tree.width,) or not (np.abs(c) < HUGE).all() for c in tree.centroids):
            raise ValueError(f"{path}: centroids of several widths, NaN or huge; give the tree.npz of a corpus")
        return tree


def check(features_NF, width=None):
    """Give features as an array, memory-mapped ones unread; raise ValueError unless (N, F) numbers, of the given width."""
    features_NF = np.asarray(features_NF)
    if features_NF.ndim != 2 or features_NF.dtype.kind not in "fiub" or (width or features_NF.shape[1]) != features_NF.shape[1]:
        raise ValueError(f"features of shape {features_NF.shape} and type {features_NF.dtype}, expected (N, {width or 'F'}) numbers; "
                         "use the extractor that the tree was fitted on")
    return features_NF


def chunks(features_NF):
    """Read features CHUNK numbers at a time: yield (slice, rows (n, F) float32); raise ValueError for NaN and huge numbers."""
    rows = max(1, CHUNK // max(1, features_NF.shape[1]))
    for start in range(0, len(features_NF), rows):
        part = slice(start, start + rows)
        with np.errstate(over="ignore"):                                     # beyond float32 is infinite, and so refused
            x_NF = np.asarray(features_NF[part], np.float32)
        if not (np.abs(x_NF) < HUGE).all():
            raise ValueError(f"features hold NaN, infinite or huge numbers ({HUGE:.0e} or more); extract them again")
        yield part, x_NF


def by_node(node_N):
    """Yield (node, its points' indices, ascending) for every node that has points.

    >>> [(int(node), rows.tolist()) for node, rows in by_node(np.array([7, 2, 7]))]
    [(2, [1]), (7, [0, 2])]
    """
    order = np.argsort(node_N, kind="stable")
    nodes, starts = np.unique(node_N[order], return_index=True)
    return zip(nodes, np.split(order, starts[1:]))


def descend(x_NF, node_N, c_CF, used_C, k):
    """Move points one level down: from node (N,) to the nearest of its used children (N,).

    Distances are taken from the first child: float32 would lose them in |x|^2 where features lie far from 0.
    """
    child_N = np.empty_like(node_N)
    for node, rows in by_node(node_N):
        children = node * k + np.flatnonzero(used_C[node * k:node * k + k])
        origin = c_CF[children[0]]
        child_N[rows] = children[assign_clusters(x_NF[rows] - origin, c_CF[children] - origin)[0]]
    return child_N


def fit(features_NF, k, depth, rng, most=65536, iterations=25, progress=False):
    """Fit a tree of k^depth leaves.

    features (N, F): an array or a memory-mapped one. most: how many points of a node are clustered at a time; a node with more is
    clustered on a uniform sample of that size, so memory holds that many rows, a chunk and a few integers a point, never all features.
    Raises ValueError for no points, NaN, k < 2, depth < 1 or most < 1.
    """
    features_NF = check(features_NF)
    if k < 2 or depth < 1 or most < 1 or len(features_NF) == 0:
        raise ValueError(f"{len(features_NF)} points, k = {k}, depth = {depth}, most = {most}: need at least 1 point, k of 2, "
                         "depth of 1, most of 1")
    for _ in chunks(features_NF):                                            # NaN is found before the work, not after
        pass
    width, node_N = features_NF.shape[1], np.zeros(len(features_NF), np.int64)
    centroids, used = [], []
    bar = tqdm(total=sum(k ** l for l in range(depth)), desc="k-means", unit="node", disable=not progress, dynamic_ncols=True)
    for level in range(depth):
        c_CF, used_C = np.zeros((k ** (level + 1), width), np.float32), np.zeros(k ** (level + 1), bool)
        for node, rows in by_node(node_N):
            sample = rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
            found = kmeans(features_NF[sample], k, rng, iterations)
            c_CF[node * k:node * k + len(found)], used_C[node * k:node * k + len(found)] = found, True
            bar.update()
        for part, x_NF in chunks(features_NF):
            node_N[part] = descend(x_NF, node_N[part], c_CF, used_C, k)
        used_C = np.bincount(node_N, minlength=len(used_C)) > 0             # a node that no point reaches has no children
        c_CF[~used_C] = 0
        centroids.append(c_CF)
        used.append(used_C)
    bar.close()
    return Tree(k, tuple(centroids), tuple(used))


def encode_with_distance(tree, features_NF):
    """Give tokens (N,) and the squared distances (N,) of points (N, F) to the centroids of their tokens."""
    features_NF = check(features_NF, tree.width)
    token_N, distance_N = tree.encode(features_NF), np.zeros(len(features_NF))
    for part, x_NF in chunks(features_NF):
        distance_N[part] = ((x_NF - tree.leaf_centroids[token_N[part]]) ** 2).sum(1)
    return token_N, distance_N


def exemplars(tree, features_NF):
    """Give, for each leaf (C,), the index of the point nearest its centroid among the points that encode to it; -1 where none."""
    token_N, distance_N = encode_with_distance(tree, features_NF)
    order = np.lexsort((distance_N, token_N))
    tokens, first = np.unique(token_N[order], return_index=True)
    out = np.full(len(tree.leaf_used), -1)
    out[tokens] = order[first]
    return out


def quantisation_error(tree, features_NF):
    """Give the mean squared distance of points (N, F) to the centroid of their token; raise ValueError for no points."""
    distance_N = encode_with_distance(tree, features_NF)[1]
    if len(distance_N) == 0:
        raise ValueError("0 points have no quantisation error; give at least 1")
    return float(distance_N.mean())
