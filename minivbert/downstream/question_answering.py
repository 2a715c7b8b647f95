"""Ask a film: python -m minivbert.downstream.question_answering --video FILE --question "what is sliced?"

The survey's VQA and VCR in miniature (arXiv 2101.01169), on questions made from the truth (`questions.py`), answered by the fine-tuned
pretrained model (`answerer.py`): open, Q -> A and QA -> R out of four options, and Q -> AR, both right. Beside it, with equal updates:

    options only     neither question nor video: at chance, or the wrong options give themselves away
    question only    the pretrained model without video
    from scratch     the same model, not pretrained
    oracle           exact Bayes on the window's tokens

Axes: N questions, K answers, W windows.

Not stated in the paper, our choice: everything here; the paper answers no questions.
"""
from pathlib import Path

import numpy as np
import torch

from minivbert.downstream.answerer import TUNING, Answerer, films_of, fine_tune, load, save
from minivbert.downstream.panels import plot_answer, plot_questions
from minivbert.downstream.questions import MOST_CLIPS, OPTIONS, Exact, Matcher, all_texts, balanced, examples_of, windows_of
from minivbert.downstream.shared import add_run_options, open_run, tokens_of_video
from minivbert.downstream.truth import film_of
from minivbert.options import Parser, fail

EACH = 3                      # test examples of each answer to each question
MATCHED_SHOWS = 1000          # whose answers say which wrong options fit a test question
KINDS = {"options only": (False, False, True), "question only": (True, False, True), "from scratch": (True, True, False),
         "pretrained": (True, True, True)}                                                # question seen, video seen, pretrained
COLUMNS = ("open", "Q -> A", "QA -> R", "Q -> AR")


class Exam:
    """Held-out questions with their options, the same for every model: examples, films, answers, right, reasons, true."""

    def __init__(self, corpus, rng, each=EACH):
        """Raises ValueError where the corpus is none of the kitchen's or too small to ask balanced questions about."""
        windows = windows_of(corpus, corpus.split()[1])
        self.examples = balanced(examples_of(windows), each, rng)
        if not self.examples:
            raise ValueError(f"{corpus.folder}: no question with {each} examples of two answers in its held-out shows; give a larger corpus")
        self.films = films_of(corpus, windows, self.examples)
        known = Matcher(examples_of(windows_of(corpus, corpus.split()[0][:MATCHED_SHOWS])))
        self.answers, self.right, self.reasons, self.true = known.options(self.examples, rng)


def figures_of(word_right, answer_right, reason_right):
    """Give the four figures [%] of a row from what was right, each (N,) bool."""
    return [100 * float(np.mean(x)) for x in (word_right, answer_right, reason_right, answer_right & reason_right)]


@torch.no_grad()
def score(answerer, test, seen, rows=64):
    """Score a model on an `Exam`: (four figures [%], open answers (N,) words)."""
    words, chosen, argued = [], [], []
    for at in (slice(i, i + rows) for i in range(0, len(test.examples), rows)):
        own, films = test.examples[at], test.films[at]
        words += [answerer.answers[i] for i in answerer(own, films, seen).argmax(1).tolist()]
        chosen.append(answerer.choose(own, test.answers[at], films, seen).argmax(1).numpy() == test.right[at])
        argued.append(answerer.choose(own, test.reasons[at], films, seen, [e.answer for e in own]).argmax(1).numpy() == test.true[at])
    right = np.array([word == e.word for word, e in zip(words, test.examples)])
    return figures_of(right, np.concatenate(chosen), np.concatenate(argued)), words


def score_exact(corpus, test):
    """Score exact Bayes on an `Exam`: four figures [%]."""
    exact = Exact(corpus)
    likelihood_NG = exact.post(test.films)
    right = []
    for n, (example, row_G) in enumerate(zip(test.examples, likelihood_NG)):
        word_p, answer_p = exact.answer(row_G, example.question, 1), exact.answer(row_G, example.question, 0)
        reason_p = exact.answer(row_G, example.question, 2, example.answer)
        best = lambda options, p: max(range(OPTIONS), key=lambda k: p.get(options[k], 0.0))
        right.append((max(word_p, key=word_p.get) == example.word, best(test.answers[n], answer_p) == test.right[n],
                      best(test.reasons[n], reason_p) == test.true[n]))
    return figures_of(*np.array(right).T)


