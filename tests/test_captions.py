"""Caption files: worked examples in every shape people write them, and malformed ones that must be named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minivbert.tokens.captions import Cue, captions_beside, read_captions, sentences_of

VTT = """WEBVTT - Tomato soup
Kind: captions
Language: en

STYLE
::cue(.loud) { color: lime }

REGION
id:left width:40%

NOTE
written by hand

intro
00:01.500 --> 00:04.000 align:start position:0% line:90%
<v Ann Marie>Hello &amp; <i>welcome</i>,
<c.loud.big>everyone</c>!

NOTE 00:05 a comment

01:00:05.250 --> 01:00:06.000
I&#39;d use <5 eggs &lt;b&gt;
\x20
and\u00a0<00:00:05.500><c> milk</c>
"""
VTT_CUES = [
    Cue("Hello & welcome, everyone!", 1.5, 4.0),
    Cue("I'd use <5 eggs <b> and milk", 3605.25, 3606.0),
]

SRT = """1
00:00:01,500 --> 00:00:04,000
{\\an8}<i>Sautéed</i> onions
<font color="#ffffff">are next</font>

00:00:05,000 --> 00:00:06,25 X1:40 X2:600 Y1:20 Y2:50
no number

3
00:00:07,000 --> 00:00:08,000

4
0:00:09 --> 0:00:10.5
the end



"""
SRT_CUES = [
    Cue("Sautéed onions are next", 1.5, 4.0),
    Cue("no number", 5.0, 6.25),
    Cue("the end", 9.0, 10.5),
]

ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
\x20
first<00:00:00.480><c> cut</c><00:00:00.640><c> the</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
first cut the
\x20

00:00:02.399 --> 00:00:04.000 align:start position:0%
first cut the
onion<00:00:02.960><c> finely</c>
"""


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_vtt(tmp_path, encoding, newline):
    path = written(tmp_path, "show.vtt", VTT.replace("\n", newline).encode(encoding))
    assert read_captions(path) == VTT_CUES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_srt(tmp_path, encoding, newline):
    path = written(tmp_path, "show.srt", SRT.replace("\n", newline).encode(encoding))
    assert read_captions(path) == SRT_CUES


def test_windows_quotes_are_read_as_written(tmp_path):
    path = written(tmp_path, "show.srt", b"1\n00:00:01,000 --> 00:00:02,000\nit\x92s \x93hot\x94\n")
    assert read_captions(path)[0].text == "it\u2019s \u201chot\u201d"


@pytest.mark.parametrize("start", ["WEBVTT\n", "WEBVTT\n\n\n", "\n", ""])
def test_header_may_be_short_or_missing(tmp_path, start):
    path = written(tmp_path, "show.vtt", start + "00:01.000 --> 00:02.000\nHi")
    assert read_captions(path) == [Cue("Hi", 1.0, 2.0)]


def test_forgotten_empty_lines_and_rows_of_blanks_between_cues(tmp_path):
    rows = (
        "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo, 2\n"
        " \n3\n00:00:05,000 --> 00:00:06,000\nThree\n\n \n4\n00:00:07,000 --> 00:00:08,000\nFour\n\n \n"
    )
    cues = read_captions(written(tmp_path, "show.srt", rows))
    assert [cue.text for cue in cues] == ["One", "Two, 2", "Three", "Four"]


def test_overlapping_cues_stay_and_disorder_is_sorted(tmp_path):
    rows = (
        "00:08.000 --> 00:09.000\nlast\n\n"
        "00:01.000 --> 00:05.000\nlong\n\n"
        "00:01.000 --> 00:02.000\nshort\n"
    )
    assert read_captions(written(tmp_path, "show.vtt", rows)) == [
        Cue("short", 1.0, 2.0), Cue("long", 1.0, 5.0), Cue("last", 8.0, 9.0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (3, "WEBVTT\n\n00:00:01.000 -> 00:00:02.000\nHi\n"),
        (2, "1\n00:00:01,000 -> 00:00:02,000\nHi\n"),
        (2, "1\n00:00:01,000 --> soon\nHi\n"),
        (1, "00:01:75.000 --> 00:02:00.000\nHi\n"),
        (1, "00:01.000 --> 00:02.000%\nHi\n"),
        (1, "1.5 --> 2.5\nHi\n"),
        (5, "1\n00:00:01,000 --> 00:00:02,000\nHi\n\nall of you\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n"),
        (1, "one\ntwo\n00:00:01,000 --> 00:00:02,000\nHi\n"),
    ],
)
def test_malformed_time_lines_are_named(tmp_path, line, rows):
    path = written(tmp_path, "show.srt", rows)
    with pytest.raises(ValueError) as error:
        read_captions(path)
    message = str(error.value)
    assert message.startswith(f"{path}, line {line}: found")
    assert repr(rows.split("\n")[line - 1]) in message
    assert "expected" in message and "-->" in message and "\n" not in message


