"""Change the paper's training tricks one at a time: python -m minivbert.ablate [--steps 800] [--workers 2]

VideoBERT trains on text and video that are out of time with each other, and on more kinds of input than one: neighbouring sentences are
joined, video is sub-sampled 1 to 5 times, three regimes are weighed, videos without speech take part, visual rows start from the cluster
centroids, input embeddings are frozen (sections 3.2, 3.3, 4.3). The paper ablates none of it (claim C6). Here each row of the table
is the baseline with one change, at equal updates, with three seeds, in two kitchens: one whose cook speaks of what the hands do now, and one
whose cook runs ahead of them. Shows are drawn from the measured table (`kitchen/unfilmed.py`), so the floor is exact.

Every row is scored on the same held-out inputs, of two kinds:

    plain    one sentence and all of its clips, or 16 clips: what is asked of the model once it is trained
    noisy    joined and sub-sampled as in the paper's training

Figures are the share of the way from unigram to floor in text and in video, over all regimes, and how many pairs are told apart,
in %. A difference counts where Welch's t on three seeds against three exceeds 2.78 (95 %, 4 degrees of freedom).

Writes OUT/results/ablations.json, a cell a training run, as each ends, so that a killed call goes on; OUT/ablations.md and
OUT/ablations.png are drawn from that file alone.

    >>> verdict([80.0, 81.0, 82.0], [90.0, 91.0, 92.0]), verdict([80.0, 81.0, 82.0], [80.0, 82.0, 84.0])
    (-1, 0)
"""
import json
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert.baselines import fit_ngrams, unigram_figures
from minivbert.config import DATA_SAMPLE, PRESETS, to_dict
from minivbert.files import replace_file
from minivbert.floors import floor_figures, oracle_of
from minivbert.kitchen.recipes import World
from minivbert.kitchen.unfilmed import draw_corpus, in_processes, open_tables
from minivbert.options import Parser, fail
from minivbert.plot import plot_ablations
from minivbert.pretraining.inputs import Batches
from minivbert.tokens.corpus import Corpus
from minivbert.train import evaluate, figures, held_out_batches, train

LEVELS = {"in time": (1.0,), "3 to 7.5 s ahead": (0.0, 0.0, 0.25, 0.25, 0.25, 0.25)}       # P(lag), clips of 1.5 s
KINDS = {"plain": {"concat": 0.0, "subsample": 1}, "noisy": {"concat": 0.5, "subsample": 5}}
PARTS = ("text", "video", "alignment")
SEEDS = (0, 1, 2)
STUDENT = 2.78
SHOWS, SHOWS_SEED = 12_000, 100
EVAL_BATCHES = 24                         # of 64 rows, a regime and kind
BASE = replace(PRESETS["tiny"], inputs=replace(PRESETS["tiny"].inputs, **KINDS["noisy"]))


@dataclass(frozen=True)
class Row:
    """One row of the table: the baseline with one change.

    trick: what the verdict speaks of; with_it: whether this row has it and the baseline has not (else the other way round);
    model, inputs, train: the fields that change; speechless: whether videos without speech are trained on.
    """
    trick: str = ""
    with_it: bool = False
    model: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)
    speechless: bool = True


BASELINE = "baseline"
ROWS = {
    BASELINE: Row(),
    "no joining": Row("joining neighbouring sentences", inputs={"concat": 0.0}),
    "no sub-sampling": Row("sub-sampling 1 to 5 times", inputs={"subsample": 1}),
    "no text regime": Row("the text-only regime", train={"weights": (0.0, 1.0, 1.0)}),
    "no video regime": Row("the video-only regime", train={"weights": (1.0, 0.0, 1.0)}),
    "no video-text regime": Row("the video-text regime", train={"weights": (1.0, 1.0, 0.0)}),
    "video-text weighs 2": Row("doubling the weight of video-text", with_it=True, train={"weights": (1.0, 1.0, 2.0)}),
    "no speechless videos": Row("video-only data (videos without speech)", speechless=False),
    "random visual rows": Row("starting visual rows from centroids", train={"centroids": False}),
    "frozen embeddings": Row("freezing the input embeddings", with_it=True, model={"frozen_embeddings": True}),
}


