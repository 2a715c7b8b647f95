"""Read a corpus of the paper's size: python benchmarks/loader.py [--videos 312000] [--out FOLDER] [--keep]

The corpus is made here: 312,000 videos, 55.6 million visual tokens of 20,736 words, speech in 120 of 312 videos. A video is a row of shows
drawn with replacement from the sample corpus, speaking ones for a video with speech and silent ones otherwise, their sentences with them, so
tokens and sentences follow each other as in the sample; each of its visual words stands for 20,736 / 225 = 92, one drawn a clip. The
first 3,120 videos are held out. Said: time to make it, and its size on disk.

Then, in a fresh process with one thread:

    start-up         seconds from opening the corpus to the first batch of each regime in hand (imports not counted, said beside it)
    resident memory  of the whole process, at its highest and after thousands of batches, Python and torch included
    batches          seconds a step's batches take (one of each regime), against the train step of preset `tiny` on the sample corpus

The last line is one JSON object {"bars": {name: [figure, bar]}}, higher being better: of what may be at most so much, the bar divided by the
figure, which must come out at 1 or more.
"""
import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from minivbert.config import DATA_SAMPLE, PRESETS
from minivbert.tokens.corpus import ARRAYS, Corpus, write_arrays

VIDEOS, TOKENS, WORDS = 312_000, 55_600_000, 20_736
SPEAKING = 120 / 312
PART = 4096                # videos made at a time


def laid(start_N, count_N):
    """Lay the ranges start .. start + count end to end.

    >>> laid(np.array([7, 2]), np.array([2, 3])).tolist()
    [7, 8, 2, 3, 4]
    """
    return np.repeat(start_N - np.cumsum(count_N) + count_N, count_N) + np.arange(count_N.sum())


