"""Questions about two steps of a show, their answers and the reasons, all generated from the truth; wrong options that give nothing away.

    what is sliced ?                            the onion .       you see it before the rice is boiled .
    what is done to the onion ?                 it is sliced .    you see it before the rice is boiled .
    which tool works on the onion ?             the knife .       you see it before the rice is boiled .
    what comes after the onion is sliced ?      the rice .        you see it boiled .

The survey's VQA (arXiv 2101.01169; open: one answer out of a vocabulary) and VCR (multiple choice: Q -> A, QA -> R, Q -> AR). Two traps:

- answers that the question alone gives away: examples are drawn so that every answer of a question stands equally often;
- wrong options that look wrong: as in VCR's *adversarial matching* each answer is right once and wrong three times, so that who reads the
  options alone stays at chance; which question it goes to is chosen so that it fits that question as well as possible:

    maximise  sum_i  log P(answer_match(i) | question_i)     over permutations `match` that give nobody a right answer, three times

P is counted on training questions. A question is asked only where one answer is right: never "what is sliced?" if both steps slice.

Axes: N examples, G routes (pairs of actions), S windows.

Not stated in the survey, our choice: the questions; the permutation is found by swaps, which come close to the optimum
(`tests/test_question_answering.py`); VCR solves it exactly and also weighs how alike two answers are, which here is yes or no.
"""
from collections import Counter
from dataclasses import dataclass

import numpy as np

from minivbert.downstream.shared import shows_of
from minivbert.downstream.truth import emission_of, route_likelihood, routes, segments_of, within
from minivbert.kitchen.narrate import WORDS
from minivbert.kitchen.recipes import ACTIONS

DONE = {"peel": "peeled", "slice": "sliced", "chop": "chopped", "grate": "grated", "fry": "fried", "boil": "boiled", "whisk": "whisked",
        "mash": "mashed", "pour": "poured", "roll": "rolled", "bake": "baked", "sprinkle": "sprinkled"}
TOOL = {verb: max(table, key=table.get) for verb, table in WORDS["T"].items()}
OPTIONS = 4
MOST_CLIPS = 16               # windows are no longer, so that every clip is shown


@dataclass(frozen=True)
class Example:
    """One question about one window: texts, and the answer as one word of the vocabulary of open answers."""
    window: int
    question: str
    answer: str
    word: str
    reason: str


def asked(first, second):
    """List all that can be asked about two consecutive actions: [(question, answer, word, reason)].

    >>> a, b = ACTIONS.index(("slice", "bread")), ACTIONS.index(("pour", "milk"))
    >>> asked(a, b)[0]
    ('what is sliced ?', 'the bread .', 'bread', 'you see it before the milk is poured .')
    >>> asked(a, b)[-1]
    ('what comes after the bread is sliced ?', 'the milk .', 'milk', 'you see it poured .')
    """
    (v1, i1), (v2, i2) = ACTIONS[first], ACTIONS[second]
    out = []
    for (verb, thing), (v, i), place in (((v1, i1), (v2, i2), "before"), ((v2, i2), (v1, i1), "after")):
        reason = f"you see it {place} the {i} is {DONE[v]} ."
        if verb != v:
            out.append((f"what is {DONE[verb]} ?", f"the {thing} .", thing, reason))
        if thing != i:
            out.append((f"what is done to the {thing} ?", f"it is {DONE[verb]} .", DONE[verb], reason))
            out.append((f"which tool works on the {thing} ?", f"the {TOOL[verb]} .", TOOL[verb], reason))
    if first != second:
        out.append((f"what comes after the {i1} is {DONE[v1]} ?", f"the {i2} .", i2, f"you see it {DONE[v2]} ."))
    return out


def all_texts():
    """List every word that questions, answers and reasons need, and every open answer, both sorted."""
    words, answers = set(), set()
    for a in range(len(ACTIONS)):
        for b in range(len(ACTIONS)):
            for question, answer, word, reason in asked(a, b):
                words |= {*question.split(), *answer.split(), *reason.split()}
                answers.add(word)
    return sorted(words), sorted(answers)


def kind_of(question):
    """Give the kind of a question: its first words.

    >>> kind_of("what is done to the onion ?"), kind_of("what is sliced ?")
    ('what is done to ...', 'what is ...-ed')
    """
    for start in ("what is done to", "which tool works on", "what comes after"):
        if question.startswith(start):
            return f"{start} ..."
    return "what is ...-ed"


def windows_of(corpus, videos):
    """List the windows of two whole steps of some videos of a kitchen corpus: `truth.Segments`; too long ones are left out."""
    windows = segments_of(corpus, videos, shows_of(corpus, videos), steps=2)
    return windows[windows.clips <= MOST_CLIPS]


def examples_of(windows):
    """Ask all that can be asked about all windows: a list of `Example`."""
    return [Example(w, *texts) for w, (a, b) in enumerate(windows.route) for texts in asked(int(a), int(b))]


def by_answer(examples):
    """Group examples: {question: {word: [place in the list]}}."""
    out = {}
    for n, example in enumerate(examples):
        out.setdefault(example.question, {}).setdefault(example.word, []).append(n)
    return out


