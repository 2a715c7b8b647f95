"""Hold a run against the truth: python -m minivbert.evaluate --run runs/tiny [--corpus DIR]

On the same masked tokens of held-out videos, side by side:

    unigram, bigram      what needs no model (`baselines.py`)
    model                the run
    oracle               exact Bayes: the best that any model can do (`kitchen/oracle.py`; kitchen corpora only)

Prints nats and accuracy a regime, the share of the way from unigram to oracle that the model has gone, and where the rest of the gap
sits, by kind of token; draws them, and how well stated probabilities come true, to evaluation.png; writes evaluation.json.

`python -m minivbert.evaluate --tables` makes the paper's three tables in miniature instead (`downstream/tables.py`).
"""
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert import checkpoint
from minivbert.baselines import fit_ngrams, left_neighbours
from minivbert.config import DATA_SAMPLE
from minivbert.files import replace_file
from minivbert.floors import oracle_of, token_kinds
from minivbert.options import Parser, fail
from minivbert.plot import plot_evaluation
from minivbert.pretraining.inputs import Batches
from minivbert.tokens.corpus import Corpus
from minivbert.train import held_out_batches

PREDICTORS = ("unigram", "bigram", "model", "oracle")
BINS = 10


@torch.no_grad()
def predict(model, batch):
    """Give the model's probabilities at masked tokens: {"text": (N, Vt), "video": (N, Vv), "aligned": (B,)}, float64 numpy."""
    hidden_BTD, out = model.encode(batch.ids, batch.types, batch.keep), {}
    for name, logits in (("text", model.text_logits), ("video", model.video_logits)):
        at_BM, weight_BM = getattr(batch, f"{name}_at"), getattr(batch, f"{name}_weight")
        if at_BM.shape[1]:
            out[name] = logits(hidden_BTD, at_BM)[weight_BM > 0].double().softmax(-1).numpy()
    if batch.aligned is not None:
        out["aligned"] = model.align_logit(hidden_BTD).double().sigmoid().numpy()
    return out


def exact(oracle, batch):
    """Give the oracle's probabilities in the form of `predict`."""
    found, out = oracle.predict(batch), {}
    for name in ("text", "video"):
        weight_BM = getattr(batch, f"{name}_weight").numpy()
        if weight_BM.shape[1]:
            out[name] = np.asarray(getattr(found, name))[weight_BM > 0]
    if batch.aligned is not None:
        out["aligned"] = np.asarray(found.aligned)
    return out


def score(model, oracle, batches, stream):
    """Score all predictors on the held-out batches.

    Returns rows: a list of dicts, one a masked token or pair, in arrays: {(regime, part): {predictor: log p of the truth (N,),
    predictor + " right": bool (N,), predictor + " top": highest probability (N,), "label": (N,)}}.
    """
    tables, rows = fit_ngrams(stream), defaultdict(lambda: defaultdict(list))
    for batch in tqdm(batches, desc="held-out batches", dynamic_ncols=True):
        given = {"model": predict(model, batch)} | ({"oracle": exact(oracle, batch)} if oracle else {})
        for part in ("text", "video"):
            label = getattr(batch, f"{part}_label")[getattr(batch, f"{part}_weight") > 0].numpy()
            if not len(label):
                continue
            table, row = tables[part], rows[batch.regime, part]
            p_of = {name: p[part] for name, p in given.items()}
            p_of["unigram"] = np.broadcast_to(np.exp(table.log_unigram), (len(label), len(table.log_unigram)))
            p_of["bigram"] = np.exp(table.log_bigram(left_neighbours(batch, part, stream)))
            for name, p_NV in p_of.items():
                collect(row, name, p_NV[np.arange(len(label)), label], p_NV.argmax(1) == label, p_NV.max(1))
            row["label"].append(label)
        if batch.aligned is not None:
            truth, row = batch.aligned.numpy() == 1, rows[batch.regime, "alignment"]
            for name, p in given.items():
                p_B = p["aligned"]
                collect(row, name, np.where(truth, p_B, 1 - p_B),
                        np.where(np.abs(p_B - 0.5) < 1e-9, 0.5, (p_B > 0.5) == truth), np.maximum(p_B, 1 - p_B))
    return {key: {name: np.concatenate(values) for name, values in row.items()} for key, row in rows.items()}


def collect(row, name, p_of_truth, right, top):
    """Append one predictor's answers to a row of lists."""
    row[name].append(np.log(np.maximum(p_of_truth, 1e-30)))
    row[f"{name} right"].append(right)
    row[f"{name} top"].append(top)


def summarise(rows):
    """Mean nats and accuracy a (regime, part), and a part over all regimes: {"text": {"model": [nats, accuracy], ...}, ...}."""
    parts = defaultdict(list)
    for (regime, part), row in rows.items():
        parts[f"{part} in {regime}"].append(row)
        parts[part].append(row)
    out = {}
    for key, own in parts.items():
        out[key] = {name: [float(-np.concatenate([r[name] for r in own]).mean()),
                           float(np.concatenate([r[f"{name} right"] for r in own]).mean())]
                    for name in PREDICTORS if name in own[0]}
        if {"unigram", "oracle"} <= set(out[key]):
            start, end = out[key]["unigram"][0], out[key]["oracle"][0]
            out[key]["closed"] = (start - out[key]["model"][0]) / (start - end)
    return out


