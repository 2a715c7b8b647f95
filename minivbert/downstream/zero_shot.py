"""Name the action of a clip without ever having been told the names: python -m minivbert.downstream.zero_shot --video FILE

VideoBERT, section 4.4 and table 1. A step's visual tokens stand beside a sentence with two holes, and the cloze fills them:

    [CLS] now let me show you how to [MASK] the [MASK] . [>] v v v v [SEP]        first hole: verb, second: object

A label counts as found at top-k if it is among the k likeliest of *all* words, an open vocabulary: who says "cook" where the label is
"fry" is wrong. Labels are the true verb and ingredient of each whole step of the held-out filmed shows. Beside the model:

    majority class       the k commonest labels of training steps, whatever is shown; the paper has no such row
    language prior       the same model without the video
    shuffled video       the same model with another step's video
    supervised           a linear classifier on the mean feature of the step's clips
    oracle               exact Bayes on the step's tokens, asked for the label
    oracle, in words     exact Bayes asked as the model is: for the cook's word, when every second pair is false

Axes: S steps, V words, F features, L labels, A actions.

Differs from, or not stated in, the paper: labels are known, not parsed from captions; the sentence ends in a full stop, as all sentences of
the corpus do; the classifier's feature of a clip is its visual word's centroid, since a corpus keeps no features.
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from minivbert.downstream.panels import plot_named, plot_zero_shot
from minivbert.downstream.shared import add_run_options, lay_out, open_run, shows_of, tokens_of_video
from minivbert.downstream.truth import emission_of, film_of, route_likelihood, routes, segments_of, tokens_of
from minivbert.kitchen.narrate import WORDS, slot_words
from minivbert.kitchen.recipes import ACTIONS, CLIP_SECONDS
from minivbert.options import Parser, fail

TEMPLATE = "now let me show you how to {V} the {I} ."
TEMPLATES = (TEMPLATE, "now let me show you how to {V} the {I}", "now we {V} the {I} .", "go on and {V} the {I} .", "please {V} the {I} {A} .",
             "{V} the {I} {R} the {P} .", "take the {T} and {V} the {I} now .", "with the {T} you {V} it , the {I} .",
             "next {V} the {I} until it is {G} .", "the {I} , now we {V} it .")
SLOTS = ("verb", "object")
LABELS = tuple(sorted({verb for verb, _ in ACTIONS})), tuple(sorted({ingredient for _, ingredient in ACTIONS}))
LABEL_OF = np.array([[LABELS[0].index(verb), LABELS[1].index(ingredient)] for verb, ingredient in ACTIONS])      # (A, 2)
COLUMNS = ("verb top-1", "verb top-5", "object top-1", "object top-5")
PAPER = {"majority class": (None, 49, None, 43), "language prior, text only": (0.0, 0.0, 0.0, 0.0), "language prior": (0.4, 6.9, 7.7, 15.3),
         "cross-modal": (3.2, 43.3, 13.1, 33.7), "supervised": (16.1, 46.9, 13.2, 30.9)}
ROWS = ("majority class", "language prior", "shuffled video", "cross-modal", "supervised", "oracle, in words", "oracle")
PICTURED = 6                  # stretches of a video in the picture
TRAINING_SHOWS = 1000         # whose steps the classifier and the majority are taken from


def template_ids(vocab, template):
    """Turn a template into ids (W,), slots masked, and the two places (verb, object) within them; ValueError if it has not both.

    >>> from minivbert.tokens.wordpiece import SPECIALS, WordPiece
    >>> template_ids(WordPiece([*SPECIALS, "now", "the", "."]), "now {V} the {I} .")
    ([5, 4, 6, 4, 7], [1, 3])
    """
    words = template.split()
    if "{V}" not in words or "{I}" not in words:
        raise ValueError(f"template {template!r}: write {{V}} where the verb and {{I}} where the object is asked for, each between blanks")
    ids = [vocab.mask if word.startswith("{") else vocab.ids.get(word, vocab.unk) for word in words]
    return ids, [words.index("{V}"), words.index("{I}")]


@torch.no_grad()
def ask(model, vocab, films, template=TEMPLATE, rows=256):
    """Give the model's probabilities of every word in the two holes, (S, 2, V) float32.

    films: a list of visual tokens a step; None instead: the sentence without video, answers (1, 2, V).
    """
    ids, holes = template_ids(vocab, template)
    films = [None] if films is None else films
    order = sorted(range(len(films)), key=lambda s: 0 if films[s] is None else len(films[s]))
    out = np.zeros((len(films), 2, len(vocab)), np.float32)
    for part in (order[i:i + rows] for i in range(0, len(order), rows)):
        tokens, types, keep, _ = lay_out(vocab, [ids] * len(part), [films[s] for s in part])
        at = torch.tensor([[1 + hole for hole in holes]]).expand(len(part), 2)
        out[part] = model.text_logits(model.encode(tokens, types, keep, at_BR=at)).softmax(-1).numpy()
    return out


def found(p_SV, label_S, k):
    """Give the share of steps whose label is among the k likeliest words; ties count against.

    >>> found(np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.1]]), np.array([2, 0]), 2)
    0.5
    """
    return float(((p_SV >= p_SV[np.arange(len(p_SV)), label_S][:, None]).sum(1) <= k).mean())


def row_of(p, label_S2):
    """Score probabilities of the verb and the object, a pair of (S, V) arrays or (S, 2, V): the four figures of a row [%]."""
    pair = p if isinstance(p, tuple) else (p[:, 0], p[:, 1])
    return [100 * found(np.broadcast_to(p_SV, (len(label_S2), p_SV.shape[1])), label_S2[:, slot], k)
            for slot, p_SV in enumerate(pair) for k in (1, 5)]


def shuffled(n, rng):
    """Give each of n steps another one's place.

    >>> bool((shuffled(9, np.random.default_rng(0)) != np.arange(9)).all())
    True
    """
    order, out = rng.permutation(n), np.empty(n, int)
    out[order] = np.roll(order, 1)
    return out


def fit_linear(feature_SF, label_S, classes, decay=1e-4):
    """Fit multinomial logistic regression by L-BFGS; return a function from features (S, F) to probabilities (S, L)."""
    mean_F, std_F = feature_SF.mean(0), feature_SF.std(0) + 1e-6
    standard = lambda x_SF: torch.from_numpy((x_SF - mean_F) / std_F).float()
    x_SF, y_S = standard(feature_SF), torch.from_numpy(label_S)
    weight, bias = torch.zeros(classes, x_SF.shape[1], requires_grad=True), torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        nats = F.cross_entropy(x_SF @ weight.T + bias, y_S) + decay * weight.square().sum()
        nats.backward()
        return nats

    optimizer.step(loss)
    return lambda x_SF: (standard(x_SF) @ weight.T + bias).softmax(-1).detach().numpy()


def oracle_of_steps(corpus, steps):
    """Give the exact probability of each action (S, A) given all clips of a step, and the prior (A,) of a step."""
    route_A1, often_A = routes(1)
    tokens = [corpus.visual[a:a + n].astype(int) for a, n in zip(steps.first, steps.clips)]
    post_SG = route_likelihood(tokens, route_A1, emission_of(corpus)) * often_A
    post_SA, prior_A = np.zeros((len(steps), len(ACTIONS))), np.zeros(len(ACTIONS))
    post_SA[:, route_A1[:, 0]], prior_A[route_A1[:, 0]] = post_SG / post_SG.sum(1, keepdims=True), often_A / often_A.sum()
    return post_SA, prior_A


def in_words(p_SA, vocab):
    """Say actions in the cook's words: p(action) (S, A) -> p(word) (S, 2, V) of the verb and the object."""
    table_2AV = np.zeros((2, len(ACTIONS), len(vocab)))
    for slot, letter in enumerate("VI"):
        for a in range(len(ACTIONS)):
            for word, p in slot_words(letter, a).items():
                table_2AV[slot, a, vocab.ids[word]] = p
    return np.einsum("sa,zav->szv", p_SA, table_2AV)


