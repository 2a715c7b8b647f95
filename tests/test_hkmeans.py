"""Hierarchical k-means: by hand, against brute force and scikit-learn, and on degenerate data."""
import tracemalloc

import numpy as np
import pytest

from minivbert.tokens.hkmeans import Tree, exemplars, fit, kmeans, quantisation_error, squared_distances


def blobs(n=600, centres=8, width=5, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 10, (centres, width))[rng.integers(centres, size=n)] + rng.normal(0, 1, (n, width))).astype(np.float32)


def inertia(x, c):
    return squared_distances(x.astype(np.float64), c).min(1).sum()


def test_one_lloyd_step_by_hand():
    x = np.array([[0.0], [2.0], [10.0], [12.0]])
    found = sorted(kmeans(x, 2, np.random.default_rng(0), iterations=10).ravel())
    assert found == [1.0, 11.0]


def test_inertia_is_as_good_as_scikit_learns():
    cluster = pytest.importorskip("sklearn.cluster")
    x = blobs()
    ours = np.median([inertia(x, kmeans(x, 8, np.random.default_rng(seed))) for seed in range(9)])
    theirs = np.median([cluster.KMeans(8, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(9)])
    best = cluster.KMeans(8, n_init=20, random_state=0).fit(x).inertia_
    assert min(inertia(x, kmeans(x, 8, np.random.default_rng(seed))) for seed in range(20)) < 1.001 * best
    assert ours < 1.3 * theirs


def test_encoding_descends_to_the_nearest_used_child_at_every_level():
    x = blobs(n=300)
    tree = fit(x, 3, 3, np.random.default_rng(0))
    for point, token in zip(x[:100], tree.encode(x[:100])):
        node = 0
        for c, used in zip(tree.centroids, tree.used):
            children = [node * 3 + j for j in range(3) if used[node * 3 + j]]
            node = min(children, key=lambda j: ((c[j] - point) ** 2).sum())
        assert node == token
    digits = np.unravel_index(tree.encode(x), (3, 3, 3))
    first = squared_distances(x, tree.centroids[0]).argmin(1)
    assert (digits[0] == first).all()


def test_a_leaf_is_the_mean_of_its_points_and_exemplars_are_nearest():
    x = blobs(n=400)
    tree = fit(x, 3, 2, np.random.default_rng(0), iterations=200)
    token, found = tree.encode(x), exemplars(tree, x)
    for leaf in range(9):
        own = np.flatnonzero(token == leaf)
        if not len(own):
            assert found[leaf] == -1 and not tree.leaf_used[leaf]
            continue
        assert np.allclose(x[own].mean(0), tree.leaf_centroids[leaf], atol=1e-3)
        assert found[leaf] == own[((x[own] - tree.leaf_centroids[leaf]) ** 2).sum(1).argmin()]


@pytest.mark.parametrize("x", [
    np.zeros((1, 4)), np.ones((50, 4)), np.arange(12.0).reshape(3, 4), np.repeat(np.eye(3), 20, 0), blobs(n=7),
    np.full((9, 2), 1e6) + np.arange(9)[:, None] % 2 * 1e-3,
], ids=["one point", "duplicates", "fewer than k", "three values", "seven", "nearly equal"])
@pytest.mark.parametrize("most", [4, 10 ** 6])
def test_degenerate_data_gives_stable_ids_and_known_unused_leaves(x, most):
    x = x.astype(np.float32)
    tree = fit(x, 5, 3, np.random.default_rng(0), most=most)
    token = tree.encode(x)
    assert len(tree.leaf_centroids) == len(tree.leaf_used) == 125
    assert set(token) == set(np.flatnonzero(tree.leaf_used))
    far = tree.encode(np.random.default_rng(1).normal(0, 1e3, (200, x.shape[1])).astype(np.float32))
    assert tree.leaf_used[far].all()
    if most == 10 ** 6:
        assert len(np.unique(token)) == len(np.unique(x, axis=0)) or len(x) > 25


def test_the_papers_tree_has_20736_leaves_and_each_point_may_have_its_own():
    x = blobs(n=3000, width=8)
    tree = fit(x, 12, 4, np.random.default_rng(0))
    assert len(tree.leaf_used) == 20736 and tree.leaf_used.sum() > 2000
    assert quantisation_error(tree, x) < 0.5 * quantisation_error(fit(x, 12, 1, np.random.default_rng(0)), x)


def test_a_memory_mapped_array_is_clustered_in_bounded_memory(tmp_path):
    x = blobs(n=200_000, width=32)
    np.save(tmp_path / "features.npy", x)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    tracemalloc.start()
    tree = fit(mapped, 4, 2, np.random.default_rng(0), most=2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes * 2.5
    whole = fit(x, 4, 2, np.random.default_rng(0))
    assert quantisation_error(tree, x) < 1.15 * quantisation_error(whole, x)


def test_a_seed_gives_the_same_tree_and_a_file_gives_it_back(tmp_path):
    x = blobs()
    one, two = (fit(x, 4, 2, np.random.default_rng(3)) for _ in range(2))
    one.save(tmp_path / "tree.npz")
    back = Tree.load(tmp_path / "tree.npz")
    assert (one.encode(x) == two.encode(x)).all() and (one.encode(x) == back.encode(x)).all()
    assert back.k == 4 and back.depth == 2 and (back.leaf_used == one.leaf_used).all()


def test_bad_input_is_one_clear_sentence(tmp_path):
    x = blobs()
    tree = fit(x, 2, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="NaN"):
        fit(np.full((3, 2), np.nan), 2, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"\(3, 9\), expected \(N, 5\)"):
        tree.encode(np.zeros((3, 9)))
    with pytest.raises(ValueError, match="0 points"):
        fit(np.zeros((0, 2)), 2, 1, np.random.default_rng(0))
    (tmp_path / "tree.npz").write_text("no tree")
    for name in ("tree.npz", "none.npz"):
        with pytest.raises(ValueError, match=f"{name}: not a k-means tree"):
            Tree.load(tmp_path / name)
