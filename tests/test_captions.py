"""Caption files: worked examples in every shape people and YouTube write them, properties, fuzz, and malformed ones that must be named."""

import json
import re

import pytest

from minivbert.tokens.caption_files import Cue, cues_of, is_english, language_of, plain
from minivbert.tokens.captions import captions_beside, is_punctuated, read_captions, sentences_of, words_of

hypothesis = pytest.importorskip("hypothesis")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

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
    ("Hello & welcome, everyone!", 1.5, 4.0),
    ("I'd use <5 eggs <b> and milk", 3605.25, 3606.0),
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
    ("Sautéed onions are next", 1.5, 4.0),
    ("no number", 5.0, 6.25),
    ("the end", 9.0, 10.5),
]

# as YouTube writes them: a line is spoken below the one before it, stands alone for 10 ms, then above the next one
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
onion<00:00:02.960><c> &amp;</c><00:00:03.100><c> fry</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
onion &amp; fry
\x20

00:00:04.010 --> 00:00:06.000 align:start position:0%
onion &amp; fry
[Music]

00:00:06.000 --> 00:00:06.010 align:start position:0%
[Music]
\x20

00:00:06.010 --> 00:00:07.500 align:start position:0%
[Music]
yes

00:00:07.500 --> 00:00:07.510 align:start position:0%
yes
\x20

00:00:07.510 --> 00:00:08.500 align:start position:0%
yes
yes

00:00:08.500 --> 00:00:08.510 align:start position:0%
yes
\x20

