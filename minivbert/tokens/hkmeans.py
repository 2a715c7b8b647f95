"""Hierarchical k-means: features -> visual tokens, by descending a tree of centroids.

VideoBERT, section 4.1: d = 4 levels of k = 12 clusters, 12^4 = 20,736 visual words. k-means splits all points into k clusters,
then each cluster into k, d levels deep. With c_n the centroid of node n,

    fit       minimise  sum_i |x_i - c_(node of i)|^2  among the points of one node at a time      (`kmeans.py`)
    encode    at each level go to the nearest of k children: d k distances a point, not k^d

Node j of level l is the parent of nodes j k .. j k + k - 1 of level l + 1, so a leaf's digits in base k are its path. A node with fewer
distinct points than k leaves its last children *unused*: their ids stay reserved, encoding never returns them.

Features larger than memory: pass a memory-mapped array. A node with more than `most` points is clustered on a uniform sample of
them, every point is then assigned, and the leaves become the means of *all* their points. Held are one node's sample, a chunk, the
tree and the numbers of the sampled rows, whatever N; which node each point fell to is kept in a file.

Many processes (`shares.py`): each passes its own share of the rows, all get the tree that one process with all rows gets. Passes go over
the shares side by side, nodes are clustered turn and turn about, counts and sums are all-reduced. Only the means of sampled leaves are
sums in another order: there the last bit may differ.

Axes: N points, F features, k children, C = k^d leaves.

Not stated in the paper, our choice: the samples, and all of `kmeans.py`.

    >>> rng = np.random.default_rng(0)
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]], np.float32)
    >>> tree = fit(points, k=2, depth=2, rng=rng)
    >>> tokens = tree.encode(points)
    >>> bool(tokens[2] // 2 == tokens[3] // 2), int(tree.leaf_used.sum())
    (True, 4)
"""
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minivbert.files import forget, replace_file
from minivbert.tokens.corpus import rows_of
from minivbert.tokens.kmeans import HUGE, kmeans, within
from minivbert.tokens.nearest import blocks, nearest, squares
from minivbert.tokens.shares import Sample, add_up, before, gather, place

CHUNK = 2 ** 24         # numbers of features read at a time: 64 MB as float32
LEVEL = 2 ** 21         # most points that the nodes of one level are clustered on, together
SMALL = 2 ** 24         # numbers of features up to which k-means is reckoned in float64; above, in float32, in half the time


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

    @cached_property
    def halves(self):
        """Give |c|^2 / 2 (k^(l+1),) of each level's centroids, infinite where unused."""
        return tuple(np.where(used, squares(c) / 2, np.inf).astype(np.float32) for c, used in zip(self.centroids, self.used))

    def encode(self, features_NF):
        """Turn features (N, F) into tokens (N,) int64, chunk by chunk; raise ValueError for another width or for NaN."""
        features_NF = check(features_NF, self.width)
        node_N = np.zeros(len(features_NF), np.int64)
        for part, x_NF in chunks(features_NF):
            node_N[part] = self.encode_chunk(x_NF)
        return node_N

    def encode_chunk(self, x_NF):
        """Turn rows (N, F) float32 into tokens (N,) int64."""
        node_N, length_N = np.zeros(len(x_NF), np.int64), np.sqrt(squares(x_NF))
        for level in range(self.depth):
            node_N = descend(x_NF, length_N, node_N, self, level)
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
        if not within(x_NF):
            raise ValueError(f"features hold NaN, infinite or huge numbers ({HUGE:.0e} or more); extract them again")
        yield part, x_NF
        forget(features_NF)


def by_node(node_N):
    """Yield (node, its points' indices, ascending) for every node that has points.

    >>> [(int(node), rows.tolist()) for node, rows in by_node(np.array([7, 2, 7]))]
    [(2, [1]), (7, [0, 2])]
    """
    order = np.argsort(node_N, kind="stable")
    nodes, starts = np.unique(node_N[order], return_index=True)
    return zip(nodes, np.split(order, starts[1:]))