def configure(row, base, seed):
    """Give the config of a training run: the base with the row's change and a seed."""
    return replace(base, model=replace(base.model, **row.model), inputs=replace(base.inputs, **row.inputs),
                   train=replace(base.train, **row.train, seed=seed))


def with_speech_only(corpus):
    """Set the training videos without speech aside, by counting them among the held-out ones."""
    speechless = np.setdiff1d(np.arange(corpus.videos), corpus.sentence_video)
    return replace(corpus, meta=corpus.meta | {"held_out": np.union1d(corpus.meta["held_out"], speechless).tolist()})


def held_out(corpus, base, kind):
    """Draw the inputs that every row is scored on."""
    return held_out_batches(replace(base, inputs=replace(base.inputs, **KINDS[kind]),
                                    train=replace(base.train, eval_batches=EVAL_BATCHES)), corpus)


def truth_of(corpus, base):
    """Score unigram and oracle: {kind: {"text_unigram_nats", "text_floor_nats", "alignment_ceiling", ...}}."""
    out = {}
    for kind, changes in KINDS.items():
        batches, inputs = held_out(corpus, base, kind), replace(base.inputs, **changes)
        tables = fit_ngrams(Batches(corpus, corpus.split()[0], inputs, seed=0))
        out[kind] = rounded(unigram_figures(batches, tables) | floor_figures(oracle_of(corpus, inputs), batches))
    return out


def run_cell(job, base):
    """Train and score one cell on one thread; return (its key, {kind: figures, "seconds": float})."""
    name, level, seed, folder = job
    torch.set_num_threads(1)
    row, corpus, start = ROWS[name], Corpus.open(folder), time.perf_counter()
    config = configure(row, base, seed)
    model = train(config, corpus if row.speechless else with_speech_only(corpus), torch.device("cpu")).model
    cell = {kind: rounded(figures(evaluate(model, held_out(corpus, base, kind), config.train))) for kind in KINDS}
    return key_of(name, level, seed), cell | {"seconds": round(time.perf_counter() - start, 1)}


def key_of(name, level, seed):
    """Name a cell."""
    return f"{name} | {level} | {seed}"


def rounded(numbers):
    """Round for the file."""
    return {key: round(float(value), 5) for key, value in numbers.items()}


def run(path, work, tables, base, shows=SHOWS, workers=1, progress=False):
    """Train every cell that the file `path` lacks, writing the file after each; return what it holds.

    work: folder for the corpora; tables: corpus folder with the measured table. Raises ValueError for a file of other settings.
    """
    path, (_, digest) = Path(path), open_tables(tables)
    setting = json.loads(json.dumps({"config": to_dict(base), "shows": shows, "levels": LEVELS, "kinds": KINDS, "table_sha256": digest}))
    results = json.loads(path.read_text()) if path.is_file() else {"setting": setting, "truth": {}, "cells": {}}
    if results["setting"] != setting:
        raise ValueError(f"{path}: made with other settings or another measured table; give the same --steps, --shows and --corpus, "
                         "remove the file, or name another --out")
    jobs = []
    for level, lags in LEVELS.items():
        folder = Path(work) / f"{level.replace(' ', '_')}_{shows}_{digest[:8]}"
        corpus = draw_corpus(folder, World(lags=lags), shows, SHOWS_SEED, tables, workers, progress)
        if level not in results["truth"]:
            results["truth"][level] = truth_of(corpus, base)
            save(path, results)
        jobs += [(name, level, seed, folder) for seed in SEEDS for name in ROWS if key_of(name, level, seed) not in results["cells"]]
    bar = tqdm(total=len(ROWS) * len(LEVELS) * len(SEEDS), initial=len(results["cells"]), unit="cell", disable=not progress)
    for key, cell in in_processes(partial(run_cell, base=base), jobs, workers):
        results["cells"][key] = cell
        save(path, results)
        bar.update()
    return results


