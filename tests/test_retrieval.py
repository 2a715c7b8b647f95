"""Search: ranks by hand, chance exactly, the oracle against the pretraining oracle, two streams learn and are reproducible."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from minivbert.config import DATA_SAMPLE, PRESETS, ModelConfig
from minivbert.downstream.dual import DualEncoder, Pairs, contrast, equal, film_of, load_dual, save_dual, text_of, train_dual
from minivbert.downstream.retrieval import chance, figures_of, main, pool_of, ranks, retrieval, said_of, score_oracle, score_single, text_ids
from minivbert.downstream.shared import HIDDEN, lay_out
from minivbert.floors import oracle_of
from minivbert.model.videobert import VideoBERT
from minivbert.pretraining.inputs import Batch
from minivbert.pretraining.segments import sentence_segments
from minivbert.tokens.corpus import Corpus
from small import small_corpus
from test_frames import COCKATOO


@pytest.fixture(scope="module")
def sample():
    corpus = Corpus.open(DATA_SAMPLE / "corpus")
    return corpus, oracle_of(corpus, PRESETS["tiny"].inputs)


def test_ranks_by_hand():
    score = np.array([[9, 5, 1], [5, 9, 9], [1, 2, 3]], float)
    own = np.eye(3, dtype=bool)
    assert ranks(score, own).tolist() == [1, 2, 1]                         # the second ties with a wrong one
    same = equal([[1], [1], [2]])
    assert ranks(score.T, same).tolist() == [1, 1, 2]                       # equal captions: any of them is right
    constant = figures_of(np.zeros((5, 5)), np.eye(5, dtype=bool))
    assert constant["text to video"]["R@1"] == 0.0 and constant["video to text"]["median rank"] == 5


def test_chance_is_what_random_orders_give():
    same = equal([[i // 2] if i < 6 else [i] for i in range(20)])
    rng = np.random.default_rng(0)
    tries = [figures_of(rng.random((20, 20)), same)["text to video"] for _ in range(600)]
    exact = chance(same)["text to video"]
    for key in ("R@1", "R@5", "R@10"):
        assert np.mean([t[key] for t in tries]) == pytest.approx(exact[key], abs=0.012)


def test_pool_has_one_length_and_no_chatter(sample):
    corpus, oracle = sample
    texts, films = pool_of(corpus, 60, oracle)
    assert len(texts) == len(films) == 60 and len({len(f) for f in films}) == 1
    assert all("grandmother" not in corpus.vocab.decode(t) for t in texts)
    assert any("grandmother" in corpus.vocab.decode(t) for t in pool_of(corpus, 400)[0])
    assert said_of(oracle, [corpus.vocab.encode("do not forget to subscribe .")]).sum() == 0


def test_oracle_of_pairs_is_the_pretraining_oracle(sample):
    """P(aligned) = r / (1 + r), r the ratio of the pair's probability to that of the two apart: no chatter, no joining, every clip shown."""
    corpus, known = sample
    texts, films = pool_of(corpus, 9, known)
    world = replace(known.world, chatter=0.0, lags=(0.6, 0.0, 0.4))
    oracle = type(known)(world, corpus.vocab.vocab, known.emission, concat=0.0, rates=(1.0,), window=known.window)
    ours = score_oracle(oracle, texts, films)
    pairs = [(t, v) for t in range(9) for v in range(9)]
    hidden = [HIDDEN, *films[0][1:]]                                          # one more row: the oracle wants something to be hidden
    ids, types, keep, clip_at = lay_out(corpus.vocab, [*(texts[t] for t, _ in pairs), texts[0]], [*(films[v] for _, v in pairs), hidden])
    used = torch.zeros(len(ids), 1)
    used[-1] = 1
    none = torch.zeros(len(ids), 0)
    batch = Batch(ids, types, keep, none.long(), none.long(), none, clip_at[:, :1], torch.zeros(len(ids), 1).long(), used, torch.ones(len(ids)),
                  "video-text")
    aligned = oracle.predict(batch).aligned[:-1].reshape(9, 9)
    # the pretraining oracle also counts videos that end before the announced clip comes: a constant a video, whatever is said
    odds = np.log(aligned) - np.log1p(-aligned)
    difference = np.where(odds > -30, ours - odds, np.nan)
    assert (np.isfinite(difference).sum(0) > 1).sum() > 5
    assert np.nanmax(np.nanmax(difference, 0) - np.nanmin(difference, 0)) < 1e-6
    figures = figures_of(score_oracle(known, texts, films), equal(texts))
    assert figures["text to video"]["R@5"] > 0.7