00:00:08.510 --> 00:00:10.000 align:start position:0%
yes
\x20
"""
SPOKEN = [("first", 0.16, 0.48), ("cut", 0.48, 0.64), ("the", 0.64, 2.389), ("onion", 2.399, 2.96), ("&", 2.96, 3.1), ("fry", 3.1, 4.0)]
ROLLING_WORDS = [*SPOKEN, ("yes", 6.01, 7.5), ("yes", 7.51, 8.5)]

JSON3 = {
    "wireMagic": "pb3",
    "events": [
        {"tStartMs": 0, "dDurationMs": 9000, "id": 1, "wpWinPosId": 1},
        {"tStartMs": 160, "dDurationMs": 4000, "wWinId": 1, "segs": [
            {"utf8": "first", "acAsrConf": 0}, {"utf8": " cut", "tOffsetMs": 320}, {"utf8": " the", "tOffsetMs": 480}]},
        {"tStartMs": 2389, "dDurationMs": 1771, "wWinId": 1, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 2399, "dDurationMs": 1601, "segs": [
            {"utf8": "onion"}, {"utf8": " &", "tOffsetMs": 561}, {"utf8": " fry", "tOffsetMs": 701}]},
        {"tStartMs": 4010, "dDurationMs": 1990, "segs": [{"utf8": "[Music]"}]},
        {"tStartMs": 5000, "dDurationMs": 10, "segs": [{"utf8": "\n"}]},
    ],
}


def texts(cues):
    """Turn cues into (text, start, end), rows joined."""
    return [(" ".join(filter(None, map(plain, cue.rows))), cue.start, cue.end) for cue in cues]


def cue(text, start, end):
    """Make a cue of one row without times within."""
    return Cue((((text, None),),), start, end)


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_vtt(tmp_path, encoding, newline):
    path = written(tmp_path, "show.vtt", VTT.replace("\n", newline).encode(encoding))
    assert texts(cues_of(path)) == VTT_CUES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_srt(tmp_path, encoding, newline):
    path = written(tmp_path, "show.srt", SRT.replace("\n", newline).encode(encoding))
    assert texts(cues_of(path)) == SRT_CUES


def test_windows_quotes_are_read_as_written(tmp_path):
    path = written(tmp_path, "show.srt", b"1\n00:00:01,000 --> 00:00:02,000\nit\x92s \x93hot\x94\n")
    assert [word for word, *_ in read_captions(path)] == ["it\u2019s", "\u201chot\u201d"]


@pytest.mark.parametrize("start", ["WEBVTT\n", "WEBVTT\n\n\n", "\n", ""])
def test_header_may_be_short_or_missing(tmp_path, start):
    path = written(tmp_path, "show.vtt", start + "00:01.000 --> 00:02.000\nHi")
    assert read_captions(path) == [("Hi", 1.0, 2.0)]


def test_forgotten_empty_lines_and_rows_of_blanks_between_cues(tmp_path):
    rows = (
        "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo, 2\n"
        " \n3\n00:00:05,000 --> 00:00:06,000\nThree\n\n \n4\n00:00:07,000 --> 00:00:08,000\nFour\n\n \n"
    )
    cues = texts(cues_of(written(tmp_path, "show.srt", rows)))
    assert [text for text, *_ in cues] == ["One", "Two, 2", "Three", "Four"]


def test_overlapping_cues_are_read_one_after_the_other_and_disorder_is_sorted(tmp_path):
    """One that is overtaken ends there; two that start together share the time of the longer one: 5 of 10 characters each."""
    rows = (
        "00:08.000 --> 00:09.000\nlast\n\n"
        "00:01.000 --> 00:05.500\nlong\n\n"
        "00:01.000 --> 00:02.000\nshort\n\n"
        "00:05.000 --> 00:08.500\nnext\n\n"
    )
    assert read_captions(written(tmp_path, "show.vtt", rows)) == [
        ("short", 1.0, 3.0), ("long", 3.4, 5.0), ("next", 5.0, 8.0), ("last", 8.0, 9.0)
    ]  # fmt: skip


# ------------------------------------------------------------------------------ times of words, rolling captions


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_rolling_captions_give_every_word_once_at_its_time(tmp_path, newline):
    path = written(tmp_path, "show.vtt", ROLLING.replace("\n", newline))
    assert read_captions(path) == ROLLING_WORDS
    assert language_of(path) == "en"


def test_rolling_captions_turned_into_srt_lose_their_word_times_but_no_word(tmp_path):
    """As ffmpeg converts them: the rows of blanks and the times within are gone."""
    plain_rows = re.sub(r"<[^>]*>|^ \n|align.*", "", ROLLING.split("Language: en\n\n")[1], flags=re.MULTILINE)
    words = read_captions(written(tmp_path, "show.srt", re.sub(r"(?<=\d)\.(?=\d{3})", ",", plain_rows)))
    assert [word for word, *_ in words] == [word for word, *_ in ROLLING_WORDS]
    assert words[0] == ("first", 0.16, pytest.approx(0.16 + 2.229 * 5 / 13))


def test_json3_gives_the_same_words_as_the_rolling_file(tmp_path):
    assert read_captions(written(tmp_path, "show.json3", json.dumps(JSON3))) == [
        *SPOKEN[:2], ("the", 0.64, 2.399), *SPOKEN[3:]
    ]  # fmt: skip


def test_json3_by_hand_is_one_piece_a_line(tmp_path):
    events = [{"tStartMs": 1000, "dDurationMs": 2000, "segs": [{"utf8": "Hi there.\nNow"}]}]
    words = read_captions(written(tmp_path, "show.en.json3", "\ufeff" + json.dumps({"events": events})))
    assert [word for word, *_ in words] == ["Hi", "there.", "Now"] and (words[0][1], words[-1][2]) == (1.0, 3.0)


def test_a_line_said_twice_by_hand_stays_twice(tmp_path):
    rows = "00:01.000 --> 00:02.000\nNo!\n\n00:02.000 --> 00:03.000\nNo!\n\n00:03.000 --> 00:04.000\nNo!\nStop.\n"
    words = read_captions(written(tmp_path, "show.vtt", rows))
    assert [word for word, *_ in words] == ["No!", "No!", "No!", "Stop."]


def test_word_times_out_of_order_or_outside_the_cue_are_held_inside(tmp_path):
    row = "a<00:00:09.000><c> b</c><00:00:02.000><c> c</c><00:00:00.500> d"
    words = read_captions(written(tmp_path, "show.vtt", f"00:01.000 --> 00:03.000\n{row}\n"))
    assert words == [("a", 1.0, 3.0), ("b", 3.0, 3.0), ("c", 3.0, 3.0), ("d", 3.0, 3.0)]


def test_times_within_a_word_and_before_the_first_one():
    pieces = (("", None), (" on", 1.0), ("ion", 1.5), (" now", 2.0))
    assert words_of([Cue((pieces,), 0.0, 3.0)]) == [("onion", 1.0, 2.0), ("now", 2.0, 3.0)]


def test_speaker_marks_go_and_minus_signs_stay():
    rows = ((("- Is it hot?", None),), (("-No, -5 degrees", None),), (("\u2013 stir-fry - now", None),), (("-3 eggs", None),))
    words = [word for word, *_ in words_of([Cue(rows, 0.0, 1.0)])]
    assert words == "Is it hot? No, -5 degrees stir-fry - now -3 eggs".split()


@pytest.mark.parametrize("header, language", [
    ("WEBVTT\nKind: captions\nLanguage: pt-BR\n\n", "pt-BR"), ("WEBVTT\n\nLanguage: de\n", None), ("", None),
    ("\ufeffWEBVTT\r\nLanguage: en-GB\r\n\r\n", "en-GB"),
])  # fmt: skip
def test_the_language_stands_in_the_header(tmp_path, header, language):
    assert language_of(written(tmp_path, "show.vtt", f"{header}00:01.000 --> 00:02.000\nLanguage: fr\n")) == language
    assert is_english(language) == (language != "pt-BR")


def test_automatic_captions_count_as_not_punctuated():
    words = [(word, 0.0, 1.0) for word in ["add"] * 100]
    assert not is_punctuated(words) and not is_punctuated([("3.5", 0.0, 1.0)] * 9)
    assert is_punctuated([*words[:30], ("salt.", 0.0, 1.0), *words[:29]]) and not is_punctuated([*words, ("salt.", 0.0, 1.0)])


# ------------------------------------------------------------------------------ malformed files


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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "JSONDecodeError"),
        ("[1, 2]", "TypeError"),
        ('{"events": 3}', "TypeError"),
        ('{"events": ' + "[" * 100_000, "RecursionError"),
        ('{"events": ["a"]}', "AttributeError"),
        ('{"events": [{"segs": [{"utf8": "Hi"}]}]}', "'tStartMs'"),
        ('{"events": [{"tStartMs": "soon", "segs": [{"utf8": "Hi"}]}]}', "soon"),
        ('{"events": [{"tStartMs": -5, "segs": [{"utf8": "Hi"}]}]}', "-5 ms"),
        ('{"events": [{"tStartMs": 1e999, "segs": [{"utf8": "Hi"}]}]}', "inf ms"),
        ('{"events": [{"tStartMs": 0, "aAppend": 1, "segs": [{"utf8": "Hi"}]}]}', "found no cue"),
    ],
)
def test_malformed_json3_is_named(tmp_path, content, says):
    path = written(tmp_path, "show.json3", content)
    with pytest.raises(ValueError) as error:
        read_captions(path)
    assert str(error.value).startswith(f"{path}") and says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("rows", ["", "WEBVTT\n", "WEBVTT\n\nNOTE\nHi\n", "1\n00:01.000 --> 00:02.000\n\n"])
def test_a_file_without_cues_is_named(tmp_path, rows):
    with pytest.raises(ValueError, match=r"show\.vtt, line 1: found no cue"):
        read_captions(written(tmp_path, "show.vtt", rows))


# ------------------------------------------------------------------------------ sentences


def test_a_sentence_spans_cues_and_a_cue_holds_sentences():
    """20 characters in 10 s: "Chop it." is 0 to 8, the blank 8 to 9, the rest 9 to 20, half a second each."""
    cues = [cue("Chop it. Then fry th", 0.0, 10.0), cue("e onion", 10.0, 12.0), cue("now? Yes!", 15.0, 24.0)]
    assert sentences_of(words_of(cues)) == [
        ("Chop it.", 0.0, 4.0),
        ("Then fry th e onion now?", 4.5, 19.0),
        ("Yes!", 20.0, 24.0),
    ]


def test_marks_inside_numbers_do_not_cut_and_closing_quotes_stay():
    cues = [cue('Add 1.5 l at "noon." Wait... (really?!) See foo.bar now', 0.0, 1.0)]
    expected = ['Add 1.5 l at "noon."', "Wait...", "(really?!)", "See foo.bar now"]
    assert [sentence for sentence, _, _ in sentences_of(words_of(cues))] == expected


def test_a_stop_that_comes_with_the_next_cue_ends_the_sentence():
    cues = [cue("Add salt", 0.0, 1.0), cue(". Stir", 1.0, 2.0)]
    assert [sentence for sentence, _, _ in sentences_of(words_of(cues))] == ["Add salt .", "Stir"]


def test_what_is_not_speech_is_dropped_with_its_time():
    cues = [
        cue("[Music]", 0.0, 3.0),
        cue(">> [Applause] Hi!", 3.0, 4.0),
        cue("♪ (♪♪) (Music playing)", 4.0, 5.0),
        cue(">>> Bob: (gently) stir. [ __ ].", 5.0, 7.5),
        cue("...", 8.0, 9.0),
    ]
    sentences = sentences_of(words_of(cues))
    assert [sentence for sentence, _, _ in sentences] == ["Hi!", "Bob: (gently) stir."]
    assert sentences[0][1:] == (3.0, 4.0) and sentences[1][1] == 5.0


# ------------------------------------------------------------------------------ properties and fuzz


def check_order(words):
    """Times never run backwards."""
    assert all(start <= end for _, start, end in words)
    assert all(before[2] <= after[1] for before, after in zip(words, words[1:]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text("ab .?!'\n", max_size=12), st.integers(0, 99), st.integers(1, 9))))
def test_every_word_comes_out_once_inside_the_cues_times(rows):
    cues = sorted((cue(text, float(start), float(start + length)) for text, start, length in rows), key=lambda c: c[1:])
    words = words_of(cues)
    check_order(words)
    assert sorted(word for word, *_ in words) == sorted(word for text, *_ in rows for word in text.split())
    letters = [char for word, *_ in words for char in word if char in "ab"]
    sentences = sentences_of(words)
    assert [char for sentence, _, _ in sentences for char in sentence if char in "ab"] == letters
    for sentence, start, end in sentences:
        assert min(c.start for c in cues) <= start < end <= max(c.end for c in cues)
        assert not any(word.rstrip("'").endswith((".", "?", "!")) for word in sentence.split()[:-1])


def stamp(milliseconds):
    return f"00:{milliseconds // 60000:02d}:{milliseconds // 1000 % 60:02d}.{milliseconds % 1000:03d}"


SPEECH = st.lists(st.lists(st.tuples(st.sampled_from(["a", "yes", "onion", "it's", "&"]), st.integers(20, 900)), min_size=1, max_size=5),
                  min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(lines=SPEECH)
def test_whatever_is_said_comes_back_from_a_rolling_file_and_from_json3(lines, tmp_path_factory):
    """Write lines of (word, milliseconds that it lasts) as YouTube does, also the same line twice; read them back exactly."""
    now, said, events, before = 160, [], [], " "
    blocks = ["WEBVTT\nKind: captions\nLanguage: en"]
    for line in lines:
        starts = [now + sum(ms for _, ms in line[:k]) for k in range(len(line) + 1)]
        said += [(word, a / 1000, b / 1000) for (word, _), a, b in zip(line, starts, starts[1:])]
        shown = [word.replace("&", "&amp;") for word, _ in line]
        row = shown[0] + "".join(f"<{stamp(a)}><c> {word}</c>" for word, a in zip(shown[1:], starts[1:]))
        whole = " ".join(shown)
        blocks += [f"{stamp(now)} --> {stamp(starts[-1])} align:start position:0%\n{before}\n{row}",
                   f"{stamp(starts[-1])} --> {stamp(starts[-1] + 10)} align:start position:0%\n{whole}\n "]
        segs = [{"utf8": line[0][0]}, *({"utf8": f" {word}", "tOffsetMs": a - now} for (word, _), a in zip(line[1:], starts[1:]))]
        events += [{"tStartMs": now, "dDurationMs": starts[-1] - now, "segs": segs},
                   {"tStartMs": starts[-1], "aAppend": 1, "dDurationMs": 10, "segs": [{"utf8": "\n"}]}]
        now, before = starts[-1] + 10, whole
    folder = tmp_path_factory.mktemp("rolling")
    assert read_captions(written(folder, "show.vtt", "\n\n".join(blocks) + "\n")) == said
    assert read_captions(written(folder, "show.json3", json.dumps({"events": events}))) == said


def survives(path):
    """Read a file: words in order, or a sentence that names it; nothing else may happen."""
    try:
        words = read_captions(path)
    except ValueError as error:
        assert str(error).startswith(str(path))
    else:
        check_order(words)
        assert all(word.strip() == word != "" for word, *_ in words)
        sentences_of(words)
    language_of(path)


SCRAPS = st.sampled_from(["WEBVTT", "\n", "\n\n", "00:01.000 --> 00:02.000", "0:00:03,5 --> 00:00:04,000 x", "1", "-->", "[Music]", "<c>",
                          "</c>", "<00:00:01.500>", "&amp;", "&#x110000;", "{\\an8}", ">>", "- ", "word", " ", "\r", "\ufeff", "NOTE", "\0",
                          "[", "(music"])
JSONS = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                         st.sampled_from(["events", "segs", "utf8", "tStartMs", "dDurationMs", "tOffsetMs", "aAppend"]), inner, max_size=5))


@settings(max_examples=400, deadline=None)
@given(scraps=st.lists(SCRAPS | st.text(max_size=4), max_size=40).map("".join), name=st.sampled_from(["a.vtt", "a.srt", "a.json3"]))
def test_any_text_in_never_crashes(scraps, name, tmp_path_factory):
    survives(written(tmp_path_factory.getbasetemp(), name, scraps.encode("utf-8", "surrogatepass")))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60), name=st.sampled_from(["a.vtt", "a.json3"]),
       start=st.sampled_from([b"", b"WEBVTT\n\n", b"\xff\xfe", b"{"]))
def test_any_bytes_in_never_crash(data, name, start, tmp_path_factory):
    survives(written(tmp_path_factory.getbasetemp(), name, start + data))


@settings(max_examples=200, deadline=None)
@given(events=st.lists(JSONS, max_size=4))
def test_any_json_in_never_crashes(events, tmp_path_factory):
    survives(written(tmp_path_factory.getbasetemp(), "b.json3", json.dumps({"events": events})))


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, len(ROLLING)), other=st.integers(0, len(ROLLING)), char=st.characters())
def test_a_real_file_with_a_hole_or_a_wrong_letter_never_crashes(cut, other, char, tmp_path_factory):
    damaged = ROLLING[:cut] + char + ROLLING[max(cut, other):]
    survives(written(tmp_path_factory.getbasetemp(), "a.vtt", damaged.encode("utf-8", "surrogatepass")))


# ------------------------------------------------------------------------------ finding the file


def test_captions_beside_a_video(tmp_path):
    video = tmp_path / "show.part 1.mp4"
    assert captions_beside(video) is None
    written(tmp_path, "show.vtt", VTT)
    assert captions_beside(video) is None
    for ending in (".en.json3", ".en.srt", ".srt", ".en-orig.vtt", ".en.vtt", ".vtt"):
        path = written(tmp_path, f"show.part 1{ending}", "")
        assert captions_beside(str(video)) == path
