"""A run held against the truth: figures by hand, and a short run on the sample between unigram and floor."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from minivbert.baselines import NGrams, fit_ngrams, left_neighbours, unmasked
from minivbert.config import DATA_SAMPLE, PRESETS, InputConfig
from minivbert.evaluate import calibration, evaluate_run, gap_by_kind, summarise, table_of
from minivbert.pretraining.inputs import Batches
from minivbert.tokens.corpus import Corpus
from minivbert.train import train
from small import small_corpus

CPU = torch.device("cpu")


def test_ngrams_by_hand():
    table = NGrams(np.array([0, 0, 0, 1]), np.array([[0, 1], [0, 1]]), 2)
    assert np.exp(table.log_unigram) == pytest.approx([3.5 / 5, 1.5 / 5])
    assert np.exp(table.log_bigram(np.array([0, -1]))) == pytest.approx(
        np.array([[(0 + 0.7) / 3, (2 + 0.3) / 3], [0.7, 0.3]]))


def test_ngrams_are_counted_on_what_the_model_sees(tmp_path):
    corpus = small_corpus(tmp_path)
    stream = Batches(corpus, corpus.split()[0], InputConfig(rows=(16, 16, 16), subsample=1), 0)
    tables = fit_ngrams(stream, batches=4)
    ids = [unmasked(stream.get(regime, i), stream.video_range[0])[stream.get(regime, i).keep.numpy()]
           for regime in ("text", "video-text") for i in range(4)]
    words = np.concatenate(ids)
    words = words[(words >= stream.text_range[0]) & (words < stream.text_range[1])]
    share = ((words == corpus.vocab.ids["the"]).sum() + 0.5) / (len(words) + 0.5 * len(corpus.vocab))
    assert np.exp(tables["text"].log_unigram[corpus.vocab.ids["the"]]) == pytest.approx(share)
    after_now = np.exp(tables["text"].log_bigram(np.array([corpus.vocab.ids["until"]]))[0])
    assert after_now[corpus.vocab.ids["it"]] > 0.9                     # the kitchen says "until it is"
    batch = stream.get("text", 0)
    left = left_neighbours(batch, "text", stream)
    assert len(left) == int(batch.text_weight.sum()) and set(left[left >= 0]) <= set(range(*stream.text_range))


def test_summary_calibration_and_gap_by_hand():
    row = {name: np.log(np.array(p)) for name, p in (("unigram", [0.1, 0.1]), ("model", [0.2, 0.8]), ("oracle", [0.4, 0.8]))}
    row |= {f"{name} right": np.array([False, True]) for name in ("unigram", "model", "oracle")}
    row |= {f"{name} top": np.array([0.55, 0.85]) for name in ("unigram", "model", "oracle")}
    rows = {("video", "video"): row | {"label": np.array([0, 1])}}
    summary = summarise(rows)
    assert summary["video"]["model"] == pytest.approx([-(np.log(0.2) + np.log(0.8)) / 2, 0.5])
    gone, whole = np.log(2) + np.log(8), np.log(4) + np.log(8)
    assert summary["video"]["closed"] == pytest.approx(gone / whole)
    stated, true, count = calibration(rows, "video", "model")
    assert stated.tolist() == [0.55, 0.85] and true.tolist() == [0, 1] and count.tolist() == [1, 1]
    gaps = gap_by_kind(rows, {"video": np.array(["slice", "fry"])})
    assert gaps["video"][0] == ("slice", 0.5, pytest.approx(np.log(2) / 2)) and gaps["video"][1][2] == pytest.approx(0)
    assert "closed" in table_of(summary)


def test_a_short_run_on_the_sample_lies_between_unigram_and_floor(tmp_path):
    corpus, tiny = Corpus.open(DATA_SAMPLE / "corpus"), PRESETS["tiny"]
    config = replace(tiny, model=replace(tiny.model, width=32, layers=1, feed_forward=64, heads=2),
                     train=replace(tiny.train, steps=40, eval_batches=1, eval_every=40, precision="float32"))
    train(config, corpus, CPU, tmp_path)
    summary, gaps = evaluate_run(tmp_path, corpus)
    for part in ("text", "video"):
        nats = {name: summary[part][name][0] for name in ("unigram", "bigram", "model", "oracle")}
        assert nats["oracle"] < nats["model"] < nats["unigram"] and nats["oracle"] < nats["bigram"] < nats["unigram"]
        assert 0 < summary[part]["closed"] < 1
        assert sum(excess for *_, excess in gaps[part]) == pytest.approx(nats["model"] - nats["oracle"])
    assert summary["alignment"]["oracle"][1] > 0.7
    recorded = json.loads((tmp_path / "summary.json").read_text())
    assert recorded["text_floor_nats"] == pytest.approx(summary["text"]["oracle"][0], abs=1e-6)
    assert recorded["text_nats"] == pytest.approx(summary["text"]["model"][0], abs=1e-4)
    assert (tmp_path / "evaluation.png").stat().st_size > 10_000


def test_a_run_of_another_corpus_is_one_sentence(tmp_path):
    corpus = small_corpus(tmp_path / "corpus")
    tiny = PRESETS["tiny"]
    config = replace(tiny, model=replace(tiny.model, width=16, layers=1, feed_forward=16, heads=1), inputs=replace(tiny.inputs, rows=(4, 4, 4)),
                     train=replace(tiny.train, steps=1, eval_batches=1))
    train(config, corpus, CPU, tmp_path / "run")
    with pytest.raises(ValueError, match="give the corpus it was trained on"):
        evaluate_run(tmp_path / "run", Corpus.open(DATA_SAMPLE / "corpus"))
