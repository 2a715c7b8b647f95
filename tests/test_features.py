import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from minivbert.tokens import features
from minivbert.tokens.features import FRAMES_SEEN, MiniS3D, SeparableConv3d, extract, fit_mini, load_mini, \
    open_extractor, save_mini, shrink
from minivbert.tokens.frames import clips_of


def squares(count, seed):
    """Draw clips of a square that moves, and their classes: 2 colours x 2 directions (told by time alone)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=count)
    clips = np.empty((count, 30, 64, 80, 3), np.uint8)
    for clip, label in zip(clips, labels):
        colours = rng.integers(40, 120, (2, 3))
        colours[1, 0 if label < 2 else 2] = 230
        top, left = rng.integers(44), rng.integers(80)
        clip[:] = colours[0]
        for t in range(30):
            columns = (left + (t if label % 2 else -t) * 2 + np.arange(20)) % 80
            clip[t, top:top + 20, columns] = colours[1]
    return clips, torch.from_numpy(labels)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model = MiniS3D(classes=4)
    clips, labels = squares(128, seed=1)
    generator = torch.Generator().manual_seed(0)
    losses = fit_mini(model, model.preprocess(clips), labels, 40, generator, batch=16, lr=1e-2)
    return model, losses


@pytest.fixture
def random_mini():
    """A MiniS3D none of whose numbers is a default, batch norm's included."""
    torch.manual_seed(0)
    model = MiniS3D(classes=5, widths=(4, 6, 8))
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 0.6) if tensor.dim() == 1 else tensor.normal_(0, 0.3)
    return model.eval()


def test_separable_convolution_is_one_in_space_then_one_in_time():
    torch.manual_seed(0)
    brick = SeparableConv3d(3, 5, 5, stride=2).eval()
    x_BCTHW = torch.randn(2, 3, 9, 11, 12)
    kernel = brick.space.weight[:, :, 0]
    by_frame = torch.stack([F.conv2d(x_BCTHW[:, :, t], kernel, stride=2, padding=2) for t in range(9)], 2)
    by_frame = F.relu(brick.space_norm(by_frame))
    B, C, T, H, W = by_frame.shape
    lines = by_frame.permute(0, 3, 4, 1, 2).reshape(B * H * W, C, T)
    in_time = F.conv1d(lines, brick.time.weight[:, :, :, 0, 0], stride=2, padding=1)
    expected = F.relu(brick.time_norm(in_time.view(B, H, W, C, -1).permute(0, 3, 4, 1, 2)))
    torch.testing.assert_close(brick(x_BCTHW), expected)


def test_mini_is_small_and_its_head_reads_the_feature(random_mini):
    model = MiniS3D(classes=10)
    assert sum(p.numel() for p in model.parameters()) == 56_240 + 64 * 10 + 10 and model.width == 64
    clips, _ = squares(3, seed=0)
    seen = random_mini.preprocess(clips)
    torch.testing.assert_close(random_mini(seen), random_mini.head(random_mini.embed(seen)))
    assert random_mini(seen).shape == (3, 5)


def test_ten_frames_are_looked_at_and_no_others(random_mini):
    assert FRAMES_SEEN == (0, 3, 6, 9, 12, 15, 18, 21, 24, 27)
    clips, _ = squares(1, seed=0)
    feature = extract(random_mini, clips)
    assert torch.equal(random_mini.preprocess(clips), shrink(clips[:, list(FRAMES_SEEN)]))
    for t in range(30):
        other = clips.copy()
        other[:, t] = 255 - other[:, t]
        assert np.array_equal(extract(random_mini, other), feature) == (t not in FRAMES_SEEN), t


def test_shrink_takes_the_mean_of_the_area():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 144, 3), dtype=np.uint8)
    before = frames.copy()
    exact = frames.reshape(2, 3, 48, 2, 48, 3, 3).mean((3, 5))
    assert np.abs(shrink(frames).numpy() - exact).max() <= 0.5
    np.testing.assert_array_equal(frames, before)
    flat = np.full((1, 1, 50, 131, 3), (10, 20, 30), np.uint8)                # sides that 48 does not divide
    assert shrink(flat).reshape(-1, 3).unique(dim=0).tolist() == [[10, 20, 30]]


