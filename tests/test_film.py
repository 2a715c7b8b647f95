"""Films hold what was drawn, the sound starts when the truth says, and the command can be started again."""
import json
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from matplotlib.image import imread

from minivbert.kitchen import __main__ as command
from minivbert.kitchen import film, voice
from minivbert.kitchen.__main__ import main
from minivbert.kitchen.film import clips_of_show, develop, make_show, show_rngs, soundtrack, write_show
from minivbert.kitchen.narrate import Sentence
from minivbert.kitchen.recipes import ACTIONS, CLIP_SECONDS, DISHES, Show, World
from minivbert.tokens.frames import clips_of
from minivbert.kitchen.voice import RATE, find_flite, letter_times, speak, words_of

needs_flite = pytest.mark.skipif(find_flite() is None, reason="flite is not installed")
SLICE, FRY = ACTIONS.index(("slice", "bread")), ACTIONS.index(("fry", "egg"))
SENTENCES = (Sentence("now we slice the bread .".split(), 0, SLICE),
             Sentence("this never fails , trust me .".split(), 2, -1))
TALK = Show(dish=18, style=2, action=np.array([SLICE, SLICE, SLICE, FRY, FRY]),
            phase=np.array([0, 0, 2, 0, 1]), lag=1, sentences=SENTENCES)
MUTE = Show(dish=18, style=4, action=np.array([FRY, FRY]), phase=np.array([0, 2]))


def beep(text, seconds):
    """Speak any sentence as 0.2 s of a 440 Hz tone that starts at once."""
    pcm = np.zeros(round(seconds * RATE), np.int16)
    pcm[:3200] = 12_000 * np.sin(2 * np.pi * 440 * np.arange(3200) / RATE)
    return pcm, letter_times(words_of(text), seconds)


def flat_clip(verb, ingredient, phase, style, rng, at=range(30)):
    """Stand in for the drawing where pictures do not matter: one grey a clip."""
    return np.full((len(at), 96, 96, 3), rng.integers(256), np.uint8)


def decode(path):
    """Read with PyAV alone: frames (n, 96, 96, 3), their times, sound (m,) whose first sample is at 0 s."""
    with av.open(str(path)) as file:
        pictures = list(file.decode(video=0))
    with av.open(str(path)) as file:
        sounds = list(file.decode(audio=0))
    assert all(s.sample_rate == RATE and s.layout.name == "mono" for s in sounds)
    first = round(sounds[0].pts * sounds[0].time_base * RATE)
    pcm = np.concatenate([s.to_ndarray()[0] for s in sounds])
    pcm = np.r_[np.zeros(max(first, 0)), pcm[max(-first, 0):]]
    frames = np.stack([p.to_ndarray(format="rgb24") for p in pictures])
    return frames, [p.pts * p.time_base for p in pictures], pcm


def test_the_film_holds_every_drawn_frame_at_its_time(tmp_path):
    write_show(TALK, tmp_path / "show", np.random.default_rng(1), voice=beep)
    frames, times, pcm = decode(tmp_path / "show.mp4")
    drawn = np.concatenate(list(clips_of_show(TALK, np.random.default_rng(1)))).astype(int)
    assert frames.shape == drawn.shape == (150, 96, 96, 3)
    assert times == [Fraction(k, 20) for k in range(150)]
    assert np.abs(frames - drawn).mean() < 4
    for k in range(5):
        error = [np.abs(frames[30 * k:30 * k + 30] - drawn[30 * j:30 * j + 30]).mean() for j in range(5)]
        assert np.argmin(error) == k
    assert 0 <= len(pcm) / RATE - 5 * CLIP_SECONDS < 0.13


def test_developed_clips_are_the_pixels_of_the_film_and_depend_on_no_other_clip(tmp_path):
    write_show(TALK, tmp_path / "show", np.random.default_rng(1), voice=beep)
    drawn = list(clips_of_show(TALK, np.random.default_rng(1)))
    shown = np.stack(list(develop(drawn)))
    np.testing.assert_array_equal(shown, np.stack(list(clips_of(tmp_path / "show.mp4"))))
    np.testing.assert_array_equal(next(develop(drawn[3:4])), shown[3])
    np.testing.assert_array_equal(np.stack(list(develop(drawn, [0, 29]))), shown[:, [0, 29]])


