"""A clip's feature without a video network: the mean over its frames of what a ViT makes of each.

    feature(clip) = mean over t of ViT(frame t)[class token], after the last norm                (F,), F = the ViT's width

The ViT has learnt to tell single frames apart (python -m minivbert.vision.train --data kitchen --out runs/frames); it has never seen anything
move, and a mean does not know which frame came first. So a corpus made with --features vit --weights runs/frames/model.safetensors says
what VideoBERT loses if its visual words are blind to motion.

Axes: N clips, B a batch of them, T frames looked at, C channels, H height, W width, F features; 3 = red, green, blue.

Not stated in the paper, our choice: everything here; VideoBERT takes S3D. The frames looked at are MiniS3D's, ten of 48 x 48 pixels.

    extractor = open_extractor("vit", "runs/frames/model.safetensors")
    extractor(clips).shape              # clips (N, 30, H, W, 3) uint8 -> (N, 64) float32
"""
import torch
from torch import nn

from minivbert.tokens import features
from minivbert.tokens.features import SIDE, Extractor, MiniS3D
from minivbert.vision.network import Classifier


class FrameViT(nn.Module):
    """A ViT for frames of 48 x 48 pixels in colour, as a network for clips that an `Extractor` takes."""

    name = "vit"
    preprocess = staticmethod(MiniS3D.preprocess)

    def __init__(self, classifier: Classifier):
        """Take over a trained classifier's network; raise ValueError for another kind of network or of image."""
        super().__init__()
        if classifier.model == "convnet" or (*classifier.image, len(classifier.mean)) != (SIDE, SIDE, 3):
            raise ValueError(f"a {classifier.model} for images of {classifier.image[0]} x {classifier.image[1]} pixels in "
                             f"{len(classifier.mean)} channels; features 'vit' take a vit or deit for {SIDE} x {SIDE} in 3, as "
                             "python -m minivbert.vision.train --data kitchen makes one")
        self.classifier, self.network, self.width = classifier, classifier.network, classifier.config.width
        self.eval()

    def embed(self, seen_NTHW3: torch.Tensor) -> torch.Tensor:
        """Preprocessed clips (B, T, 48, 48, 3) uint8 -> features (B, F) float32."""
        x_BCHW = self.classifier.scaled(seen_NTHW3.flatten(0, 1).cpu().numpy())
        return self.network.hidden(x_BCHW)[:, 0].unflatten(0, seen_NTHW3.shape[:2]).mean(1)


def open_extractor(name, weights=None):
    """Return the extractor "vit" (weights: a file that `Classifier.save` wrote), or one of `tokens.features.open_extractor`.

    Raises ValueError for another name and for weights that are missing, cannot be read or do not fit.
    """
    if name != "vit":
        return features.open_extractor(name, weights)
    if weights is None:
        raise ValueError("features 'vit' need weights; run python -m minivbert.vision.train --data kitchen and give its model.safetensors")
    try:
        return Extractor(FrameViT(Classifier.load(weights)), batch=32)
    except ValueError as error:
        raise error if str(weights) in str(error) else ValueError(f"{weights}: {error}") from error
