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

CHUNK = 65536           # rows whose distances are held at a time


def squared_distances(x_NF, c_KF):
    """Give |x - c|^2 (N, K), never below 0.

    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    return np.maximum((x_NF ** 2).sum(1)[:, None] - 2 * x_NF @ c_KF.T + (c_KF ** 2).sum(1), 0)


def seed_centroids(x_NF, k, rng):
    """Choose up to k distinct points by k-means++; fewer where the points have fewer distinct values."""
    chosen = [int(rng.integers(len(x_NF)))]
    nearest_N = squared_distances(x_NF, x_NF[chosen])[:, 0]
    while len(chosen) < k:
        different_N = (x_NF != x_NF[chosen[-1]]).any(1)
        nearest_N = np.where(different_N, nearest_N, 0)        # rounding must not make a point differ from itself
        if nearest_N.sum() == 0:
            break
        chosen.append(int(rng.choice(len(x_NF), p=nearest_N / nearest_N.sum())))
        nearest_N = np.minimum(nearest_N, squared_distances(x_NF, x_NF[chosen[-1:]])[:, 0])
    return x_NF[chosen].copy()


def kmeans(x_NF, k, rng, iterations=25):
    """Cluster points (N, F) into at most k clusters; return centroids (K, F), K <= k.

    Lloyd's algorithm from k-means++ seeds; stops early when no point moves.
    """
    x_NF = np.asarray(x_NF, np.float64)
    c_KF, before = seed_centroids(x_NF, k, rng), None
    for _ in range(iterations):
        distance_NK = squared_distances(x_NF, c_KF)
        label_N = distance_NK.argmin(1)
        if before is not None and (label_N == before).all():
            break
        before = label_N
        count_K = np.bincount(label_N, minlength=len(c_KF))
        nearest_N = distance_NK[np.arange(len(x_NF)), label_N]
        for empty in np.flatnonzero(count_K == 0):
            far = int(nearest_N.argmax())
            label_N[far], nearest_N[far] = empty, 0
        count_K = np.bincount(label_N, minlength=len(c_KF))
        sum_KF = np.stack([np.bincount(label_N, weights=column, minlength=len(c_KF)) for column in x_NF.T], 1)
        c_KF = np.where(count_K[:, None] > 0, sum_KF / np.maximum(count_K, 1)[:, None], c_KF)
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
        check(features_NF, self.width)
        return np.concatenate([np.zeros(0, np.int64)] + [self._descend(np.asarray(features_NF[i:i + CHUNK]), self.depth)
                                                         for i in range(0, len(features_NF), CHUNK)])

    def _descend(self, x_NF, levels):
        node_N = np.zeros(len(x_NF), np.int64)
        for c_NF, used in zip(self.centroids[:levels], self.used[:levels]):
            c_PKF, used_PK = c_NF.reshape(-1, self.k, self.width), used.reshape(-1, self.k)
            order = np.argsort(node_N, kind="stable")            # the points of one node lie together
            nodes, starts = np.unique(node_N[order], return_index=True)
            child_N = np.empty_like(node_N)
            for node, rows in zip(nodes, np.split(order, starts[1:])):
                distance = squared_distances(x_NF[rows], c_PKF[node])
                child_N[rows] = np.where(used_PK[node], distance, np.inf).argmin(1)
            node_N = node_N * self.k + child_N
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
            raise ValueError(f"{path}: not a k-means tree ({str(error).splitlines()[0]}); give the tree.npz of a corpus") from error
        sizes = [tree.k ** (l + 1) for l in range(levels)]
        if not levels or sizes != [len(c) for c in tree.centroids] or sizes != [len(u) for u in tree.used]:
            raise ValueError(f"{path}: {levels} levels of sizes {[len(c) for c in tree.centroids]}, expected powers of k = {tree.k}; "
                             "give the tree.npz of a corpus")
        return tree


def check(features_NF, width=None):
    """Raise ValueError unless features are (N, F) finite numbers, of the given width."""
    if features_NF.ndim != 2 or (width is not None and features_NF.shape[1] != width):
        raise ValueError(f"features of shape {features_NF.shape}, expected (N, {width or 'F'}); use the extractor that the tree "
                         "was fitted on")
    for i in range(0, len(features_NF), CHUNK):
        if not np.isfinite(features_NF[i:i + CHUNK]).all():
            raise ValueError("features hold NaN or infinite numbers; extract them again")


def fit(features_NF, k, depth, rng, most=CHUNK, iterations=25, progress=False):
    """Fit a tree of k^depth leaves.

    features (N, F): an array or a memory-mapped one. most: how many points of a node are clustered at a time; a node with more is
    clustered on a uniform sample of that size, so memory stays bounded. Raises ValueError for no points, NaN, k < 2 or depth < 1.
    """
    if k < 2 or depth < 1 or len(features_NF) == 0:
        raise ValueError(f"{len(features_NF)} points, k = {k}, depth = {depth}: need at least 1 point, k of 2, depth of 1")
    check(features_NF)
    width, node_N = features_NF.shape[1], np.zeros(len(features_NF), np.int64)
    centroids, used = [], []
    bar = tqdm(total=sum(k ** l for l in range(depth)), desc="k-means", unit="node", disable=not progress, dynamic_ncols=True)
    for level in range(depth):
        c_PKF, used_PK = np.zeros((k ** level, k, width), np.float32), np.zeros((k ** level, k), bool)
        order = np.argsort(node_N, kind="stable")
        nodes, starts = np.unique(node_N[order], return_index=True)
        for node, rows in zip(nodes, np.split(order, starts[1:])):
            sample = rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
            found = kmeans(features_NF[sample], k, rng, iterations)
            c_PKF[node, :len(found)], used_PK[node, :len(found)] = found, True
            bar.update()
        centroids.append(c_PKF.reshape(-1, width))
        used.append(used_PK.reshape(-1))
        node_N = Tree(k, tuple(centroids), tuple(used)).encode(features_NF)
        used[-1] = np.bincount(node_N, minlength=k ** (level + 1)) > 0       # a node that no point reaches has no children
    bar.close()
    return Tree(k, tuple(centroids), tuple(used))


def exemplars(tree, features_NF):
    """Give, for each leaf (C,), the index of the point nearest its centroid among the points that encode to it; -1 where none."""
    token_N = tree.encode(features_NF)
    distance_N = np.concatenate([((np.asarray(features_NF[i:i + CHUNK]) - tree.leaf_centroids[token_N[i:i + CHUNK]]) ** 2).sum(1)
                                 for i in range(0, len(token_N), CHUNK)])
    order = np.lexsort((distance_N, token_N))
    tokens, first = np.unique(token_N[order], return_index=True)
    out = np.full(len(tree.leaf_used), -1)
    out[tokens] = order[first]
    return out


def quantisation_error(tree, features_NF):
    """Give the mean squared distance of points (N, F) to the centroid of their token."""
    token_N = tree.encode(features_NF)
    total = sum(((np.asarray(features_NF[i:i + CHUNK]) - tree.leaf_centroids[token_N[i:i + CHUNK]]) ** 2).sum()
                for i in range(0, len(token_N), CHUNK))
    return float(total / len(token_N))