def save(path, results):
    """Write the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: temporary.write_text(json.dumps(results, indent=1) + "\n"))


# --- from figures to verdicts ---

def share(cell, truth, part):
    """Give a cell's figure for a part in %: of the way from unigram to floor, or of pairs told apart.

    >>> share({"text_nats": 1.5}, {"text_unigram_nats": 5.0, "text_floor_nats": 1.0}, "text")
    87.5
    """
    if part == "alignment":
        return 100 * cell["alignment_accuracy"]
    start, floor = truth[f"{part}_unigram_nats"], truth[f"{part}_floor_nats"]
    return 100 * (start - cell[f"{part}_nats"]) / (start - floor)


def shares(results):
    """Collect {(level, kind, part, row): [figure of each seed]}."""
    return {(level, kind, part, name): [share(results["cells"][key_of(name, level, seed)][kind], truth[kind], part) for seed in SEEDS]
            for level, truth in results["truth"].items() for kind in KINDS for part in PARTS for name in ROWS}


def margin(a, b):
    """Give the difference of means that chance alone seldom exceeds, by Welch's t for three seeds against three."""
    return STUDENT * np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(a))


def verdict(a, b):
    """Tell whether a is above b beyond the seeds' spread: 1 above, -1 below, 0 no telling."""
    difference = np.mean(a) - np.mean(b)
    return int(np.sign(difference)) if abs(difference) > margin(a, b) else 0


def effects(name, figures_of, kind, level):
    """Give what a row's trick does, with it less without it: [(part, verdict, points)]."""
    out = []
    for part in PARTS:
        row, base = figures_of[level, kind, part, name], figures_of[level, kind, part, BASELINE]
        with_it, without = (row, base) if ROWS[name].with_it else (base, row)
        out.append((part, verdict(with_it, without), np.mean(with_it) - np.mean(without)))
    return out


def word_for(verdicts):
    """Sum up verdicts in a word.

    >>> word_for([0, 1]), word_for([0, -1]), word_for([1, -1]), word_for([0, 0])
    ('helps', 'hurts', 'helps here and hurts there', "makes no difference beyond the seeds' spread")
    """
    found = {v for v in verdicts if v}
    return {frozenset({1}): "helps", frozenset({-1}): "hurts", frozenset({1, -1}): "helps here and hurts there"}.get(
        frozenset(found), "makes no difference beyond the seeds' spread")


def sentence(name, figures_of):
    """Say in one sentence what a row's trick does: for each kind of input a word, and the differences that count."""
    clauses = []
    for kind in KINDS:
        found = {level: [e for e in effects(name, figures_of, kind, level) if e[1]] for level in LEVELS}
        told = [f"{level}: " + ", ".join(f"{part} {points:+.1f}" for part, _, points in seen) for level, seen in found.items() if seen]
        clauses.append(f"{word_for([v for seen in found.values() for _, v, _ in seen])} on {kind} inputs"
                       + (f" ({'; '.join(told)})" if told else ""))
    trick = ROWS[name].trick
    return f"{trick[0].upper()}{trick[1:]} {clauses[0]} and {clauses[1]}."


def claim(figures_of):
    """Judge claim C6: the paper's two kinds of noise in time help where narration is out of time with the picture."""
    level = list(LEVELS)[-1]
    said = [f"{ROWS[name].trick} {word_for([v for _, v, _ in effects(name, figures_of, 'plain', level)])} on plain inputs and "
            f"{word_for([v for _, v, _ in effects(name, figures_of, 'noisy', level)])} on noisy ones"
            for name in ("no joining", "no sub-sampling")]
    return f"Claim C6, where the cook speaks {level}: " + "; ".join(said) + "."


