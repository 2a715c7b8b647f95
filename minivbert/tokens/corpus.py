"""The tokenised videos on disk: flat arrays, opened memory-mapped, and one meta.json.

    visual.npy (n,) uint16            the visual tokens of all videos, one after the other
    visual_offsets.npy (V + 1,)       video v holds visual[visual_offsets[v]:visual_offsets[v + 1]]
    text.npy (m,) uint16              the WordPiece ids of all sentences, one after the other
    sentence_offsets.npy (S + 1,)     sentence s holds text[sentence_offsets[s]:sentence_offsets[s + 1]]
    sentence_times.npy (S, 2) float32 its start and end in its video, seconds
    sentence_video.npy (S,) int32     the video it belongs to, never decreasing
    vocab.txt, tree.npz               BERT's vocabulary file; the hierarchical k-means tree
    meta.json                         fps, clip length, video names, held-out videos, counts, hashes of what made it

uint16 because 20,736 visual words and BERT's 30,522 WordPieces both fit: the paper's 312K videos would be 111 MB (section 4.1:
966 days at 1.5 s a token). meta.json is written last, so a folder that has it is whole. Nothing is held in memory: what was read through
a mapping is given back.

    >>> corpus = Corpus.open("data_sample/corpus")              # doctest: +SKIP
    >>> corpus.video(0)[:5], corpus.sentence(0)                 # doctest: +SKIP
"""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minivbert.files import file_hash, forget, mapping_of, replace_file
from minivbert.tokens.wordpiece import WordPiece

ARRAYS = ("visual", "visual_offsets", "text", "sentence_offsets", "sentence_times", "sentence_video")


class CorpusError(ValueError):
    """Say in one sentence what is wrong with a corpus folder and what to do."""


@dataclass(frozen=True)
class Corpus:
    """A corpus folder, opened. Fields as in the module's docstring; arrays stay on disk until they are read."""
    folder: Path
    visual: np.ndarray
    visual_offsets: np.ndarray
    text: np.ndarray
    sentence_offsets: np.ndarray
    sentence_times: np.ndarray
    sentence_video: np.ndarray
    vocab: WordPiece
    meta: dict

    @classmethod
    def open(cls, folder):
        """Open a corpus folder; raise `CorpusError` if it is missing, unfinished or damaged."""
        folder = Path(folder)
        if not (folder / "meta.json").is_file():
            raise CorpusError(f"{folder}: no meta.json there, so it is no finished corpus; "
                              f"make one with: python -m minivbert.prepare FOLDER --out {folder}")
        arrays = {name: open_array(folder / f"{name}.npy") for name in ARRAYS}
        try:
            meta = json.loads((folder / "meta.json").read_text())
            corpus = cls(folder, **arrays, vocab=WordPiece.read(folder / "vocab.txt"), meta=meta)
            corpus._check()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"{folder}: the corpus is damaged ({error}); prepare it again") from error
        corpus.forget()
        return corpus

    def _check(self):
        for name, values, offsets in (("visual", self.visual, self.visual_offsets), ("text", self.text, self.sentence_offsets)):
            if offsets[0] != 0 or offsets[-1] != len(values) or any((part[1:] < part[:-1]).any() for part in parts(offsets)):
                raise ValueError(f"offsets do not fit the tokens: they end at {offsets[-1]}, {name}.npy has {len(values)}")
        sentences = len(self.sentence_offsets) - 1
        if not sentences == len(self.sentence_times) == len(self.sentence_video):
            raise ValueError(f"{sentences} sentences but {len(self.sentence_times)} times and {len(self.sentence_video)} videos of theirs")
        largest = {name: max((int(part.max()) for part in parts(getattr(self, name)) if len(part)), default=-1) for name in ("visual", "text")}
        if largest["visual"] >= self.visual_words:
            raise ValueError(f"visual token {largest['visual']} of {self.visual_words} visual words")
        if largest["text"] >= len(self.vocab):
            raise ValueError(f"text id {largest['text']} of {len(self.vocab)} words")

    def forget(self):
        """Give back the memory that the arrays were read through."""
        for name in ARRAYS:
            forget(getattr(self, name))

    @property
    def visual_words(self):
        """Count the visual words, k^d."""
        return self.meta["visual_words"]

    @property
    def videos(self):
        """Count the videos."""
        return len(self.visual_offsets) - 1

    def video(self, v):
        """Give the visual tokens (n,) of video v."""
        return self.visual[self.visual_offsets[v]:self.visual_offsets[v + 1]]

    def sentence(self, s):
        """Give the text of sentence s."""
        return self.vocab.decode(self.text[self.sentence_offsets[s]:self.sentence_offsets[s + 1]])

    def split(self):
        """Give the (training, held-out) video numbers: held-out *videos*, so that no show is on both sides."""
        held_out = np.asarray(self.meta["held_out"], dtype=int)
        return np.setdiff1d(np.arange(self.videos), held_out), held_out


