"""Images to learn from: shapes by their polygons, idx and folders read back, every bad folder one sentence."""
import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from minivbert.vision import shapes
from minivbert.vision.data import Images, fashion_mnist, image_folder, kitchen_frames, open_data, read_idx, scaled


def corners(*radius_angle):
    return [(r * np.sin(np.deg2rad(a)), -r * np.cos(np.deg2rad(a))) for r, a in radius_angle]


POLYGONS = {
    shapes.square: [(-0.78, -0.78), (0.78, -0.78), (0.78, 0.78), (-0.78, 0.78)],
    shapes.triangle: corners((1.1, 0), (1.1, 120), (1.1, 240)),
    shapes.star: corners(*[(1.05 if i % 2 == 0 else 0.42, 36 * i) for i in range(10)]),
    shapes.plus: [(x * s, y * t) for s, t, order in ((1, -1, 1), (1, 1, -1), (-1, 1, 1), (-1, -1, -1))
                  for x, y in [(0.3, 0.95), (0.3, 0.3), (0.95, 0.3)][::order]],
}


@pytest.mark.parametrize("shape", POLYGONS)
def test_a_shape_is_positive_inside_its_polygon_only(shape):
    from matplotlib.path import Path
    points = np.random.default_rng(0).uniform(-1.3, 1.3, (4000, 2))
    value = shape(*points.T)
    inside = Path(POLYGONS[shape] + POLYGONS[shape][:1]).contains_points(points)
    sure = abs(value) > 1e-3
    assert ((value > 0) == inside)[sure].all() and sure.mean() > 0.95 and inside.any()


def test_drawn_shapes_are_as_many_as_asked_and_a_seed_gives_the_same():
    images, labels = shapes.draw_shapes(9000, np.random.default_rng(0))
    again, _ = shapes.draw_shapes(9000, np.random.default_rng(0))
    assert images.shape == (9000, 16, 16, 1) and images.dtype == np.uint8 and np.array_equal(images, again)
    assert abs(np.bincount(labels, minlength=10) - 900).max() < 4 * (9000 * 0.09) ** 0.5
    assert len(shapes.NAMES) == 10


def test_only_the_shape_tells_the_class():
    """Neither grey values nor the place of the light do; pixels as they stand tell a third of the classes at 500 images."""
    training, held_out = open_data("shapes", 500)
    held_out = held_out.first(1000)
    x, t = (i.pixels_NHWC.reshape(len(i), -1) / np.float32(255) for i in (training, held_out))

    def nearest(a_NF, b_NF):
        squared = (b_NF ** 2).sum(1)[:, None] - 2 * b_NF @ a_NF.T + (a_NF ** 2).sum(1)
        return (training.label_N[squared.argmin(1)] == held_out.label_N).mean()
    assert 0.25 < nearest(x, t) < 0.45
    moments = [np.c_[p.mean(1), p.std(1), (p * np.tile(np.arange(16), 16)).mean(1), (p * np.repeat(np.arange(16), 16)).mean(1)] for p in (x, t)]
    assert nearest(*moments) < 0.2


def test_held_out_shapes_are_the_same_for_every_seed_and_none_is_in_training():
    (first, held), (second, again) = open_data("shapes", 300, seed=0), open_data("shapes", 300, seed=1)
    assert np.array_equal(held.pixels_NHWC, again.pixels_NHWC) and not np.array_equal(first.pixels_NHWC, second.pixels_NHWC)
    assert not {x.tobytes() for x in first.pixels_NHWC} & {x.tobytes() for x in held.pixels_NHWC}


def test_kitchen_frames_are_frames_of_their_action():
    from minivbert.kitchen.draw import draw_clip
    from minivbert.kitchen.recipes import ACTIONS
    from minivbert.tokens.features import shrink
    images = kitchen_frames(40, np.random.default_rng(0))
    assert images.pixels_NHWC.shape == (40, 48, 48, 3) and images.names == tuple(" ".join(a) for a in ACTIONS)
    i = 5                               # the nearest of many clips of its own action is nearer than those of another verb
    verb, ingredient = ACTIONS[images.label_N[i]]
    other = next(v for v, g in ACTIONS if v != verb)

    def nearest(verb, ingredient):
        rng = np.random.default_rng(1)
        drawn = [draw_clip(verb, ingredient, p, s, rng, [k]) for p in range(3) for s in range(6) for k in (3, 13, 23)]
        return min(abs(shrink(clip[None])[0, 0].float().numpy() - images.pixels_NHWC[i]).mean() for clip in drawn)
    assert nearest(verb, ingredient) < nearest(other, ACTIONS[[v for v, _ in ACTIONS].index(other)][1])


def test_scaling_makes_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 200, (30, 8, 6, 3)).astype(np.uint8), np.zeros(30, int), ("a", "b"))
    x_BCHW = scaled(images.pixels_NHWC, *images.scaling())
    assert x_BCHW.shape == (30, 3, 8, 6)
    np.testing.assert_allclose(x_BCHW.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(x_BCHW.std((0, 2, 3), correction=0), 1, atol=1e-4)
    blank = Images(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int), ("a", "b"))
    assert scaled(blank.pixels_NHWC, *blank.scaling()).abs().max() == 0


