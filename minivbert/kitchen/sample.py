"""Rebuild the data sample: python -m minivbert.kitchen.sample --out data_sample [--work runs/sample]

    1. film clips of every (action, phase, style) and train MiniS3D to tell (action, phase)          -> weights/mini_s3d.safetensors
    2. film 3,000 shows, extract features; fit the k-means tree on those that are not held out  -> corpus/tree.npz
       and keep each visual word's exemplar, its middle frame and the whole clip                     -> corpus/exemplars.npz, .mp4
       and how far the clips lie from their centroids                                                -> corpus/distances.npy
    3. film clips of every (action, phase, style) once more and measure P(token | ...)               -> corpus/emission.npz
    4. sample 27,000 further shows directly from the measured table, no rendering                     -> corpus/*.npy
    5. film the first 24 of the 3,000 shows, held-out ones, as .mp4 with sound and captions           -> videos/

Every stage keeps its result in the work folder, so that a killed call goes on. Seeds: 0 for the filmed shows, 1 for what MiniS3D
learns from, 2 for what the table is measured on, 3 for the sampled shows. No pixel is shared between them.

Whatever MiniS3D sees has been through H.264, as the .mp4 files have: what a codec does to colours moves clips from one visual word
to another, so a corpus of drawn frames would not be the corpus of the films (9 clips in 10 kept their word).
"""
import multiprocessing
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert.files import file_hash, replace_file
from minivbert.kitchen.draw import draw_clip
from minivbert.kitchen.film import clips_of_show, develop, make_show, show_rngs, write_show
from minivbert.kitchen.measure import measure, sample_tokens
from minivbert.kitchen.narrate import all_words
from minivbert.kitchen.recipes import ACTIONS, PHASES, STYLES, World
from minivbert.options import Parser, fail
from minivbert.tokens.corpus import write_corpus
from minivbert.tokens.domain import distances, write_distances
from minivbert.tokens.exemplars import write_film
from minivbert.tokens.features import FRAMES_SEEN, MiniS3D, fit_mini, load_mini, save_mini, shrink
from minivbert.tokens.frames import CLIP_FRAMES
from minivbert.tokens.hkmeans import exemplars, fit
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

FILMED, SAMPLED, VIDEOS, HELD_OUT = 3000, 27000, 24, 600
LEARNED, MEASURED = 16, 240            # clips of each (action, phase, style) to train MiniS3D on, and to measure the table on
STEPS = 3000                           # of MiniS3D's training, 32 clips each
CLUSTERS, LEVELS = 15, 2
CELLS = [(a, p, s) for a in range(len(ACTIONS)) for p in range(PHASES) for s in range(STYLES)]
MODEL = None                           # each process's own, set by `_start`


def film_cell(cell, n, rng):
    """Film n clips of (action, phase, style), as MiniS3D sees them: (n, 10, 48, 48, 3) uint8.

    Only the frames that it looks at are drawn and encoded, for speed.
    """
    action, phase, style = cell
    return shrink(np.stack(list(develop((draw_clip(*ACTIONS[action], phase, style, rng, FRAMES_SEEN) for _ in range(n)), range(10)))))


def _start(weights):
    global MODEL
    torch.set_num_threads(1)
    MODEL = load_mini(weights) if weights else None


def _draw_learned(i):
    rng = np.random.default_rng([1, i])
    return film_cell(CELLS[i], LEARNED, rng).numpy()


def _embed(seen_NTHW3):
    with torch.inference_mode():
        return torch.cat([MODEL.embed(part) for part in seen_NTHW3.split(32)]).numpy()


def _measure_cell(i):
    rng = np.random.default_rng([2, i])
    return _embed(film_cell(CELLS[i], MEASURED, rng))


def _film(i):
    show, picture = make_show(World(), 0, i), show_rngs(0, i)[1]
    return _embed(shrink(np.stack(list(develop(clips_of_show(show, picture), FRAMES_SEEN)))))


def _sample(job):
    first, last, emission = job
    world, out = World(), []
    for i in range(first, last):
        show = make_show(world, 3, i)
        out.append((sample_tokens(show, emission, np.random.default_rng([4, i])), show))
    return out


def spread(work, jobs, name, weights=None):
    """Do the jobs in two processes, in order, with a progress bar."""
    jobs = list(jobs)
    with multiprocessing.get_context("spawn").Pool(2, _start, (weights,)) as pool:
        return list(tqdm(pool.imap(work, jobs, chunksize=4), total=len(jobs), desc=name, dynamic_ncols=True))


def kept(path, make):
    """Give the array in `path`, made first where it is not there yet."""
    if not path.is_file():
        array = make()
        replace_file(path, lambda temporary: np.save(temporary, array))
    return np.load(path, mmap_mode="r")


