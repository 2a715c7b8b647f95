"""What all downstream commands share: a trained run with its corpus and tree; a video file as visual tokens and timed sentences; inputs.

    run folder + corpus folder        ->  model, config, corpus, tree                         `open_run`
    video file (+ .vtt, .srt)         ->  visual tokens, features, distances, sentences       `tokens_of_video`
    any clips (a still image held)    ->  the same without sentences                          `tokens_of_clips`
    text ids, visual tokens or holes  ->  [CLS] text [>] video [SEP], padded                  `lay_out`

VideoBERT, section 4: the same frames, clips, features and tree as in pretraining, or the tokens mean nothing. So the extractor's weights
and the tree are checked against the hashes in the corpus' meta.json.

Axes: N clips, F features, B rows, T tokens, C visual words, H height, W width.

    >>> model, config, corpus, tree = open_run()                                              # doctest: +SKIP
    >>> footage = tokens_of_video("show.mp4", corpus, tree)                                   # doctest: +SKIP
    >>> footage.tokens, footage.sentences, footage.verdict                                    # doctest: +SKIP
"""
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from minivbert import checkpoint
from minivbert.config import DATA_SAMPLE
from minivbert.files import file_hash
from minivbert.kitchen.film import make_show
from minivbert.kitchen.recipes import ACTIONS, World
from minivbert.tokens.caption_files import is_english, language_of
from minivbert.tokens.captions import captions_beside, is_punctuated, read_captions, sentences_of
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.domain import distances, is_foreign, read_distances, verdict
from minivbert.tokens.exemplars import read_frames
from minivbert.tokens.frames import CLIP_FRAMES, clips_of
from minivbert.tokens.hkmeans import Tree
from minivbert.tokens.punctuate import load_punctuator, restore
from minivbert.vision.clip_features import open_extractor

DEFAULT_RUN = DATA_SAMPLE / "weights" / "videobert"
DEFAULT_CORPUS = DATA_SAMPLE / "corpus"
PUNCTUATOR = DATA_SAMPLE / "weights" / "punctuator.safetensors"
THUMBNAIL = 160               # pixels: frames kept for pictures are thinned out to at most this side
FILMED_SEED, SAMPLED_SEED = 0, 3          # the seeds of `kitchen/sample.py`
HIDDEN = -1                   # a visual token that the model is asked for


def add_run_options(parser):
    """Add --run, --corpus and --weights, the same for every downstream command."""
    parser.add_argument("--run", default=DEFAULT_RUN, help="run folder that minivbert.train wrote (default: the shipped weights)")
    parser.add_argument("--corpus", default=DEFAULT_CORPUS, help="the corpus that it was trained on (default: the shipped one)")
    parser.add_argument("--weights", help="weights of the feature extractor (default: those the corpus was made with)")


def open_run(run=DEFAULT_RUN, corpus=DEFAULT_CORPUS):
    """Open a finished run with the corpus it was trained on: (model in eval mode, config, corpus, tree or None).

    run, corpus: folders. Raises ValueError where one is missing or damaged, or the two do not belong together.
    """
    model, config = checkpoint.load_model(run)
    corpus = Corpus.open(corpus)
    if (config.model.text_vocab, config.model.visual_vocab) != (len(corpus.vocab), corpus.visual_words):
        raise ValueError(f"{run}: trained with {config.model.text_vocab} words and {config.model.visual_vocab} visual words, but "
                         f"{corpus.folder} has {len(corpus.vocab)} and {corpus.visual_words}; give the corpus it was trained on")
    path = corpus.folder / "tree.npz"
    if not path.is_file():
        return model, config, corpus, None
    if file_hash(path) != corpus.meta.get("tree_sha256", file_hash(path)):
        raise ValueError(f"{path}: not the tree that the corpus' tokens were made with (its hash is not the one in meta.json); "
                         "prepare the corpus again")
    return model, config, corpus, Tree.load(path)


