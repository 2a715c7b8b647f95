"""Caption files as people and YouTube write them -> cues: rows of text with whatever times the file gives.

    .vtt, .srt    blocks between empty lines: a name or number, a time line, rows of text; a time within a row, <00:00:02.560>,
                  says when the next word is spoken
    json3         YouTube's own: events with a start and a duration [ms], made of pieces with an offset [ms] each
    header        "Language: en" at the top of a .vtt

A row is a tuple of pieces (text, when it is first spoken [s] or None); markup and entities are taken out, blanks are kept as they are.

VideoBERT (arXiv 1904.01766), section 4.1, takes such timed words from YouTube; the formats are WebVTT's (W3C), SubRip's and what
yt-dlp fetches. Read leniently: hours may be missing, decimals one to three, a cue's number or the empty line before it forgotten;
UTF-8, UTF-16 with its mark, cp1252, any line ends.

Try: cues_of("show.vtt")
"""
import json
import re
from html import unescape
from pathlib import Path
from typing import NamedTuple

Row = tuple[tuple[str, float | None], ...]


class Cue(NamedTuple):
    """One caption: its rows, and when it stands on the screen [s]."""

    rows: tuple[Row, ...]
    start: float
    end: float


LINE_END = re.compile(r"\r\n|\r|\n")
TIME = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
TIME_LINE = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}(?:\s.*)?")
TIME_WITHIN = re.compile(rf"<{TIME}>")
MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|</?>|<[\d:.]+:[\d.]+>|\{\\[^{}]*\}")
LONGEST = 3_600_000             # [s] a thousand hours; a time beyond is a mistake


def cues_of(path: Path | str) -> list[Cue]:
    """Read a .vtt, .srt or .json3 file into cues in order of start time, those without text left out.

    Raises ValueError naming file and place for what cannot be read: a time line, a cue that does not end after its start, text
    without a time line, JSON that is not YouTube's, a file without any cue.
    """
    text = _text_of(Path(path).read_bytes())
    if Path(path).suffix == ".json3":
        cues = _json3(text, path)
    else:
        cues = [cue for block in _blocks(text) for cue in _block(block, path)]
    cues = [cue for cue in cues if any(map(plain, cue.rows))]
    if not cues:
        raise ValueError(
            f"{path}, line 1: found no cue to the end of the file, expected a line such as '00:01:02.500 --> 00:01:04.000' and text "
            "below it, or events with segs in a .json3; give a file with captions, or none at all"
        )
    return sorted(cues, key=lambda cue: (cue.start, cue.end))


def language_of(path: Path | str) -> str | None:
    """Read the language, such as "en" or "pt-BR", from the header of a .vtt; None where nothing is said of it."""
    rows = LINE_END.split(_text_of(Path(path).read_bytes()))
    header = rows[: rows.index("")] if rows[0].startswith("WEBVTT") and "" in rows else []
    found = (re.match(r"Language:[ \t]*([A-Za-z][\w-]*)", row, re.ASCII) for row in header)
    return next((match[1] for match in found if match), None)


def is_english(language: str | None) -> bool:
    """Tell whether a language is English, or not known.

    >>> is_english("en-GB"), is_english(None), is_english("de")
    (True, True, False)
    """
    return (language or "en").lower().split("-")[0] == "en"


def plain(row: Row) -> str:
    """Give a row's text, its blanks made single.

    >>> plain((("chop ", None), (" the", 1.5)))
    'chop the'
    """
    return " ".join("".join(text for text, _ in row).split())


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
    for number, row in enumerate(LINE_END.split(text), start=1):
        in_header = in_header and row != "" and "-->" not in row
        if not row:
            blocks.append([])
        elif not in_header and (blocks[-1] or row.strip()):
            blocks[-1].append((number, row))
    return [block for block in blocks if block and not re.match(r"(NOTE|STYLE|REGION)(\s|$)", block[0][1])]


def _block(block: list[tuple[int, str]], path: Path | str) -> list[Cue]:
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
        start, end = _seconds(*times.groups()[:4]), _seconds(*times.groups()[4:])
        if end <= start:
            raise ValueError(
                f"{path}, line {number}: found a cue from {start:.3f} s to {end:.3f} s, expected its end "
                "after its start; correct the times or take the cue out"
            )
        rows = [row for _, row in block[here + 1 : following]]
        if following < len(block) and rows and rows[-1].strip().isdigit():
            rows.pop()
        cues.append(Cue(tuple(map(_pieces, rows)), start, end))
    return cues


def _pieces(row: str) -> Row:
    """Cut a row at the times within it.

    >>> _pieces("<i>first</i><00:01.500><c> cut</c> &amp; <00:02.000>fry")
    (('first', None), (' cut & ', 1.5), ('fry', 2.0))
    """
    parts = TIME_WITHIN.split(row)
    times = [None] + [_seconds(*parts[i : i + 4]) for i in range(1, len(parts), 5)]
    return tuple((unescape(MARKUP.sub("", text)), time) for text, time in zip(parts[::5], times))


def _seconds(hours: str | None, minutes: str, seconds: str, decimals: str | None) -> float:
    """Turn a time as written into seconds.

    >>> _seconds("1", "02", "03", "5"), _seconds(None, "00", "07", None)
    (3723.5, 7.0)
    """
    milliseconds = int((decimals or "0").ljust(3, "0"))
    return (((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + milliseconds) / 1000


def _json3(text: str, path: Path | str) -> list[Cue]:
    """Read YouTube's json3: one cue an event, an event's pieces as one row. Events that only break the line are left out."""
    try:
        events = json.loads(text)["events"]
        return [_event(event) for event in events if event.get("segs") and not event.get("aAppend")]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: not captions in YouTube's json3 ({type(error).__name__}: {error}), expected "
                         '{"events": [{"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "Hello"}]}, ...]}; fetch the file '
                         "again, or give a .vtt") from error


def _event(event: dict) -> Cue:
    start = _milliseconds(event["tStartMs"])
    end = start + _milliseconds(event.get("dDurationMs", 0))
    row = []
    for seg in event["segs"]:
        offset = seg.get("tOffsetMs")
        row.append((str(seg.get("utf8", "")), None if offset is None else start + _milliseconds(offset)))
    return Cue((tuple(row),), start, end)


def _milliseconds(number: float) -> float:
    seconds = float(number) / 1000
    if not 0 <= seconds < LONGEST:
        raise ValueError(f"a time of {number} ms")
    return seconds
