"""Find the film for a sentence and the sentence for a film: python -m minivbert.downstream.retrieval --text "now we slice the onion ."

The alignment head (VideoBERT, section 3.2) says of any text and any video whether they belong together; ranked by it, it searches.

    single stream    the alignment logit: every candidate is encoded together with the query, N encodings a query
    two streams      `dual.py`, the survey's other family: candidates are encoded once and for all, one encoding a query
    oracle           log P(text, video) / (P(text) P(video)), exact: the best that anything can do that looks at one pair at a time

    R@k    share of queries whose right answer is among the first k       median rank

A tie counts against: whoever scores everything alike gets R@1 = 0. Where captions are equal any of them is right. Candidates are single
sentences of held-out videos with as many clips each, so that counting tokens tells nothing, several of one show among them; chatter,
which is about nothing that can be seen, leaves the pool where the truth is known.

Axes: Q queries, N candidates, T texts, V videos, A actions, L lags.

Not stated in the paper, our choice: everything here; the paper does not search.
"""
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert.downstream.dual import FILE, equal, film_of, load_dual, save_dual, text_of, train_dual
from minivbert.downstream.panels import plot_found, plot_retrieval
from minivbert.downstream.shared import add_run_options, exemplar_frames, lay_out, open_run, tokens_of_video
from minivbert.floors import oracle_of
from minivbert.kitchen.chain import ALIVE, ANYTHING
from minivbert.options import Parser, fail
from minivbert.pretraining.segments import sentence_segments

KS = (1, 5, 10)
DIRECTIONS = ("text to video", "video to text")


def pool_of(corpus, size, oracle=None):
    """Collect the first `size` candidates of the held-out videos: (texts, films), lists of ids and visual tokens.

    All have the commonest number of clips. oracle: knows what is chatter and leaves it out. Raises ValueError for fewer than two.
    """
    segments = sentence_segments(corpus, corpus.split()[1], joined=False)
    clips = segments.clip_len.sum(1)
    at = np.flatnonzero(clips == np.bincount(clips).argmax()) if len(clips) else np.zeros(0, int)
    texts = [text_of(corpus, segments, a) for a in at]
    if oracle is not None:
        about = [bool(said_of(oracle, [text]).any()) for text in texts]
        at, texts = at[about], [text for text, own in zip(texts, about) if own]
    if len(at) < 2:
        raise ValueError(f"{corpus.folder}: {len(at)} sentences with a film in its held-out videos, too few to search in; give a larger corpus")
    return texts[:size], [film_of(corpus, segments, a) for a in at[:size]]


@torch.no_grad()
def score_single(model, vocab, texts, films, rows=512, progress=False):
    """Score every text with every video by the alignment head: (T, V). The last block computes [CLS] only."""
    out = np.zeros((len(texts), len(films)))
    pairs = [(t, v) for t in range(len(texts)) for v in range(len(films))]
    pairs.sort(key=lambda pair: len(texts[pair[0]]) + len(films[pair[1]]))
    for first in tqdm(range(0, len(pairs), rows), desc="pairs", unit="batch", disable=not progress, dynamic_ncols=True, leave=False):
        part = pairs[first:first + rows]
        ids, types, keep, _ = lay_out(vocab, [texts[t] for t, _ in part], [films[v] for _, v in part])
        hidden = model.encode(ids, types, keep, at_BR=torch.zeros(len(part), 1, dtype=torch.long))
        out[tuple(zip(*part))] = model.align_logit(hidden).double().numpy()
    return out


@torch.no_grad()
def score_dual(dual, texts, films):
    """Score every text with every video by two streams: (T, V)."""
    return dual.scores(dual.texts(texts), dual.videos(films)).double().numpy()


def said_of(oracle, texts):
    """Give P(words | topic) of sentences (T, A + 1), 0 for chatter and for what nobody in the kitchen would say; last column 0."""
    out_TA = np.zeros((len(texts), oracle.language.table.shape[2]))
    for t, text in enumerate(texts):
        if len(text) in oracle.language.templates:
            out_TA[t] = oracle.language.likelihood(np.asarray(text)[None]).sum(0)[0]
    out_TA[:, -1] = 0.0
    return out_TA


