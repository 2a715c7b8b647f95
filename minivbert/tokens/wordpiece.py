"""WordPiece: a sentence to ids and back, with BERT's own normaliser, and a vocabulary learned from text.

VideoBERT (arXiv 1904.01766), section 4: sentences get BERT's text preprocessing and WordPiece, with BERT's vocabulary.
    encode   text -> words (clean, space out ideographs, lower, strip accents, split off punctuation)
             word -> pieces: the longest piece of the vocabulary that starts the rest of the word, again and again;
             a piece inside a word is written "##piece"; a word with no such cut, or over 100 characters, is [UNK]
    learn    start from single characters; join the pair of neighbours that is most frequent in the text, until
             `size` tokens are in use
Axes: a sentence is a plain list of ids (T,); the vocabulary is a list (Vt,), line number = id, as in vocab.txt.

Differs from, or not stated in, the paper:
- The paper uses BERT's 30,522 pieces; `WordPiece.read` takes that file, `WordPiece.learn` makes a small one of the same kind.
- Pairs are joined by count, as most implementations do, not by likelihood gain count(ab) / (count(a) count(b)), which joins
  pairs of rare letters first and so leaves frequent words in pieces.
- A piece that later joins have used up ("toma" once every "toma" is in "tomato") gives its place back, so every learned
  piece of the vocabulary is one that the text needs. Single characters always stay: a new word can be spelled.
- Characters that are private or not (yet) assigned in Unicode are treated as BERT's published code treats them: kept,
  hence [UNK].

Try: WordPiece.learn(["chop the tomato", "chop the onion"], size=40).encode("Chop the [MASK]!")
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from pathlib import Path

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100
IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)
