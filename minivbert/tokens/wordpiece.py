"""WordPiece: a sentence to ids and back, with BERT's own normaliser, and a vocabulary learned from text.

VideoBERT (arXiv 1904.01766), "Video and language preprocessing": BERT's text preprocessing and WordPiece.
    words    text -> words: clean, space out ideographs, lower, strip accents, split off punctuation
    encode   word -> pieces: the longest piece of the vocabulary that starts the rest of the word, again and
             again; a piece inside a word is written "##piece"; a word that cannot be cut so, or that has more
             than 100 characters, is [UNK]
    cache    what `encode` found for a run of characters between blanks is kept: talk repeats itself
    learn    start from single characters; join the most frequent pair of neighbours, again and again, while
             the tokens in use are `size` or fewer
Axes: a sentence is a plain list of ids (T,); a vocabulary is a list of tokens (Vt,), line number = id.

Differs from, or not stated in, the paper:
- The paper uses BERT's 30,522 tokens: `WordPiece.read` takes that file, `learn` makes a small one like it.
- Pairs are joined by count, as most implementations do, not by likelihood gain count(ab) / (count(a)
  count(b)), which begins with pairs of rare letters and so leaves frequent words in pieces.
- Where BERT's two published tokenizers differ, the ids are those of the fast one (Hugging Face's): capital sigma becomes a
  small sigma wherever it stands, never a final sigma; the ideographs U+2B820 to U+2B91F do not stand alone.
- Categories are those of Python's Unicode tables. The fast tokenizer's are of 2015, so some 500 marks and punctuation
  signs that are younger count as plain characters there.
- A piece that later joins use up ("toma", once every "toma" stands in "tomato") gives its place back. Single
  characters stay, so that a new word of known letters can be spelled.

Try: WordPiece.learn(["chop the tomato", "chop the onion"], size=40).encode("Chop the [MASK]!")
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from pathlib import Path

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100
IDEOGRAPHS = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip
BLANKS = re.compile("[\t\n\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
ASCII_WORD = re.compile("[a-z0-9]+|[^a-z0-9 ]")
CACHED = 100_000
SPECIAL_IN_TEXT = re.compile("(" + "|".join(map(re.escape, SPECIALS)) + ")")


class _Cleaner(dict):
    """For str.translate: drop control and private characters, set ideographs apart."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if char == "\ufffd" or (category[0] == "C" and category != "Cn" and char not in "\t\n\r"):
            self[code] = ""
        elif any(first <= code <= last for first, last in IDEOGRAPHS):
            self[code] = f" {char} "
        else:
            self[code] = char
        return self[code]


