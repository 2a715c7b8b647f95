"""Write down what is said in videos: python -m minivbert.transcribe VIDEO|FOLDER [--model tiny.en|DIR] [--out FOLDER] [--picture PNG]

    sound at 16 kHz -> Whisper: timed words and their language -> the punctuator: sentences -> show.vtt and show.json

VideoBERT, section 4.1. show.vtt is WebVTT with the time of every word, one cue a sentence, which players show and `prepare` reads;
show.json has the words and sentences as lists, the language and the model. A finished show is not heard again. Captions that
somebody else wrote are never written over. A broken file is named, left out and listed at the end; the exit code is then 1.

Not stated in the paper, our choice: the files. Speech that is not English keeps the recogniser's own marks, since the punctuator
knows English only; so do stretches of 40 words and more in which it finds no end. Where nothing is said there is a .json and no .vtt.
"""
import json
from pathlib import Path

import av
from tqdm import tqdm

from minivbert.config import DATA_SAMPLE
from minivbert.files import replace_file
from minivbert.options import Parser, fail
from minivbert.tokens.captions import sentences_of
from minivbert.tokens.frames import VideoError
from minivbert.tokens.punctuate import load_punctuator, restore
from minivbert.tokens.speech import Recogniser

SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts"}
SOUNDS = {".wav", ".mp3", ".m4a", ".flac", ".ogg", ".opus"}
PUNCTUATOR = DATA_SAMPLE / "weights" / "punctuator.safetensors"
LONGEST = 40                   # words; the longest sentence that is believed
MAKER = "minivbert.transcribe"


def sentences_heard(speech, punctuator):
    """Cut a `Speech` into sentences [(sentence, start [s], end [s])]: by the punctuator, or by Whisper's marks if it is not English.

    Where the punctuator finds no end for more than 40 words, Whisper's own marks cut.
    """
    if not speech.english:
        return sentences_of(speech.words)
    sentences, at = [], 0
    for sentence in restore(speech.words, punctuator):
        words = speech.words[at:at + len(sentence[0].split())]
        sentences += [sentence] if len(words) <= LONGEST else sentences_of(words)
        at += len(words)
    return sentences


def vtt_of(words, sentences, language):
    """Write words and sentences, both [(text, start, end)] with the same words in the same order, as WebVTT with word times.

    A word's time stands before it; where a pause follows, its end stands after it.

    >>> print(vtt_of([("chop", 0.5, 0.9), ("it", 0.9, 1.0), ("now", 1.2, 1.5)], [("Chop it now.", 0.5, 1.5)], "en"))
    WEBVTT
    Language: en
    <BLANKLINE>
    NOTE minivbert.transcribe
    <BLANKLINE>
    00:00:00.500 --> 00:00:01.500
    Chop<00:00:00.900><c> it</c><00:00:01.000><00:00:01.200><c> now.</c>
    <BLANKLINE>
    """
    lines, at = ["WEBVTT", f"Language: {language}", "", f"NOTE {MAKER}", ""], 0
    for sentence, start, end in sentences:
        said, row, last = sentence.split(), "", start
        for n, (text, (_, begin, until)) in enumerate(zip(said, words[at:at + len(said)])):
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            tags = (f"<{clock(last)}>" if begin > last else "") + f"<{clock(begin)}>"
            row += f"{tags}<c> {text}</c>" if n else text
            last = until
        at += len(said)
        lines += [f"{clock(start)} --> {clock(max(end, start + 0.001))}", row, ""]
    return "\n".join(lines)


def clock(seconds):
    """Write seconds as hours:minutes:seconds.milliseconds.

    >>> clock(3723.5)
    '01:02:03.500'
    """
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


def transcribe(source, model="tiny.en", out=None, threads=0, progress=False):
    """Transcribe a video or sound file, or all videos in a folder; return ([json path], sentences about what was left out).

    out: the folder for the files, laid out as `source` is; None writes beside each video. model, threads: see `Recogniser`.
    Raises ValueError where nothing can be transcribed.
    """
    source = Path(source)
    if source.is_dir():
        videos = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES | SOUNDS and not p.name.startswith("."))
        if not videos:
            raise ValueError(f"{source}: no video or sound file in it ({', '.join(sorted(SUFFIXES | SOUNDS))}); give another folder")
    elif source.is_file():
        videos = [source]
    else:
        raise ValueError(f"{source}: no such file or folder; give a video, or a folder that holds some")
    inside = source if source.is_dir() else source.parent
    stems = {v: (v if out is None else Path(out) / v.relative_to(inside)).with_suffix("") for v in videos}
    recogniser, punctuator = Recogniser(model, threads), load_punctuator(PUNCTUATOR)
    written, complaints = [], []
    seconds = {v: _seconds(v) for v in videos}
    with tqdm(total=sum(map(round, seconds.values())), unit="s", disable=not progress, dynamic_ncols=True) as bar:
        for video, stem in stems.items():
            before = bar.n
            bar.set_description(video.name)
            mark = [str(model), video.stat().st_size, video.stat().st_mtime_ns]
            made = _made(_beside(stem, ".json"))
            try:
                _check_free(stem, video)
                if made is None or made["mark"] != mark:
                    made = _listen(video, recogniser, punctuator, mark,
                                   lambda heard, before=before: bar.update(before + round(heard) - bar.n))
                    _write(stem, made)
                written.append(_beside(stem, ".json"))
            except (VideoError, ValueError) as error:
                complaints.append(str(error))
            bar.update(before + round(seconds[video]) - bar.n)
    if not written:
        raise ValueError(f"{source}: nothing could be transcribed; the first: {complaints[0]}" if source.is_dir() else complaints[0])
    return written, complaints


