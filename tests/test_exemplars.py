"""Exemplar clips: written one after the other, each found again by itself."""
import numpy as np
import pytest

from minivbert.tokens.exemplars import exemplar_clips, read_clip, read_frames, write_film
from minivbert.tokens.frames import clips_of


def clip_of(word):
    """A clip in a grey of its own, on which a white bar moves."""
    clip = np.full((30, 32, 48, 3), 20 * word, np.uint8)
    for n in range(30):
        clip[n, :, n:n + 8] = 255
    return clip


def test_every_clip_is_found_again(tmp_path):
    write_film(tmp_path / "exemplars.mp4", (clip_of(word) for word in range(6)))
    whole = list(clips_of(tmp_path / "exemplars.mp4"))
    assert len(whole) == 6
    for word in (5, 0, 3):
        clip = read_clip(tmp_path / "exemplars.mp4", word)
        assert (clip == whole[word]).all()
        assert abs(clip.astype(int) - clip_of(word)).mean() < 4 and abs(clip.astype(int) - clip_of(word + 1)).mean() > 10
    with pytest.raises(ValueError, match="ends before clip 6"):
        read_clip(tmp_path / "exemplars.mp4", 6)
    shown = list(exemplar_clips(tmp_path, [3, 3, 1]))
    assert (shown[0] == shown[1]).all() and (shown[2] == whole[1]).all()


def test_without_clips_the_frame_is_held(tmp_path):
    with pytest.raises(ValueError, match="exemplars.npz: not there"):
        read_frames(tmp_path)
    frames = np.stack([clip_of(word)[15] for word in range(3)])
    np.savez(tmp_path / "exemplars.npz", frames=frames)
    (clip,) = exemplar_clips(tmp_path, [2])
    assert clip.shape == (30, 32, 48, 3) and (clip == frames[2]).all()


def test_a_film_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no clip to write"):
        write_film(tmp_path / "film.mp4", [])
    assert not list(tmp_path.iterdir())
