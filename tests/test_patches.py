"""The cloze on patches: the same masking as the words', no way to see what is hidden, and it can be learned."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from minivbert.vision import patches
from minivbert.vision.data import open_data
from minivbert.vision.network import Classifier, NetworkConfig
from minivbert.vision.patches import MeanColour, PatchCloze, namer, plan, plot_patches, pretrain
from minivbert.vision.train import TrainingConfig
from minivbert.vision.vit import ViT, ViTConfig

CONFIG = ViTConfig(image=16, patch=4, channels=1, width=16, layers=2, heads=2, feed_forward=32, classes=5, position_std=0.3)


@pytest.fixture
def model():
    return PatchCloze(ViT(CONFIG, seed=0), count=8, seed=0).eval()


def in_order(patch_NF):
    """Name each patch of the batch by its place in the image, modulo 8."""
    return np.arange(len(patch_NF)) % 16 % 8


def test_half_of_the_patches_is_named_each_by_its_own_name(model, monkeypatch):
    seen = {}
    monkeypatch.setattr(patches, "cloze", lambda logits, label, weight: seen.update(logits=logits, label=label, weight=weight))
    fates = {}

    def remember(ids, candidate, *rest):
        out = mask(ids, candidate, *rest)
        fates.update(ids=ids, out=out)
        return out
    mask = patches.mask
    monkeypatch.setattr(patches, "mask", remember)
    model(torch.rand(400, 1, 16, 16), in_order, np.random.default_rng(0))
    new, at, label, weight = fates["out"]
    n = int(weight.sum())
    assert n == 400 * 8 and np.array_equal(seen["label"].numpy()[weight > 0], at[weight > 0] % 8)
    now = new[np.nonzero(weight)[0], at[weight > 0]]
    assert abs((now == 6400).sum() - 0.8 * n) < 4 * (n * 0.16) ** 0.5
    assert abs((now == label[weight > 0]).sum() - 0.1 * n) < 4 * (n * 0.09) ** 0.5 + 4
    assert len(np.unique(now // 16)) > 200                                  # "another patch" is out of any image


def test_a_hidden_patch_cannot_be_seen(model):
    """With every chosen patch masked, changing what stands there changes nothing; changing what is seen does."""
    images = torch.rand(2, 1, 16, 16)
    logits = []
    original = model.head.forward
    model.head.forward = lambda x: logits.append(original(x)) or logits[-1]

    def run(x):
        with torch.no_grad():
            model(x, in_order, np.random.default_rng(3), corrupt=False)
        return logits[-1]
    _, at, _, weight = patches.mask(np.arange(32).reshape(2, 16), np.ones((2, 16), bool), 0.5, 9, 32, (0, 32), np.random.default_rng(3), False)
    hidden = sorted(at[0][weight[0] > 0])
    shown = [p for p in range(16) if p not in hidden]
    before = run(images)

    def changed(p):
        other = images.clone()
        other[0, :, p // 4 * 4:p // 4 * 4 + 4, p % 4 * 4:p % 4 * 4 + 4] += 1
        return run(other)
    assert len(hidden) == 8 and all(torch.equal(changed(p), before) for p in hidden)
    assert all(not torch.equal(changed(p)[0], before[0]) and torch.equal(changed(p)[1], before[1]) for p in shown)


def test_nothing_masked_is_the_vits_own_reading(model, monkeypatch):
    images = torch.rand(3, 1, 16, 16)
    monkeypatch.setattr(patches, "RATE", 0.0)
    hidden = []
    original = model.head.forward
    model.head.forward = lambda x: hidden.append(x) or original(x)
    with torch.no_grad():
        part = model(images, in_order, np.random.default_rng(0))
        expected = model.vit.hidden(images)
    assert part.count == 0
    torch.testing.assert_close(hidden[0][:, 0], expected[:, 1])             # slots of weight 0 look at the first patch


def test_mean_colours_have_three_bits_a_channel():
    name = MeanColour([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    patch_NF = np.array([[0.0] * 4 + [0.5] * 4 + [1.0] * 4, [-9.0] * 4 + [0.13] * 4 + [0.99, 1.01, 1, 1]])
    assert name.count == 512 and name(patch_NF).tolist() == [0 + 8 * 4 + 64 * 7, 0 + 8 * 1 + 64 * 7]
    images, _ = open_data("shapes", 200)
    classifier = Classifier.new("vit", NetworkConfig(), images)
    x = classifier.network.patches(classifier.scaled(images.pixels_NHWC)).flatten(0, 1).numpy()
    assert len(np.unique(namer("mean", classifier, images, np.random.default_rng(0))(x))) >= 6
    words = namer("words", classifier, images, np.random.default_rng(0))
    assert words.count == 64 and len(np.unique(words(x))) > 40
    with pytest.raises(ValueError, match="'colour': expected 'mean' or 'words'"):
        namer("colour", classifier, images, np.random.default_rng(0))


def test_patches_that_say_each_other_can_be_learned():
    """In images of one grey value all over, any patch that is seen names any that is hidden; and it comes out the same every time."""
    grey = np.repeat(np.array([0, 85, 170, 255], np.uint8), 50)
    images = open_data("shapes", 200)[0]
    images = replace(images, pixels_NHWC=np.tile(np.random.default_rng(0).permutation(grey)[:, None, None, None], (1, 16, 16, 1)))
    config = TrainingConfig(steps=100, batch=16, lr=1e-2)

    def run():
        classifier = Classifier.new("vit", NetworkConfig(width=16, layers=1, heads=2, feed_forward=32), images)
        return pretrain(classifier, images, "mean", config), classifier.network.positions
    (right, commonest, nats), positions = run()
    assert right > 0.9 and commonest < 0.5 and nats < 0.5
    assert torch.equal(positions, run()[1])


def test_pretraining_changes_the_vit_that_is_trained_on():
    images, _ = open_data("shapes", 100)
    classifier = Classifier.new("vit", NetworkConfig(width=16, layers=1, heads=2, feed_forward=32), images)
    before = {k: v.clone() for k, v in classifier.network.state_dict().items()}
    pretrain(classifier, images, "words", TrainingConfig(steps=2, batch=8))
    same = {k for k, v in classifier.network.state_dict().items() if torch.equal(v, before[k])}
    assert same <= {"head.weight", "head.bias", "class_token"} and {"head.weight", "head.bias"} <= same


@pytest.mark.parametrize("quick", [True, False])
def test_every_start_is_pretrained_first_and_the_picture_is_drawn(quick, tmp_path):
    first, then, counts, seeds = plan(quick)
    assert {s["start"] for s in then.values() if s["start"]} == set(first)
    results = {name: {"accuracy": 0.5 + 0.1 * bool(s["start"])} for name, s in then.items()}
    plot_patches(results, counts, seeds, tmp_path / "patches.png")
    assert (tmp_path / "patches.png").stat().st_size > 10_000
