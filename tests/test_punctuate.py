"""The punctuator: an LSTM that agrees with torch's, learns, keeps every word, and ships with weights that work."""
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from minivbert.config import DATA_SAMPLE
from minivbert.kitchen.narrate import all_words
from minivbert.kitchen.prose import sentence
from minivbert.kitchen.punctuator import TIMING, batch_of, main, marked, score, timed, train, unseen_streams
from minivbert.tokens.punctuate import LONGEST_PAUSE, LSTM, MARKS, STOPS, WRITTEN, Punctuator, boundary_f1, load_punctuator, \
    marks_of, read_words, restore, save_punctuator
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

WEIGHTS = DATA_SAMPLE / "weights" / "punctuator.safetensors"
LETTERS = [*SPECIALS, *"abcdefghijklmnopqrstuvwxyz'", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]


@pytest.fixture(scope="module")
def shipped():
    return load_punctuator(WEIGHTS)


@pytest.fixture
def untrained():
    """A punctuator of random weights that spells every word."""
    torch.manual_seed(0)
    return Punctuator(WordPiece(LETTERS), width=8, state=12).eval()


# ------------------------------------------------------------------------------ the cell


def test_states_and_gradients_are_those_of_torch():
    """Both directions over streams of unlike lengths, against torch.nn.LSTM over packed sequences, in float64."""
    torch.manual_seed(0)
    B, T, F, H, lengths = 4, 9, 5, 7, [9, 6, 1, 4]
    peer = torch.nn.LSTM(F, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    ours = [LSTM(F, H, backwards).double() for backwards in (False, True)]
    with torch.no_grad():
        for lstm, end in zip(ours, ("", "_reverse")):
            lstm.w_in.copy_(getattr(peer, "weight_ih_l0" + end))
            lstm.w_state.copy_(getattr(peer, "weight_hh_l0" + end))
            lstm.bias.copy_(getattr(peer, "bias_ih_l0" + end) + getattr(peer, "bias_hh_l0" + end))
    x_BTF = torch.randn(B, T, F, dtype=torch.float64)
    keep_BT = (torch.arange(T) < torch.tensor(lengths)[:, None]).double()
    weight_BTH = torch.randn(B, T, 2 * H, dtype=torch.float64) * keep_BT[..., None]

    found, gradients = [], []
    packed = torch.nn.utils.rnn.pack_padded_sequence
    for run in (lambda x: torch.nn.utils.rnn.pad_packed_sequence(peer(packed(x, lengths, batch_first=True, enforce_sorted=False))[0],
                                                                 batch_first=True)[0],
                lambda x: torch.cat([lstm(x, keep_BT) for lstm in ours], 2)):
        x = x_BTF.clone().requires_grad_()
        states_BTH = run(x)
        (states_BTH * weight_BTH).sum().backward()
        found.append(states_BTH.detach() * keep_BT[..., None])
        gradients.append(x.grad)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-6)
    for lstm, end in zip(ours, ("", "_reverse")):
        for name, theirs in (("w_in", "weight_ih_l0"), ("w_state", "weight_hh_l0"), ("bias", "bias_ih_l0")):
            torch.testing.assert_close(getattr(lstm, name).grad, getattr(peer, theirs + end).grad, rtol=0, atol=1e-6)


def test_a_step_by_hand():
    """One cell of width 1, all weights ln 3 or 0: sigmoid(ln 3) = 3/4, tanh(ln 3) = 4/5."""
    lstm, ln3 = LSTM(1, 1).double(), np.log(3.0)
    with torch.no_grad():
        lstm.w_in.copy_(torch.tensor([[ln3], [0.0], [ln3], [ln3]]))
        lstm.w_state.zero_()
        lstm.bias.zero_()
    h_BTH = lstm(torch.ones(1, 2, 1, dtype=torch.float64), torch.ones(1, 2))
    c = 0.75 * 0.8
    assert h_BTH[0, 0].item() == pytest.approx(0.75 * np.tanh(c))
    assert h_BTH[0, 1].item() == pytest.approx(0.75 * np.tanh(0.5 * c + 0.75 * 0.8))


