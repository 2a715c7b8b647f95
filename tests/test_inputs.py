"""From segments to batches: what the model sees is what the corpus holds, in the right order, of the right video."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from minivbert.config import InputConfig
from minivbert.pretraining import segments as segments_module
from minivbert.pretraining.inputs import REGIMES, Batches, ranges
from small import small_corpus

CONFIG = InputConfig(rows=(16, 16, 16), subsample=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


def true_ids(batch, joint):
    """Undo the masking with the labels."""
    ids = batch.ids.clone()
    for at, label, weight in ((batch.text_at, batch.text_label, batch.text_weight),
                              (batch.video_at, batch.video_label + joint + 1, batch.video_weight)):
        for row, slot in torch.nonzero(weight):
            ids[row, at[row, slot]] = label[row, slot]
    return ids


def parse(row, keep, vocab, joint):
    """Split a row into its text ids and its visual tokens, checking every special token's place."""
    row = row[keep].tolist()
    assert row[0] == vocab.cls and row[-1] == vocab.sep and vocab.sep not in row[:-1]
    body = row[1:-1]
    if joint not in body:
        return body, []
    at = body.index(joint)
    assert all(t > joint for t in body[at + 1:]) and all(t < joint for t in body[:at])
    return body[:at], [t - joint - 1 for t in body[at + 1:]]


def occurrences(corpus, text):
    """Find where consecutive sentences of one video read so: [(first sentence, one past the last)]."""
    ids = corpus.text[:].tolist()
    found = []
    for s in range(len(corpus.sentence_video)):
        for e in (s + 1, s + 2):
            if e <= len(corpus.sentence_video) and corpus.sentence_video[s] == corpus.sentence_video[e - 1]:
                if ids[corpus.sentence_offsets[s]:corpus.sentence_offsets[e]] == text:
                    found.append((s, e))
    return found


def clips_of(corpus, s, e):
    """The clips that sentences s .. e - 1 touch, one clip at a time."""
    out = []
    for i in range(s, e):
        video = corpus.video(corpus.sentence_video[i])
        start, end = corpus.sentence_times[i]
        out += [int(v) for k, v in enumerate(video) if k * 1.5 < end and (k + 1) * 1.5 > start]
    return out


def test_true_pairs_are_the_sentence_and_its_clips_and_false_pairs_are_of_another_video(corpus):
    training, _ = corpus.split()
    joint = len(corpus.vocab)
    batches = Batches(corpus, training, CONFIG, seed=0)
    true, elsewhere, joined, checked = 0, 0, 0, 0
    for i in range(20):
        batch = batches.get("video-text", i)
        ids = true_ids(batch, joint)
        for b in range(len(ids)):
            text, video = parse(ids[b], batch.keep[b], corpus.vocab, joint)
            places = occurrences(corpus, text)
            places = [(s, e) for s, e in places if corpus.sentence_video[s] in training]
            assert places
            spans = [clips_of(corpus, s, e) for s, e in places]
            assert len(video) in {len(span) for span in spans}
            if batch.aligned[b]:
                assert video in spans
            elsewhere += not batch.aligned[b] and video not in spans
            true += int(batch.aligned[b])
            joined += max(e - s for s, e in places) == 2
            checked += 1
    assert elsewhere > 0.8 * (checked - true)          # by chance another segment may look the same
    assert abs(true - checked / 2) < 4 * np.sqrt(checked / 4)
    assert abs(joined - checked / 2) < 4 * np.sqrt(checked / 4) + 3


def test_false_pairs_come_from_another_video(corpus):
    batches = Batches(corpus, corpus.split()[0], CONFIG, seed=0)
    rng = np.random.default_rng(0)
    for segments, partners in zip(batches.segments, batches.partners):
        pick = rng.integers(len(segments), size=500)
        other, aligned = partners.pairs(pick, np.zeros(500, bool), rng)
        differ = other != pick
        assert (aligned == ~differ).all()
        assert differ.mean() > 0.9
        one, two = segments.take(pick), segments.take(other)
        assert (one.video != two.video)[differ].all() and (segments.video[other] == two.video).all()
        assert (one.clip_len.sum(1) == two.clip_len.sum(1)).all() and (segments.clips[pick] == one.clip_len.sum(1)).all()