def report(results):
    """Lay the results out as Markdown."""
    figures_of, setting = shares(results), results["setting"]
    inputs, trained = setting["config"]["inputs"], setting["config"]["train"]
    seconds = [cell["seconds"] for cell in results["cells"].values()]
    comparisons = (len(ROWS) - 1) * len(LEVELS) * len(KINDS) * len(PARTS)
    preface = (
        f"Made by `python -m minivbert.ablate`: {len(results['cells'])} runs of {trained['steps']} steps of "
        f"{' + '.join(map(str, inputs['rows']))} rows (text, video, video-text), about {np.median(seconds):.0f} s each on one thread; "
        f"{setting['shows']:,} shows drawn from the measured table; mean ± standard deviation of {len(SEEDS)} seeds. Text and video: % of "
        "the way from unigram to floor. Alignment: % of pairs told apart. *Plain*: one sentence and all its clips, or 16 clips. *Noisy*: "
        "joined and sub-sampled as in training. Bold: differs from the baseline beyond the seeds' spread (Welch's t, 95 %; of the "
        f"{comparisons} comparisons one in twenty would by chance alone).")
    lines = ["# The paper's training tricks, one change at a time", "", preface, ""]
    for level in LEVELS:
        truth = results["truth"][level]
        lines += [f"## Narration {level}", "", "| | " + " | ".join(f"{part}, {kind}" for kind in KINDS for part in PARTS) + " |",
                  "|---" * (1 + len(KINDS) * len(PARTS)) + "|"]
        for name in ROWS:
            cells = []
            for kind in KINDS:
                for part in PARTS:
                    values, base = figures_of[level, kind, part, name], figures_of[level, kind, part, BASELINE]
                    cell = f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
                    cells.append(f"**{cell}**" if name != BASELINE and verdict(values, base) else cell)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += ["| oracle | " + " | ".join("100" if part != "alignment" else f"{100 * truth[kind]['alignment_ceiling']:.1f}"
                                             for kind in KINDS for part in PARTS) + " |", ""]
    lines += ["## Verdicts", ""] + [f"- {sentence(name, figures_of)}" for name in ROWS if name != BASELINE]
    lines += ["", claim(figures_of), "", "![Differences from the baseline, a dot a seed](ablations.png)", ""]
    return "\n".join(lines)


def differences(results):
    """Give what `plot_ablations` draws: {(kind, part): {level: [(row, differences of the seeds from the baseline's mean, margin)]}}."""
    figures_of, out = shares(results), {}
    for kind in KINDS:
        for part in PARTS:
            out[kind, part] = {}
            for level in LEVELS:
                base = figures_of[level, kind, part, BASELINE]
                out[kind, part][level] = [(name, np.array(row) - np.mean(base), margin(row, base)) for name in ROWS if name != BASELINE
                                          for row in [figures_of[level, kind, part, name]]]
    return out


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.ablate", description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", default=DATA_SAMPLE / "corpus", help="kitchen corpus with the measured table")
    parser.add_argument("--out", default="docs", help="folder for ablations.md and .png and results/ablations.json")
    parser.add_argument("--work", default="runs/ablations", help="folder for the drawn corpora")
    parser.add_argument("--steps", type=int, default=800, help="optimizer steps a cell")
    parser.add_argument("--shows", type=int, default=SHOWS, help="shows a level of lag")
    parser.add_argument("--workers", type=int, default=2, help="cells at a time, a process of one thread each")
    o = parser.parse_args(argv)
    try:
        base = replace(BASE, train=replace(BASE.train, steps=o.steps, log_every=o.steps, eval_every=o.steps, eval_batches=1))
        results = run(Path(o.out) / "results" / "ablations.json", o.work, o.corpus, base, o.shows, o.workers, progress=True)
    except (ValueError, OSError) as error:
        fail(error)
    text = report(results)
    replace_file(Path(o.out) / "ablations.md", lambda path: path.write_text(text))
    plot_ablations(differences(results), Path(o.out) / "ablations.png")
    print(text)


if __name__ == "__main__":
    main()
