"""What downstream commands share: rows as in pretraining, the right weights or none, the true story of a corpus."""
import shutil

import numpy as np
import pytest
import torch

from minivbert.baselines import unmasked
from minivbert.config import DATA_SAMPLE, InputConfig
from minivbert.downstream import shared
from minivbert.kitchen.measure import sample_tokens
from minivbert.kitchen.recipes import ACTIONS, PHASES, STYLES, World
from minivbert.pretraining.inputs import Batches
from minivbert.tokens.corpus import Corpus
from small import small_corpus
from untrained import untrained_run

SAMPLE = DATA_SAMPLE / "corpus"


@pytest.mark.parametrize("regime", ["text", "video", "video-text"])
def test_rows_are_laid_out_as_in_pretraining(tmp_path, regime):
    corpus = small_corpus(tmp_path)
    stream = Batches(corpus, corpus.split()[0], InputConfig(rows=(16, 16, 16)), 0)
    batch, joint = stream.get(regime, 0), len(corpus.vocab)
    ids = unmasked(batch, joint + 1)
    texts = [row[1:][(row[1:] != corpus.vocab.pad) & (row[1:] != corpus.vocab.sep) & (row[1:] < joint)] for row in ids]
    films = [row[row > joint] - joint - 1 if regime != "text" else None for row in ids]
    own_ids, types, keep, clip_at = shared.lay_out(corpus.vocab, texts, films)
    T = own_ids.shape[1]
    assert (own_ids.numpy() == ids[:, :T]).all() and (types == batch.types[:, :T]).all() and (keep == batch.keep[:, :T]).all()
    for row, at, film in zip(ids, clip_at.numpy(), films):
        assert film is None or (row[at[:len(film)]] - joint - 1 == film).all() and (at[len(film):] == 0).all()


def test_a_hole_is_what_the_model_is_asked_for(tmp_path):
    corpus = small_corpus(tmp_path / "corpus", shows=10)
    model, _, corpus, tree = shared.open_run(untrained_run(tmp_path / "run", corpus), corpus.folder)
    assert tree is None
    text, film = corpus.text[:6].astype(int), [3, shared.HIDDEN, 5]
    p_BNC = shared.guess_clips(model, corpus.vocab, [text, []], [film, [shared.HIDDEN]])
    assert p_BNC.shape == (2, 3, corpus.visual_words) and p_BNC.sum(-1) == pytest.approx(1.0)
    ids = torch.tensor([[corpus.vocab.cls, *text, len(corpus.vocab), len(corpus.vocab) + 4, corpus.vocab.mask, len(corpus.vocab) + 6,
                         corpus.vocab.sep]])
    types = torch.tensor([[0] * 8 + [1] * 4])
    with torch.no_grad():
        by_hand = model.video_logits(model.encode(ids, types, torch.ones_like(ids, dtype=torch.bool)), torch.tensor([[9]]))
    assert p_BNC[0, 1] == pytest.approx(by_hand[0, 0].softmax(-1).numpy(), abs=1e-6)         # padding and row-mates change nothing


def test_other_weights_and_another_tree_are_refused(tmp_path):
    corpus = tmp_path / "corpus"
    shutil.copytree(SAMPLE, corpus)
    (tmp_path / "weights").mkdir()
    shutil.copy(DATA_SAMPLE / "weights" / "mini_s3d.safetensors", tmp_path / "weights" / "other.safetensors")
    with open(tmp_path / "weights" / "other.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(ValueError, match="other.safetensors: not the weights"):
        shared.extractor_of(Corpus.open(corpus), tmp_path / "weights" / "other.safetensors")
    assert shared.extractor_of(Corpus.open(corpus)).name == "mini"
    run = untrained_run(tmp_path / "run", Corpus.open(corpus))
    with np.load(corpus / "tree.npz") as file:
        arrays = dict(file)
    arrays["centroids_0"] = arrays["centroids_0"] + 1
    np.savez(corpus / "tree.npz", **arrays)
    with pytest.raises(ValueError, match="tree.npz: not the tree"):
        shared.open_run(run, corpus)
    corpus_of_tests = small_corpus(tmp_path / "small", shows=10)
    with pytest.raises(ValueError, match="names no feature extractor"):
        shared.extractor_of(corpus_of_tests)
    with pytest.raises(ValueError, match="not a corpus from the kitchen"):
        shared.shows_of(corpus_of_tests, [0])


def test_the_story_of_a_show_is_the_one_that_was_filmed():
    corpus = Corpus.open(SAMPLE)
    videos = [*range(12), corpus.meta["filmed"], corpus.meta["filmed"] + 7]
    told = 0
    for v, show in zip(videos, shared.shows_of(corpus, videos)):
        own = np.flatnonzero(corpus.sentence_video == v)
        assert [corpus.vocab.encode(s.text) for s in show.sentences] == [
            corpus.text[corpus.sentence_offsets[s]:corpus.sentence_offsets[s + 1]].tolist() for s in own]
        told += len(own)
    assert told > 10


def test_what_visual_words_show_is_what_shows_show():
    rng, world = np.random.default_rng(0), World()
    emission = rng.dirichlet(np.full(8, 0.3), size=(len(ACTIONS), PHASES, STYLES))
    share_CA, count_CA = shared.action_shares(world, emission), np.zeros((8, len(ACTIONS)))
    assert share_CA.sum(1) == pytest.approx(1.0)
    for _ in range(1500):
        show = world.sample(rng)
        np.add.at(count_CA, (sample_tokens(show, emission, rng), show.action), 1)
    counted_CA = count_CA / count_CA.sum(1, keepdims=True)
    assert np.abs(share_CA - counted_CA).max() < 0.02 < np.abs(share_CA - share_CA.mean(0)).max()
