"""Captions to timed words [(word, start, end)], and timed words to sentences [(sentence, start, end)], in seconds.

VideoBERT (arXiv 1904.01766), "Video and language preprocessing": speech becomes sentences with a start and an end, and the
clips between the two become the sentence's visual tokens. Here the words come from the file beside the video
(`caption_files.py` reads the formats):

    rolling captions   YouTube's automatic captions show every line three times: as it is spoken below the line before, for
                       10 ms alone, and above the next one. Only what comes onto the screen counts
    what is no speech  [Music], (applause), ♪, >> and the dash of a speaker are taken out
    times of words     those of the file, where it has any; else the words share the cue's time in proportion to characters:
                       characters a to b of n last from start + (end - start) a / n to start + (end - start) b / n
    sentences          are cut after . ? !; for words without such marks there is the punctuator (`punctuate.py`)

Times never run backwards: start <= end <= next start. Cues that overlap are read one after the other: one ends where the next
starts, and cues that start together share the time of the longest.

Axes: a list of words, and a list of sentences, both in order of time.

Differs from, or not stated in, the paper:
- The paper transcribes the sound track; captions, where there are any, are read instead.
- Captions with marks keep them; the paper punctuates whatever it recognised.
- Abbreviations get no special care: "approx. 2 eggs" is cut after "approx.".

Try: sentences_of(read_captions("show.vtt"))
"""

import re
from collections.abc import Sequence
from pathlib import Path

from minivbert.tokens.caption_files import Cue, cues_of, plain
from minivbert.tokens.punctuate import Word

ENDINGS = tuple(language + kind for kind in (".vtt", ".srt", ".json3") for language in ("", ".en", ".en-orig", ".en-US", ".en-GB"))
NOT_SPEECH = re.compile(
    r"\[[^\[\]]*\]|\((?:music|applause|laughter)\b[^()]*\)|\([♩♪♫♬\s]+\)|[♩♪♫♬]|>>+|^\s*[-–—](?=\s|[^\W\d])",
    re.IGNORECASE | re.MULTILINE,
)
STOP = re.compile(r"[.?!…]+[\"'”’)\]]*$")
BLINK = 0.009, 0.011            # [s] rolling captions show a line alone for 10 ms
WORDS_A_STOP = 60               # with fewer marks than one in so many words, captions count as not punctuated


def read_captions(path: Path | str) -> list[Word]:
    """Read a .vtt, .srt or .json3 file into timed words (word, start [s], end [s]), with the marks that stand at their ends.

    Raises ValueError naming file and place for what cannot be read (see `caption_files.cues_of`).
    """
    return words_of(cues_of(path))


def captions_beside(video_path: Path | str) -> Path | None:
    """Find the caption file of show.mp4: show.vtt, else show.en.vtt, ..., show.srt, ..., show.en.json3, ..., else None."""
    video_path = Path(video_path)
    beside = (video_path.with_name(video_path.stem + ending) for ending in ENDINGS)
    return next((path for path in beside if path.is_file()), None)


def words_of(cues: Sequence[Cue]) -> list[Word]:
    """Turn cues, in order of start time, into timed words.

    >>> words_of([Cue(((("Hi. Now", None),),), 0.0, 7.0), Cue(((("chop", None), (" it!", 8.5)),), 8.0, 9.0)])
    [('Hi.', 0.0, 3.0), ('Now', 4.0, 7.0), ('chop', 8.0, 8.5), ('it!', 8.5, 9.0)]
    """
    cues, words = _one_after_the_other(_unrolled(cues)), []
    for cue in cues:
        pieces = [piece for row in cue.rows for piece in (("\n", None), *row)]
        words.extend(_timed(pieces, cue.start, cue.end))
    return words


