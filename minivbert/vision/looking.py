"""Where a ViT looks: attention drawn back onto the image, how far it reaches, and what its positions are like.

    rollout          A = product over layers of (mean over heads + I) / 2; the class token's row    Abnar & Zuidema 2020; ViT, figure 6
    distance(head)   mean over patches q of sum over patches k of A(q, k) |q - k|, in pixels        ViT, figure 7 (right)
    similarity       cosine of the position of each patch with that of every other one              ViT, figure 7 (middle)

A convolution sees, at most, the square of pixels that its kernel and all before it reach; attention may see the whole image in the first
layer, and these functions measure whether it does.

Axes: B images, N heads, T tokens (S special ones first, then P patches, row by row), Q patches looked from, P patches looked at.

Not stated in the paper, our choice: attention of patches on patches alone, brought to sum 1, when distances are measured.

    >>> float(attention_distance(torch.eye(5)[None, None], grid=(2, 2), patch=4))          # every token looks at itself
    0.0
"""
import numpy as np
import torch


def rollout(attention_of_layers, specials=1):
    """Follow attention from the class token down to the patches through all layers.

    attention_of_layers: list of (B, N, T, T), as `ViT.attention` gives it. Returns (B, P), rows sum to 1.
    """
    product_BTT = None
    for weights_BNTT in attention_of_layers:
        layer_BTT = (weights_BNTT.mean(1) + torch.eye(weights_BNTT.shape[-1])) / 2
        product_BTT = layer_BTT if product_BTT is None else layer_BTT @ product_BTT
    seen_BP = product_BTT[:, 0, specials:]
    return seen_BP / seen_BP.sum(1, keepdim=True)


def patch_distances(grid, patch):
    """Give the distance [pixels] between the middles of all pairs of patches: (P, P).

    >>> patch_distances((1, 3), 4).tolist()
    [[0.0, 4.0, 8.0], [4.0, 0.0, 4.0], [8.0, 4.0, 0.0]]
    """
    rows, columns = grid
    at_P2 = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1).reshape(-1, 2) * float(patch)
    return torch.cdist(at_P2, at_P2)


def attention_distance(weights_BNTT, grid, patch, specials=1):
    """Give each head's mean distance of attention [pixels], over images and patches looked from: (N,)."""
    weights_BNQP = weights_BNTT[:, :, specials:, specials:]
    weights_BNQP = weights_BNQP / weights_BNQP.sum(-1, keepdim=True)
    return (weights_BNQP * patch_distances(grid, patch)).sum(-1).mean((0, 2))


def even_distance(grid, patch):
    """Give the mean distance [pixels] of a head that looks at all patches alike: the whole image, nothing preferred.

    >>> round(even_distance((4, 4), 4), 2)
    8.03
    """
    return float(patch_distances(grid, patch).mean())


def reach(side, image):
    """Give the mean distance [pixels] from a pixel to all that a square of so many pixels around it holds, inside the image.

    What a convolution with this receptive field would have as its "attention distance" if it weighed all of it alike; an even side counts
    as the next odd one.

    >>> reach(1, (16, 16)), round(reach(3, (1000, 1000)), 2) == round((4 + 4 * 2 ** 0.5) / 9, 2)
    (0.0, True)
    """
    def pairs(size):
        gap = abs(np.arange(size)[:, None] - np.arange(size))                    # how many pairs of pixels lie so far apart, one axis
        return np.bincount(gap.ravel())[:side // 2 + 1]
    down, across = pairs(image[0]), pairs(image[1])
    counts = np.outer(down, across)
    return float((counts * np.hypot(*np.ogrid[:len(down), :len(across)])).sum() / counts.sum())


def position_similarity(positions_TD, specials=1):
    """Give the cosine between the positions of all pairs of patches: (P, P).

    positions (T, D): a ViT's, those of its special tokens first. Their mean is taken away, for it tells no place.
    """
    at_PD = positions_TD.detach()[specials:]
    unit_PD = torch.nn.functional.normalize(at_PD - at_PD.mean(0), dim=1)
    return unit_PD @ unit_PD.T


def token_cosine(hidden_BTD):
    """Give the mean cosine of the first two tokens, class and distillation, over images: DeiT, section 4.

    >>> token_cosine(torch.tensor([[[1.0, 0.0], [0.6, 0.8]]]))
    0.6000000238418579
    """
    return float(torch.nn.functional.cosine_similarity(hidden_BTD[:, 0], hidden_BTD[:, 1], dim=-1).mean())