def extractor_of(corpus, weights=None):
    """Open the feature extractor that a corpus was made with.

    weights: a file; None: for "mini", the file of the right hash beside the corpus or in the data sample, for "s3d" Kinetics'.
    Raises ValueError where the weights are missing or not those of the corpus.
    """
    name, wanted = corpus.meta.get("features"), corpus.meta.get("weights_sha256")
    if name is None:
        raise ValueError(f"{corpus.folder}: meta.json names no feature extractor, so no video can be turned into its tokens; give a "
                         "corpus made by minivbert.prepare")
    if weights is None and name == "mini":
        beside = corpus.folder.parent / "weights" / "mini_s3d.safetensors", DATA_SAMPLE / "weights" / "mini_s3d.safetensors"
        weights = next((path for path in beside if path.is_file() and file_hash(path) == wanted), None)
        if weights is None:
            raise ValueError(f"{corpus.folder}: no weights of the feature extractor with hash {str(wanted)[:12]} in "
                             f"{' or '.join(str(path.parent) for path in dict.fromkeys(beside))}; give the file with --weights")
    elif weights is not None and Path(weights).is_file() and wanted != file_hash(weights):
        raise ValueError(f"{weights}: not the weights that {corpus.folder} was made with (hash {str(wanted)[:12]} is wanted); give those")
    return open_extractor(name, weights)


@dataclass(frozen=True)
class Footage:
    """A video as the model sees it.

    tokens (N,) int64; features (N, F) float32; distance (N,) to the tokens' centroids; reference (Q,) quantiles of the training clips'
    distances, or None; frames: the middle frame of each clip, (H, W, 3) uint8, thinned out; dropped: frames after the last whole
    clip; sentences: [(text, start [s], end [s])], empty without captions.
    """
    tokens: np.ndarray
    features: np.ndarray
    distance: np.ndarray
    reference: np.ndarray | None
    frames: list
    dropped: int = 0
    sentences: list = field(default_factory=list)

    @property
    def foreign(self):
        """Tell whether the video is out of domain (False where that is not known)."""
        return self.reference is not None and is_foreign(self.distance, self.reference)

    @property
    def verdict(self):
        """Say in one sentence whether the video is in or out of domain, and how far."""
        return verdict(self.distance, self.reference)


def distance_to_tree(features_NF, corpus, tree):
    """Encode features (N, F) and look how far they lie: tokens (N,), distances (N,), training quantiles (Q,) or None."""
    return *distances(tree, features_NF), read_distances(corpus.folder)