def sentences_of(words: Sequence[Word]) -> list[tuple[str, float, float]]:
    """Cut timed words into sentences (sentence, start [s], end [s]) at their own marks: after . ? !, and after the last word.

    What has no letter or digit in it is no sentence.

    >>> sentences_of([("Hi.", 0.0, 3.0), ("Now", 4.0, 7.0), ("chop", 8.0, 8.5), ("it!", 8.5, 9.0)])
    [('Hi.', 0.0, 3.0), ('Now chop it!', 4.0, 9.0)]
    """
    sentences, first = [], 0
    for n, (word, _, end) in enumerate(words, start=1):
        if STOP.search(word) or n == len(words):
            sentences.append((" ".join(word for word, *_ in words[first:n]), words[first][1], end))
            first = n
    return [sentence for sentence in sentences if re.search(r"\w", sentence[0])]


def is_punctuated(words: Sequence[Word]) -> bool:
    """Tell whether words have marks enough to be cut into sentences at them.

    >>> is_punctuated([("Hi.", 0.0, 1.0)]), is_punctuated([("hi", 0.0, 1.0)])
    (True, False)
    """
    return sum(bool(STOP.search(word)) for word, *_ in words) * WORDS_A_STOP >= max(len(words), 1)


def _unrolled(cues: Sequence[Cue]) -> list[Cue]:
    """Take out of rolling captions every row that stood on the screen before; other captions stay as they are.

    Captions roll where a quarter of the cues or more blink. The rows that a cue begins with and the screen ended with have moved
    up; those below are new.
    """
    if 4 * sum(BLINK[0] < cue.end - cue.start < BLINK[1] for cue in cues) < max(len(cues), 1):
        return list(cues)
    fresh, screen = [], []
    for cue in cues:
        rows = [row for row in cue.rows if plain(row)]
        texts = [plain(row) for row in rows]
        kept = max(k for k in range(len(texts) + 1) if texts[:k] == screen[len(screen) - k:])
        if kept < len(rows):
            fresh.append(Cue(tuple(rows[kept:]), cue.start, cue.end))
        screen = texts
    return fresh


def _one_after_the_other(cues: Sequence[Cue]) -> list[Cue]:
    """End each cue where the next one starts, if not before; join those that start together.

    >>> row = lambda text: ((text, None),)
    >>> [cue[1:] for cue in _one_after_the_other([Cue((row("a"),), 0, 3), Cue((row("b"),), 2, 4), Cue((row("c"),), 2, 5)])]
    [(0, 2), (2, 5)]
    """
    apart: list[Cue] = []
    for cue in cues:
        if apart and apart[-1].start == cue.start:
            last = apart.pop()
            cue = Cue(last.rows + cue.rows, cue.start, max(last.end, cue.end))
        elif apart and apart[-1].end > cue.start:
            apart[-1] = apart[-1]._replace(end=cue.start)
        apart.append(cue)
    return apart


def _timed(pieces: Sequence[tuple[str, float | None]], start: float, end: float) -> list[Word]:
    """Time the words of one cue: a piece lasts until the next one that has a time, its words share it by characters.

    A word that goes on in the next piece is one word.

    >>> _timed([("ho", None), ("ney", 1.0), (" and", 2.0), ("", 3.0), (" milk", 3.5)], 0.0, 4.0)
    [('honey', 0.0, 2.0), ('and', 2.0, 3.0), ('milk', 3.5, 4.0)]
    """
    spans: list[tuple[str, float]] = [("", start)]
    for text, time in pieces:
        if time is None:
            spans[-1] = (spans[-1][0] + text, spans[-1][1])
        else:
            spans.append((text, min(max(time, spans[-1][1]), end)))
    joined = "".join(text for text, _ in spans)
    joined = NOT_SPEECH.sub(lambda found: " " * len(found[0]), joined)          # as long as before, so that places stay
    words: list[Word] = []
    place = 0
    for (text, first), (_, last) in zip(spans, [*spans[1:], ("", end)]):
        said = joined[place : place + len(text)]
        parts, at = said.split(), 0
        goes_on = said[:1].strip() and joined[:place][-1:].strip()
        for i, part in enumerate(parts):
            a, b = (round(first + (last - first) * x / len(" ".join(parts)), 6) for x in (at, at + len(part)))
            if i == 0 and goes_on:
                begun, a, _ = words.pop()
                part = begun + part
            words.append((part, a, b))
            at += len(parts[i]) + 1
        place += len(text)
    return words
