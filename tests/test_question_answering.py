"""Questions: right by the truth, balanced, options that give nothing away, exact answers, fine-tuning that learns, commands that explain."""
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from minivbert import checkpoint
from minivbert.config import DATA_SAMPLE, ModelConfig
from minivbert.downstream import answerer as answerer_module
from minivbert.downstream import question_answering
from minivbert.downstream.answerer import Answerer, fine_tune, load, save
from minivbert.downstream.question_answering import Exam, ask, figures_of, main, score, score_exact
from minivbert.downstream.questions import (DONE, MOST_CLIPS, OPTIONS, TOOL, Exact, Example, Matcher, all_texts, asked, balanced, examples_of,
                                            kind_of, match, windows_of)
from minivbert.downstream.shared import open_run
from minivbert.kitchen.recipes import ACTIONS, VERBS
from minivbert.model.videobert import VideoBERT
from minivbert.tokens.corpus import Corpus
from small import small_corpus
from test_frames import COCKATOO
from untrained import untrained_run


@pytest.fixture(scope="module")
def sample():
    corpus = Corpus.open(DATA_SAMPLE / "corpus")
    return corpus, examples_of(windows_of(corpus, corpus.split()[1]))


def act(verb, thing):
    return ACTIONS.index((verb, thing))


def test_questions_by_hand():
    told = {question: rest for question, *rest in asked(act("chop", "onion"), act("fry", "onion"))}
    assert told["what is chopped ?"] == ["the onion .", "onion", "you see it before the onion is fried ."]
    assert told["what comes after the onion is chopped ?"] == ["the onion .", "onion", "you see it fried ."]
    assert not any(q.startswith(("what is done", "which tool")) for q in told)           # two things are done to the onion
    same_verb = {q for q, *_ in asked(act("slice", "tomato"), act("slice", "cheese"))}
    assert "what is sliced ?" not in same_verb and "what is done to the tomato ?" in same_verb
    assert set(DONE) == set(TOOL) == set(VERBS)


def test_a_question_has_one_right_answer():
    for a in range(len(ACTIONS)):
        for b in range(len(ACTIONS)):
            questions = [q for q, *_ in asked(a, b)]
            assert len(questions) == len(set(questions))


def test_answers_of_a_question_stand_equally_often(sample):
    _, examples = sample
    exam = balanced(examples, 3, np.random.default_rng(0))
    count = Counter((e.question, e.word) for e in exam)
    assert set(count.values()) == {3} and len(exam) > 500
    several = Counter(q for q, _ in count)
    assert min(several.values()) > 1
    assert {kind_of(e.question) for e in exam} == {"what is ...-ed", "what is done to ...", "which tool works on ...", "what comes after ..."}
    # so the best that the question alone can do is one over the number of answers
    assert np.mean([1 / several[e.question] for e in exam]) < 0.35


def test_windows_are_short_and_two_steps(sample):
    corpus, _ = sample
    windows = windows_of(corpus, corpus.split()[1][:30])
    assert windows.clips.max() <= MOST_CLIPS and windows.route.shape[1] == 2


def test_wrong_options_are_wrong_and_fit(sample):
    _, examples = sample
    rng = np.random.default_rng(1)
    matcher, exam = Matcher(examples), balanced(examples, 3, rng)
    answers, right, reasons, true = matcher.options(exam, rng)
    for options, place, own in ((answers, right, [e.answer for e in exam]), (reasons, true, [e.reason for e in exam])):
        assert all(len(set(o)) == OPTIONS for o in options)
        assert [o[p] for o, p in zip(options, place)] == own
        shown, correct = Counter(text for o in options for text in o), Counter(own)
        assert all(shown[text] == OPTIONS * correct[text] for text in shown)              # right once, wrong three times: chance
        assert np.bincount(place, minlength=4).min() > 0.18 * len(exam)
    fits = np.mean([matcher.answers[e.question, text] > 0 for e, o in zip(exam, answers) for text in o])
    assert fits > 0.6                                                                     # random options: about one in ten