def tokens_of_clips(clips, corpus, tree, weights=None, name="clips", progress=False):
    """Turn clips, any iterable of (30, H, W, 3) uint8, into `Footage` without sentences, one clip in memory at a time.

    name: how a message calls them. A still image is one clip: its frame 30 times. Raises ValueError for no clip, or for a corpus
    without tree.npz.
    """
    if tree is None:
        raise ValueError(f"{corpus.folder}: no tree.npz in it, so features cannot become visual tokens; give a prepared corpus")
    extractor = extractor_of(corpus, weights)
    features, frames = [], []
    for clip in tqdm(clips, desc="clips", unit="clip", disable=not progress, dynamic_ncols=True, leave=False):
        features.append(extractor(clip[None])[0])
        frames.append(thin(clip[CLIP_FRAMES // 2]))
    dropped = getattr(clips, "dropped", 0)
    if not features:
        raise ValueError(f"{name}: {dropped} frames at 20 fps, shorter than one clip of {CLIP_FRAMES}; give a longer video")
    features_NF = np.stack(features)
    token_N, distance_N, reference_Q = distance_to_tree(features_NF, corpus, tree)
    return Footage(token_N, features_NF, distance_N, reference_Q, frames, dropped)


def tokens_of_video(path, corpus, tree, weights=None, progress=False):
    """Turn a video file, and the English captions beside it where there are any, into `Footage`.

    Raises ValueError for a file that cannot be read or is shorter than a clip, and for a broken caption file.
    """
    footage = tokens_of_clips(clips_of(path), corpus, tree, weights, str(path), progress)
    captions = captions_beside(path)
    if captions is not None and is_english(language_of(captions)):
        words = read_captions(captions)
        footage.sentences.extend(sentences_of(words) if is_punctuated(words) else restore(words, load_punctuator(PUNCTUATOR)))
    return footage


def thin(frame_HW3):
    """Thin a frame out to at most 160 pixels a side, for pictures.

    >>> thin(np.zeros((1080, 1920, 3), np.uint8)).shape
    (90, 160, 3)
    """
    step = -(-max(frame_HW3.shape[:2]) // THUMBNAIL)
    return frame_HW3[::step, ::step].copy()


def lay_out(vocab, texts, films):
    """Lay rows out as in pretraining, [CLS] text [>] video [SEP], padded to the longest.

    vocab: WordPiece; texts: a list of id sequences; films: a list of visual tokens each, HIDDEN (-1) where the model is asked ([MASK]),
    or None for a row of text only, [CLS] text [SEP].
    Returns ids, types (B, T) int64, keep (B, T) bool tensors, as `VideoBERT.encode` takes them, and clip_at (B, N) int64: the
    position of each clip, 0 past a row's end.

    >>> from minivbert.tokens.wordpiece import SPECIALS, WordPiece
    >>> ids, types, keep, clip_at = lay_out(WordPiece([*SPECIALS, "stir"]), [[5], []], [[7, -1], [0]])
    >>> ids.tolist(), types[0].tolist(), clip_at.tolist()
    ([[2, 5, 6, 14, 4, 3], [2, 6, 7, 3, 0, 0]], [0, 0, 0, 1, 1, 1], [[3, 4], [2, 0]])
    """
    joint, rows, clips = len(vocab), [], []
    for text, film in zip(texts, films, strict=True):
        row = [vocab.cls, *(int(i) for i in text)]
        clips.append([] if film is None else [len(row) + 1 + k for k in range(len(film))])
        if film is not None:
            row += [joint, *(vocab.mask if v == HIDDEN else joint + 1 + int(v) for v in film)]
        rows.append(row + [vocab.sep])
    ids = np.full((len(rows), max(map(len, rows))), vocab.pad)
    types, keep = np.zeros_like(ids), np.zeros(ids.shape, bool)
    clip_at = np.zeros((len(rows), max(map(len, clips))), np.int64)
    for b, (row, at, film) in enumerate(zip(rows, clips, films)):
        ids[b, :len(row)], keep[b, :len(row)], clip_at[b, :len(at)] = row, True, at
        if film is not None:
            types[b, len(row) - 1 - len(film):len(row)] = 1
    return torch.from_numpy(ids), torch.from_numpy(types), torch.from_numpy(keep), torch.from_numpy(clip_at)


@torch.no_grad()
def guess_clips(model, vocab, texts, films):
    """Ask the model for the hidden clips: probabilities (B, N, C) float64 numpy of every clip, hidden or not; arguments as `lay_out`."""
    ids, types, keep, clip_at = lay_out(vocab, texts, films)
    return model.video_logits(model.encode(ids, types, keep), clip_at).double().softmax(-1).numpy()


def exemplar_frames(corpus):
    """Give a frame of each visual word's exemplar (C, H, W, 3) uint8; raise ValueError where the corpus has none."""
    return read_frames(corpus.folder)


def word_names(corpus):
    """Name each visual word by the action that it shows most often, "fry egg"; C empty strings where nobody knows the truth."""
    path = corpus.folder / "emission.npz"
    if not path.is_file():
        return [""] * corpus.visual_words
    with np.load(path, allow_pickle=False) as file:
        share_CA = action_shares(World(), file["emission"].astype(np.float64))
    return [" ".join(ACTIONS[a]) for a in share_CA.argmax(1)]


def shows_of(corpus, videos):
    """Tell the true story of videos of a kitchen corpus: a list of `recipes.Show`, drawn again from their seeds.

    Raises ValueError for a corpus that `kitchen/sample.py` did not make.
    """
    if not {"filmed", "lags"} <= set(corpus.meta):
        raise ValueError(f"{corpus.folder}: not a corpus from the kitchen, so nobody knows the truth about it; give data_sample/corpus")
    world, filmed = World(lags=tuple(corpus.meta["lags"])), corpus.meta["filmed"]
    shows = [make_show(world, FILMED_SEED, int(v)) if v < filmed else make_show(world, SAMPLED_SEED, int(v) - filmed) for v in videos]
    for v, show in zip(videos, shows):
        if len(show.action) != len(corpus.video(v)):
            raise ValueError(f"{corpus.folder}: video {v} has {len(corpus.video(v))} clips, its story {len(show.action)}; this kitchen is "
                             "not the one that made the corpus: build the sample again")
    return shows


def action_shares(world, emission):
    """Tell what each visual word shows: (C, A), the share of its clips in endlessly many shows that are of each action; rows sum to 1.

    world: `recipes.World`; emission (A, P, Y, C): P(visual token | action, phase, style).
    """
    time_AP, state_DS = np.zeros(emission.shape[:2]), world.start / len(world.dishes)
    alive_DS = world.state_action >= 0
    while state_DS[alive_DS].sum() > 1e-9:
        np.add.at(time_AP, (world.state_action[alive_DS], world.state_phase[alive_DS]), state_DS[alive_DS])
        state_DS = np.einsum("ds,dst->dt", state_DS, world.transition)
    share_CA = np.einsum("ap,apyc->ca", time_AP, emission)
    return share_CA / share_CA.sum(1, keepdims=True)
