"""Turn a folder of videos into a corpus: python -m minivbert.prepare FOLDER --out CORPUS [--tree FILE] [--asr MODEL] ...

    video file -> frames at 20 fps -> clips of 30 -> features -> hierarchical k-means -> visual tokens
    captions beside it (.vtt, .srt, .json3), or with --asr its sound -> timed words -> sentences -> WordPiece ids

VideoBERT, section 4. Each video's features and sentences are kept in CORPUS/videos as soon as they are known, so that a call
that was killed goes on where it stopped. A broken file is named, left out and listed at the end; the exit code is then 1. A
broken caption file or sound track costs a video its speech, not its pictures. As in the paper, speech in another language than English is
not used: such a video feeds the video-only regime. meta.json lists every video's language (null: nothing said, or nothing known).

Under torchrun (torchrun --nproc_per_node 2 -m minivbert.prepare ...) each process takes its share of the videos, a stretch of the sorted
list, and all fit the tree together, each on the clips of its share; the first then writes the corpus, which is the one that a single
process writes. CORPUS must be a folder that all of them see.

Not stated in the paper, our choice: every tenth video is held out; the vocabulary is learned from the captions unless one is
given (the paper uses BERT's).
"""
import json
import multiprocessing
import os
import zipfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert.config import DATA_SAMPLE
from minivbert.files import file_hash, forget, replace_file
from minivbert.options import Parser, fail
from minivbert.plot import plot_visual_words
from minivbert.tokens.caption_files import is_english, language_of
from minivbert.tokens.captions import captions_beside, is_punctuated, read_captions, sentences_of
from minivbert.tokens.corpus import write_corpus
from minivbert.tokens.domain import distances, write_distances
from minivbert.tokens.exemplars import write_frames
from minivbert.tokens.frames import VideoError, clips_of
from minivbert.tokens.hkmeans import Tree, exemplars, fit
from minivbert.tokens.punctuate import load_punctuator, restore
from minivbert.tokens.shares import gather, join, place
from minivbert.tokens.speech import Recogniser
from minivbert.tokens.wordpiece import WordPiece
from minivbert.transcribe import PUNCTUATOR, SUFFIXES, sentences_heard
from minivbert.vision.clip_features import open_extractor

PROCESSES = 2                 # that extract videos; under torchrun, each of its processes has one
PICTURED = 60                 # visual words in visual_words.png
CLIPS_A_BATCH = 16            # clips held in memory at a time, a process
EXTRACTOR = RECOGNISER = None              # each process's own, set by `_start`


def _start(features, weights, asr):
    global EXTRACTOR, RECOGNISER
    torch.set_num_threads(1)
    EXTRACTOR = open_extractor(features, weights)
    RECOGNISER = Recogniser(asr, threads=1) if asr else None


@cache
def _punctuator():
    return load_punctuator(PUNCTUATOR)


def _describe(job):
    """Extract one video into its .npz; return (video, sentence about what went wrong or "")."""
    video, target, mark = job
    clips, features, batch = clips_of(video), [], []
    try:
        for clip in clips:
            batch.append(clip)
            if len(batch) == CLIPS_A_BATCH:
                features.append(EXTRACTOR(np.stack(batch)))
                batch = []
    except VideoError as error:
        return video, str(error)
    if batch:
        features.append(EXTRACTOR(np.stack(batch)))
    if not features:
        return video, f"{video}: {clips.dropped} frames at 20 fps, shorter than one clip of 30; take it out of the folder"
    sentences, language, complaint = [], None, ""
    try:
        sentences, language = _speech(video)
    except ValueError as error:
        complaint = f"{error} (the video is kept as one without speech)"
    features_NF = np.concatenate(features)
    replace_file(target, lambda path: np.savez(path, features=features_NF, clips=len(features_NF), dropped=clips.dropped, mark=mark,
                                               sentences=json.dumps(sentences), language=language or "", complaint=complaint))
    return video, complaint


def _speech(video):
    """Give a video's English sentences [(sentence, start, end)] and its language, from the captions beside it or from its sound."""
    captions = captions_beside(video)
    if captions is not None:
        words, language = read_captions(captions), language_of(captions)
        if not is_english(language):
            return [], language
        return sentences_of(words) if is_punctuated(words) else restore(words, _punctuator()), language
    if RECOGNISER is None:
        return [], None
    heard = RECOGNISER.listen(video)
    return (sentences_heard(heard, _punctuator()) if heard.english else []), heard.language


def _mark(video, features, weights_hash, asr):
    """Name what a video's .npz was made of, so that a changed file, other weights or another recogniser are not taken for it."""
    captions = captions_beside(video)
    sizes = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in (video, captions) if p is not None]
    return json.dumps([features, weights_hash, sizes] + [str(asr)] * (asr is not None and captions is None))


