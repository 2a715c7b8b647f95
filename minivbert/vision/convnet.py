"""A small convolutional network: the ViT's peer at little data, and DeiT's teacher.

Three times convolution 3 x 3, BatchNorm, ReLU; the size is halved by max-pooling between them; global average pooling
and a linear head. What it has and a ViT has not is the inductive bias: neighbouring pixels belong together, and what
holds here holds there (Dosovitskiy et al. 2021, section 3.1).

Axes: B images, C channels, H height, W width, D channels after a layer, Y height and X width there, K classes.

    >>> ConvNet(classes=10, channels=1).eval()(torch.rand(3, 1, 16, 16)).shape
    torch.Size([3, 10])
"""

import torch
from torch import nn


class ConvNet(nn.Module):
    """The whole network; takes images of any size that can be halved between its layers."""

    def __init__(self, classes, channels, widths=(16, 32, 64), seed=0):
        """Build and initialise. widths: channels after each convolution; seed: of the initial weights (He et al. 2015)."""
        super().__init__()
        generator = torch.Generator("cpu").manual_seed(seed)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in zip((channels, *widths), widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(widths[-1], classes)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
        nn.init.normal_(self.head.weight, std=widths[-1] ** -0.5, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, images_BCHW):
        """Classify images (B, C, H, W) float32: logits (B, K). ValueError for too small ones."""
        return self.head(self.features(images_BCHW).mean((2, 3)))

    def features(self, images_BCHW):
        """Give the last layer's map (B, D, Y, X), before it is averaged."""
        smallest = 2 ** (len(self.convs) - 1)
        if min(images_BCHW.shape[2:]) < smallest:
            H, W = images_BCHW.shape[2:]
            raise ValueError(f"got images of {H} x {W} pixels, expected at least {smallest} x {smallest}; enlarge them")
        x_BDYX = images_BCHW
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x_BDYX = norm(conv(self.pool(x_BDYX) if i else x_BDYX)).relu()
        return x_BDYX

    def receptive_fields(self):
        """Give, for each layer, the side [pixels] of the square of the image that one of its numbers can see.

        >>> ConvNet(classes=10, channels=1).receptive_fields()
        [3, 8, 18]
        """
        sides, side, step = [], 1, 1
        for i in range(len(self.convs)):
            if i:
                side, step = side + step, step * 2  # the pooling
            side += 2 * step  # the convolution
            sides.append(side)
        return sides