def in_labels(p_SA):
    """Add actions up to labels: p(action) (S, A) -> p(verb) (S, 12), p(object) (S, 16)."""
    return tuple(p_SA @ np.eye(len(LABELS[slot]))[LABEL_OF[:, slot]] for slot in (0, 1))


def baselines(corpus, tree, steps, films):
    """Score what knows the truth or was told it: majority class, supervised, and the two oracles: {row: four figures [%]}.

    steps, films: what is asked, and its visual tokens. tree: for the classifier's features; None leaves it out.
    """
    label_S2, training = LABEL_OF[steps.route[:, 0]], corpus.split()[0][:TRAINING_SHOWS]
    seen = segments_of(corpus, training, shows_of(corpus, training))
    known_S2 = LABEL_OF[seen.route[:, 0]]
    count = tuple(np.bincount(known_S2[:, slot], minlength=len(LABELS[slot]))[None] + 1e-6 * np.arange(len(LABELS[slot])) for slot in (0, 1))
    out = {"majority class": row_of(count, label_S2)}
    if tree is not None:
        mean = lambda clips: np.stack([tree.leaf_centroids[v].mean(0) for v in clips])
        x_SF, asked_SF = mean(tokens_of(corpus, seen, 10 ** 6)), mean(films)
        fitted = tuple(fit_linear(x_SF, known_S2[:, slot], len(LABELS[slot]))(asked_SF) for slot in (0, 1))
        out["supervised"] = row_of(fitted, label_S2)
    post_SA, prior_A = oracle_of_steps(corpus, steps)
    words_S2 = np.array([[corpus.vocab.ids[LABELS[slot][i]] for slot, i in enumerate(row)] for row in label_S2])
    out["oracle, in words"] = row_of(in_words(0.5 * post_SA + 0.5 * prior_A, corpus.vocab), words_S2)
    out["oracle"] = row_of(in_labels(post_SA), label_S2)
    return out