def test_alignment_scores_pair_by_pair(sample):
    corpus, _ = sample
    model = VideoBERT(ModelConfig(width=16, layers=1, heads=2, feed_forward=16, text_vocab=len(corpus.vocab), visual_vocab=corpus.visual_words,
                                  max_positions=64, init_std=0.3)).eval()
    texts, films = pool_of(corpus, 5)
    scores = score_single(model, corpus.vocab, texts, films, rows=7)
    for t, v in ((0, 0), (4, 1), (2, 3)):
        ids, types, keep, _ = lay_out(corpus.vocab, [texts[t]], [films[v]])
        with torch.no_grad():
            assert scores[t, v] == pytest.approx(model.align_logit(model.encode(ids, types, keep)).item(), abs=1e-5)


def test_two_streams_have_the_parameters_of_one():
    for words in (216, 225):
        c = replace(PRESETS["tiny"].model, text_vocab=180, visual_vocab=words)
        one, two = (sum(p.numel() for p in m.parameters()) for m in (VideoBERT(c), DualEncoder(c)))
        assert two == pytest.approx(one, rel=0.01)


def test_padding_changes_nothing_and_contrast_by_hand():
    dual = DualEncoder(ModelConfig(width=16, layers=2, heads=2, feed_forward=16, text_vocab=20, visual_vocab=9, max_positions=12,
                                   init_std=0.3)).eval()
    assert torch.allclose(dual.texts([[5, 6], [7, 8, 9, 10]])[:1], dual.texts([[5, 6]]), atol=1e-6)
    assert torch.allclose(dual.videos([[0, 3, 1]]).norm(dim=-1), torch.ones(1))
    s = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    same = torch.tensor([[True, False, True], [False, True, False], [True, False, True]])
    rows = -torch.log(torch.stack([torch.tensor(2.0).exp() / (torch.tensor(2.0).exp() + 1), torch.tensor(1.0).exp() / (
        1 + torch.tensor(1.0).exp() + torch.tensor(3.0).exp()), torch.tensor(0.5)])).mean()
    columns = -torch.log(torch.stack([torch.tensor(2.0).exp() / (torch.tensor(2.0).exp() + 1), torch.tensor(1.0).exp() / (
        2 + torch.tensor(1.0).exp()), torch.tensor(1.0) / (1 + torch.tensor(3.0).exp())])).mean()
    assert contrast(s, same).item() == pytest.approx((rows + columns).item() / 2, rel=1e-5)


def test_pairs_are_true_and_equally_long(tmp_path):
    corpus = small_corpus(tmp_path, shows=80, speech=1.0)
    training = corpus.split()[0]
    pairs = Pairs(corpus, training, PRESETS["tiny"].inputs, 0)
    known = {}
    for joined in (False, True):
        s = sentence_segments(corpus, training, joined)
        for a in range(len(s)):
            for rate in range(1, 6):
                known.setdefault((tuple(text_of(corpus, s, a)[:26]), tuple(film_of(corpus, s, a)[::rate][:16])), a)
    kinds = set()
    for i in range(12):
        texts, films = pairs.get(i, 16)
        assert len({len(f) for f in films}) == 1
        assert all((tuple(t), tuple(f)) in known for t, f in zip(texts, films))
        kinds.add(max(map(len, texts)) > 13)
    assert kinds == {True, False}                                           # single sentences and joined ones
    assert [f.tolist() for f in pairs.get(3, 16)[1]] == [f.tolist() for f in pairs.get(3, 16)[1]]