def test_a_feature_does_not_depend_on_the_batch(random_mini):
    clips, _ = squares(7, seed=3)
    before = clips.copy()
    together = extract(random_mini, clips)
    alone = np.concatenate([extract(random_mini, clips[n:n + 1]) for n in range(7)])
    assert together.shape == (7, 8) and together.dtype == np.float32
    assert np.abs(together - together[0]).max() > 0.01
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(extract(random_mini, clips, batch=3), alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(clips, before)
    assert extract(random_mini, clips[:0]).shape == (0, 8)


def test_fit_mini_learns_colour_and_motion_and_time_is_what_tells_motion(trained):
    model, losses = trained
    assert losses[0] == pytest.approx(np.log(4), abs=0.5) and np.mean(losses[-10:]) < 0.3
    assert not model.training
    clips, labels = squares(128, seed=2)
    with torch.inference_mode():
        right = (model(model.preprocess(clips)).argmax(1) == labels).float().mean()
        backwards = model(model.preprocess(clips[:, ::-1])).argmax(1)
    assert right > 0.9
    assert (backwards == (labels ^ 1)).float().mean() > 0.8, "a film run backwards must look like the other"


def test_fit_mini_draws_only_from_its_generator():
    def losses(seed):
        torch.manual_seed(0)
        model = MiniS3D(classes=4, widths=(4, 4, 4))
        torch.manual_seed(seed)
        clips, labels = squares(8, seed=1)
        return fit_mini(model, model.preprocess(clips), labels, 3, torch.Generator().manual_seed(5), batch=4)
    assert losses(1) == losses(2)


def test_tokens_survive_h264(trained, tmp_path):
    """The same clips from memory and from an mp4 fall to the same of 4 centroids, and hardly move."""
    model, _ = trained
    clips, _ = squares(64, seed=4)
    path = tmp_path / "squares.mp4"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=20, options={"crf": "23"})
        video.height, video.width, video.pix_fmt = 64, 80, "yuv420p"
        for number, image in enumerate(clips.reshape(-1, 64, 80, 3)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 20)
            file.mux(video.encode(frame))
        file.mux(video.encode())
    drawn, filmed = extract(model, clips), extract(model, np.stack(list(clips_of(path))))
    moved = ((drawn - filmed) ** 2).sum(1).mean() / ((drawn - drawn.mean(0)) ** 2).sum(1).mean()
    assert 0 < moved < 0.01
    shown, classes = squares(64, seed=5)
    centroids = torch.stack([torch.from_numpy(extract(model, shown))[classes == c].mean(0) for c in range(4)])
    token, token_filmed = (torch.cdist(torch.from_numpy(f), centroids).argmin(1) for f in (drawn, filmed))
    assert len(token.unique()) == 4
    assert (token == token_filmed).float().mean() >= 0.98


def test_saved_weights_give_the_same_features(random_mini, tmp_path):
    clips, _ = squares(4, seed=0)
    save_mini(random_mini, tmp_path / "mini.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["mini.safetensors"]
    extractor = open_extractor("mini", tmp_path / "mini.safetensors")
    assert (extractor.name, extractor.width) == ("mini", 8)
    np.testing.assert_array_equal(extractor(clips), extract(random_mini, clips))
    assert load_mini(tmp_path / "mini.safetensors").classes == 5


def test_errors_say_what_was_given_and_what_to_give(random_mini, tmp_path):
    (tmp_path / "text").write_text("not weights")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    for name, words in (("text", "not a readable safetensors"), ("nowhere", "not a readable safetensors"),
                        ("other", "another network")):
        with pytest.raises(ValueError, match=f"{name}: .*{words}.*give"):
            open_extractor("mini", tmp_path / name)
    with pytest.raises(ValueError, match="'mini' need weights; give"):
        open_extractor("mini")
    with pytest.raises(ValueError, match="'i3d' are not known; choose 'mini' or 's3d'"):
        open_extractor("i3d")
    for shape, kind in (((1, 29, 8, 8, 3), "uint8"), ((1, 30, 8, 8, 3), "float32"), ((30, 8, 8, 3), "uint8")):
        with pytest.raises(ValueError, match=r"clips are .*expected \(N, 30, H, W, 3\) uint8"):
            extract(random_mini, np.zeros(shape, kind))


def test_torchvision_missing_or_built_for_another_torch_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match=r"torchvision is not installed; run: pip install minivbert\[s3d\]"):
        open_extractor("s3d")
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    (tmp_path / "torchvision-0.1.dist-info").mkdir()
    (tmp_path / "torchvision-0.1.dist-info/METADATA").write_text("Name: torchvision\nVersion: 0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"torchvision 0.1 does not work with torch .*nms.*from one index"):
        open_extractor("s3d")


def test_kinetics_weights_in_the_cache_are_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub/checkpoints/s3d-d76dad2f.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"something else")
    url = "https://download.pytorch.org/models/s3d-d76dad2f.pth"
    with pytest.raises(ValueError, match="s3d-d76dad2f.pth: its sha256 starts with .*not d76dad2f.*delete"):
        features._fetch_kinetics(url)
    monkeypatch.setattr(features, "KINETICS_SHA256", features.file_hash(cached)[:8])
    assert features._fetch_kinetics(url) == cached


@pytest.fixture(scope="module")
def torchvision_s3d():
    try:
        return features._torchvision_s3d()
    except ValueError as error:
        pytest.skip(str(error))


def test_s3d_is_the_mean_of_its_last_activations(torchvision_s3d, tmp_path):
    s3d, kinetics = torchvision_s3d
    torch.manual_seed(0)
    whole = s3d(weights=None, num_classes=7).eval()                    # the classifier's size is no matter
    for name, tensor in whole.state_dict().items():
        if tensor.dim() > 1:
            torch.nn.init.kaiming_normal_(tensor)
    torch.save(whole.state_dict(), tmp_path / "s3d.pth")
    extractor = open_extractor("s3d", tmp_path / "s3d.pth")
    clips, _ = squares(1, seed=0)
    with torch.inference_mode():
        x_BCTHW = kinetics.transforms()(torch.from_numpy(clips).permute(0, 1, 4, 2, 3))
        expected = whole.features(x_BCTHW).mean((2, 3, 4)).numpy()
    assert x_BCTHW.shape == (1, 3, 30, 224, 224)
    feature = extractor(clips)
    assert (extractor.name, extractor.width) == ("s3d", 1024) and feature.dtype == np.float32
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(feature, expected, rtol=1e-3, atol=1e-4)


def test_a_file_that_is_not_s3d_is_refused(torchvision_s3d, tmp_path):
    (tmp_path / "text.pth").write_text("not weights")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for name in ("text.pth", "other.pth", "nowhere.pth"):
        with pytest.raises(ValueError, match=f"{name}: not the weights of torchvision's S3D .*give"):
            open_extractor("s3d", tmp_path / name)
