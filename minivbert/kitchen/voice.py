"""The cook's voice: a sentence becomes sound that fills the time it was given, with every word's true time.

The voice is `flite`, a small speech synthesiser (`apt install flite`), run as a program. It knows when each
sound (phone) of its speech ends, and it speaks s times as slowly when asked to:

    natural length -> s = seconds / natural length -> speak again -> cut and pad to the sample
    phones of the sentence, shared out in order: each word takes as many as it has when spoken alone

Without flite the cook moves the lips in silence, and the words share the time in proportion to their letters.

Not stated in the paper, our choice: everything here; the paper's cooks are on YouTube.

    >>> letter_times(("mash", "it"), 3.0)
    (('mash', 0.0, 2.0), ('it', 2.0, 3.0))

Try: pcm, words = speak("now we mash the potato.", seconds=2.5)
"""
import shutil
import subprocess
import tempfile
import wave
from functools import lru_cache
from pathlib import Path

import numpy as np

RATE = 16_000          # samples a second, flite's own
VOICE = "rms"
NEAR = 0.01            # how far the length of the spoken words may be from what was asked, as a share of it
TRIES = 4


def find_flite():
    """Find the program: its path, or None where there is none."""
    return shutil.which("flite")


def speak(text, seconds):
    """Say a sentence in exactly so many seconds.

    Returns pcm (round(seconds * 16000),) int16, mono, and words ((word, start, end), ...) in seconds from 0.
    The first word starts with the sound and the last one ends with it, within 1 % of `seconds`.
    Without flite the pcm is silence. The answer is remembered; the pcm is read-only.
    Raises RuntimeError when flite fails.
    """
    return _speak(text, seconds, find_flite())


def words_of(text):
    """List the words of a sentence as a listener would write them down, without full stops and commas.

    >>> words_of("now let's chop it , the onion.")
    ('now', "let's", 'chop', 'it', 'the', 'onion')
    """
    return tuple(word for word in (part.strip(".,") for part in text.split()) if word)


def letter_times(words, seconds):
    """Share `seconds` among words in proportion to their letters: ((word, start, end), ...)."""
    ends = np.cumsum([len(word) for word in words]) / sum(map(len, words)) * seconds
    return tuple(zip(words, [0.0, *ends[:-1].tolist()], ends.tolist()))


@lru_cache(maxsize=None)
def _speak(text, seconds, flite):
    words, samples = words_of(text), round(seconds * RATE)
    if flite is None:
        return _frozen(np.zeros(samples, np.int16)), letter_times(words, seconds)
    stretch = 1.0
    for _ in range(TRIES):
        pcm, phones = _say(flite, text, stretch)
        begin = phones[0][1]
        length = phones[-1][2] - begin
        if abs(length / seconds - 1.0) <= NEAR:
            break
        stretch *= seconds / length
    pcm = pcm[round(begin * RATE):][:samples]
    times = []
    last = np.cumsum([_phone_count(flite, word) for word in words])
    last = np.rint(last * len(phones) / last[-1]).astype(int)    # the factor is 1 unless a word lost a sound
    for word, first, stop in zip(words, [0, *last[:-1]], last):
        start, end = phones[first][1] - begin, phones[stop - 1][2] - begin
        times.append((word, round(start, 3), round(min(end, seconds), 3)))
    return _frozen(np.pad(pcm, (0, samples - len(pcm)))), tuple(times)


@lru_cache(maxsize=None)
def _phone_count(flite, word):
    return len(_say(flite, word, 1.0)[1])


def _say(flite, text, stretch):
    """Run flite: pcm (n,) int16 and its phones [(phone, start, end)] in seconds, pauses left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        run = subprocess.run([flite, "-voice", VOICE, "--setf", f"duration_stretch={stretch:.6f}", "-psdur",
                              "-t", text, "-o", str(path)], capture_output=True, text=True)
        if run.returncode or not path.exists():
            raise RuntimeError(f"{flite} could not say {text!r}: {run.stderr.strip()[:200]}; "
                               f"try `flite -voice {VOICE} -t hello hello.wav`")
        with wave.open(str(path)) as file:
            if file.getframerate() != RATE or file.getnchannels() != 1:
                raise RuntimeError(f"{flite} speaks {file.getframerate()} samples a second, channels: "
                                   f"{file.getnchannels()}; expected {RATE} and 1: install another flite")
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    ends = [(item.rsplit(":", 1)[0], float(item.rsplit(":", 1)[1])) for item in run.stdout.split()]
    starts = [0.0] + [end for _, end in ends]
    return pcm, [(phone, start, end) for (phone, end), start in zip(ends, starts) if phone != "pau"]


def _frozen(pcm):
    pcm.setflags(write=False)
    return pcm