def test_sound_starts_and_stops_when_the_truth_says(tmp_path):
    truth = write_show(TALK, tmp_path / "show", np.random.default_rng(1), voice=beep)
    pcm = decode(tmp_path / "show.mp4")[2]
    loud = np.flatnonzero(np.abs(pcm) > 0.1) / RATE
    bursts = np.split(loud, np.flatnonzero(np.diff(loud) > 0.1) + 1)
    assert len(bursts) == 2
    for burst, sentence in zip(bursts, truth["sentences"]):
        assert abs(burst[0] - sentence["start"]) < 0.02 and abs(burst[-1] - sentence["start"] - 0.2) < 0.02


@needs_flite
def test_the_voice_in_the_film_is_the_voice_at_its_time(tmp_path):
    truth = write_show(TALK, tmp_path / "show", np.random.default_rng(1))
    said, _ = soundtrack(TALK)
    heard = decode(tmp_path / "show.mp4")[2][:len(said)]
    spectrum = np.fft.rfft(heard, 2 * len(said)) * np.conj(np.fft.rfft(said / 32768, 2 * len(said)))
    late = np.argmax(np.fft.irfft(spectrum))
    assert min(late, 2 * len(said) - late) < 0.01 * RATE
    assert np.corrcoef(heard, said)[0, 1] > 0.9
    assert truth["audible"]


def test_a_show_without_speech_is_silent_and_has_no_captions(tmp_path):
    (tmp_path / "show.vtt").write_text("left over from another show")
    truth = write_show(MUTE, tmp_path / "show", np.random.default_rng(1))
    frames, _, pcm = decode(tmp_path / "show.mp4")
    assert len(frames) == 60 and len(pcm) >= 2 * CLIP_SECONDS * RATE and np.abs(pcm).max() < 1e-3
    assert not (tmp_path / "show.vtt").exists() and truth["sentences"] == [] and not truth["audible"]


@needs_flite
@pytest.mark.parametrize("text, seconds", [("this never fails, trust me.", 3.0),
                                           ("now let's roll the dough on the board.", 4.5),
                                           ("please slice the mushroom carefully.", 2.5)])
def test_a_sentence_fills_its_time_word_by_word(text, seconds):
    pcm, words = speak(text, seconds)
    assert pcm.shape == (round(seconds * RATE),) and pcm.dtype == np.int16
    assert tuple(word for word, *_ in words) == words_of(text)
    times = [t for _, *pair in words for t in pair]
    assert times == sorted(times) and times[0] == 0.0 and abs(times[-1] / seconds - 1) <= 0.01
    phones = voice._say(find_flite(), text, 1.0)[1]
    assert sum(voice._phone_count(find_flite(), word) for word in words_of(text)) == len(phones)


@needs_flite
def test_words_sound_at_their_times_and_the_pause_between_them_is_quiet():
    pcm, words = speak("this never fails, trust me.", 3.0)
    level = {word: np.abs(pcm[round(a * RATE):round(b * RATE)].astype(int)).mean() for word, a, b in words}
    fails, trust = words[2][2], words[3][1]
    assert trust - fails > 0.05
    pause = np.abs(pcm[round(fails * RATE):round(trust * RATE)].astype(int)).mean()
    assert pause < 0.1 * min(level.values())


def test_without_flite_words_share_the_time_by_letters(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    pcm, words = speak("chop it, please.", 3.0)
    assert len(pcm) == 48_000 and not pcm.any()
    assert words == (("chop", 0.0, 1.0), ("it", 1.0, 1.5), ("please", 1.5, 3.0))


def test_captions_say_what_is_said_when_it_is_said(tmp_path):
    write_show(TALK, tmp_path / "show", np.random.default_rng(1), voice=beep)
    head, *cues = (tmp_path / "show.vtt").read_text().strip().split("\n\n")
    assert head == "WEBVTT" and len(cues) == 2
    for cue, sentence in zip(cues, SENTENCES):
        times, text = cue.split("\n")
        clock = r"(\d\d):(\d\d):(\d\d)\.(\d{3})"
        numbers = [int(n) for n in re.fullmatch(f"{clock} --> {clock}", times).groups()]
        start, end = (3600 * h + 60 * m + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:]))
        assert (start, end) == pytest.approx(sentence.span, abs=5e-4) and text == sentence.text