def zero_shot(model, config, corpus, shows, rng, templates=(TEMPLATE,)):
    """Ask a model about all whole steps of the first held-out shows.

    shows: how many; rng: draws the shuffled videos. Returns (steps, films, figures): figures {"rows": {row: four figures [%]},
    "templates": {template: four figures}, "vague": share of the model's wrong verbs that are words of several verbs ("cut", "cook")}.
    """
    videos = corpus.split()[1][:shows]
    steps = segments_of(corpus, videos, shows_of(corpus, videos))
    films = tokens_of(corpus, steps, config.inputs.max_video)
    words_S2 = np.array([[corpus.vocab.ids[word] for word in ACTIONS[a]] for a in steps.route[:, 0]])
    p_S2V = ask(model, corpus.vocab, films)
    other = [films[s] for s in shuffled(len(films), rng)]
    rows = {"language prior": row_of(ask(model, corpus.vocab, None), words_S2),
            "shuffled video": row_of(ask(model, corpus.vocab, other), words_S2), "cross-modal": row_of(p_S2V, words_S2)}
    said = [word for table in WORDS["V"].values() for word in table]
    several = {corpus.vocab.ids[word] for word in said if said.count(word) > 1}
    best_S = p_S2V[:, 0].argmax(1)
    wrong_S = best_S[best_S != words_S2[:, 0]]
    return steps, films, {"rows": rows, "vague": float(np.mean([v in several for v in wrong_S])) if len(wrong_S) else 0.0,
                          "templates": {t: row_of(ask(model, corpus.vocab, films, t), words_S2) for t in templates}}


def table_of(rows):
    """Lay rows out as text, the paper's numbers beside ours."""
    lines = [f"{'ours (the paper) [%]':<28}" + "".join(f"{column:>17}" for column in COLUMNS)]
    for name, figures in rows.items():
        paper = PAPER.get(name, (None,) * 4)
        lines.append(f"{name:<28}" + "".join(f"{x:>9.1f}" + (f"  ({p:>4})" if p is not None else " " * 8) for x, p in zip(figures, paper)))
    return "\n".join(lines)


