"""N-grams at a distance: counts by hand, leaving one out against counting again, and what they can and cannot know."""
import numpy as np
import pytest

from minivbert.downstream.ngrams_ahead import Counts, NGramsAhead


def test_counts_by_hand():
    table = Counts(np.array([4, 4, 4, 7]), np.array([1, 1, 0, 2]), 3)
    assert table.rows(np.array([4, 5, 7, 4])).tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 1], [1, 2, 0]]
    lower = np.array([[0.5, 0.25, 0.25]])
    assert table.smooth(np.array([4]), lower, 4.0) == pytest.approx(np.array([[3, 3, 1]]) / 7)
    assert table.smooth(np.array([5]), lower, 4.0) == pytest.approx(lower)


def test_leaving_one_out_is_counting_without_it():
    rng = np.random.default_rng(0)
    context, following, lower = rng.integers(3, size=40), rng.integers(4, size=40), rng.random(40)
    found = Counts(context, following, 4).left_out(lower, 2.0)
    for n in (0, 17, 39):
        rest = np.arange(40) != n
        same = rest & (context == context[n])
        assert found[n] == pytest.approx(((same & (following == following[n])).sum() + 2 * lower[n]) / (same.sum() + 2))


def test_each_order_knows_what_it_can():
    rng = np.random.default_rng(0)
    videos = []
    for _ in range(60):                                     # after 0 comes 1 or 2 by what stood before the 0: only a trigram sees that
        v = []
        for _ in range(20):
            first = rng.integers(1, 3)
            v += [first, 0, first]
        videos.append(np.array(v))
    p = NGramsAhead(videos, V=3, ahead=1).predict(np.array([[1, 0], [2, 0], [0, 1]]))
    assert all(p[name].sum(1) == pytest.approx([1, 1, 1]) for name in p)
    assert p["bigram"][0] == pytest.approx(p["bigram"][1]) and p["bigram"][0, 1:] == pytest.approx([0.5, 0.5], abs=0.05)
    assert p["trigram"][0, 1] > 0.95 and p["trigram"][1, 2] > 0.95
    two = NGramsAhead(videos, V=3, ahead=2).predict(np.array([[1, 0]]))       # two ahead of [1, 0] stands 1 [1 or 2]
    assert two["trigram"][0, 0] < 0.05 and two["unigram"].shape == (1, 3)


def test_positions_without_a_future_are_not_counted():
    model = NGramsAhead([np.array([0, 1, 2, 0, 1]), np.array([1, 1, 1])], V=3, ahead=2)       # two after clip 1 stands 0, after clip 2 a 1
    assert model.unigram == pytest.approx(np.array([1.5, 1.5, 0.5]) / 3.5)
    with pytest.raises(ValueError, match="longer than 5 clips"):
        NGramsAhead([np.array([0, 1, 2, 2, 2])], V=3, ahead=4)