class _Splitter(dict):
    """For str.translate, after NFD: drop accents, set punctuation marks apart."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Mn":
            self[code] = ""
        elif category[0] == "P" or char in "$+<=>^`|~":
            self[code] = f" {char} "
        else:
            self[code] = char
        return self[code]


_CLEANER, _SPLITTER = _Cleaner(), _Splitter()


def words_of(text: str) -> list[str]:
    """Cut a text into BERT's normalised words; the five special tokens stay whole if written exactly so.

    >>> words_of("Sauté the jalapeños, don't BURN them!")
    ['saute', 'the', 'jalapenos', ',', 'don', "'", 't', 'burn', 'them', '!']
    >>> words_of("how to [MASK] the 豆腐")
    ['how', 'to', '[MASK]', 'the', '豆', '腐']
    """
    if text.isascii() and text.isprintable() and "[" not in text:  # most talk: the same by a shorter way
        return ASCII_WORD.findall(text.lower())
    words = []
    for part in SPECIAL_IN_TEXT.split(text):
        if part in SPECIALS:
            words.append(part)
        else:
            lower = part.translate(_CLEANER).replace("Σ", "σ").lower()
            plain = unicodedata.normalize("NFD", lower)
            words.extend(plain.translate(_SPLITTER).split())
    return words


class _Cache(dict):
    """Chunk of text -> its ids, found when first asked for; emptied when it has grown to `CACHED` chunks."""

    def __init__(self, find: Callable[[str], tuple[int, ...]]):
        super().__init__()
        self.find = find

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        if len(self) >= CACHED:
            self.clear()
        self[chunk] = ids = self.find(chunk)
        return ids


class WordPiece:
    """BERT's tokenizer over `vocab` (Vt,), whose order gives the ids.

    Attributes: vocab, list of tokens; ids, dict token -> id; pad, unk, cls, sep, mask, ids of the specials.
    Raises ValueError if a special token is missing, or a token is empty or stands twice.

    >>> pieces = WordPiece([*SPECIALS, "chop", "the", "on", "##ion", "##s"])
    >>> pieces.encode("Chop the onions now")
    [5, 6, 7, 8, 9, 1]
    >>> pieces.decode([5, 6, 7, 8, 9, 1])
    'chop the onions [UNK]'
    >>> pieces.mask, len(pieces)
    (4, 10)
    """

    def __init__(self, vocab: Sequence[str]):
        self.vocab = list(vocab)
        self.ids = {token: i for i, token in enumerate(self.vocab)}
        missing = [token for token in SPECIALS if token not in self.ids]
        if missing:
            raise ValueError(f"the vocabulary lacks {', '.join(missing)}; give every special token a line")
        if "" in self.ids:
            raise ValueError(f"line {self.vocab.index('') + 1} of the vocabulary is empty; take it out")
        if len(self.ids) < len(self.vocab):
            first = next(i for i, token in enumerate(self.vocab) if self.ids[token] != i)
            token = self.vocab[first]
            raise ValueError(
                f"the vocabulary holds {token!r} on lines {first + 1} and {self.ids[token] + 1}; "
                "a line number is an id, so keep each token once"
            )
        self.pad, self.unk, self.cls, self.sep, self.mask = (self.ids[token] for token in SPECIALS)
        self._longest = max(map(len, self.vocab))
        self._cache = _Cache(self._encode_chunk)

    def __len__(self) -> int:
        """Return the number of tokens, Vt."""
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        """Turn a text into ids, without adding [CLS] or [SEP]."""
        # nothing in the normaliser looks across a blank; of printable characters only " " is one
        chunks = text.split() if text.isprintable() else BLANKS.split(text)
        return list(chain.from_iterable(map(self._cache.__getitem__, chunks)))

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids (T,) into words with one blank between; raise ValueError for an id outside 0..Vt-1."""
        ids = [int(i) for i in ids]
        outside = [i for i in ids if not 0 <= i < len(self.vocab)]
        if outside:
            raise ValueError(
                f"got id {outside[0]}, expected text ids 0..{len(self) - 1}; leave [>] and visual ids out"
            )
        return " ".join(self.vocab[i] for i in ids).replace(" ##", "")

    def _encode_chunk(self, chunk: str) -> tuple[int, ...]:
        return tuple(i for word in words_of(chunk) for i in self._pieces(word))

    def _pieces(self, word: str) -> list[int]:
        """Cut one normalised word greedily into the longest pieces the vocabulary holds."""
        if len(word) > LONGEST_WORD:
            return [self.unk]
        if (whole := self.ids.get(word)) is not None:
            return [whole]
        pieces, rest = [], word
        while rest != "##":
            for end in range(min(len(rest), self._longest), 2 if pieces else 0, -1):
                if (piece := self.ids.get(rest[:end])) is not None:
                    pieces.append(piece)
                    rest = "##" + rest[end:]
                    break
            else:
                return [self.unk]
        return pieces

    @classmethod
    def read(cls, path: Path | str) -> "WordPiece":
        """Read a vocab.txt (UTF-8, line number = id); raise ValueError naming the file if it is not one."""
        try:
            with open(path, encoding="utf-8-sig") as lines:
                return cls([line.rstrip("\n") for line in lines])
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8 text") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def write(self, path: Path | str) -> None:
        """Write a vocab.txt, one token a line; it takes its name when it is complete."""
        path = Path(path)
        unfinished = path.with_name(path.name + ".tmp")
        unfinished.write_text("".join(f"{token}\n" for token in self.vocab), encoding="utf-8", newline="\n")
        os.replace(unfinished, path)

    @classmethod
    def learn(cls, texts: Iterable[str] | Mapping[str, int], size: int) -> "WordPiece":
        """Learn a vocabulary of at most `size` tokens from texts, or from a mapping text (or word) -> count.

        Special tokens come first, then every character seen, then the joined pieces, oldest join first. Fewer
        than `size` when fewer make every word whole. Ties go to the pair that is first alphabetically.
        Raises ValueError if the characters alone do not fit into `size`.

        >>> WordPiece.learn({"hug": 3, "hugs": 2, "bug": 1}, size=17).vocab[5:]
        ['##b', '##g', '##h', '##s', '##u', 'b', 'g', 'h', 's', 'u', '##ug', 'hug']
        """
        counts: Counter[str] = Counter()
        for text, count in Counter(texts).items():
            for word in words_of(text):
                if word not in SPECIALS and len(word) <= LONGEST_WORD:
                    counts[word] += count
        inside = {char for word in counts if len(word) > 1 for char in word}
        alone = {word for word in counts if len(word) == 1}
        alphabet = sorted(alone | inside | {f"##{char}" for char in inside})
        room = size - len(SPECIALS) - len(alphabet)
        if room < 0:
            raise ValueError(
                f"got size {size}, but {len(SPECIALS)} special tokens and {len(alphabet)} characters need "
                f"{size - room}; raise size, or drop texts with rare characters"
            )
        return cls([*SPECIALS, *alphabet, *_join_pairs(counts, room)])


