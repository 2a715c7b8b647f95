"""Caption files, .vtt and .srt as people write them, to timed sentences [(sentence, start, end)] in seconds.

VideoBERT (arXiv 1904.01766), "Video and language preprocessing": speech becomes sentences with a start and
an end, and the clips between the two become the sentence's visual tokens. Here the words come from the file
beside the video:
    read_captions   bytes -> text -> blocks between empty lines -> cues; markup and entities are taken out
    sentences_of    cues -> sentences, cut after . ? ! and joined across cues; the time of a cue is shared by
                    its sentences in proportion to characters: characters a to b of n last from
                    start + (end - start) a / n to start + (end - start) b / n
Axes: a list of cues, and a list of sentences, both in order of time.

Differs from, or not stated in, the paper:
- The paper transcribes the sound track; captions, where there are any, are read instead.
- Abbreviations get no special care: "approx. 2 eggs" is cut after "approx.".
- Captions without punctuation come out as one long sentence. Automatic captions are such captions, and their
  rolling lines also come out once for every time they are shown.

Try: sentences_of(read_captions("show.vtt"))
"""

import re
from collections.abc import Iterable
from html import unescape
from pathlib import Path
from typing import NamedTuple


class Cue(NamedTuple):
    """One caption: its text on one line, and when it stands on the screen [s]."""

    text: str
    start: float
    end: float


ENDINGS = (".vtt", ".en.vtt", ".srt", ".en.srt")
TIME = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
TIME_LINE = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}(?:\s.*)?")
MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|</?>|<[\d:.]+:[\d.]+>|\{\\[^{}]*\}")
NOT_SPEECH = re.compile(
    r"\[[^\]]*\]|\((?:music|applause|laughter)\b[^)]*\)|\([♩♪♫♬\s]+\)|[♩♪♫♬]|>>+",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"(?=\S).*?(?:(?P<stop>[.?!…]+[\"'”’)\]]*)(?=\s|$)|$)")


def read_captions(path: Path | str) -> list[Cue]:
    """Read a .vtt or .srt file into cues in order of start time, text without tags, entities and line breaks.

    Cues may overlap; a cue without text is left out. Raises ValueError naming file and line for a time line
    that cannot be read, a cue that does not end after its start, text without a time line, and a file without
    any cue.
    """
    cues = []
    for block in _blocks(_text_of(Path(path).read_bytes())):
        cues.extend(_cues_of(block, path))
    if not cues:
        raise ValueError(
            f"{path}, line 1: found no cue to the end of the file, expected a line such as "
            "'00:01:02.500 --> 00:01:04.000' and text below it; give a file with captions, or none at all"
        )
    return sorted(cues, key=lambda cue: (cue.start, cue.end))


def sentences_of(cues: Iterable[Cue]) -> list[tuple[str, float, float]]:
    """Join and cut cues, in order of time, into sentences `(sentence, start [s], end [s])`.

    A sentence ends at . ? ! before a blank, or with the last cue. What stands in [ ], (music), (applause),
    (laughter), ♪ and the speaker mark >> are dropped.

    >>> sentences_of([Cue("Hi. Now", 0.0, 7.0), Cue(">> chop it!", 8.0, 9.0), Cue("[Music]", 9.0, 12.0)])
    [('Hi.', 0.0, 3.0), ('Now chop it!', 4.0, 9.0)]
    """
    sentences: list[tuple[str, float, float]] = []
    parts: list[Cue] = []
    for text, start, end in cues:
        text = " ".join(NOT_SPEECH.sub(" ", text).split())
        for match in SENTENCE.finditer(text):
            first, last = (round(start + (end - start) * place / len(text), 6) for place in match.span())
            parts.append(Cue(match[0], first, last))
            if match["stop"]:
                sentences.append(_joined(parts))
                parts = []
    if parts:
        sentences.append(_joined(parts))
    return [sentence for sentence in sentences if re.search(r"\w", sentence[0])]


def captions_beside(video_path: Path | str) -> Path | None:
    """Find the caption file of show.mp4: show.vtt, else show.en.vtt, show.srt, show.en.srt, else None."""
    video_path = Path(video_path)
    beside = (video_path.with_name(video_path.stem + ending) for ending in ENDINGS)
    return next((path for path in beside if path.is_file()), None)


def _joined(parts: list[Cue]) -> tuple[str, float, float]:
    """Join the parts of one sentence; with overlapping cues the last part need not be the last to end."""
    texts, starts, ends = zip(*parts)
    return " ".join(texts), min(starts), max(ends)


def _text_of(data: bytes) -> str:
    """Decode a caption file: UTF-8, UTF-16 with its mark, or else the one-byte codes of older programs."""
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")


def _blocks(text: str) -> list[list[tuple[int, str]]]:
    """Cut a file at empty lines into blocks of (line number, row), without .vtt header, comments and styles.

    A row of blanks does not end a block, but cannot begin one.

    >>> _blocks("WEBVTT - a show\\n\\nNOTE by hand\\n\\n00:01.000 --> 00:02.000\\nHello\\n \\nthere")
    [[(5, '00:01.000 --> 00:02.000'), (6, 'Hello'), (7, ' '), (8, 'there')]]
    """
    blocks: list[list[tuple[int, str]]] = [[]]
    in_header = text.startswith("WEBVTT")
    for number, row in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        in_header = in_header and row != "" and "-->" not in row
        if not row:
            blocks.append([])
        elif not in_header and (blocks[-1] or row.strip()):
            blocks[-1].append((number, row))
    return [block for block in blocks if block and not re.match(r"(NOTE|STYLE|REGION)(\s|$)", block[0][1])]


def _cues_of(block: list[tuple[int, str]], path: Path | str) -> list[Cue]:
    """Read the cue of one block: a number or name if there is one, a time line, rows of text.

    Where an empty line between two cues was forgotten, the block holds several.
    """
    cues = []
    arrows = [i for i, (_, row) in enumerate(block) if "-->" in row]
    if not arrows or arrows[0] > 1:
        number, row = block[1 if len(block) > 1 and block[0][1].strip().isdigit() else 0]
        raise ValueError(
            f"{path}, line {number}: found {row[:60]!r}, expected a time line such as "
            "'00:01:02.500 --> 00:01:04.000'; write one, or take out the empty line before it if this is "
            "text of the caption above"
        )
    for here, following in zip(arrows, [*arrows[1:], len(block)]):
        number, row = block[here]
        times = TIME_LINE.fullmatch(row)
        if not times:
            raise ValueError(
                f"{path}, line {number}: found the time line {row[:60]!r}, expected one such as "
                "'00:01:02.500 --> 00:01:04.000', minutes and seconds below 60; correct it"
            )
        start, end = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        if end <= start:
            raise ValueError(
                f"{path}, line {number}: found a cue from {start:.3f} s to {end:.3f} s, expected its end "
                "after its start; correct the times or take the cue out"
            )
        rows = [row for _, row in block[here + 1 : following]]
        if following < len(block) and rows and rows[-1].strip().isdigit():
            rows.pop()
        text = " ".join(unescape(MARKUP.sub("", " ".join(rows))).split())
        if text:
            cues.append(Cue(text, start, end))
    return cues


def _seconds(parts: tuple[str | None, ...]) -> float:
    """Turn (hours or None, minutes, seconds, decimals or None), as written, into seconds.

    >>> _seconds(("1", "02", "03", "5")), _seconds((None, "00", "07", None))
    (3723.5, 7.0)
    """
    hours, minutes, seconds, decimals = parts
    milliseconds = int((decimals or "0").ljust(3, "0"))
    return (((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + milliseconds) / 1000
