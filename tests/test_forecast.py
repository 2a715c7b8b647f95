"""Forecasts: a stub whose answer is known, the exact forecast against every path, n-grams and oracle in order, bad input."""
import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minivbert.config import DATA_SAMPLE
from minivbert.downstream import forecast as f
from minivbert.downstream.shared import open_run
from minivbert.kitchen.narrate import all_words
from minivbert.kitchen.oracle import Oracle
from minivbert.kitchen.recipes import ACTIONS, World
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.wordpiece import SPECIALS, WordPiece
from small import small_corpus
from test_frames import COCKATOO
from untrained import untrained_run

VOCAB = WordPiece([*SPECIALS, "stir"])
SAMPLE = DATA_SAMPLE / "corpus"


class Counting:
    """A stub of `VideoBERT` over 10 visual words that says: after v comes v + 1. It must be asked as in pretraining."""

    def encode(self, ids, types, keep):
        assert ids[:, 0].eq(VOCAB.cls).all() and ids[:, 1].eq(len(VOCAB)).all() and ids[:, -1].eq(VOCAB.sep).all()
        assert ids.shape[1] == 2 + 16 + 1 and keep.all() and types[:, 2:].eq(1).all() and types[:, :2].eq(0).all()
        return ids

    def video_logits(self, ids, at):
        visible = (ids > len(VOCAB)).sum(1) + 1                       # the position of the last visible clip
        last = ids[torch.arange(len(ids)), visible] - len(VOCAB) - 1
        assert ids[:, visible.max() + 1:-1].eq(VOCAB.mask).all()
        return 9.0 * torch.nn.functional.one_hot((last[:, None] + at - visible[:, None]) % 10, 10)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_the_future_is_asked_where_it_will_be(n):
    pasts = [np.arange(a, a + n) % 10 for a in range(7)]
    p_BHC = f.forecast(Counting(), VOCAB, pasts, 16)
    assert p_BHC.shape == (7, 16 - n, 10) and p_BHC.sum(-1) == pytest.approx(1.0)
    assert (p_BHC.argmax(-1) == (np.arange(7)[:, None] + n - 1 + np.arange(1, 17 - n)) % 10).all()
    config = SimpleNamespace(inputs=SimpleNamespace(window=16))
    for at in (n, 30):
        ahead = f.look_ahead(Counting(), config, SimpleNamespace(vocab=VOCAB), np.arange(40) % 10, at)
        assert [(h, words[0][0]) for h, words in ahead] == [(h, (at + h - 1) % 10) for h in (1, 2, 3, 4)]


def test_pasts_that_leave_no_room_are_refused():
    for pasts in ([[1] * 16], [[1], [1, 2]], [[]]):
        with pytest.raises(ValueError, match="expected one length from 1 to 15"):
            f.forecast(Counting(), VOCAB, pasts, 16)


def test_the_exact_forecast_is_the_sum_over_every_path():
    rng = np.random.default_rng(0)
    world, ahead, every = World(dishes=("cheese pizza", "bread")), 2, 3
    emission = rng.dirichlet(np.ones(4), size=(len(ACTIONS), 3, 6))
    oracle = Oracle(world, [*SPECIALS, *all_words()], emission)
    past = np.array([2, 0])
    D, S = world.start.shape
    joint = np.zeros((ahead, 4))
    for d in range(D):
        prior, state = np.zeros(S), world.start[d]
        for clip in range(300):
            prior += state * (clip % every == 0)
            state = state @ world.transition[d]
        alive = [s for s in range(S) if world.state_action[d, s] >= 0]
        see = emission[world.state_action[d, alive], world.state_phase[d, alive]]                 # (states, styles, words)
        for path in itertools.product(range(len(alive)), repeat=len(past) + ahead):
            p = prior[alive[path[0]]]
            for a, b in itertools.pairwise(path):
                p *= world.transition[d, alive[a], alive[b]]
            if p:
                seen_Y = np.prod([see[s, :, v] for s, v in zip(path, past)], axis=0)
                for h in range(ahead):
                    joint[h] += p * (seen_Y[:, None] * see[path[len(past) + h]]).sum(0)
    found = f.exact_forecast(oracle, past[None], ahead, every)[0]
    assert np.abs(found - joint / joint.sum(1, keepdims=True)).max() < 1e-9