def score_oracle(oracle, texts, films):
    """Score every text with every video exactly: log P(text, video) / (P(text) P(video)), (T, V); films equally long, no chatter."""
    lags, said_TA = np.array(oracle.world.lags), said_of(oracle, texts)
    clips, V, L = len(films[0]), len(films), len(oracle.world.lags)
    seen = np.full((V + 1, max(clips, L)), ANYTHING)                       # the last row: a video of which nothing is known
    seen[:V, :clips], seen[V, :clips] = np.stack(films), ALIVE
    row, lag = np.indices((V + 1, L)).reshape(2, -1)
    found = oracle.chain.run(oracle.prior_text, seen, topics=(lag, row))
    about_VA = np.einsum("l,vla->va", lags, found.topic.reshape(V + 1, L, -1)) / found.likelihood[:, None]
    about_VA[:, -1] = 0.0
    p_TV = said_TA @ (about_VA / about_VA.sum(1, keepdims=True)).T
    return np.log(np.maximum(p_TV[:, :-1], 1e-300)) - np.log(np.maximum(p_TV[:, -1:], 1e-300))


def ranks(score_QN, right_QN):
    """Give the rank (Q,) of each query's best right answer; ties with wrong ones count against.

    >>> ranks(np.array([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0]]), np.eye(2, 3, dtype=bool)).tolist()
    [1, 3]
    """
    best_Q1 = np.where(right_QN, score_QN, -np.inf).max(1, keepdims=True)
    return 1 + ((score_QN >= best_Q1) & ~right_QN).sum(1)


def figures_of(score_TV, same_TT):
    """Score both directions: {"text to video": {"R@1": share, ..., "median rank": }, "video to text": ...}."""
    out = {}
    for name, score_QN in zip(DIRECTIONS, (score_TV, score_TV.T)):
        rank_Q = ranks(score_QN, same_TT)
        out[name] = {f"R@{k}": float((rank_Q <= k).mean()) for k in KS} | {"median rank": float(np.median(rank_Q))}
    return out


def chance(same_TT):
    """Give the figures of a random order, exactly: with m right among N, no right one is in the first k with C(N - m, k) / C(N, k)."""
    N, m_Q = len(same_TT), same_TT.sum(1)
    miss = lambda k: np.prod([np.maximum(N - m_Q - i, 0) / (N - i) for i in range(min(k, N))], axis=0)
    row = {f"R@{k}": float(1 - miss(k).mean()) for k in KS}
    middle = next(k for k in range(1, N + 1) if miss(k).mean() <= 0.5)
    return {name: row | {"median rank": float(middle)} for name in DIRECTIONS}


def retrieval(model, dual, oracle, vocab, texts, films, rng, progress=False):
    """Score all kinds of search on one pool: ({row: figures}, {row: {"encodings", "tokens", "ms"} a query}).

    dual, oracle: None leaves the row out. rng: breaks the oracle's ties.
    """
    same, cost, rows = equal(texts), {}, {"chance": chance(equal(texts))}
    clock = time.perf_counter()
    rows["single stream"] = figures_of(score_single(model, vocab, texts, films, progress=progress), same)
    words, clips = np.mean([len(t) for t in texts]), len(films[0])
    cost["single stream"] = {"encodings": len(films), "tokens": float(len(films) * (words + clips + 3)),
                             "ms": 1e3 * (time.perf_counter() - clock) / len(texts)}
    if dual is not None:
        rows["two streams"] = figures_of(score_dual(dual, texts, films), same)
        with torch.no_grad():
            index = dual.videos(films)
            clock = time.perf_counter()
            for text in texts:
                dual.scores(dual.texts([text]), index)
        cost["two streams"] = {"encodings": 1, "tokens": float(words), "ms": 1e3 * (time.perf_counter() - clock) / len(texts)}
    if oracle is not None:
        score_TV = score_oracle(oracle, texts, films)
        # sentences that say the same in other words tie exactly; a coin decides, or a model that guesses could beat the ceiling
        rows["oracle"] = figures_of(score_TV + 1e-6 * rng.random(score_TV.shape), same)
    return rows, cost


def table_of(rows, cost):
    """Lay rows out as text."""
    lines = [f"{'':<16}" + "".join(f"{direction:>34}" for direction in DIRECTIONS) + f"{'encoded a query':>27}",
             f"{'':<16}" + f"{'R@1':>8}{'R@5':>8}{'R@10':>8}{'median':>10}" * len(DIRECTIONS) + f"{'inputs':>9}{'tokens':>9}{'ms':>9}"]
    for name, row in rows.items():
        line = f"{name:<16}" + "".join("".join(f"{row[d][f'R@{k}']:>8.1%}" for k in KS) + f"{row[d]['median rank']:>10.1f}" for d in DIRECTIONS)
        lines.append(line + (f"{cost[name]['encodings']:>9}{cost[name]['tokens']:>9.0f}{cost[name]['ms']:>9.1f}" if name in cost else ""))
    return "\n".join(lines)