def make_corpus(folder, videos, source, seed=0):
    """Make a corpus of so many videos out of the shows of `source`; return (seconds, bytes on disk)."""
    begin, rng = time.perf_counter(), np.random.default_rng(seed)
    source = {name: np.array(getattr(source, name)) for name in ARRAYS} | {"corpus": source}
    offsets, said_at = source["visual_offsets"], source["sentence_offsets"]
    clips = np.diff(offsets)
    said = np.bincount(source["sentence_video"], minlength=len(clips))
    first_said = np.cumsum(said) - said
    seconds = source["corpus"].meta["clip_frames"] / source["corpus"].meta["fps"]
    each = WORDS // source["corpus"].visual_words
    pools = {True: np.flatnonzero(said > 0), False: np.flatnonzero(said == 0)}
    parts = {name: [] for name in ("visual", "clips", "text", "words", "times", "video")}
    for start in range(0, videos, PART):
        n = min(PART, videos - start)
        speaks_V = rng.random(n) < SPEAKING
        more = TOKENS / VIDEOS / np.where(speaks_V, clips[pools[True]].mean(), clips[pools[False]].mean()) - 1
        shows_V = 1 + rng.poisson(more)
        video_S = np.repeat(np.arange(n), shows_V)
        show_S = np.where(speaks_V[video_S], rng.choice(pools[True], len(video_S)), rng.choice(pools[False], len(video_S)))
        visual = source["visual"][laid(offsets[show_S], clips[show_S])].astype(np.int64) * each
        parts["visual"].append((visual + rng.integers(each, size=len(visual))).astype(np.uint16))
        parts["clips"].append(np.bincount(video_S, weights=clips[show_S], minlength=n).astype(np.int64))
        before_S = np.cumsum(clips[show_S]) - clips[show_S]                    # clips of this part before the show
        into_S = (before_S - np.append(0, np.cumsum(parts["clips"][-1]))[video_S]) * seconds
        sentence = laid(first_said[show_S], said[show_S])
        words = (said_at[1:] - said_at[:-1])[sentence]
        parts["text"].append(source["text"][laid(said_at[sentence], words)])
        parts["words"].append(words)
        parts["times"].append((source["sentence_times"][sentence] + np.repeat(into_S, said[show_S])[:, None]).astype(np.float32))
        parts["video"].append(np.repeat(start + video_S, said[show_S]).astype(np.int32))
    flat = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    write_arrays(folder, {"visual": flat["visual"], "visual_offsets": np.cumsum(np.append(0, flat["clips"])), "text": flat["text"],
                          "sentence_offsets": np.cumsum(np.append(0, flat["words"])), "sentence_times": flat["times"],
                          "sentence_video": flat["video"]}, source["corpus"].vocab, WORDS, range(videos // 100))
    return time.perf_counter() - begin, sum(path.stat().st_size for path in Path(folder).iterdir())


def resident():
    """Give the resident memory of this process now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2 ** 20


def measure(folder, steps):
    """Print, as JSON, what opening a corpus and drawing the batches of so many steps takes: to be called in a fresh process."""
    begin = time.perf_counter()
    import torch
    from minivbert.pretraining.inputs import Batches
    torch.set_num_threads(1)
    imports, empty = time.perf_counter() - begin, resident()
    begin = time.perf_counter()
    corpus = Corpus.open(folder)
    opened = time.perf_counter() - begin
    stream = Batches(corpus, corpus.split()[0], PRESETS["tiny"].inputs, seed=0)
    indexed = time.perf_counter() - begin - opened
    for regime in stream.regimes():
        stream.get(regime, 0)
    started, after_start = time.perf_counter() - begin, resident()
    begin, tokens, levels = time.perf_counter(), 0, []
    for step in range(16, 16 + steps):
        tokens += sum(int(stream.get(regime, step).keep.sum()) for regime in stream.regimes())
        levels.append(resident())
    taken = time.perf_counter() - begin
    begin = time.perf_counter()
    stream.get("video-text", 10 ** 6)
    print(json.dumps({"imports": imports, "empty": empty, "open": opened, "index": indexed, "start": started, "resident_start": after_start,
                      "resident_end": max(levels[-16:]), "resident_early": max(levels[:16]),
                      "peak": int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024, "step": taken / steps, "tokens": tokens / steps,
                      "resume": time.perf_counter() - begin}))


def step_seconds(steps):
    """Give the median seconds of a train step of preset `tiny`, and of its batches, on the sample corpus."""
    import torch
    from minivbert.pretraining.inputs import Batches
    from minivbert.train import build_model, build_optimizers, train_step
    config, corpus = PRESETS["tiny"], Corpus.open(DATA_SAMPLE / "corpus")
    stream = Batches(corpus, corpus.split()[0], config.inputs, seed=0)
    torch.manual_seed(0)
    model = build_model(config, corpus).train()
    optimizers, seconds = build_optimizers(model, config.train), []
    for step in range(steps):
        batches = [stream.get(regime, step) for regime in stream.regimes()]
        begin = time.perf_counter()
        train_step(model, optimizers, batches, 1.0, config.train)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[2:])), torch.get_num_threads()


def main():
    """Make the corpus, measure in a fresh process, print a table and the bars."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=VIDEOS, help="videos")
    parser.add_argument("--steps", type=int, default=320, help="steps whose batches are drawn")
    parser.add_argument("--train-steps", type=int, default=12, help="train steps of `tiny` timed")
    parser.add_argument("--out", type=Path, help="folder of the corpus (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the corpus there; one that is there is used as it is")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.measure:
        measure(o.out, o.steps)
        return
    folder = o.out or Path(tempfile.mkdtemp())
    if not (folder / "meta.json").is_file():
        seconds, size = make_corpus(folder, o.videos, Corpus.open(DATA_SAMPLE / "corpus"))
        print(f"made in {seconds:.0f} s, {size / 1e6:.0f} MB on disk", flush=True)
    corpus = Corpus.open(folder)
    print(f"{corpus.videos:,} videos, {len(corpus.visual):,} visual tokens of {corpus.visual_words:,} words, "
          f"{len(corpus.sentence_video):,} sentences of {len(corpus.text):,} ids, in {folder}")
    done = subprocess.run([sys.executable, __file__, "--measure", "--out", str(folder), "--steps", str(o.steps)], stdout=subprocess.PIPE,
                          text=True, check=True)
    m = json.loads(done.stdout)
    print(f"start-up: open and check {m['open']:.2f} s, index {m['index']:.2f} s, first batches at {m['start']:.2f} s "
          f"(before that, imports {m['imports']:.2f} s)")
    print(f"resident: {m['empty']:.0f} MB before the corpus is opened, {m['resident_start']:.0f} at the first batches, "
          f"{m['resident_early']:.0f} in the first pools, {m['resident_end']:.0f} after {3 * o.steps:,} batches; highest {m['peak']:.0f} MB")
    print(f"batches of a step: {m['step'] * 1e3:.1f} ms ({3 / m['step']:.0f} batches/s, {m['tokens'] / m['step']:,.0f} tokens/s); "
          f"batch 1,000,000 straight away: {m['resume'] * 1e3:.0f} ms")
    step, threads = step_seconds(o.train_steps)
    print(f"train step of tiny, {threads} threads: {step * 1e3:.0f} ms")
    if not o.keep:
        shutil.rmtree(folder)
    print(json.dumps({"bars": {"loader: 500 MB over the most that was resident": [round(500 / m["peak"], 3), 1.0],
                               "loader: 2 s over the time to the first batches": [round(2 / m["start"], 3), 1.0],
                               "loader: a step of tiny over the time of its batches": [round(step / m["step"], 1), 10.0]}}))


if __name__ == "__main__":
    main()
