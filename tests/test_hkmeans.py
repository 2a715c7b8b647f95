"""Hierarchical k-means: by hand, against brute force and scikit-learn, and on degenerate data."""
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minivbert.tokens import hkmeans, kmeans as kmeans_module
from minivbert.tokens.hkmeans import Tree, exemplars, fit, quantisation_error
from minivbert.tokens.kmeans import kmeans, squared_distances


def blobs(n=600, centres=8, width=5, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 10, (centres, width))[rng.integers(centres, size=n)] + rng.normal(0, 1, (n, width))).astype(np.float32)


def inertia(x, c):
    return squared_distances(x.astype(np.float64), c).min(1).sum()


def descend_by_hand(tree, x):
    """Give tokens point by point, level by level, in float64, straight from the definition."""
    tokens = []
    for point in x.astype(np.float64):
        node = 0
        for c, used in zip(tree.centroids, tree.used):
            children = [node * tree.k + j for j in range(tree.k) if used[node * tree.k + j]]
            node = min(children, key=lambda j: ((c[j] - point) ** 2).sum())
        tokens.append(node)
    return np.array(tokens)


def test_one_lloyd_step_by_hand():
    x = np.array([[0.0], [2.0], [10.0], [12.0]])
    found = sorted(kmeans(x, 2, np.random.default_rng(0), iterations=10).ravel())
    assert found == [1.0, 11.0]


def test_one_iteration_moves_each_seed_to_the_mean_of_its_points():
    x = blobs(n=60).astype(np.float64)
    seeds = kmeans_module.seed_centroids(x, 4, np.random.default_rng(5))
    label = squared_distances(x, seeds).argmin(1)
    expected = np.stack([x[label == j].mean(0) for j in range(4)])
    assert np.allclose(kmeans(x, 4, np.random.default_rng(5), iterations=1), expected)


def test_an_emptied_cluster_moves_to_the_farthest_point(monkeypatch):
    x = np.array([[0.0], [1.0], [20.0]])
    monkeypatch.setattr(kmeans_module, "seed_centroids", lambda x, k, rng: np.array([[0.0], [1.0], [-50.0]]))
    assert sorted(kmeans(x, 3, np.random.default_rng(0), iterations=5).ravel()) == [0.0, 1.0, 20.0]


def test_inertia_is_as_good_as_scikit_learns():
    cluster = pytest.importorskip("sklearn.cluster")
    x = blobs()
    ours = []
    for seed in range(12):
        seeds = kmeans_module.seed_centroids(x.astype(np.float64), 8, np.random.default_rng(seed))
        theirs = cluster.KMeans(8, init=seeds, n_init=1, max_iter=100, tol=0).fit(x.astype(np.float64)).inertia_
        ours.append(inertia(x, kmeans(x, 8, np.random.default_rng(seed), iterations=100)))
        assert ours[-1] == pytest.approx(theirs, rel=1e-6)          # Lloyd from the same seeds
    assert min(ours) < 1.001 * cluster.KMeans(8, n_init=10, random_state=0).fit(x).inertia_


def plain_lloyd(x, c, iterations):
    """Give labels and centroids by the definition, in float64."""
    for _ in range(iterations):
        label = np.array([((point - c) ** 2).sum(1).argmin() for point in x])
        c = np.stack([x[label == j].mean(0) if (label == j).any() else c[j] for j in range(len(c))])
    return c


@pytest.mark.parametrize("offset, scale", [(0, 1), (300, 1), (0, 1e-6), (-5e5, 1)])
@pytest.mark.parametrize("iterations", [1, 2, 7, 60])
def test_it_is_plain_lloyd(offset, scale, iterations):
    """In float64, far from 0 too; points on a grid lie exactly between two centroids."""
    rng = np.random.default_rng(1)
    for x in (blobs(n=250, centres=4) * scale + offset, rng.integers(0, 4, (250, 2)) * scale + offset):
        x = x.astype(np.float32).astype(np.float64)
        seeds = kmeans_module.seed_centroids(x.astype(np.float32), 5, np.random.default_rng(2)).astype(np.float64)
        expected = plain_lloyd(x, seeds, iterations)
        assert np.allclose(kmeans(x, 5, np.random.default_rng(2), iterations), expected, rtol=1e-12, atol=1e-12 * scale)


def test_large_data_are_clustered_in_float32_as_well_as_in_float64(monkeypatch):
    for offset in (0, 3000):                                        # as they come, float32 has few digits left of |x|^2 so far from 0
        x = blobs(n=2000, centres=40, width=64) + np.float32(offset)
        errors = []
        for small in (0, 10 ** 9):
            monkeypatch.setattr(hkmeans, "SMALL", small)
            errors.append(np.mean([quantisation_error(fit(x, 6, 2, np.random.default_rng(seed)), x) for seed in range(4)]))
        assert errors[0] == pytest.approx(errors[1], rel=1e-3), offset


