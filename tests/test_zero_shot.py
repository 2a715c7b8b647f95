"""Zero-shot classes: the protocol by hand, exact answers against brute force, the command on a small trained model."""
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from minivbert import checkpoint
from minivbert.config import DATA_SAMPLE, PRESETS, ModelConfig
from minivbert.downstream.shared import shows_of
from minivbert.downstream.truth import route_likelihood, routes, segments_of, tokens_of, within
from minivbert.downstream.zero_shot import (LABEL_OF, LABELS, TEMPLATE, ask, baselines, fit_linear, found, in_labels, in_words, main,
                                            oracle_of_steps, row_of, shuffled, template_ids)
from minivbert.kitchen.recipes import ACTIONS, PHASES, VERBS, World
from minivbert.model.videobert import VideoBERT
from minivbert.tokens.corpus import Corpus
from small import small_corpus
from test_frames import COCKATOO


@pytest.fixture(scope="module")
def sample():
    return Corpus.open(DATA_SAMPLE / "corpus")


def test_top_k_by_hand_counts_ties_against():
    p = np.array([[0.5, 0.2, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
    assert found(p, np.array([0, 3]), 1) == 0.5                    # four alike: nobody is first
    assert found(p, np.array([2, 3]), 2) == 0.0 and found(p, np.array([2, 3]), 3) == 0.5
    assert row_of((p, p), np.array([[0, 2], [3, 0]])) == [50.0, 100.0, 0.0, 100.0]


def test_the_model_sees_the_papers_input_and_is_asked_in_both_holes(sample):
    vocab, seen = sample.vocab, []

    class Spy(VideoBERT):
        def encode(self, ids, types, keep, taps=None, at_BR=None):
            seen.append((ids, types, keep, at_BR))
            return super().encode(ids, types, keep, taps, at_BR)

    model = Spy(ModelConfig(width=8, layers=1, heads=2, feed_forward=8, text_vocab=len(vocab), visual_vocab=sample.visual_words,
                            max_positions=64)).eval()
    p = ask(model, vocab, [np.array([3, 1]), np.array([7])])
    ids, types, keep, at = seen[0]
    words = ["[CLS]", *"now let me show you how to [MASK] the [MASK] .".split()]
    joint = len(vocab)
    assert ids[1].tolist() == [vocab.ids[w] for w in words] + [joint, joint + 4, joint + 2, vocab.sep]      # the shorter one comes first
    assert types[1].tolist() == [0] * 13 + [1, 1, 1] and at[0].tolist() == [8, 10]
    hidden = VideoBERT.encode(model, ids[1:], types[1:], keep[1:])
    for slot, place in enumerate((8, 10)):
        assert p[0, slot] == pytest.approx(model.text_logits(hidden)[0, place].softmax(-1).detach().numpy(), abs=1e-5)
    assert p.shape == (2, 2, len(vocab)) and ask(model, vocab, None).shape == (1, 2, len(vocab))


def test_templates():
    vocab = Corpus.open(DATA_SAMPLE / "corpus").vocab
    ids, holes = template_ids(vocab, "please {V} the {I} {A} .")
    assert ids.count(vocab.mask) == 3 and holes == [1, 3]
    with pytest.raises(ValueError, match="write {V}"):
        template_ids(vocab, "slice the {I} .")


def test_a_route_is_as_likely_as_all_its_paths_together():
    rng = np.random.default_rng(0)
    emission = rng.dirichlet(np.ones(4), size=(len(ACTIONS), PHASES, 2))
    route = np.array([[3, 10]])
    tokens = rng.integers(4, size=8)
    total = 0.0
    for style in range(2):
        for cuts in itertools.combinations(range(1, 8), 5):                 # where five of the six phases end
            phase_of = np.searchsorted(cuts, np.arange(8), side="right")
            p = 0.5
            for k, q in enumerate(phase_of):
                action, stay = route[0, q // PHASES], VERBS[ACTIONS[route[0, q // PHASES]][0]]
                p *= emission[action, q % PHASES, style, tokens[k]]
                p *= (1 - stay) if k == 7 or phase_of[k + 1] != q else stay
            total += p
    assert route_likelihood([tokens], route, emission)[0, 0] == pytest.approx(total, rel=1e-12)
    # P(exactly n clips) is the likelihood where there is but one visual word
    alone = [route_likelihood([np.zeros(n, int)], route, np.ones((len(ACTIONS), PHASES, 1, 1)))[0, 0] for n in range(1, 13)]
    assert within(route, 12)[0] == pytest.approx(sum(alone), rel=1e-12)


def test_routes_are_as_common_as_in_sampled_shows():
    world, rng = World(), np.random.default_rng(1)
    for steps in (1, 2):
        route, often = routes(steps)
        count, shows = dict.fromkeys(map(tuple, route), 0), 1500
        for _ in range(shows):
            actions = [a for *_, a in world.sample(rng).steps()]
            for i in range(len(actions) - steps + 1):
                count[tuple(actions[i:i + steps])] += 1                     # a route that cannot be would raise
        seen = np.array(list(count.values())) / shows
        assert np.abs(seen - often).max() < 4 * np.sqrt(often.max() / shows) and (often > 0).all()


def test_segments_are_whole_steps_of_the_truth(sample):
    videos = sample.split()[1][:20]
    shows = shows_of(sample, videos)
    steps = segments_of(sample, videos, shows)
    assert steps.clips.sum() == sum(len(show.action) for show in shows)
    for i in range(0, len(steps), 7):
        show = shows[list(videos).index(steps.video[i])]
        begin = steps.first[i] - sample.visual_offsets[steps.video[i]]
        assert set(show.action[begin:begin + steps.clips[i]]) == {steps.route[i, 0]}
    assert max(map(len, tokens_of(sample, steps, 4))) == 4
    pairs = segments_of(sample, videos, shows, 2)
    assert len(pairs) == len(steps) - len(videos) and (pairs.route[:, 0] == steps.route[np.isin(steps.first, pairs.first), 0]).all()


def test_oracle_is_the_ceiling_and_majority_is_counted(sample):
    videos = sample.split()[1][:60]
    steps = segments_of(sample, videos, shows_of(sample, videos))
    post, prior = oracle_of_steps(sample, steps)
    assert post.sum(1) == pytest.approx(1) and prior.sum() == pytest.approx(1)
    rows = baselines(sample, None, steps, tokens_of(sample, steps, 16))
    assert rows["oracle"][0] > 95 and all(a >= b for a, b in zip(rows["oracle"], rows["majority class"]))
    labels = LABEL_OF[steps.route[:, 0], 0]
    assert rows["majority class"][0] == pytest.approx(100 * (labels == LABELS[0].index("slice")).mean())       # the commonest verb
    verb, thing = in_labels(post)
    assert verb.sum(1) == pytest.approx(1) and thing.sum(1) == pytest.approx(1)
    words = in_words(np.eye(len(ACTIONS))[[ACTIONS.index(("fry", "onion"))]], sample.vocab)[0]
    assert words[0, sample.vocab.ids["fry"]] == pytest.approx(0.5) and words[1, sample.vocab.ids["onion"]] == pytest.approx(1)


def test_linear_classifier_agrees_with_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)) * [1, 2, 3, 4, 5]
    y = (x @ rng.normal(size=(5, 3)) + rng.normal(size=(400, 3))).argmax(1)
    own = fit_linear(x, y, 3, decay=1e-3)(x)
    standard = (x - x.mean(0)) / x.std(0)
    other = linear.LogisticRegression(C=1 / (2 * 1e-3 * 400), tol=1e-8, max_iter=1000).fit(standard, y).predict_proba(standard)
    assert own == pytest.approx(other, abs=2e-3)


def test_shuffled_gives_nobody_their_own():
    for n in (2, 3, 50):
        order = shuffled(n, np.random.default_rng(n))
        assert sorted(order) == list(range(n)) and (order != np.arange(n)).all()


def test_command_on_a_corpus_without_truth_is_one_sentence(tmp_path, capsys):
    corpus = small_corpus(tmp_path / "corpus", shows=20)
    config = replace(PRESETS["tiny"], model=ModelConfig(width=8, layers=1, heads=2, feed_forward=8, text_vocab=len(corpus.vocab),
                                                        visual_vocab=corpus.visual_words, max_positions=64, norm="pre"))
    (tmp_path / "run").mkdir()
    checkpoint.save_config(tmp_path / "run", config, corpus.vocab)
    checkpoint.save_model(tmp_path / "run", VideoBERT(config.model))
    given = ["--run", str(tmp_path / "run"), "--corpus", str(tmp_path / "corpus")]
    for wrong, said in ((["--score"], "not a corpus from the kitchen"), (["--index", "99"], "has videos 0 to 19"),
                        (["--index", "1", "--template", "hello"], "write {V}"), (["--video", str(tmp_path / "no.mp4")], "no tree.npz")):
        with pytest.raises(SystemExit) as left:
            main([*wrong, *given, "--out", str(tmp_path / "z.png")])
        error = capsys.readouterr().err
        assert left.value.code == 2 and said in error and error.count("\n") == 1 and "Traceback" not in error


def test_template_is_the_papers():
    assert TEMPLATE.replace("{V}", "[MASK]").replace("{I}", "[MASK]") == "now let me show you how to [MASK] the [MASK] ."
    assert torch.equal(torch.tensor(LABEL_OF[ACTIONS.index(("fry", "onion"))]), torch.tensor([LABELS[0].index("fry"), LABELS[1].index("onion")]))


def test_command_on_a_show_and_on_a_bird(tmp_path, capsys, fetched):
    main(["--video", str(DATA_SAMPLE / "videos" / "show_003.mp4"), "--out", str(tmp_path / "show.png")])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("in domain") and said[1].startswith("0 to 9 s") and "potato" in said[1]
    assert (tmp_path / "show.png").stat().st_size > 20_000
    main(["--video", str(fetched(*COCKATOO)), "--out", str(tmp_path / "bird.png")])
    assert capsys.readouterr().out.startswith("out of domain") and (tmp_path / "bird.png").is_file()
    main(["--index", "3", "--clips", "40", "--out", str(tmp_path / "whole.png")])                   # longer than an input holds
    assert "picture:" in capsys.readouterr().out