def test_reading_the_options_alone_stays_at_chance(sample):
    """The best guess from options alone, learned from one half of the questions, on the other half."""
    _, examples = sample
    rng = np.random.default_rng(2)
    exam = balanced(examples, 6, rng)
    answers, right, reasons, true = Matcher(examples).options(exam, rng)
    half = rng.permutation(len(exam))
    learn, test = half[:len(exam) // 2], half[len(exam) // 2:]
    for options, place in ((answers, right), (reasons, true)):
        shown, correct = Counter(), Counter()
        for n in learn:
            correct[options[n][place[n]]] += 1
            shown.update(options[n])
        best = [max(range(OPTIONS), key=lambda k: (correct[options[n][k]] + 1) / (shown[options[n][k]] + 4)) for n in test]
        assert np.mean(np.array(best) == place[test]) < 0.25 + 3 * np.sqrt(0.25 * 0.75 / len(test))


def test_matching_comes_close_to_the_best():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(3)
    N = 60
    fit = rng.normal(size=(N, N))
    own = [f"answer {i}" for i in range(N)]
    wrong = match(own, fit, rng)
    first = np.array([own.index(w[0]) for w in wrong])
    value = np.where(np.eye(N, dtype=bool), -1e6, fit)
    rows, columns = optimize.linear_sum_assignment(value, maximize=True)
    assert sorted(first) == list(range(N)) and (first != np.arange(N)).all()
    assert value[np.arange(N), first].sum() > 0.85 * value[rows, columns].sum()
    with pytest.raises(ValueError, match="too often"):
        match(["same"] * 5, np.zeros((5, 5)), rng)


def test_exact_answers_by_hand(sample):
    corpus, _ = sample
    exact = Exact(corpus)
    flat = np.ones(len(exact.route_G2))                                                   # nothing is seen
    p = exact.answer(flat, "what is grated ?", 1)
    assert p == {word: pytest.approx(1 / len(p)) for word in ("carrot", "cheese", "potato")}    # answers are balanced
    g = next(g for g, (a, b) in enumerate(exact.route_G2.tolist()) if ACTIONS[a] == ("grate", "cheese"))
    only = np.eye(len(flat))[g]
    assert exact.answer(only, "what is grated ?", 0) == {"the cheese .": 1.0, **{k: 0.0 for k in ("the carrot .", "the potato .")}}
    reason = exact.answer(only, "what is grated ?", 2, "the cheese .")
    verb, thing = ACTIONS[exact.route_G2[g, 1]]
    assert max(reason, key=reason.get) == f"you see it before the {thing} is {DONE[verb]} ."


def test_exam_and_its_ceiling(sample, monkeypatch):
    corpus, _ = sample
    monkeypatch.setattr(question_answering, "MATCHED_SHOWS", 300)
    exam = Exam(corpus, np.random.default_rng(0), each=2)
    again = Exam(corpus, np.random.default_rng(0), each=2)
    assert [e.question for e in exam.examples] == [e.question for e in again.examples] and exam.answers == again.answers
    assert min(score_exact(corpus, exam)) > 95
    assert figures_of(np.array([True, False]), np.array([True, True]), np.array([False, True])) == [50.0, 100.0, 50.0, 50.0]


def test_pretrained_weights_arrive_and_new_words_stand_at_the_end(sample):
    corpus, _ = sample
    config = ModelConfig(width=16, layers=1, heads=2, feed_forward=16, text_vocab=len(corpus.vocab), visual_vocab=corpus.visual_words,
                         max_positions=64, norm="pre")
    model = VideoBERT(config, seed=5).eval()
    answerer = Answerer(config, corpus.vocab, seed=1).eval()
    answerer.start_from(model)
    old = len(model.token_table.weight)
    assert torch.equal(answerer.bert.token_table.weight[:old], model.token_table.weight)
    assert min(i for word, i in answerer.ids.items() if word not in corpus.vocab.ids) == old
    assert max(answerer.ids.values()) == len(answerer.bert.token_table.weight) - 1
    ids = answerer.encode_text("what is sliced?")
    assert len(ids) == 4 and ids[0] == corpus.vocab.ids["what"] and ids[2] >= old
    with pytest.raises(ValueError, match="'spaceship' is no word of the questions"):
        answerer.encode_text("what is the spaceship?")
    torch.nn.init.normal_(answerer.open.weight)
    blind = answerer([Example(0, "what is sliced ?", "", "", "")] * 2, [np.array([1, 2]), np.array([3])], (True, False))
    assert torch.allclose(blind[0], blind[1])                                             # without video all films are alike
    seen = answerer([Example(0, "what is sliced ?", "", "", "")] * 2, [np.array([1, 2]), np.array([3])], (True, True))
    assert not torch.allclose(seen[0], seen[1])
    options = [["the onion .", "the egg .", "the fish .", "the rice ."]] * 2
    hidden = [answerer.choose([Example(0, q, "", "", "")] * 2, options, [np.array([1]), np.array([2])], (False, False), ["the egg ."] * 2)
              for q in ("what is sliced ?", "what is fried ?")]
    assert torch.allclose(hidden[0], hidden[1])                                           # options only: nor does the question matter
    starts, p = ask(answerer, "what is sliced", np.arange(30) % 7)
    assert starts.tolist() == [0, 4, 8, 12, 14] and p.sum(1) == pytest.approx(1, abs=1e-5)


def test_fine_tuning_from_pretrained_weights_learns_at_once_and_comes_back_from_disk(sample, tmp_path, monkeypatch):
    corpus, _ = sample
    monkeypatch.setattr(answerer_module, "TRAINING_SHOWS", 300)
    monkeypatch.setattr(question_answering, "MATCHED_SHOWS", 300)
    monkeypatch.setattr(answerer_module, "ROWS", (24, 6))
    model, config, _, _ = open_run()
    answerer = Answerer(config.model, corpus.vocab).start_from(model)
    fine_tune(answerer, corpus, (True, True), steps=40)
    exam = Exam(corpus, np.random.default_rng(0), each=2)
    exam.examples = exam.examples[::8]
    for name in ("films", "answers", "right", "reasons", "true"):
        setattr(exam, name, getattr(exam, name)[::8])
    figures, words = score(answerer, exam, (True, True))
    assert figures[0] > 15 and figures[1] > 36 and figures[2] > 32 and figures[3] > 12, figures                   # chance: 3, 25, 25, 6
    assert len(words) == len(exam.examples)
    save(tmp_path, answerer, {"pretrained": figures})
    again, rows = load(tmp_path, config, corpus.vocab)
    assert rows == {"pretrained": figures} and np.abs(np.array(score(again, exam, (True, True))[0]) - figures).max() < 3
    with pytest.raises(ValueError, match="not the weights of this run"):
        load(tmp_path, replace(config, model=replace(config.model, width=16)), corpus.vocab)


def test_command_says_what_is_missing(tmp_path, capsys):
    corpus = small_corpus(tmp_path / "corpus", shows=20)
    given = ["--run", str(untrained_run(tmp_path / "run", corpus)), "--corpus", str(tmp_path / "corpus")]
    for wrong, said in ((["--score"], "nothing has learned to answer yet"), (["--train"], "not a corpus from the kitchen"),
                        (["--train", "--steps", "0"], "at least 1 update")):
        with pytest.raises(SystemExit) as left:
            main([*wrong, *given, "--out", str(tmp_path / "q.png")])
        error = capsys.readouterr().err
        assert left.value.code == 2 and said in error and error.count("\n") == 1 and "Traceback" not in error
    assert checkpoint.read_config(tmp_path / "run").preset == "tiny" and len(all_texts()[1]) == 39


def test_command_on_a_show_and_on_a_bird(sample, tmp_path, capsys, fetched):
    """Answers of a model that has not learned to answer: the way from file to picture is what is tested."""
    corpus, _ = sample
    run = untrained_run(tmp_path / "run", corpus)
    model, config = checkpoint.load_model(run)
    save(run, Answerer(config.model, corpus.vocab).start_from(model), {"pretrained": [1.0] * 4})
    for video, said in ((DATA_SAMPLE / "videos" / "show_003.mp4", "in domain"), (fetched(*COCKATOO), "out of domain")):
        main(["--run", str(run), "--video", str(video), "--question", "what is peeled?", "--out", str(tmp_path / "answer.png")])
        out = capsys.readouterr().out
        assert out.startswith(said) and "what is peeled?" in out and (tmp_path / "answer.png").stat().st_size > 20_000
    with pytest.raises(SystemExit):
        main(["--run", str(run), "--index", "3", "--question", "what is the spaceship?"])
    assert "no word of the questions" in capsys.readouterr().err