def text_ids(vocab, text):
    """Turn a query into ids; raise ValueError for a word that the vocabulary does not know."""
    ids = vocab.encode(text)
    unknown = [word for word in text.lower().split() if vocab.unk in vocab.encode(word)]
    if unknown or not ids:
        raise ValueError(f"--text {text!r}: {f'the cook never says {unknown[0]!r}' if unknown else 'no word in it'}; use words of the corpus' "
                         "vocab.txt, such as: now we slice the onion .")
    return ids


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.downstream.retrieval", description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="a sentence: find the films of held-out videos that fit it best")
    what.add_argument("--video", help="a video file: find the sentences that fit each stretch of it best")
    what.add_argument("--score", action="store_true", help="score both directions beside two streams, chance and the oracle")
    what.add_argument("--train", action="store_true", help="train the two streams beside the run and keep them in its folder")
    parser.add_argument("--pool", type=int, default=128, help="candidates that are searched")
    parser.add_argument("--out", default="retrieval.png", help="picture to write")
    add_run_options(parser)
    o = parser.parse_args(argv)
    try:
        if o.pool < 2:
            raise ValueError(f"--pool {o.pool}: at least 2 candidates are needed")
        model, config, corpus, tree = open_run(o.run, o.corpus)
        if o.train:
            dual, loss = train_dual(config, corpus, progress=True)
            save_dual(o.run, dual)
            print(f"{sum(p.numel() for p in dual.parameters()):,} parameters, the single stream has "
                  f"{sum(p.numel() for p in model.parameters()):,}; last loss {loss:.3f} nats; kept as {Path(o.run) / FILE}")
            return
        oracle = oracle_of(corpus, config.inputs)
        texts, films = pool_of(corpus, o.pool, oracle)
        if o.score:
            dual = load_dual(o.run, config)
            rows, cost = retrieval(model, dual, oracle, corpus.vocab, texts, films, np.random.default_rng(0), progress=True)
            print(f"{len(texts)} sentences and their films of {len(films[0])} clips\n{table_of(rows, cost)}")
            if dual is None:
                print(f"no two streams beside this run; train them with: python -m minivbert.downstream.retrieval --train --run {o.run}")
            plot_retrieval(rows, cost, len(films), Path(o.out))
        elif o.text:
            logit_V = score_single(model, corpus.vocab, [text_ids(corpus.vocab, o.text)], films)[0]
            best = np.argsort(-logit_V)[:5]
            exemplars = exemplar_frames(corpus)
            for place, v in enumerate(best, 1):
                print(f"{place}. aligned {1 / (1 + np.exp(-logit_V[v])):.0%}; its cook says: {corpus.vocab.decode(texts[v])}")
            plot_found(f"“{o.text}”: the best of {len(films)} films", [
                (exemplars[films[v]], 1 / (1 + np.exp(-logit_V[v])), [corpus.vocab.decode(texts[v])]) for v in best], Path(o.out))
        else:
            footage, clips = tokens_of_video(o.video, corpus, tree, o.weights, progress=True), len(films[0])
            print(footage.verdict)
            last = max(1, len(footage.tokens) - clips + 1)
            starts = range(0, last, max(clips, last // 6))
            logit_TV = score_single(model, corpus.vocab, texts, [footage.tokens[s:s + clips] for s in starts])
            found = []
            for k, s in enumerate(starts):
                order = np.argsort(-logit_TV[:, k])
                said = list(dict.fromkeys(corpus.vocab.decode(texts[t]) for t in order))[:3]
                print(f"{1.5 * s:>6.1f} s  " + "  |  ".join(said))
                found.append((footage.frames[s:s + clips], 1 / (1 + np.exp(-logit_TV[order[0], k])), said))
            plot_found(f"{Path(o.video).name}: the best of {len(texts)} sentences", found, Path(o.out))
    except (ValueError, OSError) as error:
        fail(error)
    print(f"picture: {o.out}")


if __name__ == "__main__":
    main()
