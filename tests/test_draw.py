"""The pictures: the same from the same draws, different where the story differs, quick to fail on a wrong name."""
import numpy as np
import pytest

from minivbert.kitchen.draw import draw_clip
from minivbert.kitchen.recipes import ACTIONS, INGREDIENTS, PHASES, STYLES, VERBS


def clip(verb="slice", ingredient="tomato", phase=0, style=0, seed=0, at=(0, 4, 9)):
    return draw_clip(verb, ingredient, phase, style, np.random.default_rng(seed), at).astype(int)


def test_some_frames_are_the_same_as_in_the_whole_clip():
    whole = clip("fry", "egg", 2, 3, at=range(30))
    assert whole.shape == (30, 96, 96, 3)
    assert (clip("fry", "egg", 2, 3, at=[0, 17, 29]) == whole[[0, 17, 29]]).all()
    assert (clip("fry", "egg", 2, 3, at=range(30)) == whole).all()
    assert (clip("fry", "egg", 2, 3, seed=1, at=range(30)) != whole).any()


def test_phases_can_be_told_apart_by_the_nearest_mean_picture():
    """A far weaker eye than MiniS3D's; chance is 1/3."""
    right = []
    for verb, ingredient in ACTIONS[::4]:
        small = {(p, seed): clip(verb, ingredient, p, seed=seed, at=[3, 12, 21]).mean(0)[::3, ::3] for p in range(PHASES) for seed in range(12)}
        mean = [np.mean([small[p, seed] for seed in range(8)], 0) for p in range(PHASES)]
        right += [np.argmin([np.abs(small[p, seed] - m).mean() for m in mean]) == p for p in range(PHASES) for seed in range(8, 12)]
    assert np.mean(right) > 0.85


def test_styles_are_seen_at_once():
    pictures = [clip(style=style)[0] for style in range(STYLES)]
    for a in range(STYLES):
        for b in range(a):
            assert np.abs(pictures[a] - pictures[b]).mean() > 15


@pytest.mark.parametrize("verb", VERBS)
def test_something_moves_and_every_ingredient_can_be_drawn(verb):
    for ingredient in INGREDIENTS:
        frames = clip(verb, ingredient, 1)
        assert np.abs(frames[1] - frames[0]).max() > 30
        assert 40 < frames.mean() < 230


def test_a_wrong_name_is_told_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'slice'"):
        clip("slicee")
    with pytest.raises(ValueError, match="did you mean 'tomato'"):
        clip(ingredient="tomatoe")
    with pytest.raises(ValueError, match="phase 3"):
        clip(phase=3)
