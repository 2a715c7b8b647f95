"""Shows that nobody films: a corpus drawn straight from the kitchen's tables, in any world and as long as you like.

A show's story and sentences are drawn as for a film (`film.make_show`); the visual token of each clip then comes from the measured
P(token | action, phase, style) instead of from pixels. So the tables *are* the truth of such a corpus, and the oracle's floor under it is
exact, where under a filmed one it is as good as the measurement.

Shows are drawn in parts, each kept as a file until the corpus is whole, so that a killed call goes on. Show i of a seed is the same
however many are drawn.

    >>> corpus = draw_corpus("runs/late", World(lags=(0, 0, 1)), shows=1000, seed=100, tables="data_sample/corpus")   # doctest: +SKIP
"""
import json
import multiprocessing
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minivbert.files import file_hash, replace_file
from minivbert.kitchen.film import make_show, show_rngs
from minivbert.kitchen.measure import sample_tokens
from minivbert.tokens.corpus import Corpus, CorpusError, write_arrays

HELD_OUT = 600           # shows, the first ones
PART = 1000              # shows a part


def draw_corpus(folder, world, shows, seed, tables, workers=1, progress=False):
    """Draw a corpus of so many shows, the first `HELD_OUT` of them held out; return the opened `Corpus`.

    tables: corpus folder whose emission.npz, tree.npz and vocab.txt are used. What is already in `folder` is kept if it is of
    the same tables, seed and world. Raises ValueError for too few shows, for tables that are missing, and for a folder that
    holds another corpus.
    """
    folder, (source, digest) = Path(folder), open_tables(tables)
    if shows <= HELD_OUT:
        raise ValueError(f"{shows} shows, of which {HELD_OUT} are held out: draw more")
    made_of = {"lags": list(world.lags), "speech": world.speech, "shows": shows, "seed": seed, "emission_sha256": digest}
    note = folder / "drawn_from.json"
    if note.is_file() and json.loads(note.read_text()) != made_of:
        raise ValueError(f"{folder}: drawn from other tables, another world, seed or number of shows; remove it or name another folder")
    if (folder / "meta.json").is_file():
        return Corpus.open(folder)
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    replace_file(note, lambda path: path.write_text(json.dumps(made_of) + "\n"))
    firsts = range(0, shows, PART)
    draw = partial(draw_part, parts=parts, last=shows, world=world, seed=seed, tables=source.folder)
    for _ in tqdm(in_processes(draw, firsts, workers), total=len(firsts), desc=f"{shows:,} shows", unit="part", disable=not progress):
        pass
    found = {name: [] for name in ("visual", "clips", "text", "words", "start", "end", "told")}
    for first in firsts:
        with np.load(part_path(parts, first), allow_pickle=False) as part:
            for name, pieces in found.items():
                pieces.append(part[name])
    flat = {name: np.concatenate(pieces) for name, pieces in found.items()}
    arrays = {"visual": flat["visual"], "visual_offsets": np.cumsum(np.append(0, flat["clips"])), "text": flat["text"],
              "sentence_offsets": np.cumsum(np.append(0, flat["words"])).astype(np.int64),
              "sentence_times": np.stack([flat["start"], flat["end"]], 1).astype(np.float32),
              "sentence_video": np.repeat(np.arange(shows, dtype=np.int32), flat["told"].astype(np.int64))}
    for name in ("emission.npz", "tree.npz"):
        replace_file(folder / name, lambda path, name=name: path.write_bytes((source.folder / name).read_bytes()))
    write_arrays(folder, arrays, source.vocab, source.visual_words, range(HELD_OUT), lags=world.lags, filmed=0, sampled=shows)
    shutil.rmtree(parts)
    return Corpus.open(folder)


def open_tables(folder):
    """Open the corpus that brings the tables; return it and the SHA-256 of the measured one; raise `CorpusError` if one is missing."""
    source = Corpus.open(folder)
    for name in ("emission.npz", "tree.npz"):
        if not (source.folder / name).is_file():
            raise CorpusError(f"{source.folder / name}: not there, so these are not the tables of a kitchen corpus; give data_sample/corpus")
    return source, file_hash(source.folder / "emission.npz")


def in_processes(work, jobs, workers):
    """Do jobs in so many processes, or right here if that is one; yield the results as they come."""
    if workers == 1:
        yield from map(work, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(work, jobs)


def part_path(parts, first):
    """Name the file of the part that begins with show `first`."""
    return Path(parts) / f"{first:08d}.npz"


def draw_part(first, parts, last, world, seed, tables):
    """Draw shows `first` to `first + PART`, fewer at the end, and keep them as flat arrays in a file of their own, unless it is there.

    visual, text: all tokens; clips, told: clips and sentences of each show; words, start, end: words and times of each sentence.
    """
    path = part_path(parts, first)
    if path.is_file():
        return
    corpus = Corpus.open(tables)
    with np.load(Path(tables) / "emission.npz", allow_pickle=False) as file:
        emission = file["emission"]
    shows, visual = [], []
    for i in range(first, min(first + PART, last)):
        shows.append(make_show(world, seed, i))
        visual.append(sample_tokens(shows[-1], emission, show_rngs(seed, i)[1]))
    said = [sentence for show in shows for sentence in show.sentences]
    text = [corpus.vocab.encode(sentence.text) for sentence in said]
    replace_file(path, lambda temporary: np.savez(
        temporary, visual=np.concatenate(visual).astype(np.uint16), clips=[len(v) for v in visual],
        text=np.concatenate([np.zeros(0, int), *text]).astype(np.uint16), words=[len(ids) for ids in text],
        start=np.array([s.span[0] for s in said]), end=np.array([s.span[1] for s in said]), told=[len(show.sentences) for show in shows]))