def test_padding_and_neighbours_change_nothing(untrained):
    streams = [([("chop", 0, 1), ("it", 1, 2)], ["", "."]),
               ([("now", 0, 1), ("fry", 2, 3), ("the", 3, 4), ("onions", 4, 5)], ["", "", "", "."])]
    ids, pause, keep, labels = batch_of(streams, untrained.wordpiece)
    assert keep.sum(1).tolist() == [6, 15]
    assert labels[0].tolist() == [-1, -1, -1, 0, -1, MARKS.index(".")] + [-1] * 9, "a mark stands at the last piece of its word"
    together = untrained(ids, pause, keep)
    for b, one in enumerate(streams):
        alone = untrained(*batch_of([one], untrained.wordpiece)[:3])
        torch.testing.assert_close(together[b, :alone.shape[1]], alone[0], rtol=0, atol=1e-6)


# ------------------------------------------------------------------------------ what it reads and says


def test_pauses_stand_at_the_last_piece_of_a_word():
    wordpiece = WordPiece([*SPECIALS, "on", "##ion", "chop", "it"])
    ids, pause, last = read_words([("Chop", 0.0, 0.5), ("onion,", 0.5, 1.0), ("it", 1.25, 1.5), ("\u200b", 9.0, 9.5)], wordpiece)
    assert ids.tolist() == [7, 5, 6, 8, wordpiece.unk]
    assert last.tolist() == [0, 2, 3, 4]
    # from start to start 0.5 s for 5 letters with the blank, 0.75 s for 6, 7.75 s for 3: the median pace is 1/8 s a letter
    assert pause.tolist() == [[0, 0, 1], [0, 0, 1], [0.25, 0, 1], [LONGEST_PAUSE, LONGEST_PAUSE, 1], [0, 0, 1]]
    assert not read_words([("chop", 0.0, 0.0), ("it", 0.0, 0.0)], wordpiece)[1].any()
    assert read_words([("chop", 2.0, 2.5)], wordpiece)[1].tolist() == [[0, 0, 1]]


class Scripted:
    """A punctuator that says what it is told."""

    def __init__(self, marks):
        self.wordpiece, self.marks = WordPiece(LETTERS), marks

    def __call__(self, ids_BT, pause_BT3, keep_BT):
        starts = [i for i, piece in enumerate(ids_BT[0].tolist()) if not self.wordpiece.vocab[piece].startswith("##")]
        logits = torch.zeros(1, ids_BT.shape[1], len(MARKS))
        for mark, end in zip(self.marks, [*starts[1:], ids_BT.shape[1]]):
            logits[0, end - 1, MARKS.index(mark)] = 1.0
        return logits


def test_sentences_and_their_times_by_hand():
    words = [("Is", 0.0, 0.2), ("it", 0.2, 0.4), ("done?", 0.4, 0.9),
             ("chop", 2.0, 2.5), ("it", 2.5, 2.8), ("then", 3.0, 3.2), ("fry", 3.2, 3.5)]
    assert restore(words, Scripted(["", "", "?", "", ",", "", ""])) == [("Is it done?", 0.0, 0.9), ("chop it, then fry.", 2.0, 3.5)]
    assert restore(words[:1], Scripted([","])) == [("Is.", 0.0, 0.2)]
    assert restore([], Scripted([])) == []


