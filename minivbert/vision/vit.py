"""ViT: an image as a sentence, its patches as words, read by the encoder that reads VideoBERT's tokens.

Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1. Each p x p patch is flattened and projected to width D;
a learned class token stands before them; a learned position is added to every token; a pre-norm encoder reads
them all; a linear head reads the class token.

    z_0 = [class; x_1 E; ...; x_P E] + positions
    z_l' = z_(l-1) + MSA(LN(z_(l-1)))
    z_l = z_l' + MLP(LN(z_l'))
    logits = head(LN(z_L)[class])

An image of another size has other patches, as many as fit, and positions interpolated in two dimensions
(section 3.2); the class token's position is of no place and stays.

Axes: B images, C channels, H height, W width, P patches, F numbers of a patch (C p p), S special tokens
(the class token), T tokens (S + P), R tokens wanted, D width.

Differs from, or not stated in, the paper:
- Initial weights are normal, of standard deviation 0.02, but the patch projection's of 1 / sqrt(F), so that patches
  come in at the scale of their pixels, and the positions' of `ViTConfig.position_std`, which matters to a small ViT.
- Interpolation is bicubic with antialiasing, as in timm; the paper does not say. (Hugging Face's is bicubic without,
  which in torch is another curve, also where an image grows.)
- The last layer computes the tokens that the head reads and no others; nobody sees them.

    >>> model = ViT(ViTConfig(image=16, patch=4, channels=1, width=8, layers=2, heads=2, feed_forward=16, classes=10))
    >>> model(torch.rand(3, 1, 16, 16)).shape, model(torch.rand(3, 1, 24, 8)).shape
    (torch.Size([3, 10]), torch.Size([3, 10]))
    >>> model.hidden(torch.rand(3, 1, 16, 16)).shape
    torch.Size([3, 17, 8])
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from minivbert.model.transformer import Encoder, dropout, init_weights
from minivbert.vision.timm_weights import read_timm, square_image

INIT_STD, EPS = 0.02, 1e-6


def grid_of(image, patch):
    """Count the patches of an image (height, width): (rows, columns); ValueError if they do not fill it.

    >>> grid_of((32, 48), 16)
    (2, 3)
    """
    H, W = image
    if patch < 1 or H < patch or W < patch or H % patch or W % patch:
        raise ValueError(
            f"an image of {H} x {W} pixels is not made of whole patches of {patch} x {patch}; "
            f"resize or crop it to multiples of {patch}"
        )
    return H // patch, W // patch


def patchify(images_BCHW, p):
    """Cut images (B, C, H, W) into p x p patches: (B, P, F), row by row; the F = C p p numbers of one are in the order channel, row, column.

    ValueError if whole patches do not fill them.

    >>> patchify(torch.arange(16).reshape(1, 1, 4, 4), 2)[0, :2]
    tensor([[0, 1, 4, 5],
            [2, 3, 6, 7]])
    """
    B, C, H, W = images_BCHW.shape
    rows, columns = grid_of((H, W), p)
    x_BCYyXx = images_BCHW.reshape(B, C, rows, p, columns, p)
    return x_BCYyXx.permute(0, 2, 4, 1, 3, 5).reshape(B, rows * columns, C * p * p)


@dataclass(frozen=True)
class ViTConfig:
    """The shape of a ViT.

    image: (height, width) [pixels] or one number for a square, multiples of patch [pixels]. position_std: standard
    deviation of the positions at the start; at 0.02 a small ViT is a bag of patches for its first hundreds of
    steps, at 0.3 it is not. dropout: rate, in training, of attention weights and of what is added to a token.
    """

    image: tuple
    patch: int
    channels: int = 3
    width: int = 192
    layers: int = 12
    heads: int = 3
    feed_forward: int = 768
    classes: int = 1000
    position_std: float = 0.02
    dropout: float = 0.0

    def __post_init__(self):
        H, W = (self.image, self.image) if isinstance(self.image, int) else self.image
        object.__setattr__(self, "image", (H, W))
        grid_of(self.image, self.patch)

    @property
    def grid(self):
        """Patches from top to bottom and from left to right."""
        return grid_of(self.image, self.patch)


def paper_config(image, patch, width, layers, heads):
    """Make a configuration for ImageNet; the feed-forward layers are four times as wide as the tokens."""
    return ViTConfig(image, patch, width=width, layers=layers, heads=heads, feed_forward=4 * width)


CONFIGS = {
    "ti16": paper_config(224, 16, 192, 12, 3),  # Ti and S: Touvron et al. 2021, table 1
    "s16": paper_config(224, 16, 384, 12, 6),
    "b16": paper_config(224, 16, 768, 12, 12),  # B, L and H: Dosovitskiy et al. 2021, table 1
    "b32": paper_config(224, 32, 768, 12, 12),
    "l16": paper_config(224, 16, 1024, 24, 16),
    "h14": paper_config(224, 14, 1280, 32, 16),
}


class ViT(nn.Module):
    """The whole model; state_dict names follow the attributes below."""

    specials = 1  # tokens before the patches: the class token

    def __init__(self, config, seed=0):
        """Build and initialise. config: `ViTConfig`; seed: of the initial weights."""
        super().__init__()
        self.config, c = config, config
        rows, columns = c.grid
        self.patch = nn.Linear(c.channels * c.patch**2, c.width)
        self.class_token = nn.Parameter(torch.empty(c.width))
        self.positions = nn.Parameter(torch.empty(self.specials + rows * columns, c.width))
        self.encoder = Encoder(c.width, c.layers, c.heads, c.feed_forward, "pre", c.dropout, EPS)
        self.head = nn.Linear(c.width, c.classes)
        generator = torch.Generator("cpu").manual_seed(seed)
        init_weights(self, INIT_STD, generator)
        nn.init.normal_(self.patch.weight, std=self.patch.in_features**-0.5, generator=generator)
        nn.init.normal_(self.class_token, std=INIT_STD, generator=generator)
        nn.init.normal_(self.positions, std=c.position_std, generator=generator)

    def forward(self, images_BCHW):
        """Classify images (B, C, H, W) float32: logits (B, classes). ValueError for sizes that patches do not fill."""
        return self.head(self._specials(images_BCHW)[:, 0])

    def hidden(self, images_BCHW, taps=None):
        """Give every token after the last norm: (B, 1 + P, D), the class token first. taps: as `Encoder`."""
        return self.encode(self.words(images_BCHW), self._grid(images_BCHW), taps)

    @torch.no_grad()
    def attention(self, images_BCHW):
        """Give the attention weights of each layer: a list of (B, heads, T, T), rows sum to 1, the class token first."""
        taps = {}
        self.hidden(images_BCHW, taps)
        return [taps[f"{i}.self"] for i in range(self.config.layers)]

    def patches(self, images_BCHW):
        """Cut images into patches (B, P, F); see `patchify`."""
        C = images_BCHW.shape[1]
        if C != self.config.channels:
            raise ValueError(f"got images of {C} channels, expected {self.config.channels}; convert the images")
        return patchify(images_BCHW, self.config.patch)

    def words(self, images_BCHW):
        """Project the patches to the width: (B, P, D), without positions."""
        return self.patch(self.patches(images_BCHW))

    def encode(self, words_BPD, grid=None, taps=None, at_BR=None):
        """Put the class token before the words, add positions, run the encoder: (B, 1 + P, D).

        words (B, P, D): from `words`, or changed, for instance masked. grid: (rows, columns) of patches, if not the
        configuration's. at (B, R) int64: the tokens wanted, if not all: (B, R, D).
        """
        first_BSD = self.special_tokens().expand(len(words_BPD), -1, -1)
        x_BTD = torch.cat([first_BSD, words_BPD], 1) + self.positions_for(grid or self.config.grid)
        x_BTD = dropout(x_BTD, self.config.dropout if self.training else 0.0)
        return self.encoder(x_BTD, taps=taps, at_BR=at_BR)

    def special_tokens(self):
        """Stack the tokens that stand before the patches: (S, D)."""
        return self.class_token[None]

    def positions_for(self, grid):
        """Give the positions (S + P, D) of a grid (rows, columns) of patches, interpolated if not our own.

        Those of the S special tokens, which have no place in the image, are never touched.
        """
        if grid == self.config.grid:
            return self.positions
        ours_DYX = self.positions[self.specials :].T.unflatten(1, self.config.grid)
        new_DYX = F.interpolate(ours_DYX[None], grid, mode="bicubic", antialias=True)[0]
        return torch.cat([self.positions[: self.specials], new_DYX.flatten(1).T])

    def _specials(self, images_BCHW):
        at_BS = torch.arange(self.specials, device=images_BCHW.device).expand(len(images_BCHW), -1)
        return self.encode(self.words(images_BCHW), self._grid(images_BCHW), at_BR=at_BS)

    def _grid(self, images_BCHW):
        return grid_of(tuple(images_BCHW.shape[2:]), self.config.patch)

    @classmethod
    def from_timm(cls, path, config=None):
        """Build the model on a file of weights that timm or DeiT's authors published; see `timm_weights`.

        config: the `ViTConfig` that the file must have, or None to read it off the tensors. In that case the image is a
        square, and the number of heads, of which tensors show no trace, is that of the width in `CONFIGS`. Raises
        ValueError, one sentence, for a file of another kind or configuration.
        """
        shape, state = read_timm(path, cls.specials)
        if config is None:
            heads = {c.width: c.heads for c in CONFIGS.values()}.get(shape["width"])
            if heads is None:
                raise ValueError(f"{path}: how many heads a width of {shape['width']} has is not known; give the configuration")
            config = ViTConfig(square_image(path, shape, state, cls.specials), heads=heads, **shape)
        other = [f"{name} {found}, expected {getattr(config, name)}" for name, found in shape.items() if found != getattr(config, name)]
        if other:
            raise ValueError(f"{path}: is of another configuration: {'; '.join(other)}; give the one it was trained with")
        model = cls(config)
        for name, own in model.state_dict().items():
            if own.shape != state[name].shape:
                raise ValueError(
                    f"{path}: {name} has shape {tuple(state[name].shape)}, expected {tuple(own.shape)}; "
                    "give the configuration it was trained with"
                )
        model.load_state_dict(state)
        return model
