"""Sound of any track at 16 kHz on the pictures' clock: tones and clicks written with PyAV come back at their time and strength."""
import wave
from fractions import Fraction

import av
import numpy as np
import pytest

from minivbert.config import DATA_SAMPLE
from minivbert.tokens import audio
from minivbert.tokens.audio import BLOCK, RATE, blocks_of, parts_of
from minivbert.tokens.frames import VideoError


def sound_of(path):
    return np.concatenate([np.zeros(0, np.float32), *blocks_of(path)])


def write(path, pcm_CN=None, rate=RATE, codec="aac", picture=None, at=0.0, hole=None, video_at=0.0, seconds=2.0):
    """Write a film: pcm (channels, n) float32 from `at` seconds on, pictures (10 a second) from `video_at` on unless picture is None.

    hole: (n, seconds): after n samples the sound pauses so long, by its stamps alone.
    """
    with av.open(str(path), "w") as out:
        sound = video = None
        if picture is not None:
            video = out.add_stream(picture, rate=10, width=32, height=32, pix_fmt="yuv420p")
        if pcm_CN is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(pcm_CN)]
            sound = out.add_stream(codec, rate=rate, layout=layout)
            shape = sound.codec_context.format.name if sound.codec_context.format else "fltp"
        if video:
            for k in range(round(seconds * 10)):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(video_at * 10) + k, Fraction(1, 10)
                out.mux(video.encode(frame))
            out.mux(video.encode())
        if sound:
            step = sound.codec_context.frame_size or 1024
            for n in range(0, pcm_CN.shape[1], step):
                piece = np.ascontiguousarray(pcm_CN[:, n:n + step])
                if shape == "s16":
                    piece = (piece.T.reshape(1, -1) * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(piece, shape, layout)
                late = hole[1] if hole and n >= hole[0] else 0.0
                frame.pts, frame.sample_rate, frame.time_base = round((at + late) * rate) + n, rate, Fraction(1, rate)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


def tone(seconds, rate, hertz=440.0, strength=0.5):
    return (strength * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def click(seconds, at, rate):
    """Silence with 50 ms of tone from `at` seconds on."""
    pcm = np.zeros(round(seconds * rate), np.float32)
    pcm[round(at * rate):round((at + 0.05) * rate)] = tone(0.05, rate, 1000.0)
    return pcm


def onset(sound_N):
    return np.flatnonzero(np.abs(sound_N) > 0.2)[0] / RATE


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("codec, name", [("aac", "a.mp4"), ("pcm_s16le", "a.wav")])
def test_any_rate_becomes_16_khz_with_the_same_tone_at_the_same_strength(tmp_path, rate, codec, name):
    sound_N = sound_of(write(tmp_path / name, tone(2, rate)[None], rate, codec))
    assert sound_N.dtype == np.float32 and abs(len(sound_N) - 2 * RATE) < 0.15 * RATE
    heard_N = sound_N[4000:28000]
    spectrum = np.abs(np.fft.rfft(heard_N))
    assert np.argmax(spectrum) * RATE / len(heard_N) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(heard_N ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


def test_what_is_above_8_khz_is_not_folded_down(tmp_path):
    sound_N = sound_of(write(tmp_path / "a.wav", tone(1, 48000, 11_000.0)[None], 48000, "pcm_s16le"))
    assert np.abs(sound_N[2000:-2000]).max() < 0.01


def test_stereo_and_surround_are_mixed_down(tmp_path):
    left = np.stack([tone(1, 44100), np.zeros(44100, np.float32)])
    both = np.stack([tone(1, 44100), tone(1, 44100)])
    strength = [np.sqrt(np.mean(sound_of(write(tmp_path / f"{i}.wav", pcm, 44100, "pcm_s16le"))[2000:14000] ** 2)) * np.sqrt(2)
                for i, pcm in enumerate((left, both))]
    assert strength == pytest.approx([0.25, 0.5], rel=0.02)
    surround = np.stack([tone(1, 48000, 300.0 + 50 * k) for k in range(6)])
    sound_N = sound_of(write(tmp_path / "a.mkv", surround, 48000))
    assert 0.05 < np.abs(sound_N).max() <= 1.0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
@pytest.mark.parametrize("at, video_at", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.5)])
def test_sample_0_is_the_first_picture(tmp_path, name, at, video_at):
    """The click 1.2 s after the sound's start; sound that starts late is filled up, sound before the first picture is cut off."""
    path = write(tmp_path / name, click(2.5, 1.2, 48000)[None], 48000, picture="libx264", at=at, video_at=video_at)
    assert onset(sound_of(path)) == pytest.approx(1.2 + at - video_at, abs=0.03)


def test_without_pictures_sample_0_is_the_first_one_of_the_track(tmp_path):
    path = write(tmp_path / "a.mkv", click(2, 0.5, 16000)[None], at=3.0)
    assert onset(sound_of(path)) == pytest.approx(0.5, abs=0.03)


def test_a_hole_in_the_track_is_silence(tmp_path):
    """A second click 0.5 s after the first by its samples, 3 s later still by its stamps."""
    pcm = click(2, 0.5, 16000) + click(2, 1.0, 16000)
    path = write(tmp_path / "a.mkv", pcm[None], codec="pcm_s16le", picture="libx264", hole=(0.8 * 16000, 3.0))
    sound_N = sound_of(path)
    assert onset(sound_N) == pytest.approx(0.5, abs=0.01)
    assert onset(sound_N[RATE:]) + 1 == pytest.approx(4.0, abs=0.01)
    assert len(sound_N) == pytest.approx(5 * RATE, abs=2)


def test_a_clock_that_jumps_by_days_is_an_error_and_not_a_full_memory(tmp_path):
    path = write(tmp_path / "a.mkv", tone(2, 16000)[None], codec="pcm_s16le", hole=(16384, 200_000.0))
    with pytest.raises(VideoError, match=r"a\.mkv: its sound jumps from 1\.0 s to 200001\.0 s"):
        sound_of(path)


def test_no_track_is_no_sound_and_silence_is_silence(tmp_path):
    assert list(blocks_of(write(tmp_path / "mute.mp4", picture="libx264"))) == []
    assert list(parts_of(tmp_path / "mute.mp4")) == []
    silent_N = sound_of(write(tmp_path / "silent.mp4", np.zeros((2, 96000), np.float32), 48000, picture="libx264"))
    assert abs(len(silent_N) - 2 * RATE) < 0.1 * RATE and not silent_N.any()


def long_wav(path, seconds):
    """Write noise with half a second of silence at the end of every seven."""
    rng = np.random.default_rng(0)
    noise = (2000 * rng.standard_normal(7 * RATE)).astype(np.int16)
    noise[-RATE // 2:] = 0
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.resize(noise, seconds * RATE).tobytes())
    return np.resize(noise, seconds * RATE).astype(np.float32) / 32768


def test_blocks_and_parts_are_the_whole_sound_in_order(tmp_path):
    pcm_N = long_wav(tmp_path / "a.wav", 725)
    blocks = list(blocks_of(tmp_path / "a.wav"))
    assert [len(b) for b in blocks[:-1]] == [BLOCK] * (len(blocks) - 1) and 0 < len(blocks[-1]) <= BLOCK
    assert np.array_equal(np.concatenate(blocks), pcm_N)
    parts = list(parts_of(tmp_path / "a.wav"))
    assert np.array_equal(np.concatenate([part_N for _, part_N in parts]), pcm_N)
    assert [first for first, _ in parts] == np.cumsum([0, *(len(part_N) for _, part_N in parts)])[:-1].tolist()
    for first, _ in parts[1:]:
        assert not pcm_N[first - 3500:first + 3500].any()                         # cut in the middle of a pause
    assert all(len(part_N) <= audio.PART for _, part_N in parts) and len(parts) == 3


def test_it_streams(tmp_path, monkeypatch):
    """The first block is there before the end of the file has been decoded."""
    long_wav(tmp_path / "a.wav", 120)
    decoded, real = [], audio._decoded

    def counting(path):
        for frame, start in real(path):
            decoded.append(frame.samples)
            yield frame, start

    monkeypatch.setattr(audio, "_decoded", counting)
    blocks = blocks_of(tmp_path / "a.wav")
    next(blocks)
    assert BLOCK <= sum(decoded) < 2 * BLOCK
    assert sum(1 for _ in blocks) == 11


def cut_short(data):
    return data[:len(data) // 2]


def damaged(data):
    return data[:len(data) // 3] + bytes(len(data) // 3) + data[2 * len(data) // 3:]


@pytest.mark.parametrize("harm, says", [
    (None, "no such file"), (lambda data: b"this is no video", "cannot be read"), (lambda data: b"", "cannot be read"),
    (cut_short, "cannot be read"), (damaged, "cannot be read"),
])
def test_broken_files_are_named(tmp_path, harm, says):
    path = tmp_path / "show.mp4"
    if harm:
        path.write_bytes(harm((DATA_SAMPLE / "videos" / "show_003.mp4").read_bytes()))
    with pytest.raises(VideoError) as error:
        sound_of(path)
    assert str(error.value).startswith(f"{path}: ") and says in str(error.value)


def test_a_film_whose_index_comes_first_is_named_when_it_is_cut_short(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        for k in range(60):
            frame = av.AudioFrame.from_ndarray(np.random.default_rng(k).normal(size=(1, 1024)).astype(np.float32) / 9, "fltp", "mono")
            frame.pts, frame.sample_rate = 1024 * k, 16000
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[:-len(data) // 3])
    with pytest.raises(VideoError, match=r"a\.mp4: is cut short, [\d,]+ bytes of at least [\d,]+"):
        sound_of(tmp_path / "a.mp4")
