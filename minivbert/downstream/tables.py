"""The paper's Tables 1, 2 and 3 in miniature, and its claims' verdicts: python -m minivbert.evaluate --tables [--seeds 3]

    table 1    zero-shot action classification, the paper's rows and majority class, shuffled video, oracle (`zero_shot.py`)
    table 2    the same by the amount of data: 10K, 50K, 100K of 312K videos as shares of ours, at equal epochs and at equal updates
    table 3    captions by the features they are written from (`caption_scores.py`)
    beside     search (`retrieval.py`), questions (`question_answering.py`), forecast, text to video, the clusters

A *cell* is one training run or one scored model of one seed. Each is written as it ends, into WORK/seed S/, so that a killed call goes on.
Runs are the default run with one change:

    full          nothing changed; for its own seed the shipped run itself
    text only     weights 1 0 0; as many sentences a step as the full run sees: "BERT" in table 1
    video only    weights 0 1 0; as many films: "video" in table 3
    no noise      no joining, no sub-sampling (claim C6)
    10K ... 100K  so many of the training videos, for steps x share (equal epochs) or for all steps (equal updates)

Writes OUT/results/tables.json with the command that made it, and from it OUT/tables.md and OUT/tables.png.

Differs from the paper: seeds, with mean and spread, where it has one run; the table by data size also at equal updates; its language prior
"BERT" had never read a recipe, ours reads the same sentences.
"""
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minivbert import checkpoint
from minivbert.config import PRESETS, to_dict
from minivbert.device import pick_device
from minivbert.downstream import caption_scores, forecast, question_answering, retrieval, text_to_video, zero_shot
from minivbert.downstream.claims import SIZES, claims, spread
from minivbert.downstream.dual import load_dual, save_dual, train_dual
from minivbert.downstream.panels import plot_tables
from minivbert.downstream.shared import DEFAULT_CORPUS, DEFAULT_RUN, open_run, shows_of, tokens_of_video
from minivbert.files import replace_file
from minivbert.floors import oracle_of
from minivbert.options import Parser, fail
from minivbert.tokens.coherence import nmi, purity
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.hkmeans import Tree, encode_with_distance
from minivbert.tokens.kmeans import squared_distances
from minivbert.train import train

POOL = 256                    # films that table's search looks through
PAPER_SIZES = {"10K": (0.4, 15.5, 2.9, 17.8), "50K": (1.1, 15.7, 8.7, 27.3), "100K": (2.9, 24.5, 11.2, 30.6)}
CAPTION_STEPS = 600


def first_videos(corpus, n):
    """Give the corpus as if it had only its held-out videos and the first n training ones; ValueError if the held-out do not come first."""
    training, held_out = corpus.split()
    if held_out.tolist() != list(range(len(held_out))):
        raise ValueError(f"{corpus.folder}: its held-out videos do not come first, so it cannot be cut; give data_sample/corpus")
    videos = len(held_out) + max(1, min(n, len(training)))
    sentences = int(np.searchsorted(corpus.sentence_video, videos))
    return replace(corpus, visual=corpus.visual[:corpus.visual_offsets[videos]], visual_offsets=corpus.visual_offsets[:videos + 1],
                   text=corpus.text[:corpus.sentence_offsets[sentences]], sentence_offsets=corpus.sentence_offsets[:sentences + 1],
                   sentence_times=corpus.sentence_times[:sentences], sentence_video=corpus.sentence_video[:sentences])


def runs_of(config, corpus):
    """List the training runs of a seed: {name: (config, corpus)}."""
    text, video, both = config.inputs.rows
    alone = lambda rows, weights: replace(config, inputs=replace(config.inputs, rows=rows), train=replace(config.train, weights=weights))
    out = {"full": (config, corpus), "text only": (alone((text + both, 1, 1), (1.0, 0.0, 0.0)), corpus),
           "video only": (alone((1, video + both, 1), (0.0, 1.0, 0.0)), corpus),
           "no noise": (replace(config, inputs=replace(config.inputs, concat=0.0, subsample=1)), corpus)}
    for size, share in SIZES.items():
        part = first_videos(corpus, round(share * len(corpus.split()[0])))
        short = replace(config, train=replace(config.train, steps=max(1, round(share * config.train.steps))))
        out |= {f"{size} videos, equal epochs": (short, part), f"{size} videos, equal updates": (config, part)}
    return out