def write_idx(path, array):
    data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_fashion(folder, packed=".gz"):
    rng = np.random.default_rng(0)
    for part, n in (("train", 30), ("t10k", 10)):
        write_idx(folder / f"{part}-images-idx3-ubyte{packed}", rng.integers(0, 256, (n, 28, 28)).astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte{packed}", rng.integers(0, 10, n).astype(np.uint8))


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_idx_files_come_back(tmp_path, packed):
    write_fashion(tmp_path, packed)
    training, held_out = open_data(str(tmp_path), 20)
    assert len(training) == 20 and len(held_out) == 10 and training.pixels_NHWC.shape == (20, 28, 28, 1)
    expected = np.random.default_rng(0).integers(0, 256, (30, 28, 28)).astype(np.uint8)
    assert np.array_equal(training.pixels_NHWC[..., 0], expected[:20]) and training.names[9] == "ankle boot"


def test_bad_idx_files_are_named(tmp_path):
    write_fashion(tmp_path)
    images, labels = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[:2000])
    with pytest.raises(ValueError, match="train-images.*cannot be unpacked.*fetch"):
        fashion_mnist(tmp_path)
    write_idx(images, np.zeros((29, 28, 28), np.uint8))
    with pytest.raises(ValueError, match="29 images but 30 labels in its train files"):
        fashion_mnist(tmp_path)
    write_idx(images, np.zeros((30, 28, 28), np.uint8))
    write_idx(labels, np.full(30, 77, np.uint8))
    with pytest.raises(ValueError, match="a label 77 .*expected 0 to 9"):
        fashion_mnist(tmp_path)
    with pytest.raises(ValueError, match="not an idx file of bytes in 3 dimensions.*00 00 08 01"):
        read_idx(labels, 3)
    (tmp_path / "x").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 5)) + b"1234")
    with pytest.raises(ValueError, match="4 bytes after its header, which says 5"):
        read_idx(tmp_path / "x", 1)
    labels.unlink()
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte: not there, packed .*apt install"):
        fashion_mnist(tmp_path)


def write_folder(folder, classes=("cat", "dog"), count=10, size=(24, 16), mode="RGB", suffix="png"):
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{i:02d}.{suffix}")
    return folder


def test_a_folder_of_class_folders_comes_back(tmp_path):
    folder = write_folder(tmp_path / "pets")
    (folder / "cat" / ".hidden").write_text("not an image")
    training, held_out = image_folder(folder)
    assert training.names == ("cat", "dog") and len(training) == 16 and len(held_out) == 4
    assert training.pixels_NHWC.shape == (16, 16, 24, 3) and sorted(held_out.label_N) == [0, 0, 1, 1]
    stored = {np.array(Image.open(p)).tobytes(): p.parent.name for p in folder.rglob("*.png")}
    for part in (training, held_out):
        assert all(stored.pop(x.tobytes()) == part.names[y] for x, y in zip(part.pixels_NHWC, part.label_N))
    assert not stored
    assert len(set(training.label_N[:6])) == 2                                   # the first n are of all classes
    assert np.array_equal(image_folder(folder)[0].pixels_NHWC, training.pixels_NHWC)


def test_grey_stays_grey_unless_one_is_in_colour(tmp_path):
    folder = write_folder(tmp_path / "grey", mode="L")
    assert image_folder(folder)[0].pixels_NHWC.shape == (16, 16, 24, 1)
    Image.new("RGB", (24, 16), (9, 8, 7)).save(folder / "cat" / "colour.png")
    assert image_folder(folder)[0].pixels_NHWC.shape[-1] == 3


def test_bad_folders_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such folder; give shapes, kitchen, fashion-mnist, or"):
        open_data(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="one: 1 class folder in it.*takes two"):
        image_folder(write_folder(tmp_path / "one", classes=("cat",)))
    folder = write_folder(tmp_path / "sizes")
    Image.new("RGB", (24, 17)).save(folder / "dog" / "99.png")
    with pytest.raises(ValueError, match=r"dog.99.png: 24 x 17 pixels, but .*cat.00.png has 24 x 16; bring all"):
        image_folder(folder)
    folder = write_folder(tmp_path / "text")
    (folder / "dog" / "03.png").write_text("this is no image")
    with pytest.raises(ValueError, match=r"dog.03.png: not an image that can be read .*take it out"):
        image_folder(folder)
    folder = write_folder(tmp_path / "cut", suffix="jpg")
    path = folder / "dog" / "03.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"dog.03.jpg: not an image that can be read .*truncated"):
        image_folder(folder)
    folder = write_folder(tmp_path / "few")
    for path in sorted((folder / "dog").iterdir())[1:]:
        path.unlink()
    with pytest.raises(ValueError, match="dog: 1 images in it, but one is needed to train and one to test"):
        image_folder(folder)
    folder = write_folder(tmp_path / "deep")
    Image.fromarray(np.zeros((16, 24), np.uint16)).save(folder / "dog" / "03.png")
    with pytest.raises(ValueError, match="dog.03.png: .*8 bits"):
        image_folder(folder)
    with pytest.raises(ValueError, match="17 images asked for, but there are 16"):
        open_data(str(write_folder(tmp_path / "all")), 17)