def test_seeds_fall_into_every_one_of_far_apart_clusters():
    x = np.repeat(np.arange(8.0)[:, None] * 100, 50, 0) + np.random.default_rng(0).normal(0, 1e-3, (400, 1))
    for seed in range(20):
        assert len(np.unique(kmeans_module.seed_centroids(x, 8, np.random.default_rng(seed)).round(-2))) == 8


def test_a_child_that_no_point_reaches_is_unused_and_zero():
    x = np.array([[1.0], [1.0 + 5e-8]])                             # two values in float64, one in float32
    tree = fit(x, 3, 2, np.random.default_rng(0))
    assert tree.leaf_used.sum() == 1 and tree.leaf_used[tree.encode(x)].all()
    assert not tree.centroids[0][~tree.used[0]].any()


@pytest.mark.parametrize("offset", [0, 1000])
def test_encoding_descends_to_the_nearest_used_child_at_every_level(offset):
    x = blobs(n=300) + np.float32(offset)
    tree = fit(x, 3, 3, np.random.default_rng(0))
    assert (tree.encode(x) == descend_by_hand(tree, x)).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float16, np.float64])
def test_features_of_any_number_type_encode_alike(kind):
    x = np.random.default_rng(0).integers(0, 255, (200, 16)).astype(kind)
    tree = fit(x, 4, 2, np.random.default_rng(0))
    assert (tree.encode(x) == descend_by_hand(tree, x)).all()


def test_a_leafs_digits_are_its_path():
    x = blobs(n=300)
    tree = fit(x, 3, 3, np.random.default_rng(0))
    token = tree.encode(x)
    for levels in (1, 2):
        shorter = Tree(tree.k, tree.centroids[:levels], tree.used[:levels])
        assert (shorter.encode(x) == token // 3 ** (3 - levels)).all()
    assert (token // 9 == squared_distances(x, tree.centroids[0]).argmin(1)).all()


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
    assert quantisation_error(tree, x) == pytest.approx(((x - tree.leaf_centroids[token]) ** 2).sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize("x", [
    np.zeros((1, 4)), np.ones((50, 4)), np.arange(12.0).reshape(3, 4), np.repeat(np.eye(3), 20, 0), blobs(n=7),
    np.full((9, 2), 1e6) + np.arange(9)[:, None] % 2 * 1e-3,
], ids=["one point", "duplicates", "fewer than k", "three values", "seven", "nearly equal"])
@pytest.mark.parametrize("most", [1, 4, 10 ** 6])
@pytest.mark.parametrize("small", [0, 10 ** 9], ids=["float32", "float64"])
def test_degenerate_data_gives_stable_ids_and_known_unused_leaves(x, most, small, monkeypatch):
    monkeypatch.setattr(hkmeans, "SMALL", small)
    x = x.astype(np.float32)
    tree = fit(x, 5, 3, np.random.default_rng(0), most=most)
    token = tree.encode(x)
    assert len(tree.leaf_centroids) == len(tree.leaf_used) == 125
    assert set(token) == set(np.flatnonzero(tree.leaf_used))
    if most == 10 ** 6:
        assert len(np.unique(token)) == len(np.unique(x, axis=0))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 ** 32 - 1), st.integers(1, 40), st.integers(1, 4), st.integers(2, 6), st.integers(1, 3), st.integers(1, 50),
       st.sampled_from([1, 3, 1000]), st.sampled_from([0, 10 ** 9]))
def test_no_point_ever_falls_to_an_unused_leaf(seed, n, width, k, depth, most, values, small):
    rng = np.random.default_rng(seed)
    x = (rng.integers(-values, values, (n, width)) * rng.choice([1e-6, 1.0, 1e6])).astype(np.float32)
    before = x.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hkmeans, "SMALL", small)
        tree = fit(x, k, depth, rng, most=most)
    token = tree.encode(x)
    assert set(token) == set(np.flatnonzero(tree.leaf_used)) and (x == before).all()
    assert not tree.leaf_centroids[~tree.leaf_used].any()
    for parent, used in zip((np.ones(1, bool),) + tree.used, tree.used):
        assert (used.reshape(-1, k).any(1) == parent).all()
    elsewhere = rng.normal(0, 10.0 ** rng.integers(-6, 14), (30, width)).astype(np.float32)
    assert tree.leaf_used[tree.encode(elsewhere)].all()
    found = exemplars(tree, x)
    assert ((found >= 0) == tree.leaf_used).all() and (token[found[found >= 0]] == np.flatnonzero(found >= 0)).all()


