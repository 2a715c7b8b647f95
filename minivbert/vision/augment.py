"""Change images so that what they show stays: turned, scaled and shifted; mixed in pairs; with a part erased.

    affine     out(p) = image(R(angle) (p - shift) / scale), R a rotation about the centre
    Mixup      lam a + (1 - lam) b, of the images and of the targets;  lam ~ Beta(.8, .8)         Zhang et al. 2018
    CutMix     b's pixels inside a box, a's outside; targets mixed by area;  1 - area ~ Beta(1, 1)     Yun et al. 2019
    erasing    noise inside a box, the target stays                                               Zhong et al. 2020

DeiT (Touvron et al. 2021, table 8) needs them: without Mixup and CutMix its B falls from 81.8 to 75.8 %. All draws
come from a NumPy generator that is passed in, one row of numbers an image, and all pixels of a batch change at once.

Axes: B images, C channels, H height, W width, K classes.

Differs from the papers: every image has its own lam and its own box (DeiT's code: one a batch). No image is mirrored: the crescent's side
is part of what it is.

    >>> images, targets = torch.rand(4, 1, 16, 16), torch.eye(10)[:4]
    >>> mixed, shares = cutmix(affine(images, np.random.default_rng(0)), targets, np.random.default_rng(0))
    >>> mixed.shape, shares.sum(1)
    (torch.Size([4, 1, 16, 16]), tensor([1., 1., 1., 1.]))
"""
import numpy as np
import torch
import torch.nn.functional as F

TURN, ZOOM, SHIFT = np.deg2rad(15), 1.25, 0.15       # at most: radians either way, times larger or smaller, share of the side either way


def affine(images_BCHW, rng, turn=TURN, zoom=ZOOM, shift=SHIFT):
    """Turn, scale and shift every image by amounts of its own, drawn evenly (the scale: its logarithm).

    turn [radians], shift [share of the side]: at most so much either way; zoom: at most so many times larger or smaller. What comes in
    from outside repeats the border. Returns (B, C, H, W); the images are not changed.
    """
    B, _, H, W = images_BCHW.shape
    angle_B, scale_B = rng.uniform(-turn, turn, B), np.exp(rng.uniform(-np.log(zoom), np.log(zoom), B))
    shift_B2 = rng.uniform(-2 * shift, 2 * shift, (B, 2))                    # in the coordinates of the grid: the side is 2 long
    cos_B, sin_B = np.cos(angle_B) / scale_B, np.sin(angle_B) / scale_B
    back_B23 = np.stack([cos_B, sin_B * H / W, np.zeros(B), -sin_B * W / H, cos_B, np.zeros(B)], 1).reshape(B, 2, 3)
    back_B23[:, :, 2] = -np.einsum("bij,bj->bi", back_B23[:, :, :2], shift_B2)
    at_BHW2 = F.affine_grid(torch.from_numpy(back_B23).to(images_BCHW), list(images_BCHW.shape), align_corners=False)
    return F.grid_sample(images_BCHW, at_BHW2, padding_mode="border", align_corners=False)


def mixup(images_BCHW, target_BK, rng, alpha=0.8):
    """Blend every image, and its target (B, K) float, with another one of the batch. Returns images, targets."""
    lam_B, other_B = rng.beta(alpha, alpha, len(images_BCHW)), rng.permutation(len(images_BCHW))
    lam_B = torch.from_numpy(lam_B).to(images_BCHW)
    return (torch.lerp(images_BCHW[other_B], images_BCHW, lam_B[:, None, None, None]),
            torch.lerp(target_BK[other_B], target_BK, lam_B[:, None]))


def cutmix(images_BCHW, target_BK, rng, alpha=1.0):
    """Paste a box of another image of the batch into every image. Returns images, targets mixed by the area really pasted."""
    B, _, H, W = images_BCHW.shape
    side_B, other_B = np.sqrt(1 - rng.beta(alpha, alpha, B)), rng.permutation(B)
    inside_B1HW = _boxes(rng, side_B * H, side_B * W, H, W).to(images_BCHW.device)
    area_B = inside_B1HW.to(images_BCHW.dtype).mean((1, 2, 3))
    return (torch.where(inside_B1HW, images_BCHW[other_B], images_BCHW),
            torch.lerp(target_BK, target_BK[other_B], area_B[:, None]))


def erase(images_BCHW, rng, share=0.25, area=(0.02, 1 / 3), aspect=(0.3, 3.3)):
    """Put noise N(0, 1) into a box of a `share` of the images, as random erasing does.

    area: least and largest area of a box, in parts of the image's; aspect: of its height to its width. Boxes are cut off at the border.
    Images should be scaled to mean 0 and standard deviation 1.
    """
    B, _, H, W = images_BCHW.shape
    chosen_B, area_B = rng.random(B) < share, rng.uniform(*area, B) * H * W
    aspect_B = np.exp(rng.uniform(*np.log(aspect), B))
    inside_B1HW = _boxes(rng, np.sqrt(area_B * aspect_B), np.sqrt(area_B / aspect_B), H, W)
    inside_B1HW &= torch.from_numpy(chosen_B)[:, None, None, None]
    noise_BCHW = torch.from_numpy(rng.standard_normal(images_BCHW.shape, np.float32)).to(images_BCHW)
    return torch.where(inside_B1HW.to(images_BCHW.device), noise_BCHW, images_BCHW)


def mix(images_BCHW, target_BK, rng):
    """Mix a batch by Mixup or, as often, by CutMix, as DeiT does."""
    return (mixup if rng.random() < 0.5 else cutmix)(images_BCHW, target_BK, rng)


def _boxes(rng, height_B, width_B, H, W):
    """Mark a box a row, its centre anywhere in the image, cut off at the border: (B, 1, H, W) bool."""
    def between(middle_B, length_B, size):
        low_B, high_B = np.rint(middle_B - length_B / 2), np.rint(middle_B + length_B / 2)
        at = np.arange(size)
        return (at >= low_B[:, None]) & (at < high_B[:, None])
    B = len(height_B)
    rows_BH = between(rng.uniform(0, H, B), height_B, H)
    columns_BW = between(rng.uniform(0, W, B), width_B, W)
    return torch.from_numpy(rows_BH[:, None, :, None] & columns_BW[:, None, None, :])