def open_array(path):
    """Open one array memory-mapped; raise `CorpusError` if it is missing, cut short or no array."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise CorpusError(f"{path}: not there, so the corpus is not whole; copy the folder again, or prepare it again") from None
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{path}: damaged or cut short at {path.stat().st_size:,} bytes ({error}); copy the folder again, "
                          "or prepare it again") from error


def parts(array, size=2 ** 22):
    """Cut an array into pieces that overlap by one entry, and give back the memory of each that was read."""
    for start in range(0, max(1, len(array)), size):
        yield array[start:start + size + 1]
        forget(array)


def rows_of(array, index, size=16):
    """Give array[index], for an index (B,) or (B, ...) that leaps about, and give back the memory of what was read on the way.

    The system maps up to 2 MB around each page that is read, so that reading a few thousand rows of a mapped array at once would make
    most of it resident.
    """
    if mapping_of(array) is None:
        return array[index]
    out = np.empty(index.shape + array.shape[1:], array.dtype)
    for start in range(0, len(index), size):
        out[start:start + size] = array[index[start:start + size]]
        forget(array)
    return out


def write_corpus(folder, videos, sentences, vocab, visual_words, held_out, **meta):
    """Write a corpus folder: every file beside its place and renamed, meta.json last.

    videos: a list of token arrays (n,). sentences: a list, one entry a video, of [(ids, start, end)] (empty without speech).
    vocab: WordPiece. held_out: video numbers. meta: whatever else should stand in meta.json.
    """
    flat = [(v, *sentence) for v, list_ in enumerate(sentences) for sentence in list_]
    write_arrays(folder, {
        "visual": np.concatenate([np.asarray(v, np.uint16) for v in videos]),
        "visual_offsets": np.cumsum([0] + [len(v) for v in videos]),
        "text": np.concatenate([np.zeros(0, np.uint16)] + [np.asarray(ids, np.uint16) for _, ids, _, _ in flat]),
        "sentence_offsets": np.cumsum([0] + [len(ids) for _, ids, _, _ in flat]),
        "sentence_times": np.array([(start, end) for *_, start, end in flat], np.float32).reshape(-1, 2),
        "sentence_video": np.array([v for v, *_ in flat], np.int32),
    }, vocab, visual_words, held_out, **meta)


def write_arrays(folder, arrays, vocab, visual_words, held_out, **meta):
    """Write a corpus folder from its arrays, as in the module's docstring, in memory or memory-mapped."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").unlink(missing_ok=True)
    for name in ARRAYS:
        replace_file(folder / f"{name}.npy", lambda path, array=arrays[name]: np.save(path, array))
    vocab.write(folder / "vocab.txt")
    meta = {"fps": 20, "clip_frames": 30, "visual_words": int(visual_words), "held_out": [int(v) for v in held_out],
            "videos": len(arrays["visual_offsets"]) - 1, "clips": len(arrays["visual"]), "sentences": len(arrays["sentence_video"]), **meta,
            "sha256": {name: file_hash(folder / f"{name}.npy") for name in ARRAYS}}
    replace_file(folder / "meta.json", lambda path: path.write_text(json.dumps(meta, indent=1) + "\n"))