def _join_pairs(counts: Mapping[str, int], room: int) -> list[str]:
    """Join the most frequent neighbours inside words again and again; return the joined pieces then in use.

    Joins run until every word is whole; what is returned is the state after the last join that left at most
    `room` joined pieces in use. Outdated counts stay in the heap and are skipped when popped.
    """
    cuts = [[word[0], *(f"##{char}" for char in word[1:])] for word in counts]
    times = list(counts.values())
    uses: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    places = defaultdict(set)
    for w, cut in enumerate(cuts):
        for piece in cut:
            uses[piece] += times[w]
        for pair in zip(cut, cut[1:]):
            pairs[pair] += times[w]
            places[pair].add(w)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapify(heap)
    in_use: set[str] = set()
    history, fitting = [], 0
    while heap:
        negative, pair = heappop(heap)
        if not 0 < -negative == pairs[pair]:
            continue
        piece = pair[0] + pair[1].removeprefix("##")
        changed = set()
        for w in places.pop(pair):
            old, cuts[w] = cuts[w], _join(cuts[w], pair, piece)
            for sign, cut in ((-times[w], old), (times[w], cuts[w])):
                for part in cut:
                    uses[part] += sign
                for neighbours in zip(cut, cut[1:]):
                    pairs[neighbours] += sign
                    changed.add(neighbours)
            for neighbours in zip(cuts[w], cuts[w][1:]):
                places[neighbours].add(w)
        for neighbours in changed:
            heappush(heap, (-pairs[neighbours], neighbours))
        used_up = {part for part in pair if not uses[part]}
        in_use.add(piece)
        in_use -= used_up
        history.append((piece, used_up))
        if len(in_use) <= room:
            fitting = len(history)
    joined: dict[str, None] = {}
    for piece, used_up in history[:fitting]:
        joined[piece] = None
        for part in used_up:
            joined.pop(part, None)
    return list(joined)


def _join(cut: list[str], pair: tuple[str, str], piece: str) -> list[str]:
    """Replace every occurrence of `pair` in a cut word, left to right.

    >>> _join(["b", "##a", "##n", "##a", "##n"], ("##a", "##n"), "##an")
    ['b', '##an', '##an']
    """
    out, i = [], 0
    while i < len(cut):
        found = tuple(cut[i : i + 2]) == pair
        out.append(piece if found else cut[i])
        i += 2 if found else 1
    return out