def test_a_caption_after_the_first_hour_has_its_hour():
    late = Show(0, 0, np.zeros(5000, int), np.zeros(5000, int), 0, (Sentence(SENTENCES[0].tokens, 2440, -1),))
    assert "01:01:00.150 --> 01:01:02.650" in film.captions(late)


def test_the_truth_file_tells_the_show(tmp_path):
    returned = write_show(TALK, tmp_path / "show", np.random.default_rng(1), voice=beep, seed=7, index=3)
    truth = json.loads((tmp_path / "show.truth.json").read_text())
    assert truth == returned and (truth["seed"], truth["index"]) == (7, 3)
    assert truth["dish"] == list(DISHES)[18] == "sandwich" and (truth["style"], truth["lag"]) == (2, 1)
    assert truth["action"] == ["slice bread"] * 3 + ["fry egg"] * 2 and truth["phase"] == [0, 0, 2, 0, 1]
    assert truth["steps"] == [{"action": "slice bread", "first_clip": 0, "clips": 3},
                              {"action": "fry egg", "first_clip": 3, "clips": 2}]
    assert [s["topic"] for s in truth["sentences"]] == ["slice bread", None]
    assert [s["clip"] for s in truth["sentences"]] == [0, 2]
    for told, sentence in zip(truth["sentences"], SENTENCES):
        assert [word for word, *_ in told["words"]] == list(words_of(sentence.text))
        assert (told["words"][0][1], told["words"][-1][2]) == pytest.approx(sentence.span, abs=1e-3)


def test_dish_names_come_from_the_world_that_was_sampled(tmp_path):
    small = World(dishes=("bread", "pizza"))
    show = make_show(small, 0, 0)
    assert film.truth_of(show, small.dishes)["dish"] == small.dishes[show.dish]


def test_a_show_depends_on_its_seed_and_number_alone():
    world = World(speech=1.0)
    shows = [make_show(world, 5, i) for i in range(4)]
    again = make_show(world, 5, 2)
    assert again.sentences == shows[2].sentences and again.action.tolist() == shows[2].action.tolist()
    assert len({s.action.tobytes() for s in shows}) == 4
    assert make_show(world, 6, 2).action.tolist() != again.action.tolist()
    quiet = make_show(World(speech=0.0), 5, 2)
    assert quiet.sentences == () and quiet.action.tolist() == again.action.tolist()


def test_clip_k_looks_the_same_however_much_of_the_others_was_drawn():
    whole = list(clips_of_show(TALK, show_rngs(5, 2)[1]))
    for at in ([15], [29, 0]):
        some = list(clips_of_show(TALK, show_rngs(5, 2)[1], at))
        assert all(np.array_equal(a[at], b) for a, b in zip(whole, some))
    shorter = Show(18, 2, TALK.action[:2], TALK.phase[:2])
    assert np.array_equal(list(clips_of_show(shorter, show_rngs(5, 2)[1])), whole[:2])
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(next(clips_of_show(TALK, show_rngs(5, 3)[1])), whole[0])


def test_a_clip_that_draws_much_changes_no_other_clip(monkeypatch):
    def greedy(verb, ingredient, phase, style, rng, at):
        start = rng.integers(256)
        rng.random(len(at))
        return np.full((len(at), 96, 96, 3), start, np.uint8)
    monkeypatch.setattr(film, "draw_clip", greedy)
    whole, some = (list(clips_of_show(TALK, show_rngs(5, 2)[1], at)) for at in (range(30), [3]))
    assert [clip[0, 0, 0, 0] for clip in whole] == [clip[0, 0, 0, 0] for clip in some]


def test_a_film_that_breaks_off_leaves_nothing_behind(tmp_path, monkeypatch):
    def torn(*_):
        raise RuntimeError("out of paint")
    monkeypatch.setattr(film, "draw_clip", torn)
    with pytest.raises(RuntimeError, match="out of paint"):
        write_show(TALK, tmp_path / "show", np.random.default_rng(1), voice=beep)
    assert list(tmp_path.iterdir()) == []