class Cells:
    """What one seed has done so far, on disk; and what it does next."""

    def __init__(self, work, seed, config, corpus, tree, shipped=None):
        """config: of the default run; shipped: its folder, if its seed is this one."""
        self.folder, self.seed, self.corpus, self.tree, self.shipped = Path(work) / f"seed {seed}", seed, corpus, tree, shipped
        self.config = replace(config, train=replace(config.train, seed=seed, eval_batches=1, eval_every=config.train.steps, log_every=50))
        self.runs, self.oracle = runs_of(self.config, corpus), oracle_of(corpus, config.inputs)

    def run(self, name):
        """Open a training run: (model, config); trained now if it is not there, resumed if it was killed."""
        folder = self.shipped if name == "full" and self.shipped else self.folder / name
        if not (Path(folder) / "model.safetensors").is_file():
            config, corpus = self.runs[name]
            known = (Path(folder) / "checkpoint.pt").is_file()
            train(config, corpus, pick_device("cpu"), folder, resume=known, progress=True)
        return checkpoint.load_model(folder)

    def kept(self, name, make):
        """Give a cell, made first if it is not there."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            clock = time.perf_counter()
            found = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            about = {"seconds": round(time.perf_counter() - clock, 1), "found": found}
            replace_file(path, lambda temporary: temporary.write_text(json.dumps(about, indent=1) + "\n"))
        return json.loads(path.read_text())["found"]

    def rng(self):
        """Grow the seed's generator, always from the start."""
        return np.random.default_rng([self.seed, 5])

    def all(self):
        """List the cells in order: {name: function that makes it}."""
        names = [name for name in self.runs if name not in ("video only",)]
        return {f"zero-shot, {name}": lambda name=name: self.zero_shot(name) for name in names} | {
            "retrieval, full": lambda: self.retrieval("full"), "retrieval, no noise": lambda: self.retrieval("no noise"),
            "captions": self.captions, "forecast": lambda: forecast.score(*self.run("full"), self.corpus, progress=True),
            "text to video": lambda: text_to_video.score(*self.run("full"), self.corpus, progress=True), "questions": self.questions}

    def zero_shot(self, name):
        """Score a run on all whole steps of the held-out filmed shows."""
        model, config = self.run(name)
        steps, films, found = zero_shot.zero_shot(model, config, self.corpus, len(self.corpus.split()[1]), self.rng(),
                                                  zero_shot.TEMPLATES if name == "full" else ())
        if name == "full":
            found["rows"] |= zero_shot.baselines(self.corpus, self.tree, steps, films)
        return found

    def retrieval(self, name):
        """Search with a run, and beside the full one with two streams trained alike."""
        model, config = self.run(name)
        dual = None
        if name == "full":
            dual = load_dual(self.folder, config)
            if dual is None:
                dual, _ = train_dual(replace(self.config, model=config.model), self.corpus, progress=True)
                save_dual(self.folder, dual)
        texts, films = retrieval.pool_of(self.corpus, POOL, self.oracle)
        rows, cost = retrieval.retrieval(model, dual, self.oracle if name == "full" else None, self.corpus.vocab, texts, films, self.rng(), True)
        return {"rows": rows, "cost": cost, "pool": len(films)}

    def captions(self):
        """Teach a captioner from each kind of features, score all on the held-out steps: {row: {metric: figure}}."""
        training, held_out = caption_scores.filmed(self.corpus)
        known, asked = (caption_scores.labelled(self.corpus, videos) for videos in (training[:caption_scores.TABLE_SHOWS], held_out))
        out = {}
        for row in tqdm(("no video", "raw", "video", "videobert", "both", "oracle", "truth"), desc="captions", unit="row", dynamic_ncols=True):
            run = self.run("video only" if row == "video" else "full")
            learned, shown = (caption_scores.row_features(self.corpus, self.tree, run, row, *part[:2]) for part in (known, asked))
            captioner, _ = caption_scores.teach(self.corpus, row, learned, known[2], min(CAPTION_STEPS, self.config.train.steps), self.seed)
            views = {row: shown} | ({"shuffled": shown[zero_shot.shuffled(len(shown), self.rng())]} if row == "both" else {})
            for name, view in views.items():
                said = caption_scores.written(captioner, self.corpus.vocab, view)
                out[name] = caption_scores.scores(said, asked[2], asked[0].route[:, 0], self.corpus.vocab)
        return out

    def questions(self):
        """Fine-tune on questions, score: {row: four figures}."""
        exam = question_answering.Exam(self.corpus, np.random.default_rng(0))
        steps = min(question_answering.TUNING.steps, self.config.train.steps)
        return question_answering.answer_questions(self.run("full")[0], self.corpus, exam, steps, self.seed, progress=True)[0]