def test_two_streams_learn_and_come_back_from_disk(tmp_path):
    corpus = small_corpus(tmp_path, shows=300, speech=1.0)
    tiny = PRESETS["tiny"]
    config = replace(tiny, model=replace(tiny.model, width=32, layers=2, heads=2, feed_forward=64, text_vocab=len(corpus.vocab),
                                         visual_vocab=corpus.visual_words),
                     inputs=replace(tiny.inputs, rows=(1, 1, 32), subsample=1), train=replace(tiny.train, precision="float32"))
    texts, films = pool_of(corpus, 40)
    same = equal(texts)
    before = retrieval_of(DualEncoder(config.model).eval(), texts, films, same)
    dual, loss = train_dual(config, corpus, steps=60)
    after = retrieval_of(dual, texts, films, same)
    assert loss < np.log(32) - 0.4 and after > before + 0.15, (loss, before, after)
    save_dual(tmp_path, dual)
    again = load_dual(tmp_path, config)
    assert torch.allclose(again.texts(texts), dual.texts(texts), atol=2e-2)
    with pytest.raises(ValueError, match="train it again"):
        load_dual(tmp_path, replace(config, model=replace(config.model, width=16)))
    assert load_dual(tmp_path / "nowhere", config) is None


def retrieval_of(dual, texts, films, same):
    """R@10 of both directions."""
    with torch.no_grad():
        found = figures_of(dual.scores(dual.texts(texts), dual.videos(films)).numpy(), same)
    return np.mean([row["R@10"] for row in found.values()])


def test_a_table_and_its_costs(sample):
    corpus, oracle = sample
    model = VideoBERT(ModelConfig(width=8, layers=1, heads=1, feed_forward=8, text_vocab=len(corpus.vocab), visual_vocab=corpus.visual_words,
                                  max_positions=64)).eval()
    texts, films = pool_of(corpus, 10, oracle)
    dual = DualEncoder(replace(model.config, layers=2)).eval()
    rows, cost = retrieval(model, dual, oracle, corpus.vocab, texts, films, np.random.default_rng(0))
    assert set(rows) == {"chance", "single stream", "two streams", "oracle"}
    assert cost["single stream"]["encodings"] == 10 and cost["two streams"]["encodings"] == 1
    assert cost["single stream"]["tokens"] > 10 * cost["two streams"]["tokens"]


def test_queries_in_words_nobody_says():
    vocab = Corpus.open(DATA_SAMPLE / "corpus").vocab
    assert vocab.decode(text_ids(vocab, "Now we slice the onion .")) == "now we slice the onion ."
    with pytest.raises(ValueError, match="never says 'spaceship'"):
        text_ids(vocab, "slice the spaceship")


def test_command_on_a_show_on_a_bird_and_on_words(tmp_path, capsys, fetched):
    show = str(DATA_SAMPLE / "videos" / "show_003.mp4")
    for what, said in ((["--video", show], "potato"), (["--video", str(fetched(*COCKATOO))], "out of domain"),
                       (["--text", "now we slice the onion ."], "onion")):
        main([*what, "--pool", "12" if what[0] == "--video" else "60", "--out", str(tmp_path / "found.png")])
        assert said in capsys.readouterr().out and (tmp_path / "found.png").stat().st_size > 20_000
    for wrong, said in ((["--text", "spaceship"], "never says"), (["--score", "--pool", "1"], "at least 2"),
                        (["--text", "now", "--run", "no/run"], "no/run")):
        with pytest.raises(SystemExit) as left:
            main([*wrong, "--out", str(tmp_path / "x.png")])
        error = capsys.readouterr().err
        assert left.value.code == 2 and said in error and error.count("\n") == 1
