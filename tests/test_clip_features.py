"""A clip's feature from single frames: the mean of the ViT's class tokens, blind to order, refused where it does not fit."""
import numpy as np
import pytest
import torch

from minivbert.tokens.features import FRAMES_SEEN, MiniS3D, save_mini, shrink
from minivbert.vision.clip_features import FrameViT, open_extractor
from minivbert.vision.data import Images
from minivbert.vision.network import Classifier, NetworkConfig

SMALL = NetworkConfig(width=16, layers=1, heads=2, feed_forward=32)


def classifier(model="vit", side=48, channels=3):
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (4, side, side, channels), dtype=np.uint8), np.arange(4) % 2, ("a", "b"))
    return Classifier.new(model, SMALL, images, seed=1)


@pytest.fixture
def clips():
    return np.random.default_rng(1).integers(0, 256, (5, 30, 96, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize("model", ["vit", "deit"])
def test_a_feature_is_the_mean_of_the_frames_class_tokens(clips, model, tmp_path):
    one = classifier(model)
    one.save(tmp_path / "model.safetensors")
    extractor = open_extractor("vit", tmp_path / "model.safetensors")
    found = extractor(clips)
    assert (extractor.name, extractor.width) == ("vit", 16) and found.shape == (5, 16) and found.dtype == np.float32
    with torch.no_grad():
        frames = [one.network.eval().hidden(one.scaled(shrink(clips[:, [t]])[:, 0].numpy()))[:, 0] for t in FRAMES_SEEN]
    np.testing.assert_allclose(found, torch.stack(frames).mean(0), atol=1e-5)
    np.testing.assert_allclose(extractor(clips[2:3]), found[2:3], atol=1e-5)


def test_order_is_nothing_to_it(clips, tmp_path):
    classifier().save(tmp_path / "model.safetensors")
    extractor = open_extractor("vit", tmp_path / "model.safetensors")
    other = clips.copy()
    other[:, list(FRAMES_SEEN)] = clips[:, list(reversed(FRAMES_SEEN))]
    np.testing.assert_allclose(extractor(other), extractor(clips), atol=1e-5)
    assert np.abs(extractor(clips[:, ::-1]) - extractor(clips)).max() > 1e-4                    # other frames are another thing


def test_other_extractors_are_still_opened(tmp_path):
    save_mini(MiniS3D(classes=3, widths=(4, 4, 4)), tmp_path / "mini.safetensors")
    assert open_extractor("mini", tmp_path / "mini.safetensors").name == "mini"
    with pytest.raises(ValueError, match="'i3d' are not known"):
        open_extractor("i3d")


def test_what_does_not_fit_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="need weights; run python -m minivbert.vision.train --data kitchen"):
        open_extractor("vit")
    for name, one in (("grey", classifier(channels=1)), ("small", classifier(side=16)), ("conv", classifier("convnet"))):
        one.save(tmp_path / f"{name}.safetensors")
        with pytest.raises(ValueError, match=rf"{name}.safetensors: a {one.model} for images of .*take a vit or deit for 48 x 48 in 3"):
            open_extractor("vit", tmp_path / f"{name}.safetensors")
    save_mini(MiniS3D(classes=3, widths=(4, 4, 4)), tmp_path / "mini.safetensors")
    with pytest.raises(ValueError, match="mini.safetensors: holds the weights of another network .MiniS3D"):
        open_extractor("vit", tmp_path / "mini.safetensors")
    with pytest.raises(ValueError, match="nowhere: not a readable safetensors file"):
        open_extractor("vit", tmp_path / "nowhere")


def test_a_network_for_clips_has_what_an_extractor_asks_for():
    network = FrameViT(classifier())
    assert not network.training and network.width == 16 and sum(p.numel() for p in network.parameters()) > 0
