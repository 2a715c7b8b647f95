"""Sound -> timed words and their language: automatic speech recognition by Whisper.

VideoBERT (arXiv 1904.01766, section 4.1) takes the words of a video, and their times, from YouTube's speech recognition, and
keeps the text of the videos whose speech is predicted to be English: 180K of 312K videos have recognised speech, 120K of them English.

    sound at 16 kHz -> where there is a voice at all -> Whisper, beam of 5 -> words -> their times from its cross-attention

Whisper is not written by hand here: faster-whisper runs it (`pip install -r requirements-asr.txt`), and is imported when a
recogniser is made. A model is a name, which is then fetched from its hub ("tiny.en", "base", ...), or a folder that holds one.

Not stated in the paper, our choice: the recogniser. Silence is taken out first (faster-whisper's voice activity detection), since
Whisper makes up a "You" for half a minute without speech. What is heard in one window is not told to the next, and nothing is
drawn at random (temperature 0): the same sound gives the same words. Where Whisper falls into repeating itself, as it may with speech
it does not know, nothing counts as heard. A model for English alone (tiny.en) calls everything English. It runs on the CPU with 8-bit
weights.

Try: Recogniser("tiny.en").listen("show.mp4").words[:3]
"""
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minivbert.tokens.audio import RATE, parts_of
from minivbert.tokens.punctuate import Word

FILES = ("model.bin", "config.json", "tokenizer.json")          # what a model's folder must hold
SURE = 0.5                      # English less likely than this is not taken for English
BABBLE = 2.4                    # text that gzip makes more times smaller than this repeats itself: the bar is Whisper's own
HOW = dict(beam_size=5, temperature=0.0, word_timestamps=True, condition_on_previous_text=False, vad_filter=True)


@dataclass(frozen=True)
class Speech:
    """What was heard: words [(word, start, end)] in seconds, in order; the sound's length in seconds, 0 without a sound track.

    language: "en", "de", ... and how probable it is, 0 to 1; None and 0 where nothing was said.
    """
    words: list[Word]
    seconds: float
    language: str | None
    probability: float

    @property
    def english(self) -> bool:
        """Tell whether there is speech and it is English, rather likely than not."""
        return self.language == "en" and self.probability >= SURE


class Recogniser:
    """A Whisper model, loaded. model: its name or its folder; threads: how many, 0 for faster-whisper's own choice.

    Raises ValueError without faster-whisper, for a folder that holds no model, and for a name that cannot be fetched.
    """

    def __init__(self, model: str | os.PathLike, threads: int = 0):
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise ValueError("speech recognition needs the package faster-whisper; install it with: "
                             "pip install -r requirements-asr.txt") from error
        check_model(model)
        try:
            self.whisper = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=threads)
        except Exception as error:                # the hub's client, its HTTP library and CTranslate2 each raise errors of their own
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{model}: no speech recogniser could be loaded ({reason}); give the name of a Whisper model, such as "
                             f"tiny.en, with a network, or a folder with {', '.join(FILES)}") from error

    def listen(self, path: str | os.PathLike, progress: Callable[[float], object] = lambda seconds: None) -> Speech:
        """Recognise the speech of a video or sound file. progress: is told the seconds listened to so far.

        Raises VideoError for a file that is missing, broken or cut short; without a sound track there is nothing to hear.
        """
        words, seconds, language, probability = [], 0.0, None, 0.0
        for first, part_N in parts_of(path):
            offset, seconds = first / RATE, (first + len(part_N)) / RATE
            segments, about = self.whisper.transcribe(part_N, language=language, **HOW)
            for segment in segments:
                if segment.compression_ratio <= BABBLE:
                    words += [(word, offset + start, offset + end) for word, start, end in whole_words(segment.words)]
                progress(offset + float(segment.end))
            if language is None and words:
                language, probability = about.language, float(about.language_probability)
            progress(seconds)
        return Speech(in_order(words, seconds), seconds, language, probability)


def whole_words(parts: Sequence) -> list[Word]:
    """Join what Whisper gives as parts, " ill" and "-disposed", into words; drop what has no letter or digit.

    >>> from types import SimpleNamespace as Part
    >>> whole_words([Part(word=" ill", start=0.0, end=0.3), Part(word="-bred", start=0.3, end=0.6), Part(word=" .", start=0.6, end=0.8)])
    [('ill-bred', 0.0, 0.6)]
    """
    words: list[Word] = []
    for part in parts:
        if words and not part.word.startswith(" "):
            words[-1] = (words[-1][0] + part.word, words[-1][1], float(part.end))
        else:
            words.append((part.word, float(part.start), float(part.end)))
    return [(word.strip(), start, end) for word, start, end in words if any(letter.isalnum() for letter in word)]


def check_model(model: str | os.PathLike) -> None:
    """Raise ValueError for a path that is no folder with a Whisper model; a plain name passes."""
    path = Path(model)
    if path.is_dir():
        missing = [name for name in FILES if not (path / name).is_file()]
        if missing:
            raise ValueError(f"{model}: no Whisper model for faster-whisper is in this folder ({', '.join(missing)} missing); "
                             f"give a folder with {', '.join(FILES)}, or a name such as tiny.en")
    elif path.exists() or path.is_absolute() or str(model).startswith((".", "~")):
        raise ValueError(f"{model}: no such folder; give a folder with {', '.join(FILES)}, or a name such as tiny.en")


def in_order(words: list[Word], seconds: float) -> list[Word]:
    """Round times to 1 ms and keep them from running backwards: each word starts where the one before ends, or later.

    >>> in_order([("chop", 0.1, 0.62), ("it", 0.6, 0.8), ("now", 0.8, 3.4)], 3.0)
    [('chop', 0.1, 0.62), ('it', 0.62, 0.8), ('now', 0.8, 3.0)]
    """
    ordered, last = [], 0.0
    for word, start, end in words:
        start = min(max(start, last), seconds)
        last = min(max(end, start), seconds)
        ordered.append((word, round(start, 3), round(last, 3)))
    return ordered
