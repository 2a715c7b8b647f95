"""Foretell a video: python -m minivbert.downstream.forecast --video FILE | --index N [--at CLIP] | --score

VideoBERT, section 4 and Fig. 2: the three likeliest visual tokens at several steps ahead, drawn as their exemplars. One asks a cloze
model for the future by putting holes where it will be; for h clips ahead, as in pretraining in a row of 16 clips,

    [CLS] [>] v1 ... v(16-h) [MASK] ... [MASK] [SEP]       h holes; p(v at h clips ahead) stands at the last one

A hole is filled by itself, so this is p(v at t + h | past), not a path. A row has always 16 clips, since a shorter one says that the show
is over (it was so in pretraining): the question is "what, if the show goes on?".

`--score` foretells the last clip of 16 from the first 16 - h, in held-out videos, and holds the answers against n-grams (`ngrams_ahead.py`;
claim C7) and, in the kitchen, against the exact forecast, forward-backward over everything that can happen (`exact_forecast`): nobody can
do better on average.

Not stated in the paper, our choice: that each step is asked by itself, with as much past as there is room for. One row for all steps was
tried, and drawing the steps between at random and averaging: the model has learned from holes scattered among what it sees, and foretells
the same clip worse with more holes behind it; drawing changes nothing.

Axes: B rows, H steps ahead, C visual words.

    >>> forecast(model, corpus.vocab, [past], config.inputs.window)[0, 0].argmax()             # doctest: +SKIP
"""
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minivbert.downstream.filmstrip import plot_forecast, plot_forecast_scores
from minivbert.downstream.ngrams_ahead import ORDERS, NGramsAhead
from minivbert.downstream.shared import HIDDEN, add_run_options, exemplar_frames, guess_clips, open_run, tokens_of_video, word_names
from minivbert.floors import oracle_of
from minivbert.kitchen.chain import ALIVE
from minivbert.options import Parser, fail

AHEAD, BEST = 4, 3            # steps ahead, in clips of 1.5 s; guesses drawn
SHOWN = 12                    # clips of the past that are drawn
EVERY = 4                     # a scored window starts at every fourth clip of a held-out video
TOPS = (1, 3, 5)
ROWS = 256                    # rows the model is asked at a time


def forecast(model, vocab, pasts, window):
    """Ask the model for the future of B pasts, all of one length n: p (B, window - n, C), p[:, h - 1] for h clips after the past.

    pasts: list of visual token sequences, n < window each. Raises ValueError for pasts of several lengths or with no room after them.
    """
    lengths = {len(past) for past in pasts}
    if len(lengths) != 1 or not 0 < min(lengths) < window:
        raise ValueError(f"pasts of {sorted(lengths)} clips; expected one length from 1 to {window - 1}, since the model was trained on "
                         f"rows of {window}")
    n = lengths.pop()
    films = [[*past, *[HIDDEN] * (window - n)] for past in pasts]
    return np.concatenate([guess_clips(model, vocab, [[]] * len(part), part)[:, n:]
                           for part in (films[i:i + ROWS] for i in range(0, len(films), ROWS))])


def exact_forecast(oracle, pasts_BN, ahead, every=1):
    """Give the kitchen's exact p(token h clips later | past, the show goes on for `ahead` clips): (B, ahead, C).

    pasts (B, N) int: consecutive visual tokens; every: the past starts at a clip that is a multiple of it, any show being as likely.
    """
    world, (B, N) = oracle.world, pasts_BN.shape
    state_DS, prior_DS, clip = world.start / len(world.dishes), 0.0, 0
    alive_DS = world.state_action >= 0
    while state_DS[alive_DS].sum() > 1e-12:
        prior_DS = prior_DS + state_DS * alive_DS * (clip % every == 0)
        state_DS, clip = np.einsum("ds,dst->dt", state_DS, world.transition), clip + 1
    evidence_BK = np.c_[pasts_BN, np.full((B, ahead), ALIVE)]
    cells = np.tile(np.arange(N, N + ahead), B), np.repeat(np.arange(B), ahead)
    cell_MCY = oracle.chain.run(prior_DS, evidence_BK, cells=cells).cell
    p_MV = cell_MCY.reshape(len(cell_MCY), -1) @ oracle.cells.numpy()
    return (p_MV / p_MV.sum(1, keepdims=True)).reshape(B, ahead, -1)


def next_token_topk(p_C, k=BEST):
    """List the k likeliest tokens, best first, of equals the lower one first: [(token, probability)]. p (C,) float.

    >>> next_token_topk(np.array([0.2, 0.5, 0.2, 0.1]))
    [(1, 0.5), (0, 0.2), (2, 0.2)]
    """
    return [(int(v), float(p_C[v])) for v in np.argsort(-p_C, kind="stable")[:k]]


def measure(p_BC, truth_B):
    """Score forecasts: {"nats": mean -log p of the truth, "top1", "top3", "top5": share in which it was among the best}.

    A token as likely as the truth counts as before it, so that ties do not help.

    >>> measure(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]), np.array([0, 1]))["top1"]
    0.5
    """
    p_B = p_BC[np.arange(len(truth_B)), truth_B]
    before_B = (p_BC >= p_B[:, None]).sum(1) - 1
    return {"nats": float(-np.log(np.maximum(p_B, 1e-30)).mean())} | {f"top{k}": float((before_B < k).mean()) for k in TOPS}


