"""The corpus on disk: what goes in comes out; damage is named."""
import io
import json

import numpy as np
import pytest

from minivbert.tokens.corpus import ARRAYS, Corpus, CorpusError, write_corpus
from minivbert.tokens.wordpiece import SPECIALS, WordPiece
from small import small_corpus


def test_what_goes_in_comes_out(tmp_path):
    vocab = WordPiece([*SPECIALS, "slice", "the", "egg", "."])
    sentences = [[([5, 6, 7, 8], 0.25, 2.5), ([6, 7], 3.0, 4.0)], [], [([7], 0.0, 1.0)]]
    write_corpus(tmp_path, [[1, 2, 3], [], [8]], sentences, vocab, 9, held_out=[2], names=["a", "b", "c"])
    corpus = Corpus.open(tmp_path)
    assert [corpus.video(v).tolist() for v in range(3)] == [[1, 2, 3], [], [8]]
    assert corpus.sentence_video.tolist() == [0, 0, 2]
    assert corpus.sentence(0) == "slice the egg ." and corpus.sentence_times[1].tolist() == [3.0, 4.0]
    training, held_out = corpus.split()
    assert training.tolist() == [0, 1] and held_out.tolist() == [2]
    assert corpus.meta["names"] == ["a", "b", "c"] and corpus.visual.dtype == np.uint16
    assert isinstance(corpus.visual, np.memmap)
    assert not list(tmp_path.glob(".*")), "a temporary file was left behind"


def test_an_unfinished_or_damaged_corpus_is_one_clear_sentence(tmp_path):
    with pytest.raises(CorpusError, match="meta.json.*minivbert.prepare"):
        Corpus.open(tmp_path / "none")
    small_corpus(tmp_path, shows=10)
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"visual_words": 3}))
    with pytest.raises(CorpusError, match="visual token .* of 3 visual words"):
        Corpus.open(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    for name in ARRAYS:
        path = tmp_path / f"{name}.npy"
        whole = path.read_bytes()
        path.write_bytes(whole[:-8])
        with pytest.raises(CorpusError, match=f"{name}.npy: damaged or cut short at {len(whole) - 8:,} bytes"):
            Corpus.open(tmp_path)
        path.unlink()
        with pytest.raises(CorpusError, match=f"{name}.npy: not there"):
            Corpus.open(tmp_path)
        np.save(path, np.load(io.BytesIO(whole))[:-1])                        # whole as a file, but a row short
        with pytest.raises(CorpusError, match="damaged"):
            Corpus.open(tmp_path)
        path.write_bytes(whole)
    Corpus.open(tmp_path)


def test_writing_again_over_a_corpus_never_shows_half_of_it(tmp_path, monkeypatch):
    small_corpus(tmp_path, shows=10)
    monkeypatch.setattr(np, "save", lambda path, array: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        small_corpus(tmp_path, shows=12)
    with pytest.raises(CorpusError, match="no finished corpus"):
        Corpus.open(tmp_path)