def clusters(corpus, tree, videos=24):
    """Hold the visual words against the truth on held-out shows, and the tree's descent against the nearest leaf on films beside the corpus."""
    held_out = corpus.split()[1]
    shows = shows_of(corpus, held_out)
    truth_N = np.concatenate([3 * show.action + show.phase for show in shows])
    token_N = np.concatenate([corpus.video(v) for v in held_out])
    out = {"NMI": nmi(token_N, truth_N), "purity": purity(token_N, truth_N),
           "NMI, shuffled": nmi(np.random.default_rng(0).permutation(token_N), truth_N)}
    paths = sorted((corpus.folder.parent / "videos").glob("*.mp4"))[:videos]
    if tree is not None and paths:
        feature_NF = np.concatenate([tokens_of_video(path, corpus, tree).features for path in tqdm(paths, desc="films", dynamic_ncols=True)])
        flat_NC = squared_distances(feature_NF, tree.leaf_centroids[tree.leaf_used])
        out |= {"descent error": float(encode_with_distance(tree, feature_NF)[1].mean()), "flat error": float(flat_NC.min(1).mean())}
    return out


def gather(cells, shared):
    """Put the cells of all seeds together: the figures that `claims.py` judges. cells: [{name: found}] a seed; shared: of no seed."""
    full = [one["zero-shot, full"] for one in cells]
    rows = {name: [found["rows"][name] for found in full] for name in full[0]["rows"]}
    rows["language prior, text only"] = [one["zero-shot, text only"]["rows"]["language prior"] for one in cells]
    rows["no noise in time"] = [one["zero-shot, no noise"]["rows"]["cross-modal"] for one in cells]
    for size in SIZES:
        for kind in ("epochs", "updates"):
            name = f"{size} videos, equal {kind}"
            rows[name] = [one[f"zero-shot, {name}"]["rows"]["cross-modal"] for one in cells]
    search = {name: [one["retrieval, full"]["rows"][name] for one in cells] for name in cells[0]["retrieval, full"]["rows"]}
    both = lambda row: float(np.mean([100 * row[direction]["R@10"] for direction in row]))
    recall = {name: [both(row) for row in seeds] for name, seeds in search.items()}
    recall["no noise in time"] = [both(one["retrieval, no noise"]["rows"]["single stream"]) for one in cells]
    captions = {row: {metric: [one["captions"][row][metric] for one in cells] for metric in caption_scores.METRICS}
                for row in cells[0]["captions"]}
    ahead = {name: [float(np.mean(one["forecast"][name]["nats"])) for one in cells] for name in (*forecast.ORDERS, "model", "oracle")}
    top3 = {name: [100 * one["forecast"][name]["top3"][0] for one in cells] for name in ahead}
    film = lambda name: [100 * one["text to video"]["films"][name]["purity"] for one in cells]
    purities = {"model": film("model, mask-predict"), "oracle": film("oracle, mask-predict"), "commonest word": film("commonest word"),
                "model, other text": film("model, other text"), "model, argmax": film("model, argmax")}
    return {"zero-shot": rows, "vague words": [found["vague"] for found in full], "templates": [found["templates"] for found in full],
            "search": search, "search cost": cells[0]["retrieval, full"]["cost"], "R@10": recall, "captions": captions, "forecast nats": ahead,
            "forecast top-3, one step": top3, "film purity": purities,
            "questions": {name: [one["questions"][name] for one in cells] for name in cells[0]["questions"]}, **shared}


def markdown(figures, judged, command):
    """Lay everything out as markdown, the paper's numbers in brackets."""
    paper = zero_shot.PAPER | {f"{size} videos, equal epochs": row for size, row in PAPER_SIZES.items()}
    cell = lambda seeds, k, given=None: spread([row[k] for row in seeds]) + (f" ({given})" if given is not None else "")
    head = lambda *columns: ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines = ["# The paper's tables in miniature", "", f"Made by `{command}`. Mean [lowest, highest seed] (the paper's number).", "",
             "## Zero-shot action classification, % (tables 1 and 2)", "", *head("", *zero_shot.COLUMNS)]
    order = [*zero_shot.ROWS[:2], "language prior, text only", *zero_shot.ROWS[2:]]
    for name in [*[n for n in order if n in figures["zero-shot"]], *[n for n in figures["zero-shot"] if n not in order]]:
        lines.append(f"| {name} | " + " | ".join(cell(figures["zero-shot"][name], k, paper.get(name, (None,) * 4)[k]) for k in range(4)) + " |")
    lines += ["", "## Captions (table 3; all but CIDEr times 100; true: share that name the right action)", ""]
    lines += head("", *caption_scores.METRICS)
    for name, row in figures["captions"].items():
        given = (*caption_scores.PAPER.get(name, ()), *(None,) * 5)
        scale = {"CIDEr": 1}
        lines.append(f"| {name} | " + " | ".join(cell([[scale.get(metric, 100) * x] for x in row[metric]], 0, given[k])
                                                for k, metric in enumerate(caption_scores.METRICS)) + " |")
    lines += ["", "## Search, R@10 of both directions, %", "", *head("", "R@10", "tokens encoded a query")]
    for name, seeds in figures["R@10"].items():
        lines.append(f"| {name} | {spread(seeds)} | {figures['search cost'].get(name, {}).get('tokens', float('nan')):.0f} |".replace("nan", ""))
    lines += ["", "## Questions, % right", "", *head("", *question_answering.COLUMNS)]
    lines += [f"| {name} | " + " | ".join(cell(seeds, k) for k in range(4)) + " |" for name, seeds in figures["questions"].items()]
    lines += ["", "## The claims", "", *head("", "claim", "verdict", "what decides")]
    lines += [f"| {name} | {what} | **{found.verdict}** | {found.sentence} |" for name, (what, found) in judged.items()]
    return "\n".join(lines) + "\n"