def windows_of(corpus, videos, length, every):
    """Cut windows (B, length) of visual tokens at every `every`-th clip of videos, where so many clips are left."""
    cut = [corpus.video(v)[t:t + length] for v in videos for t in range(0, len(corpus.video(v)) - length + 1, every)]
    return np.array(cut, int).reshape(-1, length)


def score(model, config, corpus, progress=False):
    """Score the model on held-out videos beside n-grams and, where the kitchen made the corpus, the exact forecast.

    Returns {"windows": count, "steps": [1 .. 4], predictor: {"nats", "top1", "top3", "top5": a list over the steps}}; raises ValueError
    where no held-out video is long enough.
    """
    training, held_out = corpus.split()
    cut = windows_of(corpus, held_out, config.inputs.window, EVERY)
    if not len(cut):
        raise ValueError(f"{corpus.folder}: no held-out video has {config.inputs.window} clips, so there is no future to compare with")
    shows, oracle, rows = [corpus.video(v) for v in training], oracle_of(corpus, config.inputs), defaultdict(list)
    steps = list(range(1, AHEAD + 1))
    for h in tqdm(steps, desc="steps ahead", unit="step", disable=not progress, dynamic_ncols=True, leave=False):
        past_BN = cut[:, :-h]
        guesses = NGramsAhead(shows, corpus.visual_words, h).predict(past_BN[:, -2:])
        guesses["model"] = forecast(model, corpus.vocab, list(past_BN), config.inputs.window)[:, -1]
        if oracle is not None:
            guesses["oracle"] = exact_forecast(oracle, past_BN, h, EVERY)[:, -1]
        for name, p_BC in guesses.items():
            rows[name].append(measure(p_BC, cut[:, -1]))
    return {"windows": len(cut), "steps": steps} | {name: {key: [row[key] for row in own] for key in own[0]} for name, own in rows.items()}


def table_of(found):
    """Lay the scores out as text: a row a predictor, top-3 and nats a step."""
    names = [name for name in (*ORDERS, "model", "oracle") if name in found]
    lines = [f"{found['windows']} windows of held-out videos; clips ahead:"]
    for key, form in (("top1", "{:>8.1%}"), ("top3", "{:>8.1%}"), ("top5", "{:>8.1%}"), ("nats", "{:>8.3f}")):
        lines.append(f"{key:<10}" + "".join(f"{h:>8}" for h in found["steps"]))
        lines += [f"  {name:<8}" + "".join(form.format(x) for x in found[name][key]) for name in names]
    if "oracle" in found:
        lines.append(f"one step ahead the model's top-3 is {found['model']['top3'][0] / found['oracle']['top3'][0]:.3f} of the oracle's")
    return "\n".join(lines)


def look_ahead(model, config, corpus, tokens, at):
    """Forecast a video's clips from number `at` on: [(step, [(token, probability), ...best])].

    Raises ValueError where nothing stands before `at` or it is past the end.
    """
    if not 1 <= at <= len(tokens):
        raise ValueError(f"--at {at}: the video has {len(tokens)} clips of 1.5 s; give the first clip to foretell, from 1 to {len(tokens)}")
    window, found = config.inputs.window, []
    for h in range(1, AHEAD + 1):
        p_C = forecast(model, corpus.vocab, [tokens[max(0, at - window + h):at]], window)[0, h - 1]
        found.append((h, next_token_topk(p_C)))
    return found


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.downstream.forecast", description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--video", help="a video file")
    what.add_argument("--index", type=int, help="number of a video in the corpus")
    what.add_argument("--score", action="store_true", help="score held-out videos beside n-grams and the exact forecast")
    parser.add_argument("--at", type=int, help="first clip to foretell, from 1 (default: so that the truth of all steps can be shown)")
    parser.add_argument("--out", default="forecast.png", help="picture to write")
    add_run_options(parser)
    o = parser.parse_args(argv)
    try:
        model, config, corpus, tree = open_run(o.run, o.corpus)
        if o.score:
            found = score(model, config, corpus, progress=True)
            plot_forecast_scores(found, Path(o.out))
            print(table_of(found))
        else:
            exemplars, names = exemplar_frames(corpus), word_names(corpus)
            if o.video is not None:
                footage = tokens_of_video(o.video, corpus, tree, o.weights, progress=True)
                print(footage.verdict)
                tokens, frames, name = footage.tokens, footage.frames, Path(o.video).name
                note = "out of domain: the nearest visual words, not what the video shows" if footage.foreign else ""
            else:
                if not 0 <= o.index < corpus.videos:
                    raise ValueError(f"--index {o.index}: {corpus.folder} has videos 0 to {corpus.videos - 1}")
                tokens = corpus.video(o.index).astype(int)
                frames, name, note = [exemplars[v] for v in tokens], f"video {o.index} of the corpus", ""
            at = max(1, len(tokens) - AHEAD) if o.at is None else o.at
            ahead = look_ahead(model, config, corpus, tokens, at)
            plot_forecast(name, max(0, at - SHOWN), at, tokens, frames, ahead, exemplars, names, Path(o.out), note)
            for h, words in ahead:
                there = f"   there: v{tokens[at + h - 1]}" if at + h - 1 < len(tokens) else ""
                print(f"{1.5 * h:.1f} s ahead: " + ", ".join(f"v{v} {names[v]} {p:.0%}".replace("  ", " ") for v, p in words) + there)
    except (ValueError, OSError) as error:
        fail(error)
    print(f"picture: {o.out}")


if __name__ == "__main__":
    main()
