"""ViT: parity with timm and Hugging Face, loading, patches and positions by hand, sizes of images, learning."""

import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from minivbert.vision.timm_weights import from_timm_names
from minivbert.vision.vit import CONFIGS, ViT, ViTConfig
from peers import assert_same_gradients, contiguous, fill, hugging_face_to_timm, import_timm

B, C, K = 3, 2, 7
SMALL = ViTConfig((24, 16), 4, C, width=24, layers=3, heads=3, feed_forward=48, classes=K)
DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])


@pytest.fixture(scope="session")
def timm():
    try:
        return import_timm()
    except ImportError:
        pytest.skip("timm is not installed; pip install --no-deps timm")


def images(n=B, channels=C, size=(24, 16), seed=0):
    return torch.randn(n, channels, *size, generator=torch.Generator().manual_seed(seed))


def small_timm(timm, **more):
    return timm.models.VisionTransformer(
        img_size=SMALL.image, patch_size=4, in_chans=C, num_classes=K, embed_dim=24, depth=3, num_heads=3, mlp_ratio=2, **more
    ).eval()


def change(**new):
    return ViTConfig(**(SMALL.__dict__ | new))


def saved(model, path):
    save_file(contiguous(model.state_dict()), path)
    return path


def small_hugging_face():
    transformers = pytest.importorskip("transformers")
    sizes = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=48, num_labels=K)
    c = transformers.ViTConfig(**sizes, image_size=SMALL.image, patch_size=4, num_channels=C, layer_norm_eps=1e-6)
    return transformers.ViTForImageClassification(c).eval()


def assert_parity(ours, theirs, run_theirs, rename, x, dtype, tolerance):
    """Hold logits and the gradients of all weights and of the images against a peer's."""
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    (x_ours, x_theirs), direction = (x.to(dtype).requires_grad_() for _ in range(2)), torch.randn(len(x), K).to(dtype)
    got, expected = ours(x_ours), run_theirs(theirs, x_theirs)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)
    (got * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_same_gradients(ours, rename({name: p.grad for name, p in theirs.named_parameters()}), tolerance)
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, atol=tolerance, rtol=tolerance)


@DTYPES
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("std", [0.05, 0.25])  # at 0.25 attention is far from uniform
def test_outputs_and_gradients_are_timm_s(timm, tmp_path, dtype, tolerance, training, std):
    theirs = fill(small_timm(timm), std)
    ours = ViT.from_timm(saved(theirs, tmp_path / "model.safetensors"), SMALL).train(training)
    rename = lambda tensors: from_timm_names(tensors, SMALL.layers, specials=1)  # noqa: E731
    assert_parity(ours, theirs, lambda model, x: model(x), rename, 3 * images(), dtype, tolerance)


@DTYPES
def test_outputs_and_gradients_are_hugging_face_s(dtype, tolerance):
    theirs, ours = fill(small_hugging_face(), 0.25), ViT(SMALL).eval()
    rename = lambda tensors: from_timm_names(hugging_face_to_timm(tensors), SMALL.layers, specials=1)  # noqa: E731
    ours.load_state_dict(rename(theirs.state_dict()))
    assert_parity(ours, theirs, lambda model, x: model(x).logits, rename, images(), dtype, tolerance)


def test_a_published_shape_loads_from_its_file_alone(timm, tmp_path):
    """All of vit_tiny_patch16_224: nothing is told but the path."""
    theirs = fill(timm.create_model("vit_tiny_patch16_224")).eval()
    ours = ViT.from_timm(saved(theirs, tmp_path / "model.safetensors")).eval()
    assert ours.config == CONFIGS["ti16"]
    x = images(1, 3, (224, 224))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.hidden(x), theirs.forward_features(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(32, 48), (16, 8), (24, 8), (16, 24)], ids=str)