NO_BLANK = st.text(max_size=8).map(lambda text: "".join(text.split())).filter(bool)
TIMED = st.lists(st.tuples(NO_BLANK, st.floats(0, 1), st.floats(0, 3)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(TIMED)
def test_every_word_is_kept_and_times_never_run_backwards(shipped, drawn):
    words, now = [], 0.0
    for word, length, pause in drawn:
        words.append((word, now, now + length))
        now += length + pause
    sentences = restore(words, shipped)
    said = [word for text, _, _ in sentences for word in text.split(" ")]
    letters = [[word.rstrip(WRITTEN) for word in list_] for list_ in (said, [word for word, _, _ in words])]
    assert letters[0] == letters[1]
    times = [time for _, start, end in sentences for time in (start, end)]
    assert times == sorted(times)
    assert set(times) <= {time for word in words for time in word[1:]}
    assert all(text[-1] in STOPS for text, _, _ in sentences)


def test_marks_already_there_tell_the_punctuator_nothing(shipped):
    """Speech recognition may punctuate, also wrongly: "chop it now the onion. is. next"."""
    words = [(word, 0.3 * i, 0.3 * i + 0.3) for i, word in enumerate("now chop the onion finely then add the oil is it hot".split())]
    assert marks_of([(word + ".", *times) for word, *times in words], shipped) == marks_of(words, shipped)


# ------------------------------------------------------------------------------ learning


@pytest.fixture(scope="module")
def learner():
    """A small punctuator after ninety steps of narration without pauses, and the loss of each step."""
    torch.manual_seed(0)
    model = Punctuator(WordPiece([*SPECIALS, *all_words()]), width=16, state=24)
    return model, train(model, 90, seed=1, batch=16, lr=2e-2, kitchen=1.0, times="none")


def test_narration_is_learned_from_chance_on(learner):
    model, losses = learner
    assert losses[0] == pytest.approx(np.log(len(MARKS)), abs=0.25)
    assert np.mean(losses[-10:]) < 0.15
    streams = unseen_streams(2, 5, kitchen=1.0, times="none")
    assert score(streams, lambda words: marks_of(words, model)) > 0.9


@pytest.mark.parametrize("where", ["silence", "word before"])
def test_what_a_pause_says_is_learned(where):
    """Words that mean nothing, 0.5 s after every stop, written down as recognisers do: only the times can tell."""
    torch.manual_seed(0)
    model, rng = Punctuator(WordPiece(LETTERS), width=4, state=8), np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)

    def draw():
        marks = [str(rng.choice(["", "."], p=[0.8, 0.2])) for _ in range(20)]
        words, now = [], 0.0
        for mark in marks:
            pause = 0.5 * (mark == ".")
            words.append((chr(97 + rng.integers(26)), now, now + rng.uniform(0.15, 0.25) + pause * (where == "word before")))
            now = words[-1][2] + pause * (where == "silence")
        return words, marks

    for _ in range(60):
        ids, pause, keep, labels = batch_of([draw() for _ in range(16)], model.wordpiece)
        loss = torch.nn.functional.cross_entropy(model(ids, pause, keep)[labels >= 0], labels[labels >= 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert score([draw() for _ in range(20)], lambda words: marks_of(words, model)) > 0.97


def test_pauses_are_written_down_as_recognisers_do():
    """Nothing is lost: from first start to last end the pauses are all there, in silences and in words; no word overlaps the next."""
    rng, habits = np.random.default_rng(0), []
    for _ in range(200):
        pauses = np.array([0.0, 0.5, 0.0, 0.8])
        words, marks = timed([("chop", ""), ("it", "."), ("then", ""), ("fry", ".")], pauses, rng)
        assert [word for word, _, _ in words] == ["chop", "it", "then", "fry"] and marks == ["", ".", "", "."]
        times = [time for word in words for time in word[1:]]
        assert all(after - before > -1e-9 for before, after in zip(times, times[1:]))
        silences = [after[1] - word[2] for word, after in zip(words, words[1:])]
        assert silences[0] == pytest.approx(0) and silences[2] == pytest.approx(0) and -1e-9 < silences[1] < 0.5 + 1e-9
        habits.append(silences[1])
    assert min(habits) < 0.02 and max(habits) > 0.48


# ------------------------------------------------------------------------------ what it learns from


def test_marks_are_taken_out_of_a_sentence_and_no_word_is_lost():
    rng = np.random.default_rng(0)
    for _ in range(300):
        tokens = sentence(rng)
        words = marked(tokens)
        assert words[-1][1] in STOPS
        assert [part for word, mark in words for part in (word, mark) if part] == tokens
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9'/]*", word) for word, _ in words)
        assert all(mark not in STOPS for _, mark in words[:-1]), "a stop inside a sentence"


def test_talk_is_varied():
    rng = np.random.default_rng(0)
    said = [sentence(rng) for _ in range(2000)]
    assert len({tuple(tokens) for tokens in said}) > 1800
    assert len({word for tokens in said for word in tokens}) > 1200
    assert 0.08 < np.mean([tokens[-1] == "?" for tokens in said]) < 0.3
    assert 0.2 < np.mean(["," in tokens for tokens in said]) < 0.7
    assert 8 < np.mean([len(tokens) for tokens in said]) < 14


# ------------------------------------------------------------------------------ the shipped weights


def test_shipped_weights_are_small_and_know_every_letter(shipped):
    assert WEIGHTS.stat().st_size < 2_000_000
    for word in ("quetzalcoatl", "zwieback", "b12", "xyz's", "350"):
        assert shipped.wordpiece.unk not in shipped.wordpiece.encode(word)


@pytest.mark.parametrize("times", TIMING)
def test_sentence_ends_of_unseen_narration(shipped, times):
    streams = unseen_streams(6, 12, kitchen=1.0, times=times)
    assert score(streams, lambda words: marks_of(words, shipped)) > 0.98


def test_sentence_ends_of_unseen_prose(shipped):
    """Made-up talk is harder; without pauses some of it could be cut in several ways. Times help where they show no silence, too."""
    def f1(times, swallowed=False):
        streams = unseen_streams(6, 12, kitchen=0.0, times=times)
        if swallowed:          # every word lasts until the next one starts
            streams = [([(word, start, after[1]) for (word, start, _), after in zip(words, [*words[1:], words[-1]])], marks)
                       for words, marks in streams]
        return score(streams, lambda words: marks_of(words, shipped))
    pauses, swallowed, untimed = f1("pauses"), f1("pauses", swallowed=True), f1("none")
    assert pauses > 0.88 and swallowed > 0.87 and untimed > 0.8, (pauses, swallowed, untimed)
    assert min(pauses, swallowed) > untimed + 0.03


def test_a_long_stream_is_cut_as_well_as_its_parts(shipped):
    """Training streams have up to a hundred words; two thousand in one go are nothing else."""
    streams = unseen_streams(6, 10, kitchen=0.5, times="none")
    words = [(word, 0.0, 0.0) for stream, _ in streams for word, _, _ in stream]
    marks = [mark for _, marks in streams for mark in marks]
    alone = [mark for stream, _ in streams for mark in marks_of(stream, shipped)]
    assert boundary_f1(marks_of(words, shipped), marks) > boundary_f1(alone, marks) - 0.02


# ------------------------------------------------------------------------------ the file


def test_written_weights_come_back(tmp_path, untrained):
    path = tmp_path / "small.safetensors"
    save_punctuator(untrained, path)
    again = load_punctuator(path)
    assert (again.width, again.state, again.wordpiece.vocab) == (8, 12, untrained.wordpiece.vocab)
    kept, given = again.state_dict(), untrained.half().float().state_dict()                          # in half precision
    assert kept.keys() == given.keys() and all(torch.equal(kept[name], given[name]) for name in given)
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.safetensors"]


def test_bad_files_are_named(tmp_path, untrained):
    path = tmp_path / "odd.safetensors"
    save_punctuator(untrained, path)
    about = {"network": "Punctuator", "width": "8", "state": "12", "vocab": json.dumps(untrained.wordpiece.vocab)}
    tensors = load_file(path)

    def refused(message):
        with pytest.raises(ValueError, match=r"odd\.safetensors: " + message):
            load_punctuator(path)

    path.write_bytes(path.read_bytes()[:-9])
    refused("not a readable safetensors file")
    path.unlink()
    refused("not a readable safetensors file")
    save_file(tensors, path)
    refused(r"holds the weights of another network \(unnamed\)")
    for wrong in ({"vocab": json.dumps(LETTERS[:-1])}, {"state": "13"}, {"width": "wide"}, {"vocab": "[]"}):
        save_file(tensors, path, metadata=about | wrong)
        refused("the weights of a Punctuator do not fit together")
    save_file({name: tensors[name] for name in list(tensors)[1:]}, path, metadata=about)
    refused("the weights of a Punctuator do not fit together")
    save_file(tensors, path, metadata=about)
    load_punctuator(path)


@pytest.mark.parametrize(("options", "message"), [
    (["--out", "nowhere/p.safetensors"], "nowhere/p.safetensors: the folder nowhere is not there; make it first"),
    (["--out", "p.safetensors", "--steps", "0"], "--steps 0: expected a number of steps, 1 or more")])
def test_command_refuses_in_one_sentence(options, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["punctuator", *options])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert capsys.readouterr().err == message + "\n"
