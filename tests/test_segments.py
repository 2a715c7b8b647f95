"""Sentences to segments: by hand at every edge, and random ones against sets of clips counted one by one."""
import numpy as np
import pytest

from minivbert.config import InputConfig
from minivbert.pretraining.inputs import Batches
from minivbert.pretraining.segments import sentence_segments, window_segments
from minivbert.tokens.corpus import Corpus, write_corpus
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

VOCAB = WordPiece([*SPECIALS, "chop", "it", "now"])


def corpus_of(folder, clips, sentences):
    """Write and open a corpus: so many clips a video, sentences [(words, start, end)] a video; clip k of the corpus is visual token k."""
    tokens = np.split(np.arange(sum(clips)), np.cumsum(clips)[:-1])
    told = [[(VOCAB.encode(text), start, end) for text, start, end in list_] for list_ in sentences]
    write_corpus(folder, tokens, told, VOCAB, max(sum(clips), 1), [])
    return Corpus.open(folder)


def listed(corpus, segments):
    """Give each segment as (words of both sentences, clips of both, counted from the corpus' first)."""
    rows = zip(segments.text_from, segments.text_len, segments.clip_from, segments.clip_len)
    return [(" ".join(corpus.vocab.vocab[i] for a, n in zip(text_from, text_len) for i in corpus.text[a:a + n]),
             [int(k) for a, n in zip(clip_from, clip_len) for k in range(a, a + n)]) for text_from, text_len, clip_from, clip_len in rows]


@pytest.mark.parametrize("start, end, clips", [
    (0.15, 3.2, [10, 11, 12]), (1.5, 3.0, [11]), (1.49, 3.01, [10, 11, 12]), (2.0, 2.1, [11]),
    (-3.0, 0.5, [10]), (-5.0, -1.0, None), (4.6, 99.0, [13]), (6.0, 9.0, None), (5.99, 6.0, [13]),          # 4 clips: 6 s
    (3.0, 3.0, None), (3.2, 3.2, [12]), (-1e9, 1e9, [10, 11, 12, 13]),
])
def test_a_sentence_takes_the_clips_that_it_touches_and_no_other_video(tmp_path, start, end, clips):
    """Between two videos of 10 and 5 clips; only what lies in the video counts."""
    corpus = corpus_of(tmp_path, [10, 4, 5], [[], [("chop it", start, end)], []])
    segments = sentence_segments(corpus, [0, 1, 2], joined=False)
    assert listed(corpus, segments) == ([] if clips is None else [("chop it", clips)])
    assert segments.video.tolist() == [1] * (clips is not None)


def test_a_clip_that_two_joined_sentences_touch_stands_once(tmp_path):
    corpus = corpus_of(tmp_path, [8], [[("chop it", 0.2, 3.7), ("now", 4.0, 7.0), ("it", 5.0, 6.5), ("chop now", 10.6, 11.0)]])
    assert listed(corpus, sentence_segments(corpus, [0], joined=False)) == [
        ("chop it", [0, 1, 2]), ("now", [2, 3, 4]), ("it", [3, 4]), ("chop now", [7])]
    assert listed(corpus, sentence_segments(corpus, [0], joined=True)) == [
        ("chop it now", [0, 1, 2, 3, 4]), ("now it", [2, 3, 4]), ("it chop now", [3, 4, 7])]


def test_sentences_without_a_word_or_a_clip_drop_out_and_others_become_neighbours(tmp_path):
    corpus = corpus_of(tmp_path, [4, 4], [[("chop", 0.1, 1.0), ("", 1.6, 2.0), ("now", 3.1, 4.0), ("it", 6.2, 8.0)],
                                          [("it", 0.0, 1.0), ("now", -2.0, -1.0)]])
    assert listed(corpus, sentence_segments(corpus, [0, 1], joined=False)) == [("chop", [0]), ("now", [2]), ("it", [4])]
    assert listed(corpus, sentence_segments(corpus, [0, 1], joined=True)) == [("chop now", [0, 2])]


def test_random_sentences_against_sets_of_clips(tmp_path):
    rng = np.random.default_rng(0)
    clips = rng.integers(1, 12, size=40).tolist()
    sentences = []
    for n in clips:
        starts = np.sort(rng.uniform(-3, 1.5 * n + 3, size=rng.integers(0, 7)))
        sentences.append([(" ".join(rng.choice(["chop", "it", "now"], size=rng.integers(0, 4))), float(s), float(s + rng.exponential(3)))
                          for s in starts])
    corpus = corpus_of(tmp_path, clips, sentences)
    singles, pairs = [], []
    for v, list_ in enumerate(sentences):
        begin, kept = int(corpus.visual_offsets[v]), []
        for text, start, end in list_:
            touched = [begin + k for k in range(clips[v]) if 1.5 * k < np.float32(end) and 1.5 * (k + 1) > np.float32(start)]
            if text and touched:
                kept.append((text, touched))
        singles += kept
        pairs += [(f"{a} {b}", sorted({*c, *d})) for (a, c), (b, d) in zip(kept, kept[1:])]
    found = [listed(corpus, sentence_segments(corpus, range(40), joined)) for joined in (False, True)]
    assert len(pairs) > 20 and found[0] == singles
    assert [(text, sorted(at)) for text, at in found[1]] == pairs
    assert all(len(set(at)) == len(at) for _, at in found[1])


def test_without_speech_every_video_is_cut_into_windows_of_16(tmp_path):
    corpus = corpus_of(tmp_path, [35, 16, 3], [[], [], []])
    windows = window_segments(corpus, np.arange(3))
    assert windows.start.tolist() == [0, 16, 32, 35, 51] and windows.room.tolist() == [35, 19, 3, 16, 3]
    assert Batches(corpus, np.arange(3), InputConfig(rows=(4, 4, 4)), 0).regimes() == ("video",)


def test_batches_of_overlapping_sentences_show_no_clip_twice(tmp_path):
    told = [[("chop it now", 1.0 * k, 1.0 * k + 2.6) for k in range(12)] for _ in range(6)]
    corpus = corpus_of(tmp_path, [10] * 6, told)
    batches = Batches(corpus, np.arange(6), InputConfig(rows=(8, 8, 8), subsample=1, concat=1.0), seed=0, training=False)
    batch = batches.get("video-text", 0)
    ids = batch.ids.clone()
    for row, slot in np.argwhere(batch.video_weight.numpy() > 0):
        ids[row, batch.video_at[row, slot]] = batch.video_label[row, slot] + len(VOCAB) + 1
    for row in ids.numpy():
        shown = row[row > len(VOCAB)]
        assert len(shown) >= 2 and len(set(shown)) == len(shown)