def _listen(video, recogniser, punctuator, mark, progress):
    """Hear one video; return what goes into its .json."""
    speech = recogniser.listen(video, progress)
    return {"made_by": MAKER, "mark": mark, "video": video.name, "model": mark[0], "seconds": round(speech.seconds, 3),
            "language": speech.language, "language_probability": round(speech.probability, 3), "english": speech.english,
            "words": speech.words, "sentences": sentences_heard(speech, punctuator)}


def _write(stem, made):
    """Write stem.vtt, if anything was said, then stem.json."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if made["words"]:
        text = vtt_of(made["words"], made["sentences"], made["language"])
        replace_file(_beside(stem, ".vtt"), lambda path: path.write_text(text, encoding="utf-8"))
    else:
        _beside(stem, ".vtt").unlink(missing_ok=True)
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in made.items())
    replace_file(_beside(stem, ".json"), lambda path: path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8"))


def _beside(stem, suffix):
    """Add a suffix to a name that may have dots of its own."""
    return stem.with_name(stem.name + suffix)


def _made(path):
    """Read a .json of ours, or give None."""
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        return made if made["made_by"] == MAKER else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_free(stem, video):
    """Raise ValueError if a file of somebody else stands where ours would go."""
    vtt, about = _beside(stem, ".vtt"), _beside(stem, ".json")
    others = [path for path, ours in ((vtt, vtt.exists() and f"NOTE {MAKER}\n" in vtt.read_text(encoding="utf-8", errors="replace")),
                                      (about, _made(about))) if path.exists() and not ours]
    if others:
        raise ValueError(f"{video}: {others[0].name} is there already and was not written by this command; "
                         "move it away, or write elsewhere with --out FOLDER")


def _seconds(video):
    """Give how long a file says that it lasts, 0 where that cannot be read: only the progress bar asks."""
    try:
        with av.open(f"file:{video}", metadata_errors="replace") as container:
            return (container.duration or 0) / av.time_base
    except av.FFmpegError:
        return 0.0


def main(argv=None):
    """Run the command."""
    parser = Parser(prog="python -m minivbert.transcribe", description=__doc__.split("\n")[0])
    parser.add_argument("source", metavar="VIDEO|FOLDER", help="a video or sound file, or a folder of them")
    parser.add_argument("--model", default="tiny.en",
                        help="Whisper model: a name (tiny.en; tiny, base, ... know other languages too) or a folder with one")
    parser.add_argument("--out", help="folder for the .vtt and .json (left out: beside each video)")
    parser.add_argument("--picture", help="draw waveform, words, sentences and clips of the first video with speech into this PNG")
    o = parser.parse_args(argv)
    try:
        written, complaints = transcribe(o.source, o.model, o.out, progress=True)
        made = {path: json.loads(path.read_text(encoding="utf-8")) for path in written}
        spoken = [path for path in written if made[path]["words"]]
        if o.picture:
            if not spoken:
                raise ValueError(f"{o.source}: nothing is said in it, so there is nothing to draw; leave out --picture")
            from minivbert.speech_picture import draw_speech          # matplotlib takes a second to load
            folder = Path(o.source) if Path(o.source).is_dir() else Path(o.source).parent
            inside = spoken[0].relative_to(o.out).parent if o.out else spoken[0].parent.relative_to(folder)
            draw_speech(folder / inside / made[spoken[0]]["video"], made[spoken[0]]["words"], made[spoken[0]]["sentences"], o.picture)
    except (ValueError, OSError) as error:
        fail(error)
    total = {"files": len(written), "with speech": len(spoken), "with English speech": sum(m["english"] for m in made.values()),
             "minutes": sum(m["seconds"] for m in made.values()) / 60, "words": sum(len(m["words"]) for m in made.values()),
             "sentences": sum(len(m["sentences"]) for m in made.values()), "left out": len(complaints)}
    for key, value in total.items():
        print(f"{key:<24}{value:>12.1f}" if isinstance(value, float) else f"{key:<24}{value:>12}")
    for complaint in complaints:
        print(f"left out: {complaint}")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
