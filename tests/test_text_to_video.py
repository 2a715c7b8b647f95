"""Text to video: rounds by hand, a stub that knows its words, exact films that add up to one, the oracle above all, files and bad input."""
import itertools

import numpy as np
import pytest
import torch

from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.downstream import text_to_video as t
from minivbert.downstream.shared import HIDDEN, open_run
from minivbert.kitchen.narrate import all_words
from minivbert.kitchen.recipes import ACTIONS, World
from minivbert.tokens.captions import read_captions
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.frames import clips_of
from minivbert.tokens.wordpiece import SPECIALS, WordPiece
from small import small_corpus
from untrained import untrained_run

SAMPLE = DATA_SAMPLE / "corpus"
SENTENCES = ["please slice the onion thinly", "now we fry the onion in the pan until it is golden."]


def test_rounds_hide_the_least_certain_and_keep_what_was_given():
    asked = []

    def guess(films):
        asked.append([film.tolist() for film in films])
        p = np.zeros((len(films), 5, 9))
        for b, film in enumerate(films):
            for n in range(len(film)):
                sure = (0.9, 0.5, 0.8, 0.6, 0.7)[n]                     # how certain it is of each clip, always of the number of holes
                p[b, n] = (1 - sure) / 8
                p[b, n, (film == HIDDEN).sum()] = sure
        return p

    films, sure = t.mask_predict(guess, [[HIDDEN] * 4, [HIDDEN, 7, HIDDEN]], rounds=4)
    # 4 holes, then the 3, 2, 1 least certain of clips 1, 3, 2, 0; of 2 holes: 2, then int(2 * 3 / 4) = 1 of clip 2, 1, and none
    assert [x[0] for x in asked] == [[-1] * 4, [4, -1, -1, -1], [4, -1, 3, -1], [4, -1, 3, 2]]
    assert [x[1] for x in asked] == [[-1, 7, -1], [2, 7, -1], [2, 7, -1], [2, 7, 1]]
    assert [film.tolist() for film in films] == [[4, 1, 3, 2], [2, 7, 1]]
    assert sure[0] == pytest.approx([0.9, 0.5, 0.8, 0.6]) and sure[1] == pytest.approx([0.9, 1.0, 0.8])
    asked.clear()
    assert t.mask_predict(guess, [[HIDDEN] * 3], rounds=1)[0][0].tolist() == [3, 3, 3] and len(asked) == 1


class Dictionary:
    """A stub of `VideoBERT` over 6 visual words: at the k-th clip stands the k-th word of the text (ids 5, 6, ...), less 5."""

    def encode(self, ids, types, keep):
        return ids

    def video_logits(self, ids, at):
        joint = (ids == 11).int().argmax(1)                                        # [>] of a vocabulary of 11
        assert ids.gather(1, at)[at > 0].eq(4).all()                               # every clip is asked for
        return 9.0 * torch.nn.functional.one_hot((ids.gather(1, (at - joint[:, None]).clamp(min=1)) - 5).clamp(0, 5), 6)


class Shelf:
    vocab = WordPiece([*SPECIALS, *"abcdef"])


def test_every_sentence_gets_its_film():
    texts = [np.array([7, 6, 5]), np.array([10, 9])]
    films, sure = t.shoot(Dictionary(), PRESETS["tiny"], Shelf, texts, [3, 2], rounds=1)
    assert [film.tolist() for film in films] == [[2, 1, 0], [5, 4]]
    assert all((s > 0.99).all() for s in sure)
    for text, n in ((np.arange(30), 3), (texts[0], 17), (texts[0], 0), (np.zeros(0, int), 3)):
        with pytest.raises(ValueError, match="use shorter sentences"):
            t.shoot(Dictionary(), PRESETS["tiny"], Shelf, [text], [n], 1)


def test_exact_films_add_up_to_one_and_holes_are_their_marginals():
    rng, vocab = np.random.default_rng(0), WordPiece([*SPECIALS, *all_words()])
    world = World(dishes=("cheese pizza", "bread"), lags=(0.8, 0.2))
    emission = rng.dirichlet(np.ones(3), size=(len(ACTIONS), 3, 6))
    oracle = t.FilmOracle(world, vocab.vocab, emission)
    for text, n in (("now we roll the dough.", 2), ("bake the dough in the oven.", 3)):
        ids = np.array(vocab.encode(text))
        films = [list(film) for film in itertools.product(range(3), repeat=n)]
        p = np.exp(oracle.log_film(vocab, [ids] * len(films), films))
        assert p.sum() == pytest.approx(1.0, abs=1e-9)
        p_NC = oracle.guesser(vocab, [ids])([[HIDDEN] * n])[0]
        half = oracle.guesser(vocab, [ids])([[2] + [HIDDEN] * (n - 1)])[0]
        for k in range(n):
            for v in range(3):
                shows = np.array([film[k] == v for film in films])
                first = np.array([film[0] == 2 for film in films])
                assert p_NC[k, v] == pytest.approx(p[shows].sum(), abs=1e-9)
                if k:
                    assert half[k, v] == pytest.approx(p[shows & first].sum() / p[first].sum(), abs=1e-9)


