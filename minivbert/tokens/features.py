"""Clip of 30 frames -> one feature vector: what a video network sees just before it names an action.

VideoBERT (Sun et al., 2019, section 4.2) takes S3D (Xie et al., 2018: 3D convolutions separated into space
and time, k x k x k -> 1 x k x k then k x 1 x 1) trained to classify actions, and averages its last
activations over time and space:

    feature(clip) = mean over t, h, w of network(clip)[:, t, h, w]                 (F,), F = 1,024 for S3D

Two networks answer to `open_extractor`: "mini", a MiniS3D of 56,240 parameters trained on our own
kitchen, and "s3d", torchvision's S3D with Kinetics-400 weights (7.9 M), for real videos. Neither knows the
other's features: a k-means tree and a corpus belong to the extractor that made them.

Axes: N clips, B a batch of them, C channels, T time, H height, W width, F features; 3 = red, green, blue.

Differs from, or not stated in, the paper: MiniS3D is ours (the miniature of S3D); it looks at every third
frame only, at 48 x 48 pixels, whatever the shape of the picture (squashed, not cropped). The chapter's class
scores are not the feature.

    extractor = open_extractor("mini", "mini_s3d.safetensors")
    extractor(clips).shape              # clips (N, 30, H, W, 3) uint8 -> (N, 64) float32
"""
import importlib.metadata
import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from minivbert.files import file_hash, replace_file
from minivbert.tokens.frames import CLIP_FRAMES

FRAMES_SEEN = tuple(range(0, CLIP_FRAMES, 3))      # the ten frames of a clip that MiniS3D looks at
SIDE = 48                                          # [pixels] of the square it sees
KINETICS_SHA256 = "d76dad2f"                       # first digits, as in the name of the file