def test_a_corpus_too_large_to_hold_is_looked_up_and_gives_the_same_batches(corpus, monkeypatch):
    batches = [Batches(corpus, corpus.split()[0], CONFIG, seed=0)]
    monkeypatch.setattr(segments_module, "HELD", 10)
    batches.append(Batches(corpus, corpus.split()[0], CONFIG, seed=0))
    assert isinstance(batches[0].partners[0].video, np.ndarray) and isinstance(batches[1].partners[0].low, segments_module.LookedUp)
    one, two = (b.get("video-text", 3) for b in batches)
    assert torch.equal(one.ids, two.ids) and torch.equal(one.aligned, two.aligned)


def test_sub_sampling_takes_every_rth_clip(corpus):
    batches = Batches(corpus, corpus.split()[0], replace(CONFIG, subsample=5), seed=0)
    joint, seen = len(corpus.vocab), set()
    videos = [corpus.video(v).tolist() for v in range(corpus.videos)]
    for i in range(6):
        batch = batches.get("video", i)
        for row, keep in zip(true_ids(batch, joint), batch.keep):
            text, tokens = parse(row, keep, corpus.vocab, joint)
            assert text == []
            rates = {r for video in videos for start in range(0, len(video), 16) for r in range(1, 6)
                     if video[start::r][:16] == tokens}
            assert rates
            seen |= rates if len(rates) == 1 else set()
    assert seen == {1, 2, 3, 4, 5}


def test_each_regime_masks_only_what_it_may(corpus):
    batches = Batches(corpus, corpus.split()[0], CONFIG, seed=0)
    for regime in REGIMES:
        batch = batches.get(regime, 0)
        assert (batch.text_at.shape[1] > 0) == (regime != "video")
        assert (batch.video_at.shape[1] > 0) == (regime != "text")
        assert (batch.aligned is not None) == (regime == "video-text")
        assert (batch.ids[~batch.keep] == corpus.vocab.pad).all()
        is_visual = batch.ids > len(corpus.vocab)
        assert (batch.types[is_visual] == 1).all() and (batch.types[:, 0] == 0).all()


def test_a_batch_depends_on_seed_and_number_alone(corpus):
    make = lambda seed: Batches(corpus, corpus.split()[0], CONFIG, seed)
    late = make(0).get("video-text", 37)
    walked = make(0)
    for i in range(38):
        last = walked.get("video-text", i)
    assert torch.equal(late.ids, last.ids) and torch.equal(late.text_label, last.text_label)
    assert not torch.equal(make(1).get("video-text", 37).ids[:, :8], late.ids[:, :8])


def test_long_text_and_video_are_cut_not_skipped(corpus):
    batches = Batches(corpus, corpus.split()[0], replace(CONFIG, max_text=5, max_video=2), seed=0)
    for i in range(16):
        batch = batches.get("video-text", i)
        assert len(batch.ids) == 16 and batch.keep.sum(1).max() <= 5 + 2 + 3


def test_without_speech_only_the_video_regime_is_left(tmp_path):
    corpus = small_corpus(tmp_path, shows=12, speech=0.0)
    batches = Batches(corpus, corpus.split()[0], CONFIG, seed=0)
    assert batches.regimes() == ("video",)
    assert batches.get("video", 0).ids.shape[0] == 16


def test_less_than_a_tenth_is_padding_in_few_shapes(corpus):
    batches = Batches(corpus, corpus.split()[0], InputConfig(), seed=0)
    drawn = [batches.get(regime, i) for regime in REGIMES for i in range(64)]
    real, room = sum(int(b.keep.sum()) for b in drawn), sum(b.keep.numel() for b in drawn)
    assert 1 - real / room < 0.10
    assert len({tuple(b.ids.shape) for b in drawn}) <= 40


def test_ranges_lays_two_ranges_end_to_end():
    assert ranges(np.array([[7, 3], [0, 0]]), np.array([[2, 2], [1, 0]]), 5).tolist() == [[7, 8, 3, 4, 4], [0, 0, 0, 0, 0]]