def _finished(target, mark):
    """Read what a finished .npz says of its video, all but the features, or give None."""
    try:
        with np.load(target, allow_pickle=False) as done:
            return {name: done[name] for name in done.files if name != "features"} | {"clips": int(done["clips"])} if str(
                done["mark"]) == mark else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _extract(jobs, initial, settings, progress):
    """Do jobs (video, target, mark) in worker processes; return {video: sentence about what went wrong}.

    initial: videos that are finished already, for the bar; settings: what `_start` takes. Raises ValueError if a worker dies.
    """
    rank, processes = place()
    broken, workers = {}, min(PROCESSES if processes == 1 else 1, len(jobs))
    with ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn"), _start, settings) as pool, tqdm(
            total=initial + len(jobs), unit="video", initial=initial, disable=not progress or rank > 0, dynamic_ncols=True) as bar:
        for future in as_completed([pool.submit(_describe, job) for job in jobs]):
            try:
                video, complaint = future.result()
            except BrokenProcessPool:
                raise ValueError("a worker died (killed, or out of memory); the videos finished so far are kept: start the same "
                                 "command again") from None
            if complaint:
                broken[video] = complaint
            bar.update()
    return broken


def prepare(folder, out, tree=None, features="mini", weights=None, vocab=None, clusters=6, levels=3, seed=0, progress=False, asr=None):
    """Prepare a corpus; return (summary dict, list of sentences about what was left out).

    folder: searched for videos, below it too. out: the corpus folder. tree, weights, vocab: files, or None to fit, to take the
    shipped ones, to learn. clusters, levels: k and d of a new tree. asr: the name or folder of a Whisper model that listens to
    videos without captions; None: they have no speech. Raises ValueError where nothing can be made.
    Of several processes, all get the sentences, the first one the summary, others {}.
    """
    folder, out = Path(folder), Path(out)
    if features == "mini" and weights is None:
        weights = DATA_SAMPLE / "weights" / "mini_s3d.safetensors"
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give the folder that holds the videos")
    videos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not videos:
        raise ValueError(f"{folder}: no video in it ({', '.join(sorted(SUFFIXES))}); give the folder that holds the videos")
    given_tree = Tree.load(tree) if tree else None
    extractor = open_extractor(features, weights)             # fails here, in a sentence, and not in a worker
    if given_tree is not None and given_tree.centroids[0].shape[1] != extractor.width:
        raise ValueError(f"{tree}: centroids of width {given_tree.centroids[0].shape[1]}, but features {features!r} have "
                         f"{extractor.width}; give the tree that was fitted on these features")
    pieces = WordPiece.read(vocab) if vocab else None
    if asr:
        Recogniser(asr)                                       # likewise; and what has a name is fetched once, here
    (out / "videos").mkdir(parents=True, exist_ok=True)
    made_by = file_hash(weights) if weights else "Kinetics-400"
    targets = {v: out / "videos" / (str(v.relative_to(folder)).replace(os.sep, "__") + ".npz") for v in videos}
    marks = {v: _mark(v, features, made_by, asr) for v in videos}
    rank, processes = place()
    cuts = [len(videos) * i // processes for i in range(processes + 1)]
    share = videos[cuts[rank]:cuts[rank + 1]]
    todo = [(v, targets[v], marks[v]) for v in share if _finished(targets[v], marks[v]) is None]
    broken = _extract(todo, len(share) - len(todo), (features, weights, asr), progress) if todo else {}
    broken = {video: complaint for theirs in gather(broken) for video, complaint in theirs.items()}      # all have finished, from here on
    done = {v: _finished(targets[v], marks[v]) for v in videos}
    lost = [targets[v] for v, one in done.items() if one is None and v not in broken]
    if lost:
        raise ValueError(f"{lost[0]}: missing or cut short, though it was finished; do all processes see the same folder? Start the same "
                         "command again, which makes it anew")
    done = {v: one for v, one in done.items() if one is not None}
    broken |= {video: str(one["complaint"]) for video, one in done.items() if str(one["complaint"])}
    complaints = [broken[v] for v in videos if v in broken]
    if not done:
        raise ValueError(f"{folder}: none of its {len(videos)} videos could be read; the first: {complaints[0]}")
    offsets = np.cumsum([0] + [one["clips"] for one in done.values()])
    if rank == 0:
        _lay_out(out, [targets[v] for v in done], offsets, extractor.width)
    gather(None)                                              # the others wait for the file
    features_NF = np.load(out / "features.npy", mmap_mode="r")
    own = [offsets[sum(v in done for v in videos[:cut])] for cut in cuts[rank:rank + 2]]
    rng = np.random.default_rng(seed)
    fitted = given_tree if given_tree is not None else fit(features_NF[own[0]:own[1]], clusters, levels, rng, progress=progress)
    summary = _write(out, folder, done, features_NF, offsets, fitted, pieces, rng, features, made_by) if rank == 0 else {}
    gather(None)                                              # nobody leaves before the corpus is whole
    return summary | ({"left out or in part": len(complaints)} if rank == 0 else {}), complaints


def _write(out, folder, done, features_NF, offsets, fitted, pieces, rng, features, made_by):
    """Write the corpus from features (N, F) and what is known of each video, {video: `_finished`}; return the summary."""
    fitted.save(out / "tree.npz")
    tokens, distance_N = distances(fitted, features_NF)
    spoken = [json.loads(str(one["sentences"])) for one in done.values()]
    if pieces is None:
        pieces = WordPiece.learn([text for list_ in spoken for text, *_ in list_], 8000)
    sentences = [[(ids, start, end) for text, start, end in list_ if (ids := pieces.encode(text))] for list_ in spoken]
    held_out = rng.permutation(len(done))[:-(-len(done) // 10)] if len(done) > 1 else []
    names = [str(v.relative_to(folder)) for v in done]
    languages = [str(one["language"]) or None for one in done.values()]
    write_corpus(out, np.split(tokens, offsets[1:-1]), sentences, pieces, fitted.k ** fitted.depth, np.sort(held_out),
                 names=names, languages=languages, features=features, weights_sha256=made_by, tree_sha256=file_hash(out / "tree.npz"))
    write_distances(out, distance_N[~np.isin(np.arange(len(done)), held_out).repeat(np.diff(offsets))])
    frames = _exemplar_frames(list(done), exemplars(fitted, features_NF), offsets)
    write_frames(out, frames, fitted.k ** fitted.depth)
    count = np.bincount(tokens)
    commonest = [word for word in np.argsort(-count, kind="stable") if word in frames][:PICTURED]
    plot_visual_words([(word, int(count[word]), frames[word]) for word in commonest], out / "visual_words.png")
    return {"videos": len(done), "clips": len(tokens), "minutes": len(tokens) * 1.5 / 60,
            "visual words used": f"{len(np.unique(tokens))} of {fitted.k ** fitted.depth}",
            "videos with speech": sum(bool(s) for s in sentences),
            "videos in another language": sum(not is_english(language) for language in languages), "sentences": sum(map(len, sentences)),
            "frames after the last whole clip": sum(int(one["dropped"]) for one in done.values())}


def _lay_out(out, parts, offsets, width):
    """Lay the features of all videos, files `parts`, end to end in features.npy (N, width), one video in memory at a time."""
    def write(path):
        array = np.lib.format.open_memmap(path, "w+", np.float32, (int(offsets[-1]), width))
        for part, start, end in zip(parts, offsets, offsets[1:]):
            with np.load(part, allow_pickle=False) as file:
                array[start:end] = file["features"]
            forget(array)
        array.flush()

    replace_file(out / "features.npy", write)


def _exemplar_frames(videos, clip_C, offsets):
    """Decode the middle frame of each visual word's exemplar: {word: (H, W, 3) uint8}. clip_C: `exemplars`; videos lie between offsets."""
    wanted, frames = {}, {}
    for word in np.flatnonzero(clip_C >= 0).tolist():
        v = int(np.searchsorted(offsets, clip_C[word], side="right")) - 1
        wanted.setdefault(v, {})[int(clip_C[word] - offsets[v])] = word
    for v, clips in wanted.items():
        for i, clip in zip(range(max(clips) + 1), clips_of(videos[v])):
            if i in clips:
                frames[clips[i]] = clip[len(clip) // 2]
    return frames


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.prepare", description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="folder of videos, with .vtt, .srt or .json3 captions beside them where there is speech")
    parser.add_argument("--out", required=True, help="corpus folder to write")
    parser.add_argument("--features", default="mini", choices=("mini", "s3d", "vit"),
                        help="mini: the small network trained on the kitchen; s3d: torchvision's S3D, for real videos; vit: the mean over "
                             "frames of a ViT that python -m minivbert.vision.train --data kitchen made (give its --weights)")
    parser.add_argument("--weights", help="the network's weights, a file (left out: the shipped ones for mini, Kinetics-400 for s3d)")
    parser.add_argument("--asr", metavar="MODEL", help="recognise the speech of videos without captions: a Whisper model's name (tiny.en; "
                        "tiny, base, ... know other languages too) or its folder; needs requirements-asr.txt")
    parser.add_argument("--tree", help="reuse this tree.npz instead of fitting one")
    parser.add_argument("--vocab", help="reuse this vocab.txt (BERT's, say) instead of learning one from the captions")
    parser.add_argument("--clusters", type=int, default=6, help="k of a new tree (the paper: 12)")
    parser.add_argument("--levels", type=int, default=3, help="d of a new tree (the paper: 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the tree and of the held-out videos")
    o = parser.parse_args(argv)
    try:
        join()
        summary, complaints = prepare(o.folder, o.out, o.tree, o.features, o.weights, o.vocab, o.clusters, o.levels, o.seed,
                                      progress=True, asr=o.asr)
    except (ValueError, OSError) as error:
        fail(error)
    if place()[0] > 0:
        return 1 if complaints else 0
    for key, value in summary.items():
        print(f"{key:<34}{value:>12.1f}" if isinstance(value, float) else f"{key:<34}{value:>12}")
    print(f"corpus: {o.out}; its visual words: {o.out}/visual_words.png")
    for complaint in complaints:
        print(f"left out: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
