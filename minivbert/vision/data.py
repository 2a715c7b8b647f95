"""Labelled images from four places: drawn shapes, the kitchen, Fashion-MNIST's own files, any folder of class folders.

    shapes          drawn here (`shapes.py`): 16 x 16, grey, ten classes
    kitchen         one frame of a clip, 48 x 48; the class is what is done to what: the (verb, ingredient) of `kitchen.recipes.ACTIONS`
    fashion-mnist   its own four files train|t10k-images|labels-idx*-ubyte, packed (.gz) or not (Xiao et al. 2017), where Debian's
                    package puts them
    FOLDER          such files elsewhere, or FOLDER/class/image: anything Pillow reads; all of one size; every fifth image is held out

All images are in memory as uint8; `scaled` makes what a network sees.

Axes: N images, B a batch of them, H height, W width, C channels (1 grey, 3 red, green, blue).

    >>> training, held_out = open_data("shapes", count=100)
    >>> training.pixels_NHWC.shape, len(held_out), training.names[:2]
    ((100, 16, 16, 1), 4000, ('disc', 'square'))
"""
import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from minivbert.vision import shapes

DRAWN = {"shapes": 8000, "kitchen": 8000}          # training images drawn if no number is given
HELD_OUT = 4000                                    # images drawn for testing
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
IDX_UBYTE = 8                                      # the type code of unsigned bytes in an idx file


@dataclass(frozen=True)
class Images:
    """Images with their classes: pixels (N, H, W, C) uint8; label (N,) int64, indices into names."""
    pixels_NHWC: np.ndarray
    label_N: np.ndarray
    names: tuple

    def __len__(self):
        return len(self.label_N)

    def first(self, count):
        """Keep the first images; raise ValueError if there are fewer."""
        if not 0 < count <= len(self):
            raise ValueError(f"{count} images asked for, but there are {len(self)}; ask for 1 to {len(self)}")
        return Images(self.pixels_NHWC[:count], self.label_N[:count], self.names)

    def scaling(self):
        """Give mean and standard deviation of each channel (C,), of pixels from 0 to 1; at least 1/255, for blank images."""
        flat_NC = self.pixels_NHWC.reshape(-1, self.pixels_NHWC.shape[-1]) / np.float32(255)
        return flat_NC.mean(0, dtype=np.float64), np.maximum(flat_NC.std(0, dtype=np.float64), 1 / 255)


def scaled(pixels_BHWC, mean_C, std_C):
    """Make what a network sees: (B, C, H, W) float32 tensor, (pixel / 255 - mean) / std.

    >>> scaled(np.full((1, 2, 2, 1), 255, np.uint8), np.array([0.5]), np.array([0.25])).unique()
    tensor([2.])
    """
    x_BHWC = torch.from_numpy(np.ascontiguousarray(pixels_BHWC)).float()
    mean_C, std_C = (torch.as_tensor(np.asarray(x), dtype=torch.float32) for x in (mean_C, std_C))
    return ((x_BHWC / 255 - mean_C) / std_C).permute(0, 3, 1, 2).contiguous()


def open_data(name, count=0, seed=0):
    """Give (training, held-out) `Images`.

    name: "shapes", "kitchen", "fashion-mnist", a folder of Fashion-MNIST's files or of class folders. count: training images, 0: all (drawn ones: 8,000).
    seed: of what is drawn, and of which images of a folder are held out. The drawn held-out images are the same for every seed.
    Raises ValueError, with what to do, for what cannot be used.
    """
    if name in DRAWN:
        draw = {"shapes": _shapes, "kitchen": kitchen_frames}[name]
        return draw(count or DRAWN[name], np.random.default_rng([seed, 1])), draw(HELD_OUT, np.random.default_rng([0, 2]))
    if name == "fashion-mnist":
        training, held_out = fashion_mnist(DEBIAN)
    elif any(Path(name).glob("*-idx?-ubyte*")):
        training, held_out = fashion_mnist(name)
    else:
        training, held_out = image_folder(name, seed)
    return training.first(count) if count else training, held_out


def _shapes(count, rng):
    return Images(*shapes.draw_shapes(count, rng), shapes.NAMES)


def kitchen_frames(count, rng):
    """Draw single frames of the kitchen, 48 x 48, each of a clip of its own; every action, phase and style is as likely as any other."""
    from minivbert.kitchen.draw import FRAMES, draw_clip
    from minivbert.kitchen.recipes import ACTIONS, PHASES, STYLES
    from minivbert.tokens.features import SIDE, shrink
    label_N = rng.integers(len(ACTIONS), size=count)
    pixels_NHWC = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for i, label in enumerate(label_N):
        frame = draw_clip(*ACTIONS[label], int(rng.integers(PHASES)), int(rng.integers(STYLES)), rng, [int(rng.integers(FRAMES))])
        pixels_NHWC[i] = shrink(frame[None])[0, 0]
    return Images(pixels_NHWC, label_N, tuple(" ".join(action) for action in ACTIONS))


FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def fashion_mnist(folder):
    """Read Fashion-MNIST's (or MNIST's, or any other such) four idx files: (60,000 training, 10,000 held-out) `Images`."""
    return tuple(_idx_pair(Path(folder), part) for part in ("train", "t10k"))


def _idx_pair(folder, part):
    pixels_NHW, label_N = (read_idx(_packed_or_not(folder / f"{part}-{kind}-idx{dimensions}-ubyte"), dimensions)
                           for kind, dimensions in (("images", 3), ("labels", 1)))
    if len(pixels_NHW) != len(label_N):
        raise ValueError(f"{folder}: {len(pixels_NHW)} images but {len(label_N)} labels in its {part} files; fetch them again")
    if label_N.max(initial=0) >= len(FASHION):
        raise ValueError(f"{folder}: a label {label_N.max()} in its {part} files, expected 0 to {len(FASHION) - 1}; give the files of "
                         "Fashion-MNIST")
    return Images(pixels_NHW[..., None], label_N.astype(np.int64), FASHION)


def _packed_or_not(path):
    found = [p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()]
    if not found:
        raise ValueError(f"{path}: not there, packed (.gz) or not; run: apt install dataset-fashion-mnist, or give the folder that "
                         "holds Fashion-MNIST's four files")
    return found[0]


def read_idx(path, dimensions):
    """Read an idx file of unsigned bytes: two zero bytes, type, number of dimensions, big-endian sizes, then the numbers.

    Raises ValueError for another type or number of dimensions, and for more or fewer bytes than the sizes say.
    """
    path = Path(path)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); fetch it again") from error
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, IDX_UBYTE, dimensions)):
        raise ValueError(f"{path}: not an idx file of bytes in {dimensions} dimensions (it begins with {data[:4].hex(' ') or 'nothing'}); "
                         "fetch it again")
    sizes = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != np.prod(sizes, dtype=np.int64):
        raise ValueError(f"{path}: {len(data) - header:,} bytes after its header, which says {' x '.join(map(str, sizes))}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(sizes)


def image_folder(folder, seed=0):
    """Read FOLDER/class/image: (training, held-out) `Images`, a fifth of each class held out, at least one; classes by name.

    Images are grey if all of them are, else in colour. Files whose name begins with a dot are passed over.
    Raises ValueError for a file that is no image, for images of several sizes, for fewer than two classes or two images a class.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give shapes, kitchen, fashion-mnist, or a folder that holds a folder a class")
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(f"{folder}: {len(classes)} class folder{'' if len(classes) == 1 else 's'} in it, but telling classes apart takes "
                         "two; give a folder that holds a folder a class")
    files = [[p for p in sorted(c.iterdir()) if p.is_file() and not p.name.startswith(".")] for c in classes]
    for place, own in zip(classes, files):
        if len(own) < 2:
            raise ValueError(f"{place}: {len(own)} images in it, but one is needed to train and one to test; add some or remove the folder")
    images = [[read_image(p) for p in own] for own in files]
    first = images[0][0]
    for path, image in ((p, i) for ps, is_ in zip(files, images) for p, i in zip(ps, is_)):
        if image.shape[:2] != first.shape[:2]:
            raise ValueError(f"{path}: {image.shape[1]} x {image.shape[0]} pixels, but {files[0][0]} has {first.shape[1]} x "
                             f"{first.shape[0]}; bring all images to one size")
    if any(image.shape[2] == 3 for own in images for image in own):
        images = [[np.broadcast_to(image, (*image.shape[:2], 3)) for image in own] for own in images]
    rng, parts = np.random.default_rng([seed, 3]), ([], [])
    for label, own in enumerate(images):
        order = rng.permutation(len(own))
        cut = max(1, len(own) // 5)
        for part, rows in zip(parts, (order[cut:], order[:cut])):
            part += [(own[row], label) for row in rows]
    names = tuple(c.name for c in classes)
    training = [parts[0][i] for i in rng.permutation(len(parts[0]))]              # so that the first n are of all classes
    return tuple(Images(np.stack([x for x, _ in part]), np.array([y for _, y in part]), names) for part in (training, parts[1]))


def read_image(path):
    """Read an image as (H, W, 1 or 3) uint8, turned upright; raise ValueError for a file that is none or is damaged."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode[0] in "IF":
                raise ValueError(f"{image.mode} pixels; save it with 8 bits a channel")
            return np.array(image)[..., None] if image.mode == "L" else np.array(image.convert("RGB"))
    except Exception as error:          # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise ValueError(f"{path}: not an image that can be read ({error}); fetch it again or take it out of the folder") from error
