"""A network for images, with all that is needed to use it: its shape, how pixels are scaled for it, the names of its classes.

`build` makes a ViT, a DeiT or a ConvNet for images of a size; `Classifier.save` writes one safetensors file, weights and the rest in its
metadata, from which `Classifier.load` builds the same network again.

Axes: N images, B a batch of them, H height, W width, C channels, K classes.

    >>> from minivbert.vision.data import open_data
    >>> images, _ = open_data("shapes", count=10)
    >>> Classifier.new("convnet", NetworkConfig(), images).logits(images.pixels_NHWC).shape
    (10, 10)
"""
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from minivbert.config import choice, from_dict
from minivbert.files import replace_file
from minivbert.vision.convnet import ConvNet
from minivbert.vision.data import scaled
from minivbert.vision.deit import DeiT
from minivbert.vision.vit import ViT, ViTConfig

MODELS = ("vit", "deit", "convnet")
MOST_PATCHES = 49


@dataclass(frozen=True)
class NetworkConfig:
    """The network: the first six of a ViT or DeiT, the last of a ConvNet."""
    patch: int = choice(0, "side of a patch, pixels; 0: the smallest that cuts an image into at most 49")
    width: int = choice(64, "hidden width D")
    layers: int = choice(4, "transformer blocks")
    heads: int = choice(4, "attention heads; width must be a multiple")
    feed_forward: int = choice(256, "inner width of the feed-forward layers")
    position_std: float = choice(0.3, "standard deviation of the positions at the start")
    widths: tuple = choice((16, 32, 64), "channels after each convolution")


def patch_for(height, width):
    """Give the smallest patch that cuts an image into whole patches, at most 49; raise ValueError if none does.

    >>> [patch_for(side, side) for side in (16, 28, 48, 224)]
    [4, 4, 8, 32]
    """
    for patch in range(1, min(height, width) + 1):
        if height % patch == width % patch == 0 and height * width <= MOST_PATCHES * patch * patch:
            return patch
    raise ValueError(f"images of {height} x {width} pixels are not made of {MOST_PATCHES} or fewer whole square patches; crop them to a "
                     "multiple of 8, or give a patch with --patch")


def build(model, config, image, channels, classes, seed=0):
    """Build a network. model: "vit", "deit" or "convnet"; image: (height, width) [pixels].

    Raises ValueError if patches do not fill the image.
    """
    if model == "convnet":
        network = ConvNet(classes, channels, config.widths, seed)
        smallest = 2 ** (len(config.widths) - 1)
        if min(image) < smallest:
            raise ValueError(f"images of {image[0]} x {image[1]} pixels are too small for {len(config.widths)} convolutions, which take "
                             f"{smallest} x {smallest} or more; enlarge them")
        return network
    return {"vit": ViT, "deit": DeiT}[model](ViTConfig(
        tuple(image), config.patch or patch_for(*image), channels, config.width, config.layers, config.heads, config.feed_forward,
        classes, config.position_std, 0.0), seed)


@dataclass
class Classifier:
    """A network for images of a size, its scaling of pixels (mean and std of a channel, 0 to 1), its classes."""
    model: str
    config: NetworkConfig
    image: tuple
    mean: tuple
    std: tuple
    names: tuple
    network: torch.nn.Module = field(repr=False, compare=False)

    @classmethod
    def new(cls, model, config, images, seed=0):
        """Build a network for `Images`: of their size and classes, scaled by their mean and standard deviation."""
        _, H, W, C = images.pixels_NHWC.shape
        mean_C, std_C = images.scaling()
        network = build(model, config, (H, W), C, len(images.names), seed)
        return cls(model, config, (H, W), tuple(mean_C.tolist()), tuple(std_C.tolist()), tuple(images.names), network)

    def scaled(self, pixels_BHWC):
        """Make what the network sees, on its device: (B, C, H, W) float32."""
        return scaled(pixels_BHWC, self.mean, self.std).to(next(self.network.parameters()).device)

    def rescaled(self, x_BCHW, other):
        """Turn what another classifier's network sees into what this one's does."""
        if (self.mean, self.std) == (other.mean, other.std):
            return x_BCHW
        mean, std, own_mean, own_std = (x_BCHW.new_tensor(v)[:, None, None] for v in (other.mean, other.std, self.mean, self.std))
        return (x_BCHW * std + mean - own_mean) / own_std

    @torch.no_grad()
    def logits(self, pixels_NHWC, batch=256):
        """Classify images (N, H, W, C) uint8: logits (N, K) float32, in evaluation mode, which is left as it was."""
        was_training = self.network.training
        self.network.eval()
        parts = [self.network(self.scaled(pixels_NHWC[at:at + batch])).cpu().numpy() for at in range(0, len(pixels_NHWC), batch)]
        self.network.train(was_training)
        return np.concatenate(parts)

    def check_fits(self, images, who):
        """Raise ValueError unless images have this classifier's size, channels and classes. who: what to call it in the sentence."""
        H, W, C = images.pixels_NHWC.shape[1:]
        if (H, W, C) != (*self.image, len(self.mean)):
            raise ValueError(f"{who}: made for images of {self.image[0]} x {self.image[1]} pixels in {len(self.mean)} channels, but these "
                             f"are {H} x {W} in {C}; give the data it was trained on")
        if tuple(images.names) != self.names:
            raise ValueError(f"{who}: knows {len(self.names)} classes ({', '.join(self.names[:3])} ...), but these images have "
                             f"{len(images.names)} ({', '.join(images.names[:3])} ...); give the data it was trained on")

    def about(self):
        """Give everything but the weights, as one dict for json."""
        return {f.name: asdict(self.config) if f.name == "config" else getattr(self, f.name) for f in fields(self) if f.name != "network"}

    def save(self, path):
        """Write the weights as safetensors, everything else in the file's metadata."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        metadata = {"network": "minivbert.vision", "about": json.dumps(self.about())}
        replace_file(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))

    @classmethod
    def load(cls, path):
        """Read what `save` wrote, in evaluation mode; raise ValueError if the file is not such a one."""
        if Path(path).is_dir():
            path = Path(path) / "model.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path}: not a readable safetensors file ({error}); give a run of minivbert.vision.train, or its "
                             "model.safetensors") from error
        if metadata.get("network") != "minivbert.vision":
            raise ValueError(f"{path}: holds the weights of another network ({metadata.get('network', 'unnamed')}); give a run of "
                             "minivbert.vision.train, or its model.safetensors")
        try:
            a = json.loads(metadata["about"])
            config, image, names = from_dict(NetworkConfig, a["config"]), tuple(a["image"]), tuple(a["names"])
            network = build(a["model"], config, image, len(a["mean"]), len(names))
            network.load_state_dict(tensors)
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: its weights are not of the network that it says it is ({str(error).splitlines()[-1].strip()}); "
                             "train it again") from error
        return cls(a["model"], config, image, tuple(a["mean"]), tuple(a["std"]), names, network.eval())