def make_tables(run, corpus_folder, seeds, work, out, command, steps=None):
    """Make all cells that are missing, write results, picture and markdown; return (figures, judged claims).

    run: the default run's folder, whose config all runs take; None: the preset `tiny`. steps: instead of the config's.
    """
    if run:
        _, config, corpus, tree = open_run(run, corpus_folder)
    else:
        corpus, config = Corpus.open(corpus_folder), PRESETS["tiny"]
        tree = Tree.load(corpus.folder / "tree.npz") if (corpus.folder / "tree.npz").is_file() else None
    if steps:
        config, run = replace(config, train=replace(config.train, steps=steps)), None
    work = Path(work)
    mark = json.dumps([to_dict(config)["inputs"], to_dict(config)["train"] | {"seed": None}, corpus.meta["sha256"]], sort_keys=True)
    if (work / "made_of.json").is_file() and (work / "made_of.json").read_text() != mark:
        raise ValueError(f"{work}: holds cells of another run or corpus; give another --work or delete it")
    work.mkdir(parents=True, exist_ok=True)
    replace_file(work / "made_of.json", lambda path: path.write_text(mark))
    cells = []
    for seed in range(seeds):
        own = Cells(work, seed, config, corpus, tree, run if run and config.train.seed == seed else None)
        cells.append({})
        for name, make in tqdm(own.all().items(), desc=f"seed {seed}", unit="cell", dynamic_ncols=True):
            cells[-1][name] = own.kept(name, make)
    shared = Cells(work, "any", config, corpus, tree)
    figures = gather(cells, {"clusters": shared.kept("clusters", lambda: clusters(corpus, tree))})
    judged = claims(figures)
    (Path(out) / "results").mkdir(parents=True, exist_ok=True)
    record = {"command": command, "seeds": seeds, "config": to_dict(config), "figures": figures,
              "claims": {name: {"claim": what, "verdict": found.verdict, "decided by": found.sentence}
                         for name, (what, found) in judged.items()}}
    replace_file(Path(out) / "results" / "tables.json", lambda path: path.write_text(json.dumps(record, indent=1) + "\n"))
    replace_file(Path(out) / "tables.md", lambda path: path.write_text(markdown(figures, judged, command)))
    plot_tables(figures, zero_shot.PAPER, {size: PAPER_SIZES[size] for size in SIZES}, Path(out) / "tables.png")
    return figures, judged


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.evaluate --tables", description=__doc__.split("\n")[0])
    parser.add_argument("--run", default=DEFAULT_RUN, help="the default run: all runs take its config; it is seed SEED of its own config")
    parser.add_argument("--corpus", default=DEFAULT_CORPUS, help="the corpus that it was trained on")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... (default: 3)")
    parser.add_argument("--steps", type=int, help="for a trial: optimizer steps of a full run, and the most of all else")
    parser.add_argument("--work", default="runs/tables", help="folder for cells and training runs")
    parser.add_argument("--out", default="docs", help="folder for results/tables.json, tables.md and tables.png")
    o = parser.parse_args(argv)
    try:
        if o.seeds < 1 or (o.steps is not None and o.steps < 1):
            raise ValueError(f"--seeds {o.seeds}, --steps {o.steps}: each must be at least 1")
        said = " ".join(["python -m minivbert.evaluate --tables", *(argv if argv is not None else sys.argv[1:])])
        judged = make_tables(o.run, o.corpus, o.seeds, o.work, o.out, said, o.steps)[1]
    except (ValueError, OSError) as error:
        fail(error)
    for name, (what, found) in judged.items():
        print(f"{name:<13}{found.verdict:<21}{what}\n{'':<13}{found.sentence}")
    print(f"tables: {o.out}/tables.md; figures: {o.out}/results/tables.json; picture: {o.out}/tables.png")


if __name__ == "__main__":
    main()