def shrink(frames_NTHW3: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Resize frames (N, T, H, W, 3) uint8 to (N, T, 48, 48, 3) uint8, each pixel the mean of its area.

    >>> chessboard = np.indices((96, 96)).sum(0) % 2 * np.uint8(200)
    >>> shrink(np.broadcast_to(chessboard[None, None, :, :, None], (1, 2, 96, 96, 3))).unique()
    tensor([100], dtype=torch.uint8)
    """
    if isinstance(frames_NTHW3, np.ndarray):
        frames_NTHW3 = torch.from_numpy(np.array(frames_NTHW3))    # a copy: torch knows no reversed views
    N, T, H, W, _ = frames_NTHW3.shape
    if (H, W) == (SIDE, SIDE):
        return frames_NTHW3
    images_B3HW = frames_NTHW3.reshape(N * T, H, W, 3).permute(0, 3, 1, 2).contiguous().float()
    small_B3HW = F.interpolate(images_B3HW, size=(SIDE, SIDE), mode="area").round().to(torch.uint8)
    return small_B3HW.permute(0, 2, 3, 1).reshape(N, T, SIDE, SIDE, 3)


class SeparableConv3d(nn.Module):
    """A k x k convolution in space, then one over 3 steps of time, each with norm and ReLU: S3D's brick."""

    def __init__(self, c_in: int, c_out: int, side: int, stride: int = 1):
        super().__init__()
        pad = side // 2
        self.space = nn.Conv3d(c_in, c_out, (1, side, side), (1, stride, stride), (0, pad, pad), bias=False)
        self.space_norm = nn.BatchNorm3d(c_out)
        self.time = nn.Conv3d(c_out, c_out, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)
        self.time_norm = nn.BatchNorm3d(c_out)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        y_BCTHW = F.relu(self.space_norm(self.space(x_BCTHW)))
        return F.relu(self.time_norm(self.time(y_BCTHW)))


class MiniS3D(nn.Module):
    """S3D in miniature: three separable convolutions, two poolings, a mean over t, h, w, a linear classifier.

    widths: channels after each separable convolution; the last one is the width F of the feature.
    """

    name = "mini"

    def __init__(self, classes: int, widths: tuple[int, int, int] = (16, 48, 64)):
        super().__init__()
        self.classes, self.widths, self.width = classes, tuple(widths), widths[-1]
        self.body = nn.Sequential(                                        # T x H x W of what comes out:
            SeparableConv3d(3, widths[0], 5, stride=2),                   # 5 x 24 x 24
            nn.MaxPool3d((1, 2, 2)),                                      # 5 x 12 x 12
            SeparableConv3d(widths[0], widths[1], 3),                     # 5 x 12 x 12
            nn.MaxPool3d((1, 2, 2)),                                      # 5 x 6 x 6
            SeparableConv3d(widths[1], widths[2], 3))                     # 5 x 6 x 6
        self.head = nn.Linear(widths[-1], classes)
        self.to(memory_format=torch.channels_last_3d)                     # about twice as fast on a CPU

    @staticmethod
    def preprocess(clips_NTHW3: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return what the network looks at: clips (N, 30, H, W, 3) uint8 -> (N, 10, 48, 48, 3) uint8.

        Who draws frames may draw `FRAMES_SEEN` only and call `shrink`: it gives the same.
        """
        _check_clips(clips_NTHW3)
        return shrink(clips_NTHW3[:, FRAMES_SEEN[0]::FRAMES_SEEN[1] - FRAMES_SEEN[0]])

    @staticmethod
    def scale(seen_NTHW3: torch.Tensor) -> torch.Tensor:
        """Bring colours from 0..255 to -2..2: (N, 10, 48, 48, 3) uint8 -> (N, 3, 10, 48, 48) float32."""
        return seen_NTHW3.float().sub_(127.5).div_(63.75).permute(0, 4, 1, 2, 3)

    def pool(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Scaled frames (B, 3, 10, 48, 48) float32 -> features (B, F)."""
        return self.body(x_BCTHW).mean((2, 3, 4))

    def embed(self, seen_NTHW3: torch.Tensor) -> torch.Tensor:
        """Preprocessed clips (B, 10, 48, 48, 3) uint8 -> features (B, F) float32."""
        return self.pool(self.scale(seen_NTHW3))

    def forward(self, seen_NTHW3: torch.Tensor) -> torch.Tensor:
        """Preprocessed clips (B, 10, 48, 48, 3) uint8 -> logits (B, classes) of what it was trained on."""
        return self.head(self.embed(seen_NTHW3))


def fit_mini(model: MiniS3D, seen_NTHW3: torch.Tensor, labels_N: torch.Tensor, steps: int,
             generator: torch.Generator, batch: int = 32, lr: float = 4e-3) -> list[float]:
    """Train MiniS3D to tell the classes of clips; return the loss [nats] of each step.

    seen_NTHW3 (N, 10, 48, 48, 3) uint8: preprocessed clips; labels_N (N,) int64; generator: all random draws,
    on the CPU. Cross-entropy, AdamW, one cycle of the learning rate with top lr. Each clip is blurred, dimmed
    and made noisy at random, because what is learnt from drawn frames must hold for the same frames after
    H.264.
    """
    device = model.head.weight.device
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.2)
    losses = []
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(labels_N), (batch,), generator=generator)
        x_BCTHW = _spoil(model.scale(seen_NTHW3[rows]), generator).to(device)
        loss = F.cross_entropy(model.head(model.pool(x_BCTHW)), labels_N[rows].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    return losses


def _spoil(x_BCTHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Blur, dim or brighten, and add noise to scaled clips, each by an amount of its own."""
    def amount(low, high):
        return low + (high - low) * torch.rand((len(x_BCTHW), 1, 1, 1, 1), generator=generator)
    blurred_BCTHW = F.avg_pool3d(x_BCTHW, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    y_BCTHW = torch.lerp(x_BCTHW, blurred_BCTHW, amount(0, 0.8))
    y_BCTHW = y_BCTHW * amount(0.9, 1.1) + amount(-0.2, 0.2)
    return y_BCTHW + amount(0, 0.2) * torch.randn(x_BCTHW.shape, generator=generator)


def save_mini(model: MiniS3D, path: str | os.PathLike) -> None:
    """Write a MiniS3D's weights as safetensors, its widths and number of classes in the file's metadata."""
    about = {"network": "MiniS3D", "widths": json.dumps(model.widths), "classes": json.dumps(model.classes)}
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary, metadata=about))


def load_mini(path: str | os.PathLike) -> MiniS3D:
    """Read a MiniS3D that `save_mini` wrote, in evaluation mode; raise ValueError if the file is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); "
                         "give the weights that save_mini wrote") from error
    if about.get("network") != "MiniS3D":
        raise ValueError(f"{path}: holds the weights of another network ({about.get('network', 'unnamed')}); "
                         "give the weights of a MiniS3D, as save_mini writes them")
    model = MiniS3D(json.loads(about["classes"]), tuple(json.loads(about["widths"])))
    model.load_state_dict(tensors)
    return model.eval()