def talk(world, seed, i):
    """Stand in for `make_show` where stories do not matter: the short show, in a style by seed and number."""
    return replace(TALK, style=(seed + i) % 6, sentences=SENTENCES if world.speech else ())


def film_shows(folder, videos, *more):
    main(["--videos", str(videos), "--out", str(folder), *more])
    files = [path for path in folder.iterdir() if path.name != "shows.png"]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_the_command_films_keeps_what_is_finished_and_mends_what_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film, "draw_clip", flat_clip)
    monkeypatch.setattr(command, "make_show", talk)
    monkeypatch.setenv("PATH", str(tmp_path))
    first = film_shows(tmp_path / "shows", 2, "--speech-share", "1")
    assert set(first) == {f"show_00{i}.{end}" for i in range(2) for end in ("mp4", "vtt", "truth.json")}
    out, err = capsys.readouterr()
    assert re.fullmatch(r"2 shows \(0 kept\), 10 clips, 0.2 minutes, 2 with speech, 0.\d MB in .*\n", out)
    assert err.count("apt install flite") == 1
    assert imread(tmp_path / "shows" / "shows.png").std() > 0.1
    (tmp_path / "shows" / "show_000.vtt").unlink()
    second = film_shows(tmp_path / "shows", 3, "--speech-share", "1")
    assert "3 shows (1 kept)" in capsys.readouterr().out
    assert len(second) == 9 and all(second[name] == first[name] for name in first if "001" in name)
    assert all(second[name][1] == first[name][1] for name in first)
    assert second["show_000.mp4"][0] > first["show_000.mp4"][0]
    (tmp_path / "shows" / "show_001.truth.json").write_text('{"seed"')
    third = film_shows(tmp_path / "shows", 2, "--speech-share", "1")
    assert "2 shows (1 kept)" in capsys.readouterr().out
    assert third["show_001.truth.json"][1] == first["show_001.truth.json"][1]
    film_shows(tmp_path / "shows", 1, "--speech-share", "0")
    assert "1 show (0 kept)" in capsys.readouterr().out
    assert not (tmp_path / "shows" / "show_000.vtt").exists()
    film_shows(tmp_path / "shows", 1, "--speech-share", "0", "--seed", "1")
    assert "1 show (0 kept)" in capsys.readouterr().out


@needs_flite
def test_a_silent_show_is_filmed_again_once_there_is_a_voice(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(film, "draw_clip", flat_clip)
    monkeypatch.setattr(command, "make_show", talk)
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        film_shows(tmp_path / "shows", 1, "--speech-share", "1")
    film_shows(tmp_path / "shows", 1, "--speech-share", "1")
    assert "(0 kept)" in capsys.readouterr().out.splitlines()[-1]
    assert json.loads((tmp_path / "shows" / "show_000.truth.json").read_text())["audible"]
    film_shows(tmp_path / "shows", 1, "--speech-share", "1")
    assert "(1 kept)" in capsys.readouterr().out


@pytest.mark.parametrize("wrong, word", [
    (["--videos", "0"], "at least 1"), (["--videos", "x"], "'x'"), (["--seed", "-1"], "--seed"),
    (["--speech-share", "1.5"], "0.38"), (["--speech-share", "nan"], "share"),
    (["--colour"], "--colour"), (["--out", "{file}"], "folder"), ([], "--out"),
])
def test_a_wrong_option_is_refused_in_one_sentence(tmp_path, capsys, wrong, word):
    (tmp_path / "file").touch()
    wrong = [w.format(file=tmp_path / "file") for w in wrong]
    given = ["--out", str(tmp_path / "shows"), *wrong] if wrong else []
    with pytest.raises(SystemExit) as stopped:
        main(given)
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and err.count("\n") == 1 and word in err


def test_the_command_can_be_called_as_a_module():
    run = subprocess.run([sys.executable, "-m", "minivbert.kitchen", "--videos", "0", "--out", "x"],
                         capture_output=True, text=True)
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.count("\n") == 1 and "at least 1" in run.stderr