def test_the_papers_tree_has_20736_leaves_and_each_point_may_have_its_own():
    x = blobs(n=3000, width=8)
    tree = fit(x, 12, 4, np.random.default_rng(0))
    assert len(tree.leaf_used) == 20736 and tree.leaf_used.sum() > 2000
    assert quantisation_error(tree, x) < 0.5 * quantisation_error(fit(x, 12, 1, np.random.default_rng(0)), x)


def test_a_memory_mapped_array_is_clustered_in_bounded_memory(tmp_path, monkeypatch):
    x = blobs(n=60_000, width=256)
    np.save(tmp_path / "features.npy", x)
    whole = fit(x[::5], 4, 2, np.random.default_rng(0))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    monkeypatch.setattr(hkmeans, "CHUNK", 2 ** 18)
    tracemalloc.start()
    tree = fit(mapped, 4, 2, np.random.default_rng(0), most=1000)
    found = exemplars(tree, mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * x.nbytes, f"{peak / x.nbytes:.2f} of the array was held"
    assert (tree.encode(mapped) == tree.encode(x)).all() and (found >= 0).sum() == tree.leaf_used.sum()
    assert quantisation_error(tree, x) < 1.15 * quantisation_error(whole, x)


def test_the_last_chunk_may_be_one_point(monkeypatch):
    x = blobs(n=7)
    tree = fit(x, 2, 2, np.random.default_rng(0))
    monkeypatch.setattr(hkmeans, "CHUNK", 15)
    assert (tree.encode(x) == descend_by_hand(tree, x)).all()
    assert (fit(x, 2, 2, np.random.default_rng(0)).leaf_centroids == tree.leaf_centroids).all()
    assert tree.encode(x[:0]).shape == (0,)


def test_a_seed_gives_the_same_tree_and_a_file_gives_it_back(tmp_path):
    x = blobs()
    one, two = (fit(x, 4, 2, np.random.default_rng(3)) for _ in range(2))
    one.save(tmp_path / "tree.npz")
    back = Tree.load(tmp_path / "tree.npz")
    assert (one.encode(x) == two.encode(x)).all() and (one.encode(x) == back.encode(x)).all()
    assert back.k == 4 and back.depth == 2 and (back.leaf_used == one.leaf_used).all()
    assert [p.name for p in tmp_path.iterdir()] == ["tree.npz"]


def test_bad_input_is_one_clear_sentence():
    x = blobs()
    tree = fit(x, 2, 2, np.random.default_rng(0))
    for wrong in (np.nan, np.inf, 1e30):
        bad = x.copy()
        bad[-1, -1] = wrong
        for work in (lambda: fit(bad, 2, 1, np.random.default_rng(0)), lambda: tree.encode(bad),
                     lambda: kmeans(bad, 2, np.random.default_rng(0))):
            with pytest.raises(ValueError, match="NaN"):
                work()
    with pytest.raises(ValueError, match=r"\(3, 9\) and type float64, expected \(N, 5\)"):
        tree.encode(np.zeros((3, 9)))
    with pytest.raises(ValueError, match="shape"):
        tree.encode(x[0])
    for n, k, depth, most in ((0, 2, 1, 9), (5, 1, 1, 9), (5, 2, 0, 9), (5, 2, 1, 0)):
        with pytest.raises(ValueError, match=f"{n} points, k = {k}, depth = {depth}, most = {most}"):
            fit(x[:n], k, depth, np.random.default_rng(0), most=most)
    with pytest.raises(ValueError, match="0 points"):
        quantisation_error(tree, x[:0])


def test_a_bad_file_is_one_clear_sentence(tmp_path):
    tree = fit(blobs(), 2, 2, np.random.default_rng(0))
    (tmp_path / "text.npz").write_text("no tree")
    (tmp_path / "empty.npz").write_text("")
    tree.save(tmp_path / "whole.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    np.savez(tmp_path / "other.npz", words=np.arange(3))
    for name in ("text.npz", "empty.npz", "cut.npz", "other.npz", "none.npz"):
        with pytest.raises(ValueError, match=f"{name}: not a k-means tree"):
            Tree.load(tmp_path / name)
    Tree(2, tree.centroids, (tree.used[0], np.zeros(4, bool))).save(tmp_path / "childless.npz")
    Tree(2, (tree.centroids[0], tree.centroids[1] * np.nan), tree.used).save(tmp_path / "nan.npz")
    Tree(3, tree.centroids, tree.used).save(tmp_path / "sizes.npz")
    for name, complaint in (("childless.npz", "without used children"), ("nan.npz", "NaN"), ("sizes.npz", "expected powers of k")):
        with pytest.raises(ValueError, match=complaint):
            Tree.load(tmp_path / name)