def score(model, config, corpus, tree, shows, path):
    """Score a run, draw the rows to `path`, return the tables as text."""
    steps, films, figures = zero_shot(model, config, corpus, shows, np.random.default_rng(0), TEMPLATES)
    rows = figures["rows"] | baselines(corpus, tree, steps, films)
    rows = {name: rows[name] for name in ROWS if name in rows}
    plot_zero_shot(rows, PAPER, figures["templates"], path)
    lines = [f"{len(steps)} whole steps of {shows} held-out shows", table_of(rows), "", f"{'by the sentence':<52}" + "".join(
        f"{column:>13}" for column in COLUMNS)]
    lines += [f"{template:<52}" + "".join(f"{x:>13.1f}" for x in row) for template, row in figures["templates"].items()]
    return "\n".join([*lines, f"of the model's wrong verbs {figures['vague']:.0%} are words of several verbs, such as cut, cook, add"])


def best_words(vocab, p_V, k=5):
    """List the k likeliest words: [(word, probability)]."""
    return [(vocab.vocab[i], float(p_V[i])) for i in np.argsort(-p_V)[:k]]


def stretches(tokens, frames, clips, most):
    """Cut a video into stretches of so many clips, at most `most` of them shown: [(name, visual tokens, frames)].

    >>> [(name, film.tolist()) for name, film, _ in stretches(np.arange(5), "abcde", 4, 2)]
    [('0 to 6 s', [0, 2]), ('6 to 7.5 s', [4])]
    """
    out, step = [], -(-clips // most)
    for first in range(0, len(tokens), clips):
        last = min(first + clips, len(tokens))
        out.append((f"{CLIP_SECONDS * first:g} to {CLIP_SECONDS * last:g} s", tokens[first:last:step], frames[first:last:step]))
    return out


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.downstream.zero_shot", description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--video", help="a video file: name what each stretch of it shows")
    what.add_argument("--index", type=int, help="number of a video in the corpus: the same for it")
    what.add_argument("--score", action="store_true", help="score whole steps of held-out shows beside baselines and the oracle")
    parser.add_argument("--clips", type=int, default=6, help="clips of 1.5 s a stretch of --video and --index")
    parser.add_argument("--template", default=TEMPLATE, help="the sentence, {V} where the verb and {I} where the object is asked for")
    parser.add_argument("--shows", type=int, default=150, help="held-out shows that --score asks about")
    parser.add_argument("--out", default="zero_shot.png", help="picture to write")
    add_run_options(parser)
    o = parser.parse_args(argv)
    try:
        if o.clips < 1 or o.shows < 1:
            raise ValueError(f"--clips {o.clips}, --shows {o.shows}: each must be at least 1")
        model, config, corpus, tree = open_run(o.run, o.corpus)
        template_ids(corpus.vocab, o.template)
        if o.score:
            print(score(model, config, corpus, tree, o.shows, Path(o.out)))
        else:
            if o.video:
                footage = tokens_of_video(o.video, corpus, tree, o.weights, progress=True)
                print(footage.verdict)
                tokens, frames = footage.tokens, footage.frames
            else:
                tokens, frames = film_of(corpus, o.index)
            parts = stretches(tokens, frames, o.clips, config.inputs.max_video)
            answers = ask(model, corpus.vocab, [film for _, film, _ in parts], o.template)
            named = [(name, film, *(best_words(corpus.vocab, p_V) for p_V in p_2V), ()) for (name, _, film), p_2V in zip(parts, answers)]
            for name, _, *best, _ in named:
                print(f"{name:<16}" + "   ".join(f"{', '.join(f'{word} {p:.0%}' for word, p in words[:3]):<36}" for words in best).rstrip())
            plot_named(named[:PICTURED], o.template, Path(o.out))
    except (ValueError, OSError) as error:
        fail(error)
    print(f"picture: {o.out}")


if __name__ == "__main__":
    main()