def descend(x_NF, length_N, node_N, tree, level):
    """Move points (N, F) float32 of length |x| (N,) one level down: from node (N,) to the nearest of its used children (N,).

    The nearest has the largest <x, c> - |c|^2 / 2, which is (|x|^2 - |x - c|^2) / 2: one matrix product a node.
    """
    k, c_CF, half_C = tree.k, tree.centroids[level], tree.halves[level]
    score_NK = np.empty((len(x_NF), k), np.float32)
    for node, rows in by_node(node_N):
        children = slice(node * k, node * k + k)
        score_NK[rows] = (x_NF if len(rows) == len(x_NF) else x_NF[rows]) @ c_CF[children].T - half_C[children]
    longest = np.sqrt(2 * half_C[tree.used[level]].max(initial=0))
    return node_N * k + nearest(score_NK, x_NF, lambda at: c_CF[node_N[at, None] * k + np.arange(k)], length_N, longest)


def fit(features_NF, k, depth, rng, most=65536, iterations=25, progress=False):
    """Fit a tree of k^depth leaves.

    features (N, F): an array or a memory-mapped one; of several processes, this one's share. rng: in the same state in all of them.
    most: how many points of a node are clustered at a time (and of all nodes of a level at most LEVEL).
    Raises ValueError for no points, NaN, k < 2, depth < 1 or most < 1.
    """
    features_NF = check(features_NF)
    first, total = before(len(features_NF))
    if k < 2 or depth < 1 or most < 1 or total == 0:
        raise ValueError(f"{total} points, k = {k}, depth = {depth}, most = {most}: need at least 1 point, k of 2, "
                         "depth of 1, most of 1")
    check_all(features_NF)
    keys = rng.spawn(1)[0].integers(2 ** 62, size=depth)
    bar = tqdm(total=sum(k ** l for l in range(depth)), desc="k-means", unit="node", dynamic_ncols=True,
               disable=not progress or place()[0] > 0)
    tree, count_C, exact = Tree(k, (), ()), np.array([total]), total * features_NF.shape[1] <= SMALL
    with tempfile.TemporaryFile() as file, bar:
        node_N = np.memmap(file, np.int32, "w+", shape=max(1, len(features_NF)))[:len(features_NF)]
        for level in range(depth):
            sample = Sample(min(most, max(k, LEVEL // k ** level)), keys[level])
            for rows in blocks(np.arange(len(features_NF)), 1):
                sample.offer(node_N[rows], first + rows)
            tree = grown(tree, *cluster_nodes(features_NF, first, sample, k ** (level + 1), k, rng, iterations, exact, bar))
            if level == depth - 1 and (count_C > sample.most).any():
                tree = grown(tree, means(tree, features_NF, node_N), tree.used[-1], level)
            count_C = np.zeros(k ** (level + 1), np.int64)
            for part, x_NF in chunks(features_NF):
                node_N[part] = descend(x_NF, np.sqrt(squares(x_NF)), np.array(node_N[part]), tree, level)
                count_C += np.bincount(node_N[part], minlength=len(count_C))
                forget(node_N)
            used_C = add_up(count_C) > 0                                    # a node that no point reaches has no children
            tree = grown(tree, np.where(used_C[:, None], tree.centroids[-1], 0), used_C, level)
    return tree


def grown(tree, c_CF, used_C, level=None):
    """Give a tree with one more level; level: with that level, the last one, replaced."""
    return Tree(tree.k, tree.centroids[:level] + (c_CF,), tree.used[:level] + (used_C,))


def check_all(features_NF):
    """Look for NaN before the work, in every process' share; raise ValueError in all of them if there is any."""
    problem = None
    try:
        for _ in chunks(features_NF):
            pass
    except ValueError as error:
        problem = error
    problems = [x for x in gather(problem) if x is not None]
    if problems:
        raise problems[0]


def cluster_nodes(features_NF, first, sample, size, k, rng, iterations, exact, bar):
    """Split every node of a level by k-means on its sampled rows; return the next level's centroids (size, F) and used (size,).

    Nodes take turns: each process has one to cluster while the others have theirs. What chance decides is laid down node by node
    beforehand, so that it does not matter who clusters which. exact: whether in float64.
    """
    rank, processes = place()
    nodes = [(node, rows, draws(rng, len(rows), k)) for node, rows in sample.merge()]
    c_CF, used_C = np.zeros((size, features_NF.shape[1]), np.float32), np.zeros(size, bool)
    for turn in range(0, len(nodes), processes):
        for owner, (node, rows, _) in enumerate(nodes[turn:turn + processes]):
            x_NF = sampled_rows(features_NF, first, rows, owner)
            if owner == rank:
                mine = x_NF
        if turn + rank < len(nodes):
            node, _, own_rng = nodes[turn + rank]
            origin_F = np.zeros_like(mine[0]) if exact else mine[0]         # float32 would lose digits where features lie far from 0
            found_KF = origin_F + kmeans(mine.astype(np.float64) if exact else mine - origin_F, k, own_rng, iterations)
            c_CF[node * k:node * k + len(found_KF)], used_C[node * k:node * k + len(found_KF)] = found_KF, True
        bar.update(min(processes, len(nodes) - turn))
    return add_up(c_CF), add_up(used_C.astype(np.int32)) > 0


def draws(rng, n, k):
    """Give a generator for k-means of n points, and move `rng` on by as much as that draws."""
    bits = type(rng.bit_generator)(0)
    bits.state = rng.bit_generator.state
    rng.integers(n)
    rng.random(k - 1)
    return np.random.Generator(bits)


def sampled_rows(features_NF, first, rows, owner):
    """Read rows of the whole (M, F) float32, wherever they are, for the process `owner`; others get nothing of use."""
    here = (rows >= first) & (rows < first + len(features_NF))
    x_MF = np.zeros((len(rows), features_NF.shape[1]), np.float32)
    x_MF[here] = rows_of(features_NF, rows[here] - first)
    return add_up(x_MF, to=owner)


def means(tree, features_NF, node_N):
    """Give the means (C, F) float32 of all points, of all processes, that fall to each leaf; zeros where none do."""
    sum_CF, count_C = np.zeros((len(tree.used[-1]), tree.width)), np.zeros(len(tree.used[-1]), np.int64)
    for part, x_NF in chunks(features_NF):
        leaf_N = descend(x_NF, np.sqrt(squares(x_NF)), np.array(node_N[part]), tree, tree.depth - 1)
        order = np.argsort(leaf_N, kind="stable")
        leaves, starts = np.unique(leaf_N[order], return_index=True)
        sum_CF[leaves] += np.add.reduceat(x_NF[order], starts, axis=0, dtype=np.float64)
        count_C[leaves] += np.diff(starts, append=len(order))
    return (add_up(sum_CF) / np.maximum(add_up(count_C), 1)[:, None]).astype(np.float32)


def encode_with_distance(tree, features_NF):
    """Give tokens (N,) and the squared distances (N,) of points (N, F) to the centroids of their tokens."""
    features_NF = check(features_NF, tree.width)
    token_N, distance_N = np.zeros(len(features_NF), np.int64), np.zeros(len(features_NF))
    for part, x_NF in chunks(features_NF):
        token_N[part] = tree.encode_chunk(x_NF)
        distance_N[part] = ((x_NF - tree.leaf_centroids[token_N[part]]) ** 2).sum(1)
    return token_N, distance_N


def exemplars(tree, features_NF):
    """Give, for each leaf (C,), the index of the point nearest its centroid among the points that encode to it; -1 where none."""
    features_NF = check(features_NF, tree.width)
    out, nearest_C = np.full(len(tree.leaf_used), -1), np.full(len(tree.leaf_used), np.inf)
    for part, x_NF in chunks(features_NF):
        token_N = tree.encode_chunk(x_NF)
        distance_N = ((x_NF - tree.leaf_centroids[token_N]) ** 2).sum(1)
        order = np.lexsort((distance_N, token_N))
        tokens, start = np.unique(token_N[order], return_index=True)
        best = order[start]
        nearer = distance_N[best] < nearest_C[tokens]
        out[tokens[nearer]], nearest_C[tokens[nearer]] = part.start + best[nearer], distance_N[best[nearer]]
    return out


def quantisation_error(tree, features_NF):
    """Give the mean squared distance of points (N, F) to the centroid of their token; raise ValueError for no points."""
    distance_N = encode_with_distance(tree, features_NF)[1]
    if len(distance_N) == 0:
        raise ValueError("0 points have no quantisation error; give at least 1")
    return float(distance_N.mean())