def balanced(examples, each, rng):
    """Draw examples so that the answers of a question stand equally often: exactly `each` an answer.

    Answers with fewer are left out, and questions that then have one answer only.
    """
    out = []
    for answers in by_answer(examples).values():
        enough = [places for places in answers.values() if len(places) >= each]
        if len(enough) > 1:
            out += [examples[n] for places in enough for n in rng.choice(places, each, replace=False)]
    return out


class Matcher:
    """Adversarial matching with probabilities counted on training examples."""

    def __init__(self, examples):
        self.answers = Counter((e.question, e.answer) for e in examples)
        self.reasons = Counter((e.question, e.answer, e.reason) for e in examples)

    def options(self, examples, rng):
        """Give each example its options: answers and reasons, lists of four texts, and the place of the right one: 4 lists.

        Returns (answers, right answer's place, reasons, right reason's place).
        """
        right_answers = [e.answer for e in examples]
        fit_answers = pairwise(lambda e, text: self.answers[e.question, text], examples, right_answers)
        right_reasons = [e.reason for e in examples]
        fit_reasons = pairwise(lambda e, text: self.reasons[e.question, e.answer, text], examples, right_reasons)
        out = []
        for own, fit in ((right_answers, fit_answers), (right_reasons, fit_reasons)):
            wrong, place = match(own, fit, rng), rng.integers(OPTIONS, size=len(own))
            out += [[w[:p] + [text] + w[p:] for w, text, p in zip(wrong, own, place.tolist())], place]
        return out


def pairwise(count, examples, texts):
    """Give log (count + 0.1) of every text for every example, (N, N); 5 less where the text belongs to another kind of question."""
    names, keys = list(dict.fromkeys(texts)), [(e.question, e.answer) for e in examples]
    kind_N = np.array([kind_of(e.question) for e in examples])
    row = {key: np.log([count(examples[n], name) + 0.1 for name in names]) for n, key in enumerate(keys)}
    column = np.array([names.index(text) for text in texts])
    return np.stack([row[key] for key in keys])[:, column] - 5.0 * (kind_N[:, None] != kind_N)


def match(own, fit_NN, rng, sweeps=400):
    """Give each of N questions three wrong options out of the N right ones, each used three times: lists of texts.

    own: the N right texts; fit (N, N): how well the text of column j fits question i. No question gets its own text, or one text twice.
    Permutations are improved by swaps that help both, from a random start. Raises ValueError if three texts cannot be had.
    """
    N, number = len(own), np.unique(own, return_inverse=True)[1]
    if np.bincount(number).max(initial=0) * OPTIONS > N:
        raise ValueError(f"one text is right in {np.bincount(number).max(initial=0)} of {N} questions, too often to leave three wrong options "
                         "each; draw more examples")
    taken_NN = number[:, None] == number                    # texts that question i must not get (again)
    wrong = [[] for _ in range(N)]
    for _ in range(OPTIONS - 1):
        value_NN = np.where(taken_NN, -1e6, fit_NN)
        to_N = rng.permutation(N)
        for sweep in range(sweeps * 10):
            if sweep >= sweeps and not taken_NN[np.arange(N), to_N].any():
                break
            half = rng.permutation(N)[:N // 2 * 2].reshape(2, -1)
            (i, j), now = half, value_NN[np.arange(N), to_N]
            better = value_NN[i, to_N[j]] + value_NN[j, to_N[i]] > now[i] + now[j]
            i, j = i[better], j[better]
            to_N[i], to_N[j] = to_N[j], to_N[i]
        if taken_NN[np.arange(N), to_N].any():
            raise ValueError("no three different wrong options for every question; draw more examples")
        for n, other in enumerate(to_N):
            wrong[n].append(own[other])
        taken_NN |= number[to_N][:, None] == number
    return wrong


class Exact:
    """Exact Bayes on the tokens of a window: which two steps are these?"""

    def __init__(self, corpus):
        self.route_G2, often_G = routes(2)
        self.often_G = often_G * within(self.route_G2, MOST_CLIPS)
        self.emission = emission_of(corpus)
        self.texts = [{question: texts for question, *texts in asked(*map(int, route))} for route in self.route_G2]

    def post(self, films):
        """Give P(tokens | route) (S, G)."""
        return route_likelihood(films, self.route_G2, self.emission)

    def answer(self, likelihood_G, question, part, given=None):
        """Give {text: probability} of part 0 answer, 1 word or 2 reason; given: the answer that is known.

        Answers are equally likely beforehand, as in `balanced`.
        """
        fits = [(g, texts[question]) for g, texts in enumerate(self.texts) if question in texts and given in (None, texts[question][0])]
        before, found = Counter(), Counter()
        for g, (_, word, _) in fits:
            before[word] += self.often_G[g]
        for g, texts in fits:
            found[texts[part]] += likelihood_G[g] * self.often_G[g] / before[texts[1]]
        total = sum(found.values())
        return {text: p / total for text, p in found.items() if total}