def test_scores_by_hand_and_ties_do_not_help():
    found = f.measure(np.array([[0.6, 0.3, 0.1, 0.0], [0.25, 0.25, 0.25, 0.25]]), np.array([1, 0]))
    assert found["nats"] == pytest.approx(-(np.log(0.3) + np.log(0.25)) / 2)
    assert (found["top1"], found["top3"], found["top5"]) == (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("run"), Corpus.open(SAMPLE))


def test_nothing_forecasts_better_than_the_oracle(run, monkeypatch):
    monkeypatch.setattr(f, "EVERY", 16)
    model, config, corpus, _ = open_run(run, SAMPLE)
    found = f.score(model, config, corpus)
    nats = {name: np.array(found[name]["nats"]) for name in ("unigram", "bigram", "trigram", "model", "oracle")}
    assert (nats["oracle"] < nats["trigram"] - 0.1).all() and (nats["trigram"] < nats["bigram"]).all()
    assert (nats["bigram"] < nats["unigram"] - 1).all() and (nats["model"] > nats["unigram"] - 0.5).all()
    assert (np.diff(nats["oracle"]) > 0).all()                                        # the farther, the less can be known
    assert found["oracle"]["top3"][0] > max(found[name]["top3"][0] for name in ("unigram", "bigram", "trigram", "model"))
    assert f"{found['windows']} windows" in f.table_of(found) and "of the oracle's" in f.table_of(found)


@pytest.mark.slow
def test_the_shipped_weights_reach_the_bar():
    model, config, corpus, _ = open_run()
    found = f.score(model, config, corpus)
    assert found["model"]["top3"][0] >= 0.95 * found["oracle"]["top3"][0]
    assert all(a < b for a, b in zip(found["model"]["nats"], found["bigram"]["nats"]))                      # claim C7


def command(*options):
    done = subprocess.run([sys.executable, "-m", "minivbert.downstream.forecast", *map(str, options)], capture_output=True, text=True,
                          check=False, cwd=Path(__file__).parent.parent, env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"})
    return done.returncode, done.stdout, done.stderr


def test_the_command_as_typed_and_twice_the_same(run, tmp_path, capsys):
    code, said, _ = command("--video", "data_sample/videos/show_003.mp4", "--out", tmp_path / "a.png")
    tokens = Corpus.open(SAMPLE).video(3)
    assert code == 0 and said.startswith("in domain: ") and "1.5 s ahead: v" in said and f"there: v{tokens[-1]}" in said
    assert (tmp_path / "a.png").stat().st_size > 30_000
    for name in ("b", "c"):
        f.main(["--index", "3", "--at", str(len(tokens)), "--run", str(run), "--out", str(tmp_path / f"{name}.png")])
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == said[5:9] and "there" not in said[0]
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


@pytest.mark.parametrize("options, sentence", [
    (["--index", "3", "--run", "nowhere"], "config.json: not there"),
    (["--index", "30000000"], "has videos 0 to"),
    (["--index", "3", "--at", "0"], "give the first clip to foretell, from 1 to"),
    (["--video", "nowhere.mp4"], "nowhere.mp4"),
    (["--video", __file__], "test_forecast.py"),
    (["--score", "--index", "3"], "not allowed with"),
    ([], "required"),
])
def test_bad_input_is_one_sentence(run, options, sentence, capsys, tmp_path):
    with pytest.raises(SystemExit) as left:
        f.main([*(["--run", str(run)] if "--run" not in options else []), "--out", str(tmp_path / "x.png"), *options])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert left.value.code == 2 and sentence in said and "Traceback" not in said and not (tmp_path / "x.png").exists()


def test_a_corpus_of_another_size_is_refused(run, tmp_path, capsys):
    small_corpus(tmp_path / "corpus", shows=10)
    with pytest.raises(SystemExit):
        f.main(["--index", "0", "--run", str(run), "--corpus", str(tmp_path / "corpus")])
    assert "give the corpus it was trained on" in capsys.readouterr().err


def test_a_clip_of_another_world_is_said_to_be_out_of_domain(run, tmp_path, fetched, capsys):
    f.main(["--run", str(run), "--out", str(tmp_path / "x.png"), "--video", str(fetched(*COCKATOO))])
    said = capsys.readouterr().out
    assert said.startswith("out of domain: its middle clip lies ") and "6.0 s ahead: v" in said
    assert (tmp_path / "x.png").stat().st_size > 30_000