@pytest.mark.parametrize("end", ["00:00:02,000", "00:00:01,999"])
def test_a_cue_must_end_after_its_start(tmp_path, end):
    path = written(tmp_path, "show.srt", f"1\n00:00:02,000 --> {end}\nHi\n")
    with pytest.raises(ValueError, match=r"show\.srt, line 2: found a cue from 2\.000 s to [12]\.[09]{3} s"):
        read_captions(path)


@pytest.mark.parametrize("rows", ["", "WEBVTT\n", "WEBVTT\n\nNOTE\nHi\n", "1\n00:01.000 --> 00:02.000\n\n"])
def test_a_file_without_cues_is_named(tmp_path, rows):
    with pytest.raises(ValueError, match=r"show\.vtt, line 1: found no cue"):
        read_captions(written(tmp_path, "show.vtt", rows))


# ------------------------------------------------------------------------------ sentences


def test_a_sentence_spans_cues_and_a_cue_holds_sentences():
    """20 characters in 10 s: "Chop it." is 0 to 8, the blank 8 to 9, the rest 9 to 20, half a second each."""
    cues = [Cue("Chop it. Then fry th", 0.0, 10.0), Cue("e onion", 10.0, 12.0), Cue("now? Yes!", 15.0, 24.0)]
    assert sentences_of(cues) == [
        ("Chop it.", 0.0, 4.0),
        ("Then fry th e onion now?", 4.5, 19.0),
        ("Yes!", 20.0, 24.0),
    ]


def test_marks_inside_numbers_do_not_cut_and_closing_quotes_stay():
    cues = [Cue('Add 1.5 l at "noon." Wait... (really?!) See foo.bar now', 0.0, 1.0)]
    expected = ['Add 1.5 l at "noon."', "Wait...", "(really?!)", "See foo.bar now"]
    assert [sentence for sentence, _, _ in sentences_of(cues)] == expected


def test_a_stop_that_comes_with_the_next_cue_ends_the_sentence():
    cues = [Cue("Add salt", 0.0, 1.0), Cue(". Stir", 1.0, 2.0)]
    assert [sentence for sentence, _, _ in sentences_of(cues)] == ["Add salt .", "Stir"]


def test_what_is_not_speech_is_dropped_with_its_time():
    cues = [
        Cue("[Music]", 0.0, 3.0),
        Cue(">> [Applause] Hi!", 3.0, 4.0),
        Cue("♪ (♪♪) (Music playing)", 4.0, 5.0),
        Cue(">>> Bob: (gently) stir. [ __ ].", 5.0, 7.5),
        Cue("...", 8.0, 9.0),
    ]
    sentences = sentences_of(cues)
    assert [sentence for sentence, _, _ in sentences] == ["Hi!", "Bob: (gently) stir."]
    assert sentences[0][1:] == (3.0, 4.0) and sentences[1][1] == 5.0


def test_overlapping_cues_give_times_that_hold_all_the_words():
    cues = [Cue("While it boils", 0.0, 10.0), Cue("chop.", 1.0, 2.0)]
    assert sentences_of(cues) == [("While it boils chop.", 0.0, 10.0)]


def test_rolling_captions_do_not_crash(tmp_path):
    cues = read_captions(written(tmp_path, "show.vtt", ROLLING))
    assert [cue.text for cue in cues] == ["first cut the", "first cut the", "first cut the onion finely"]
    assert [(start, end) for _, start, end in sentences_of(cues)] == [(0.16, 4.0)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text("ab .?!'\n", max_size=12), st.integers(0, 99), st.integers(1, 9))))
def test_every_word_comes_out_once_inside_the_cues_times(rows):
    cues = [Cue(text, float(start), float(start + length)) for text, start, length in rows]
    cues.sort(key=lambda cue: cue.start)
    sentences = sentences_of(cues)
    letters = "".join(char for cue in cues for char in cue.text if char in "ab")
    assert "".join(char for sentence, _, _ in sentences for char in sentence if char in "ab") == letters
    for sentence, start, end in sentences:
        assert min(cue.start for cue in cues) <= start < end <= max(cue.end for cue in cues)
        assert not any(word.rstrip("'").endswith((".", "?", "!")) for word in sentence.split()[:-1])


# ------------------------------------------------------------------------------ finding the file


def test_captions_beside_a_video(tmp_path):
    video = tmp_path / "show.part 1.mp4"
    assert captions_beside(video) is None
    written(tmp_path, "show.vtt", VTT)
    assert captions_beside(video) is None
    for name in ("show.part 1.en.srt", "show.part 1.srt", "show.part 1.en.vtt", "show.part 1.vtt"):
        path = written(tmp_path, name, "")
        assert captions_beside(str(video)) == path
