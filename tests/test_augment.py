"""Augmentation: by scipy's own resampling, by images that carry their own target, by rates; nothing mutated, every draw from the generator."""
import numpy as np
import pytest
import torch

from minivbert.vision.augment import affine, cutmix, erase, mix, mixup


class Highest:
    """A generator whose every uniform draw is the highest allowed."""

    def uniform(self, low, high, size):
        return np.broadcast_to(np.asarray(high, float), size)


@pytest.mark.parametrize("turn, zoom, shift", [(0.4, 1.0, 0.0), (0.0, 1.5, 0.0), (0.0, 1.0, 0.2), (0.3, 0.8, 0.1), (np.pi / 2, 1, 0)])
def test_affine_is_scipys_resampling(turn, zoom, shift):
    ndimage = pytest.importorskip("scipy.ndimage")
    H, W = 12, 20
    images = np.random.default_rng(0).random((1, 2, H, W))
    y, x = np.mgrid[:H, :W].astype(float)
    u, v = x - (W - 1) / 2 - shift * W, y - (H - 1) / 2 - shift * H                  # from the middle, where the image went
    back_x = (u * np.cos(turn) + v * np.sin(turn)) / zoom + (W - 1) / 2
    back_y = (v * np.cos(turn) - u * np.sin(turn)) / zoom + (H - 1) / 2
    expected = np.stack([ndimage.map_coordinates(channel, [back_y, back_x], order=1, mode="nearest") for channel in images[0]])
    got = affine(torch.from_numpy(images), Highest(), turn, zoom, shift)[0]
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)


def test_affine_gives_every_image_its_own_place_and_leaves_its_input_alone():
    images = torch.rand(1, 1, 16, 16).expand(8, -1, -1, -1).contiguous()
    before = images.clone()
    out = affine(images, np.random.default_rng(0))
    assert torch.equal(images, before)
    assert all((out[i] - out[j]).abs().max() > 0.05 for i in range(8) for j in range(i))
    assert torch.equal(out, affine(images, np.random.default_rng(0)))
    torch.testing.assert_close(affine(images, np.random.default_rng(0), 0.0, 1.0, 0.0), images)


def labelled(B=64, side=12):
    """Images that carry their own target: image i is 1 in channel i and 0 elsewhere; noise would hide a wrong share."""
    return torch.eye(B)[:, :, None, None].expand(-1, -1, side, side).contiguous(), torch.eye(B)


@pytest.mark.parametrize("change", [mixup, cutmix, mix])
def test_targets_are_mixed_as_much_as_pixels_are(change):
    images, targets = labelled()
    before = images.clone(), targets.clone()
    mixed, shares = change(images, targets, np.random.default_rng(0))
    torch.testing.assert_close(mixed.mean((2, 3)), shares, atol=1e-6, rtol=0)
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    assert ((shares > 0).sum(1) == 2).float().mean() > 0.7 and len(shares.max(1).values.unique()) > 20
    assert torch.equal(images, before[0]) and torch.equal(targets, before[1])
    assert torch.equal(mixed, change(images, targets, np.random.default_rng(0))[0])


def test_mixups_lam_is_beta():
    images, targets = labelled(B=2)
    rng, lam = np.random.default_rng(0), []
    for _ in range(2000):
        _, shares = mixup(images, targets, rng)
        lam += [float(shares[0, 0])] if shares[0, 1] else []
    assert np.mean(lam) == pytest.approx(0.5, abs=4 * 0.31 / len(lam) ** 0.5)
    assert np.var(lam) == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.01)                 # of Beta(.8, .8)


def test_cutmix_pastes_one_box():
    images, targets = labelled(B=64)
    mixed, shares = cutmix(images, targets, np.random.default_rng(1))
    own = mixed[torch.arange(64), torch.arange(64)] == 1
    for i in range(64):
        pasted = ~own[i]
        assert set(mixed[i].unique().tolist()) <= {0.0, 1.0}
        rows, columns = pasted.any(1), pasted.any(0)
        assert torch.equal(pasted, rows[:, None] & columns[None])                          # a rectangle
        assert all(int((flags[1:] != flags[:-1]).sum()) <= 2 for flags in (rows, columns))     # in one piece
    assert float(shares[torch.arange(64), torch.arange(64)].mean()) > 0.5


def test_erasing_puts_noise_into_one_box_of_some_images():
    images = torch.full((4000, 1, 16, 16), 7.0)
    before = images.clone()
    out = erase(images, np.random.default_rng(0), share=0.25)
    changed = (out != 7).squeeze(1)
    hit = changed.flatten(1).any(1)
    assert abs(int(hit.sum()) - 1000) < 4 * (4000 * 0.25 * 0.75) ** 0.5 + 20                # some boxes fall outside, nearly
    area = changed[hit].float().mean((1, 2))
    assert area.max() <= 0.4 and 0.08 < area.mean() < 0.18
    noise = out.squeeze(1)[changed]
    assert abs(float(noise.mean())) < 0.02 and float(noise.std()) == pytest.approx(1, abs=0.02)
    assert all(torch.equal(c, c.any(1)[:, None] & c.any(0)[None]) for c in changed[hit][:200])
    assert torch.equal(images, before)