class S3D(nn.Module):
    """torchvision's S3D up to its last activations, as in the paper: 30 frames of 224 x 224 -> 1,024 numbers.

    weights: a file with torchvision's parameter names, or None for S3D_Weights.KINETICS400_V1 (fetched once,
    32 MB).
    Raises ValueError if torchvision is missing or does not fit torch, or the weights cannot be had or read.
    About 3 seconds a clip on one CPU core.
    """

    name, width = "s3d", 1024

    def __init__(self, weights: str | os.PathLike | None = None):
        super().__init__()
        s3d, kinetics = _torchvision_s3d()
        if weights is None:
            weights = _fetch_kinetics(kinetics.url)
        self._transform = kinetics.transforms()
        self.features = s3d(weights=None).features
        try:
            tensors = torch.load(weights, map_location="cpu", weights_only=True)
            prefix = "features."
            self.features.load_state_dict(
                {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)})
        except Exception as error:         # torch.load and load_state_dict raise a dozen kinds
            raise ValueError(f"{weights}: not the weights of torchvision's S3D ({type(error).__name__}); "
                             f"give a file like the one at {kinetics.url}") from error
        self.to(memory_format=torch.channels_last_3d).eval()

    def preprocess(self, clips_NTHW3: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Clips (N, 30, H, W, 3) uint8 -> (N, 3, 30, 224, 224) float32: resized, cropped, scaled."""
        _check_clips(clips_NTHW3)
        return self._transform(torch.as_tensor(clips_NTHW3).permute(0, 1, 4, 2, 3))

    def embed(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Preprocessed clips (B, 3, 30, 224, 224) float32 -> features (B, 1024) float32."""
        return self.features(x_BCTHW).mean((2, 3, 4))


def _torchvision_s3d():
    """Import S3D and the name of its Kinetics weights from torchvision, or say why that fails."""
    try:
        from torchvision.models.video import S3D_Weights, s3d
    except ModuleNotFoundError as error:
        raise ValueError(f"features 's3d' need torchvision, of which {error.name.split('.')[0]} is not "
                         "installed; run: pip install minivbert[s3d]") from error
    except Exception as error:                # a build for another torch fails in its own ways
        raise ValueError(
            f"torchvision {importlib.metadata.version('torchvision')} does not work with torch "
            f"{torch.__version__} ({error}); install the two from one index, for a CPU: "
            "pip install --force-reinstall torch torchvision "
            "--index-url https://download.pytorch.org/whl/cpu") from error
    return s3d, S3D_Weights.KINETICS400_V1


def _fetch_kinetics(url: str) -> Path:
    """Return the Kinetics weights in torch's cache, fetched if not there, their hash checked."""
    path = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path)
        except OSError as error:
            raise ValueError(f"S3D's Kinetics weights cannot be fetched ({error}); fetch {url} elsewhere and "
                             "give the file as weights") from error
    if not file_hash(path).startswith(KINETICS_SHA256):
        raise ValueError(f"{path}: its sha256 starts with {file_hash(path)[:8]}, not {KINETICS_SHA256}, "
                         "so it is not what torchvision published; delete it and run again")
    return path


def extract(model: MiniS3D | S3D, clips_NTHW3: np.ndarray, batch: int = 32) -> np.ndarray:
    """Turn clips (N, 30, H, W, 3) uint8 into features (N, F) float32, `batch` at a time."""
    _check_clips(clips_NTHW3)
    device = next(model.parameters()).device
    features_NF = np.empty((len(clips_NTHW3), model.width), np.float32)
    with torch.inference_mode():
        for at in range(0, len(clips_NTHW3), batch):
            seen = model.preprocess(clips_NTHW3[at:at + batch]).to(device)
            features_NF[at:at + batch] = model.embed(seen).cpu().numpy()
    return features_NF


class Extractor:
    """A network with its weights, as a function from clips to features; it knows its `name` and `width` F."""

    def __init__(self, model: MiniS3D | S3D, batch: int):
        self.model, self.batch, self.name, self.width = model, batch, model.name, model.width

    def __call__(self, clips_NTHW3: np.ndarray) -> np.ndarray:
        """Turn clips (N, 30, H, W, 3) uint8 into features (N, F) float32."""
        return extract(self.model, clips_NTHW3, self.batch)


def open_extractor(name: str, weights: str | os.PathLike | None = None) -> Extractor:
    """Return the extractor "mini" (weights: a file of `save_mini`) or "s3d" (a file, or None for Kinetics).

    Raises ValueError for another name, for "mini" without weights, and for weights that cannot be read.
    """
    if name == "s3d":
        return Extractor(S3D(weights), batch=1)          # more at once cost memory and save no time
    if name != "mini":
        raise ValueError(f"features {name!r} are not known; choose 'mini' or 's3d'")
    if weights is None:
        raise ValueError("features 'mini' need weights; give the file of a trained MiniS3D (.safetensors)")
    return Extractor(load_mini(weights), batch=32)


def _check_clips(clips_NTHW3: np.ndarray | torch.Tensor) -> None:
    shape, kind = tuple(clips_NTHW3.shape), str(clips_NTHW3.dtype).removeprefix("torch.")
    if len(shape) != 5 or shape[1] != CLIP_FRAMES or shape[4] != 3 or kind != "uint8":
        raise ValueError(f"clips are {shape} {kind}; expected (N, {CLIP_FRAMES}, H, W, 3) uint8, "
                         "as clips_of gives them")