def answer_questions(model, corpus, test, steps=TUNING.steps, seed=0, kinds=tuple(KINDS), progress=False):
    """Fine-tune and score every kind of model: ({row: four figures [%]}, the fine-tuned pretrained one or None)."""
    rows, kept = {"chance": [100 / len(all_texts()[1]), 25.0, 25.0, 6.25]}, None
    for name in kinds:
        *seen, pretrained = KINDS[name]
        answerer = Answerer(model.config, corpus.vocab, seed)
        if pretrained:
            answerer.start_from(model)
        fine_tune(answerer, corpus, seen, steps, seed, progress)
        rows[name], _ = score(answerer, test, seen)
        kept = answerer if name == "pretrained" else kept
    rows["oracle"] = score_exact(corpus, test)
    return rows, kept


def table_of(rows):
    """Lay rows out as text."""
    return "\n".join([f"{'right, %':<16}" + "".join(f"{column:>10}" for column in COLUMNS)] + [
        f"{name:<16}" + "".join(f"{x:>10.1f}" for x in row) for name, row in rows.items()])


@torch.no_grad()
def ask(answerer, question, tokens):
    """Ask about a video of any length, window by window: (windows' first clips (W,), p (W, K))."""
    text = answerer.encode_text(question if question.rstrip().endswith("?") else question + "?")
    starts = list(range(0, max(1, len(tokens) - MOST_CLIPS + 1), 4))
    if starts[-1] + MOST_CLIPS < len(tokens):
        starts.append(len(tokens) - MOST_CLIPS)
    pooled_WD = answerer.pooled([text] * len(starts), [tokens[s:s + MOST_CLIPS] for s in starts])
    return np.array(starts), answerer.open(pooled_WD).softmax(-1).numpy()


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.downstream.question_answering", description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--video", help="a video file to ask about")
    what.add_argument("--index", type=int, help="number of a video in the corpus to ask about")
    what.add_argument("--score", action="store_true", help="score held-out questions; other rows as --train recorded them")
    what.add_argument("--train", action="store_true", help="fine-tune the run and its baselines, keep weights and figures in its folder")
    parser.add_argument("--question", default="what is sliced?", help="the question for --video and --index")
    parser.add_argument("--steps", type=int, default=TUNING.steps, help="updates of --train, a model")
    parser.add_argument("--out", default="question_answering.png", help="picture to write")
    add_run_options(parser)
    o = parser.parse_args(argv)
    try:
        model, config, corpus, tree = open_run(o.run, o.corpus)
        if o.train:
            if o.steps < 1:
                raise ValueError(f"--steps {o.steps}: at least 1 update is needed")
            rows, answerer = answer_questions(model, corpus, Exam(corpus, np.random.default_rng(0)), o.steps, config.train.seed, progress=True)
            save(o.run, answerer, rows)
        else:
            answerer, rows = load(o.run, config, corpus.vocab)
        if o.video or o.index is not None:
            if o.video:
                footage = tokens_of_video(o.video, corpus, tree, o.weights, progress=True)
                print(footage.verdict)
                tokens, frames, name = footage.tokens, footage.frames, Path(o.video).name
            else:
                (tokens, frames), name = film_of(corpus, o.index), f"video {o.index} of the corpus"
            starts, p_WK = ask(answerer, o.question, tokens)
            w = int(p_WK.max(1).argmax())
            best = [(answerer.answers[k], float(p_WK[w, k])) for k in np.argsort(-p_WK[w])[:3]]
            seconds = 1.5 * starts[w], 1.5 * min(starts[w] + MOST_CLIPS, len(tokens))
            print(f"{o.question}  " + ", ".join(f"{word} {p:.0%}" for word, p in best) + f"   (seen from {seconds[0]:g} to {seconds[1]:g} s)")
            plot_answer(name, o.question, seconds, frames[starts[w]:starts[w] + MOST_CLIPS], best, Path(o.out))
        else:
            test = Exam(corpus, np.random.default_rng(0))
            if o.score:
                rows["pretrained"], _ = score(answerer, test, (True, True))
            print(f"{len(test.examples)} questions about held-out shows\n{table_of(rows)}")
            plot_questions(rows, COLUMNS, Path(o.out))
    except (ValueError, OSError) as error:
        fail(error)
    print(f"picture: {o.out}")


if __name__ == "__main__":
    main()
