"""Train where data never ends: python -m minivbert.endless [--steps 20000] [--out runs/endless] [training options]

What keeps a run above the floor: the model, the oracle, or too little time and data? Here neither time nor data is short. As many shows
are drawn from the measured table (`kitchen/unfilmed.py`) as the run needs so that no regime comes to the end of its first epoch; the
learning rate falls over the whole, long run; the held-out shows are drawn from the same table, so their floor is exact.

OUT/corpus holds the shows, OUT/run is a run folder as any other. A killed call, called again with the same options, goes on. At the end
docs/results/endless.json keeps the closing figures and the history.
"""
import json
import math
from dataclasses import replace
from pathlib import Path

from minivbert import checkpoint
from minivbert.config import DATA_SAMPLE, PRESETS, to_dict
from minivbert.device import pick_device
from minivbert.files import replace_file
from minivbert.kitchen.recipes import World
from minivbert.kitchen.unfilmed import HELD_OUT, draw_corpus, open_tables
from minivbert.options import Parser, add_options, apply_options, fail
from minivbert.pretraining.inputs import Batches
from minivbert.train import closing_table, train

SEED = 200                                         # of the shows; the run's own seed is another
BARS = {"text": 0.02, "video": 0.05}               # nats above the floor that time and data should leave


def shows_for(config, source):
    """Count the shows of which each regime draws at most as many rows in all as it has segments.

    source: a corpus of the same world, which says how many segments a show has.
    """
    training = source.split()[0]
    stream = Batches(source, training, config.inputs, seed=0)
    text, video, both = config.inputs.rows
    joined = config.inputs.concat
    wanted = (((text + both) * (1 - joined), len(stream.segments[0])), ((text + both) * joined, len(stream.segments[1])),
              (video, len(stream.windows)))
    steps = config.train.steps * config.train.accumulate
    return HELD_OUT + math.ceil(steps * max(rows * len(training) / segments for rows, segments in wanted))


def endless(config, out, tables, device, workers=1, progress=False):
    """Draw the corpus, train on it, or go on with either; return (`train.History`, the corpus).

    Raises ValueError for tables that are missing and for a folder `out` of other tables or options.
    """
    out, (source, _) = Path(out), open_tables(tables)
    world = World(lags=tuple(source.meta["lags"]))
    corpus = draw_corpus(out / "corpus", world, shows_for(config, source), SEED, tables, workers, progress)
    resume = (out / "run" / "checkpoint.pt").is_file()
    if resume and not same_run(checkpoint.read_config(out / "run"), config):
        raise ValueError(f"{out / 'run'}: trained with other options; give the same ones to go on, or name another --out")
    return train(config, corpus, device, out / "run", resume, progress), corpus


def same_run(kept, config):
    """Tell whether two configs are of one run: equal but for the vocabularies, which the corpus sets."""
    size = {"text_vocab": config.model.text_vocab, "visual_vocab": config.model.visual_vocab}
    return to_dict(replace(kept, model=replace(kept.model, **size))) == to_dict(config)


def gap_table(summary):
    """Lay out how far above the floor the run ended.

    >>> print(gap_table({"text_nats": 0.28, "text_floor_nats": 0.27, "video_nats": 1.5, "video_floor_nats": 1.4}))
    text: 0.010 nats above the floor (bar 0.02: reached)
    video: 0.100 nats above the floor (bar 0.05: not reached)
    """
    rows = []
    for part, bar in BARS.items():
        gap = summary[f"{part}_nats"] - summary[f"{part}_floor_nats"]
        rows.append(f"{part}: {gap:.3f} nats above the floor (bar {bar}: {'reached' if gap <= bar else 'not reached'})")
    return "\n".join(rows)


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.endless", description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="where the defaults come from, but for steps and looks")
    parser.add_argument("--corpus", default=DATA_SAMPLE / "corpus", help="kitchen corpus with the measured table")
    parser.add_argument("--out", default="runs/endless", help="folder for the drawn corpus and the run")
    parser.add_argument("--results", default="docs/results/endless.json", help="file for the closing figures and the history")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw shows")
    long = {name: replace(preset, train=replace(preset.train, steps=20_000, log_every=100, eval_every=500))
            for name, preset in PRESETS.items()}
    add_options(parser, long["tiny"])
    o = parser.parse_args(argv)
    try:
        config = apply_options(long[o.preset], o)
        history, corpus = endless(config, o.out, o.corpus, pick_device(o.device), o.workers, progress=True)
        results = {"shows": corpus.videos, "clips": len(corpus.visual), "sentences": len(corpus.sentence_video),
                   "summary": history.summary, "history": history.lines}
        Path(o.results).parent.mkdir(parents=True, exist_ok=True)
        replace_file(Path(o.results), lambda path: path.write_text(json.dumps(results, indent=1) + "\n"))
    except (ValueError, OSError) as error:
        fail(error)
    print(closing_table(history.summary, Path(o.out) / "run"))
    print(gap_table(history.summary))


if __name__ == "__main__":
    main()