def test_nobody_films_the_text_better_than_the_oracle(tmp_path, monkeypatch):
    monkeypatch.setattr(t, "PAIRS", 24)
    model, config, corpus, _ = open_run(untrained_run(tmp_path, Corpus.open(SAMPLE)), SAMPLE)
    found = t.score(model, config, corpus)
    films, guessed = found["films"], found["clips guessed"]
    assert found["sentences"] == 48 and found["clips"] > 96
    assert films["oracle, argmax"]["purity"] > films["real film"]["purity"] + 0.05 > films["commonest word"]["purity"] + 0.3
    assert films["oracle, mask-predict, pairs"]["nats"] < films["real film"]["nats"] < films["model, argmax"]["nats"]
    assert films["real film"]["purity"] > 0.5 and films["model, argmax"]["purity"] < 0.3
    for key in ("top1", "top3", "top5"):
        assert guessed["oracle"][key] > max(guessed["unigram"][key], guessed["model"][key])
    assert guessed["oracle"]["nats"] < guessed["unigram"]["nats"] - 1 and guessed["oracle"]["nats"] < guessed["model"]["nats"] - 1
    assert "oracle, mask-predict, pairs" in t.table_of(found)


def test_clips_are_as_many_as_the_corpus_says(tmp_path):
    corpus = small_corpus(tmp_path)
    assert t.clips_for(corpus, [6, 7, 10, 13]) == [2, 3, 4, 5]                              # `narrate.sentence_clips`
    assert t.clips_for(corpus, [1, 12, 99])[::2] == [2, 5]
    silent = small_corpus(tmp_path / "silent", shows=10, speech=0.0)
    with pytest.raises(ValueError, match="give --clips"):
        t.clips_for(silent, [6])


def test_the_command_writes_a_film_and_its_words_twice_the_same(tmp_path, capsys):
    run = untrained_run(tmp_path / "run", Corpus.open(SAMPLE))
    for name in ("a", "b"):
        t.main([*SENTENCES, "--run", str(run), "--out", str(tmp_path / f"{name}.png")])
    said = capsys.readouterr().out
    assert said.count("please slice the onion thinly: v") == 2 and "a.mp4" in said
    for suffix in (".png", ".mp4", ".vtt"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert len(list(clips_of(tmp_path / "a.mp4"))) == 2 + 5 and (tmp_path / "a.png").stat().st_size > 30_000
    cues = [line for line in (tmp_path / "a.vtt").read_text().splitlines() if line]
    assert cues == ["WEBVTT", "00:00:00.000 --> 00:00:03.000", SENTENCES[0], "00:00:03.000 --> 00:00:10.500", SENTENCES[1]]
    words = read_captions(tmp_path / "a.vtt")
    assert (words[0][0], words[-1][0], words[-1][2]) == ("please", "golden.", 10.5)


@pytest.mark.parametrize("options, sentence", [
    ([], "give sentences"),
    (["slice the onion", "--score"], "give sentences"),
    (["zxqw vrrp"], "no word of it is in the vocabulary"),
    (["   "], "no word of it is in the vocabulary"),
    (["slice the onion " * 12], "use shorter sentences"),
    (["slice the onion", "--clips", "40"], "fewer --clips"),
    (["slice the onion", "--clips", "many"], "invalid int value"),
    (["slice the onion", "--out", "nowhere/at/all.png"], "nowhere/at"),
    (["slice the onion", "--corpus", "nowhere"], "nowhere: no meta.json"),
])
def test_bad_input_is_one_sentence(tmp_path, options, sentence, capsys):
    run = untrained_run(tmp_path / "run", Corpus.open(SAMPLE))
    with pytest.raises(SystemExit) as left:
        t.main(["--run", str(run), "--out", str(tmp_path / "x.png"), *options])
    said = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and len(said) == 1 and sentence in said[0] and not (tmp_path / "x.png").exists()
