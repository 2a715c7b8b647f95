"""The pictures: the same from the same draws, different where the story differs; wrong names fail."""
import numpy as np
import pytest

from minivbert.kitchen.draw import draw_clip
from minivbert.kitchen.recipes import ACTIONS, INGREDIENTS, PHASES, STYLES, VERBS
from minivbert.kitchen.sprites import faded, paste, sprite

DOT = (("ellipse", 0, 0, 4, 4, 0, (255, 0, 0)),)


def clip(verb="slice", ingredient="tomato", phase=0, style=0, seed=0, at=(0, 4, 9)):
    return draw_clip(verb, ingredient, phase, style, np.random.default_rng(seed), at).astype(int)


def share_told_apart(cells, seeds=12, learned=8):
    """Draw cells (verb, ingredient, phase) at 48 x 48; share of the last clips nearest their own mean."""
    small = np.array([[clip(*cell, seed=seed, at=[3, 12, 21]).mean(0)[::2, ::2] for seed in range(seeds)]
                      for cell in cells])
    mean = small[:, :learned].mean(1)
    far = np.abs(small[:, learned:, None] - mean).mean((3, 4, 5))
    return (far.argmin(2) == np.arange(len(cells))[:, None]).mean()


@pytest.mark.parametrize("verb", VERBS)
def test_a_frame_is_the_same_whichever_others_are_drawn(verb):
    for style in (2, 3):  # one of them mirrored
        whole = clip(verb, "egg", 2, style, at=range(30))
        assert whole.shape == (30, 96, 96, 3)
        assert (clip(verb, "egg", 2, style, at=range(30)) == whole).all()
        assert (clip(verb, "egg", 2, style, at=[29, 0, 17]) == whole[[29, 0, 17]]).all()
        assert (clip(verb, "egg", 2, style, seed=1, at=range(30)) != whole).any()


def test_every_clip_draws_the_same_number_of_times():
    after = set()
    for verb, phase, at in (("slice", 0, [3]), ("boil", 2, range(30)), ("sprinkle", 1, [])):
        rng = np.random.default_rng(5)
        draw_clip(verb, "rice", phase, 1, rng, at)
        after.add(rng.integers(1 << 40))
    assert len(after) == 1


def test_phases_can_be_told_apart_by_the_nearest_mean_picture():
    """A far weaker eye than MiniS3D's; chance is 1/3."""
    told = [share_told_apart([(verb, ingredient, phase) for phase in range(PHASES)])
            for verb, ingredient in ACTIONS[::4]]
    assert np.mean(told) > 0.85


def test_verbs_can_be_told_apart_by_the_nearest_mean_picture():
    """Chance is 1/12; only the surface, the tool and the pieces differ, as all have the same ingredient."""
    assert share_told_apart([(verb, "carrot", 1) for verb in VERBS]) > 0.95


def test_styles_are_seen_at_once():
    pictures = [clip(style=style)[0] for style in range(STYLES)]
    for a in range(STYLES):
        for b in range(a):
            assert np.abs(pictures[a] - pictures[b]).mean() > 15


@pytest.mark.parametrize("verb", VERBS)
def test_something_moves_and_every_ingredient_can_be_drawn(verb):
    for ingredient in INGREDIENTS:
        for phase in range(PHASES):
            frames = clip(verb, ingredient, phase)
            assert np.abs(frames[1] - frames[0]).max() > 30
            assert 40 < frames.mean() < 230


def test_a_sprite_is_cut_at_every_border_and_gone_beyond():
    """Pasting past a border gives what a larger canvas shows in its middle."""
    for x in (-30, -6, -2, 0, 9, 18, 21, 40):
        for y in (-30, -3, 10, 22, 40):
            large, small = np.full((120, 120, 3), 100, np.float32), np.full((20, 20, 3), 100, np.float32)
            paste(large, sprite(DOT), x + 50, y + 50)
            paste(small, sprite(DOT), x, y)
            assert (large[50:70, 50:70] == small).all()


def test_a_faded_sprite_is_that_share_of_the_way():
    canvas, full = np.full((2, 20, 20, 3), 100, np.float32)
    paste(full, sprite(DOT), 10, 10)
    paste(canvas, faded(sprite(DOT), 0.25), 10, 10)
    assert full[10, 10].tolist() == [255, 0, 0] and 0 < full[10, 6, 1] < 100
    np.testing.assert_allclose(canvas, 75 + 0.25 * full, atol=1e-4)


def test_a_wrong_name_is_told_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'slice'.*Known: peel, slice"):
        clip("slicee")
    with pytest.raises(ValueError, match="did you mean 'tomato'.*Known: tomato, onion"):
        clip(ingredient="tomatoe")
    with pytest.raises(ValueError, match="phase 3"):
        clip(phase=3)
    with pytest.raises(ValueError, match="style 6"):
        clip(style=6)