def learn_features(path, work):
    """Train MiniS3D on drawn clips and write its weights."""
    seen = kept(work / "learned.npy", lambda: np.concatenate(spread(_draw_learned, range(len(CELLS)), "draw")))
    labels = np.repeat([a * PHASES + p for a, p, _ in CELLS], LEARNED)
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    model = MiniS3D(len(ACTIONS) * PHASES)
    fit_mini(model, torch.from_numpy(np.array(seen)), torch.from_numpy(labels), STEPS, generator)
    save_mini(model, path)


def keep_exemplars(corpus, clip_C, used_C, shows, offsets):
    """Draw each used visual word's exemplar once more; write exemplars.npz, frames (C, 96, 96, 3) uint8, and exemplars.mp4 into a corpus folder.

    clip_C: the exemplar of each word among all filmed clips; offsets: of the shows in them. Black where a word is not used.
    """
    clips = np.zeros((len(clip_C), CLIP_FRAMES, 96, 96, 3), np.uint8)
    for word in np.flatnonzero(used_C):
        i = int(np.searchsorted(offsets, clip_C[word], side="right")) - 1
        show, k = shows[i], int(clip_C[word] - offsets[i])
        rng = show_rngs(0, i)[1].spawn(len(show.action))[k]
        clips[word] = draw_clip(*ACTIONS[show.action[k]], int(show.phase[k]), show.style, rng)
    replace_file(corpus / "exemplars.npz", lambda path: np.savez_compressed(path, frames=clips[:, CLIP_FRAMES // 2]))
    write_film(corpus / "exemplars.mp4", clips)


def build(out, work):
    """Build everything; return a summary dict."""
    out, work = Path(out), Path(work)
    corpus, weights = out / "corpus", out / "weights" / "mini_s3d.safetensors"
    for folder in (work, corpus, weights.parent, out / "videos"):
        folder.mkdir(parents=True, exist_ok=True)
    if not (work / "mini_s3d.safetensors").is_file():
        learn_features(work / "mini_s3d.safetensors", work)
    replace_file(weights, lambda path: path.write_bytes((work / "mini_s3d.safetensors").read_bytes()))
    shows = [make_show(World(), 0, i) for i in range(FILMED)]
    features = kept(work / "filmed.npy", lambda: np.concatenate(spread(_film, range(FILMED), "film", weights)))
    offsets = np.cumsum([0] + [len(show.action) for show in shows])
    seen = np.asarray(features[offsets[HELD_OUT]:])
    tree = fit(seen, CLUSTERS, LEVELS, np.random.default_rng(0))
    tree.save(corpus / "tree.npz")
    write_distances(corpus, distances(tree, seen)[1])
    keep_exemplars(corpus, exemplars(tree, seen) + offsets[HELD_OUT], tree.leaf_used, shows, offsets)
    measured = kept(work / "measured.npy", lambda: np.concatenate(spread(_measure_cell, range(len(CELLS)), "measure", weights)))
    emission, error = measure(tree.encode(measured).reshape(len(ACTIONS), PHASES, STYLES, MEASURED), CLUSTERS ** LEVELS)
    replace_file(corpus / "emission.npz", lambda path: np.savez_compressed(path, emission=emission.astype(np.float32),
                                                                           error_nats=error))
    tokens = np.split(tree.encode(features), offsets[1:-1])
    emission = emission.astype(np.float32)
    parts = spread(_sample, [(i, i + 100, emission) for i in range(0, SAMPLED, 100)], "sample")
    for part in parts:
        tokens += [sampled for sampled, _ in part]
        shows += [show for _, show in part]
    vocab = WordPiece([*SPECIALS, *all_words()])
    sentences = [[(vocab.encode(s.text), *s.span) for s in show.sentences] for show in shows]
    write_corpus(corpus, tokens, sentences, vocab, CLUSTERS ** LEVELS, range(HELD_OUT), features="mini", lags=World().lags, filmed=FILMED,
                 sampled=SAMPLED, weights_sha256=file_hash(weights), tree_sha256=file_hash(corpus / "tree.npz"),
                 emission_error_nats=round(float(error), 5))
    for i in tqdm(range(VIDEOS), desc="videos"):
        write_show(shows[i], out / "videos" / f"show_{i:03d}", show_rngs(0, i)[1], seed=0, index=i)
    return {"filmed shows": FILMED, "sampled shows": SAMPLED, "clips": sum(map(len, tokens)), "emission error, nats": error,
            "MB": sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6}


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.kitchen.sample", description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="data_sample", help="folder to write")
    parser.add_argument("--work", default="runs/sample", help="folder for what the stages keep")
    o = parser.parse_args(argv)
    try:
        summary = build(o.out, o.work)
    except (ValueError, OSError) as error:
        fail(error)
    for key, value in summary.items():
        print(f"{key:<24}{value:>14,.4f}" if isinstance(value, float) else f"{key:<24}{value:>14,}")


if __name__ == "__main__":
    main()