def test_images_of_another_size_read_positions_as_timm_does(timm, tmp_path, size):
    theirs = fill(small_timm(timm, dynamic_img_size=True), 0.25)
    ours = ViT.from_timm(saved(theirs, tmp_path / "model.safetensors"), SMALL).eval()
    torch.testing.assert_close(ours(images(size=size)), theirs(images(size=size)), atol=1e-5, rtol=1e-5)
    assert ours.hidden(images(size=size)).shape == (B, 1 + size[0] * size[1] // 16, 24)


# ------------------------------------------------------------------------------ sizes


COUNTS = {"ti16": 5_717_416, "s16": 22_050_664, "b16": 86_567_656, "b32": 88_224_232, "l16": 304_326_632, "h14": 632_045_800}
PAPERS = {"ti16": 5e6, "s16": 22e6, "b16": 86e6, "l16": 307e6, "h14": 632e6}  # b16, l16, h14: ViT, table 1; DeiT, table 1


def weights(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_of_the_papers(name):
    with torch.device("meta"):
        assert weights(ViT(CONFIGS[name])) == COUNTS[name]
    if name in PAPERS:
        assert abs(COUNTS[name] / PAPERS[name] - 1) < (0.15 if name == "ti16" else 0.01)  # "5M" is cut, not rounded


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_timm_s(timm, name):
    long = {"ti": "tiny", "s": "small", "b": "base", "l": "large", "h": "huge"}[name.rstrip("0123456789")]
    with torch.device("meta"):
        assert weights(timm.create_model(f"vit_{long}_patch{CONFIGS[name].patch}_224", num_classes=1000)) == COUNTS[name]


def test_the_small_vit_of_the_experiments_has_203_thousand_weights():
    assert weights(ViT(ViTConfig(16, 4, 1, 64, 4, 4, 256, classes=10))) == 202_954


# ------------------------------------------------------------------------------ by hand


def test_patches_are_cut_row_by_row_and_keep_their_pixels():
    x = torch.arange(B * C * 24 * 16.0).reshape(B, C, 24, 16)
    patches = ViT(SMALL).patches(x)
    assert patches.shape == (B, 24, C * 16)
    for i, (y, column) in enumerate((y, column) for y in range(0, 24, 4) for column in range(0, 16, 4)):
        assert torch.equal(patches[1, i], x[1, :, y : y + 4, column : column + 4].flatten())


def test_class_token_stands_first_with_a_position_of_its_own():
    """Without layers the hidden states are the norms of what goes in; elsewhere the class token was seen without position."""
    model = fill(ViT(ViTConfig((24, 16), 4, C, 24, layers=0, heads=3, feed_forward=48, classes=K)), 0.25)
    x = images()
    going_in = torch.cat([model.class_token.expand(B, 1, -1), model.words(x)], 1) + model.positions
    hidden = model.hidden(x)
    torch.testing.assert_close(hidden, F.layer_norm(going_in, (24,), *model.encoder.norm.parameters(), eps=1e-6))
    torch.testing.assert_close(model(x), model.head(hidden[:, 0]))
    assert model.attention(x) == []


def test_head_reads_the_class_token_alone():
    model, x = fill(ViT(SMALL), 0.25).eval(), images()
    torch.testing.assert_close(model(x), model.head(model.hidden(x)[:, 0]), atol=1e-5, rtol=1e-5)


def test_interpolation_leaves_the_class_slot_and_is_two_dimensional():
    model = fill(ViT(SMALL), 0.25)
    assert model.positions_for((6, 4)) is model.positions
    wide, tall = (model.positions_for(grid) for grid in ((6, 9), (13, 4)))
    assert wide.shape == (55, 24) and tall.shape == (53, 24)
    assert torch.equal(wide[0], model.positions[0]) and torch.equal(tall[0], model.positions[0])
    with torch.no_grad():  # 2-D: what depends on the row alone goes on doing so, and the middle of a ramp is a ramp
        rows = torch.arange(6.0)[:, None].expand(6, 4).reshape(24, 1).expand(24, 24)
        model.positions[1:] = rows
        model.positions[0] = 100
    wide, tall = (model.positions_for(grid)[1:, 0].reshape(grid) for grid in ((6, 9), (12, 4)))
    torch.testing.assert_close(wide, torch.arange(6.0)[:, None].expand(6, 9))
    torch.testing.assert_close(tall[4:8], (torch.arange(4.0, 8.0)[:, None] / 2 - 0.25).expand(4, 4))


def test_the_same_shuffle_of_every_image_only_renames_the_positions():
    """Why a ViT does not care about shuffled patches: shuffle the positions too and nothing has changed."""
    model, x = fill(ViT(SMALL), 0.25).eval(), images()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    straight, shuffled = model(x), model.head(model.encode(model.words(x)[:, order])[:, 0])
    assert (straight - shuffled).abs().max() > 0.05
    with torch.no_grad():
        model.positions[1:] = model.positions[1:][order]
    torch.testing.assert_close(
        model.head(model.encode(model.words(x)[:, order])[:, 0]), straight, atol=1e-5, rtol=1e-5
    )


def test_attention_gives_every_layer_and_changes_nothing():
    model, x = fill(ViT(SMALL), 0.25).train(), images(size=(24, 8))
    before = model(x)
    maps = model.attention(x)
    assert [m.shape for m in maps] == [(B, 3, 13, 13)] * 3 and not any(m.requires_grad for m in maps)
    torch.testing.assert_close(torch.stack(maps).sum(-1), torch.ones(3, B, 3, 13))
    q, k, _ = model.encoder.blocks[0].attn.qkv(
        model.encoder.blocks[0].norm1(
            torch.cat([model.class_token.expand(B, 1, -1), model.words(x)], 1) + model.positions_for((6, 2))
        )
    ).chunk(3, -1)
    head = slice(8, 16)  # of width 8, the second
    torch.testing.assert_close(maps[0][:, 1], (q[..., head] @ k[..., head].mT / 8**0.5).softmax(-1))
    assert maps[0].std() > 0.02 and model.training
    assert torch.equal(model(x), before)


def test_both_kernels_of_attention_train_alike():
    """Long rows train by the fused kernel, short ones and those whose weights are wanted by the equation."""
    model, x = fill(ViT(change(image=(40, 40))), 0.25).double(), images(size=(40, 40)).double()  # 101 tokens
    results, taps = [], {}
    for out in (model.hidden(x), model.hidden(x, taps)):
        results.append([out, *torch.autograd.grad(out[:, :3].square().sum(), list(model.encoder.parameters()))])
    assert taps["0.self"].std() > 0.01
    for fused, explicit in zip(*results):
        torch.testing.assert_close(fused, explicit, atol=1e-9, rtol=1e-9)


def test_positions_start_as_wide_as_asked_and_the_seed_decides():
    config = ViTConfig(64, 4, 1, 64, 1, 4, 64, 10, position_std=0.3)
    a, b, c = (ViT(config, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert 0.29 < a["positions"].std() < 0.31 and 0.24 < a["patch.weight"].std() < 0.26
    assert not torch.equal(a["positions"], c["positions"]) and not torch.equal(a["head.weight"], c["head.weight"])


def test_dropout_works_in_training_only():
    config = ViTConfig((24, 16), 4, C, 24, 2, 3, 48, K, dropout=0.5)
    model, x = fill(ViT(config), 0.25), images()
    assert not torch.equal(model.train()(x), model(x)) and torch.equal(model.eval()(x), model(x))


# ------------------------------------------------------------------------------ learning


def test_first_loss_is_that_of_a_guess_and_one_batch_can_be_learned_by_heart():
    config = ViTConfig(16, 4, 1, 32, 2, 4, 64, classes=10, position_std=0.3)
    model, x, y = ViT(config), images(20, 1, (16, 16)), torch.arange(20) % 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(80):
        losses.append(F.cross_entropy(model(x), y))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert abs(losses[0] - torch.tensor(10.0).log()) < 0.1 and losses[-1] < 0.05
    assert (model.eval()(x).argmax(1) == y).all()


# ------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 24, 18), r"24 x 18 pixels is not made of whole patches of 4 x 4; resize or crop it to multiples of 4"),
        ((1, 2, 2, 16), r"2 x 16 pixels is not made of whole patches"),
        ((1, 3, 24, 16), r"images of 3 channels, expected 2"),
    ],
)
def test_images_that_do_not_fit_are_refused_in_a_sentence(shape, message):
    with pytest.raises(ValueError, match=message):
        ViT(SMALL)(torch.zeros(shape))


def test_configurations_that_cannot_be_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="30 x 30 pixels is not made of whole patches of 4 x 4"):
        ViTConfig(30, 4)
    with pytest.raises(ValueError, match="width 24 is not a multiple of heads 5"):
        ViT(ViTConfig(16, 4, width=24, heads=5))


@pytest.mark.parametrize(
    ("edit", "config", "message"),
    [
        (dict, None, "how many heads a width of 24 has is not known; give the configuration"),
        (dict, change(layers=2), "is of another configuration: layers 3, expected 2; give"),
        (dict, change(width=48, classes=10), "width 24, expected 48; classes 7, expected 10; give"),
        (dict, change(image=(24, 24)), r"positions has shape \(25, 24\), expected \(37, 24\); give"),
        (lambda t: t | {"dist_token": t["cls_token"]}, SMALL, "has a distillation token; load it with DeiT.from_timm"),
        (lambda t: t | {"blocks.0.ls1.gamma": t["norm.bias"]}, SMALL, "holds blocks.0.ls1.gamma and 0 more tensors that"),
        (lambda t: {k: v for k, v in t.items() if "head" not in k}, SMALL, "head.weight and 1 more tensors are missing"),
        (lambda t: {"conv1.weight": t["head.weight"]}, SMALL, "so this is no ViT"),
    ],
)
def test_files_of_another_model_are_refused_in_a_sentence(timm, tmp_path, edit, config, message):
    path = tmp_path / "model.safetensors"
    save_file(contiguous(edit(small_timm(timm).state_dict())), path)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*{message}") as error:
        ViT.from_timm(path, config)
    assert "\n" not in str(error.value)


def test_positions_of_no_square_need_a_configuration(timm, tmp_path):
    path = saved(timm.models.VisionTransformer(img_size=(16, 8), patch_size=4, embed_dim=192, depth=1), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="positions for 8 patches, which make no square image"):
        ViT.from_timm(path)


@pytest.mark.parametrize("wrap", [dict, lambda t: {"model": t}, lambda t: {"state_dict": t, "epoch": 3}])
def test_torch_files_load_the_same(timm, tmp_path, wrap):
    theirs = fill(small_timm(timm))
    torch.save(wrap({name: t.half() for name, t in theirs.state_dict().items()}), tmp_path / "deit.pth")
    ours = ViT.from_timm(tmp_path / "deit.pth", SMALL)
    assert torch.equal(ours.head.weight, theirs.head.weight.half().float())


class Evil:
    def __reduce__(self):
        return open, ("evil was here", "w")


def test_damaged_and_dangerous_files_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("half.safetensors", "half.pth"):
        (tmp_path / name).write_bytes(b"half a fi")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    torch.save({"model": Evil()}, tmp_path / "evil_too.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("half.safetensors", "half.pth", "evil.pth", "evil_too.pth", "list.pth", "nowhere.safetensors"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as weights"):
            ViT.from_timm(tmp_path / name)
    assert not (tmp_path / "evil was here").exists()