def calibration(rows, part, name):
    """Bin answers by the probability that the predictor gave its best guess: (stated (K,), came true (K,), count (K,))."""
    top = np.concatenate([row[f"{name} top"] for (_, p), row in rows.items() if p == part])
    right = np.concatenate([row[f"{name} right"] for (_, p), row in rows.items() if p == part])
    bins = np.minimum((top * BINS).astype(int), BINS - 1)
    used = np.unique(bins)
    return (np.array([top[bins == b].mean() for b in used]), np.array([right[bins == b].mean() for b in used]),
            np.array([(bins == b).sum() for b in used]))


def gap_by_kind(rows, kinds):
    """Share out the gap between model and oracle: {part: [(kind, share of tokens, excess nats a token of the part)]}, largest first.

    kinds: {"text": kind of each text id (Vt,), "video": kind of each visual word (Vv,)}, arrays of str.
    """
    out = {}
    for part, kind_V in kinds.items():
        label = np.concatenate([row["label"] for (_, p), row in rows.items() if p == part])
        excess = np.concatenate([row["oracle"] - row["model"] for (_, p), row in rows.items() if p == part])
        kind = kind_V[label]
        found = [(str(k), float((kind == k).mean()), float(excess[kind == k].sum() / len(excess))) for k in np.unique(kind)]
        out[part] = sorted(found, key=lambda x: -x[2])
    return out


def table_of(summary):
    """Lay the summary out as text."""
    lines = [f"{'nats (accuracy)':<22}" + "".join(f"{name:>17}" for name in PREDICTORS) + f"{'closed':>9}"]
    for key in sorted(summary, key=lambda k: (k.split()[0] != "text", k.split()[0] == "alignment", k)):
        cells = [f"{nats:.3f} ({right:6.1%})" if name in summary[key] else "" for name in PREDICTORS
                 for nats, right in [summary[key].get(name, (0, 0))]]
        closed = f"{summary[key]['closed']:.1%}" if "closed" in summary[key] else ""
        lines.append(f"{key:<22}" + "".join(f"{cell:>17}" for cell in cells) + f"{closed:>9}")
    return "\n".join(lines)


def evaluate_run(run, corpus):
    """Score a run on the held-out videos of a corpus; write evaluation.json and evaluation.png into it; return the summary."""
    model, config = checkpoint.load_model(run)
    if (config.model.text_vocab, config.model.visual_vocab) != (len(corpus.vocab), corpus.visual_words):
        raise ValueError(f"{run}: trained with {config.model.text_vocab} words and {config.model.visual_vocab} visual words, but "
                         f"{corpus.folder} has {len(corpus.vocab)} and {corpus.visual_words}; give the corpus it was trained on")
    oracle = oracle_of(corpus, config.inputs)
    stream = Batches(corpus, corpus.split()[0], config.inputs, config.train.seed)
    rows = score(model, oracle, held_out_batches(config, corpus), stream)
    summary = summarise(rows)
    gaps = gap_by_kind(rows, token_kinds(corpus, oracle.emission)) if oracle else {}
    curves = {(part, name): calibration(rows, part, name) for part in ("text", "video") for name in ("model", "oracle")
              if any(p == part and name in row for (_, p), row in rows.items())}
    replace_file(Path(run) / "evaluation.json", lambda path: path.write_text(json.dumps(
        {"figures": summary, "gap": gaps}, indent=1) + "\n"))
    plot_evaluation(summary, curves, gaps, Path(run) / "evaluation.png")
    return summary, gaps


def main(argv=None):
    """Run the command; with --tables, the one that makes the paper's tables."""
    given = sys.argv[1:] if argv is None else argv
    if "--tables" in given:
        from minivbert.downstream.tables import main as make_tables     # most calls need none of what it imports
        return make_tables([word for word in given if word != "--tables"])
    parser = Parser(prog="python -m minivbert.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="run folder that minivbert.train wrote")
    parser.add_argument("--tables", action="store_true", help="instead: the paper's tables in miniature, see --tables --help")
    parser.add_argument("--corpus", default=DATA_SAMPLE / "corpus", help="the corpus it was trained on")
    o = parser.parse_args(argv)
    try:
        summary, gaps = evaluate_run(o.run, Corpus.open(o.corpus))
    except (ValueError, OSError) as error:
        fail(error)
    print(table_of(summary))
    for part, kinds in gaps.items():
        total = sum(excess for *_, excess in kinds)
        print(f"gap to the oracle, {part}: {total:.3f} nats a token; " + ", ".join(
            f"{kind} {excess:.3f} ({share:.0%} of tokens)" for kind, share, excess in kinds[:5]))
    print(f"picture: {o.run}/evaluation.png")


if __name__ == "__main__":
    main()
