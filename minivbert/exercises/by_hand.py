"""By hand what the package leaves to a library: the one exercise that has no function of ours to be cut from.

Axes: B rows, T tokens, D width.
"""


def layer_norm(x_BTD, weight_D, bias_D, eps):
    """Normalise every token by itself to mean 0 and variance 1, then scale and shift each number: (B, T, D).

    x (B, T, D), weight (D,), bias (D,) float; eps: added to the variance, so that a token of equal numbers is not divided by 0. The
    variance is the mean squared distance to the mean. Source: Ba et al. 2016, equation 4; the model takes `torch.nn.LayerNorm`.

    >>> import torch
    >>> layer_norm(torch.tensor([[[1.0, 3.0]]]), torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0]), 0.0)
    tensor([[[-1.,  7.]]])
    """
    centred_BTD = x_BTD - x_BTD.mean(-1, keepdim=True)
    variance_BT1 = centred_BTD.square().mean(-1, keepdim=True)
    return centred_BTD / (variance_BT1 + eps).sqrt() * weight_D + bias_D
