"""DeiT: parity of both heads with timm and Hugging Face, the losses by hand, the teacher's mode; the ConvNet."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from minivbert.vision.convnet import ConvNet
from minivbert.vision.deit import DeiT, ask_teacher, distillation_loss
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


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small_timm(timm, **more):
    theirs = timm.models.deit.VisionTransformerDistilled(
        img_size=SMALL.image, patch_size=4, in_chans=C, num_classes=K, embed_dim=24, depth=3, num_heads=3, mlp_ratio=2, **more
    )
    theirs.set_distilled_training(True)
    return theirs


def small_hugging_face():
    transformers = pytest.importorskip("transformers")
    sizes = dict(hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=48, num_labels=K)
    c = transformers.DeiTConfig(**sizes, image_size=SMALL.image, patch_size=4, num_channels=C, layer_norm_eps=1e-6)
    return transformers.DeiTForImageClassificationWithTeacher(c).eval()


def both_of_hugging_face(model, x):
    out = model(x)
    return out.cls_logits, out.distillation_logits


def rename_hugging_face(tensors):
    return from_timm_names(hugging_face_to_timm(tensors), SMALL.layers, specials=2)


def assert_parity(ours, theirs, run_theirs, rename, dtype, tolerance):
    """Hold the logits of both heads, and the gradients of both, against a peer's; and the mean in evaluation."""
    ours, theirs = ours.to(dtype).train(), theirs.to(dtype)
    x_ours, x_theirs = (3 * draw(B, C, 24, 16).to(dtype).requires_grad_() for _ in range(2))
    x_ours, x_theirs = (x.detach().requires_grad_() for x in (x_ours, x_theirs))
    got, expected = torch.stack(ours(x_ours)), torch.stack(run_theirs(theirs, x_theirs))
    assert expected.std() > 0.1 and (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)
    direction = draw(2, B, K, seed=1).to(dtype)
    (got * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_same_gradients(ours, rename({name: p.grad for name, p in theirs.named_parameters()}), tolerance)
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(ours.eval()(x_ours), expected.mean(0), atol=tolerance, rtol=tolerance)


@DTYPES
@pytest.mark.parametrize("std", [0.05, 0.25])
def test_outputs_and_gradients_are_timm_s(timm, tmp_path, dtype, tolerance, std):
    theirs = fill(small_timm(timm), std).train()
    save_file(contiguous(theirs.state_dict()), tmp_path / "model.safetensors")
    ours = DeiT.from_timm(tmp_path / "model.safetensors", SMALL)
    rename = lambda tensors: from_timm_names(tensors, SMALL.layers, specials=2)  # noqa: E731
    assert_parity(ours, theirs, lambda model, x: model(x), rename, dtype, tolerance)
    torch.testing.assert_close(ours.eval()(draw(B, C, 24, 16).to(dtype)), theirs.eval()(draw(B, C, 24, 16).to(dtype)))


@DTYPES
def test_outputs_and_gradients_are_hugging_face_s(dtype, tolerance):
    theirs, ours = fill(small_hugging_face(), 0.25), DeiT(SMALL)
    ours.load_state_dict(rename_hugging_face(theirs.state_dict()))
    assert_parity(ours, theirs, both_of_hugging_face, rename_hugging_face, dtype, tolerance)
    x = draw(B, C, 24, 16).to(dtype)
    torch.testing.assert_close(ours.eval()(x), theirs(x).logits, atol=tolerance, rtol=tolerance)


def test_a_published_shape_loads_from_its_file_alone(timm, tmp_path):
    theirs = fill(timm.create_model("deit_tiny_distilled_patch16_224")).eval()
    torch.save({"model": theirs.state_dict()}, tmp_path / "deit.pth")  # as DeiT's authors publish it
    ours, x = DeiT.from_timm(tmp_path / "deit.pth").eval(), draw(1, 3, 224, 224)
    assert ours.config == CONFIGS["ti16"] and sum(p.numel() for p in ours.parameters()) == 5_910_800
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"deit\.pth: has a distillation token; load it with DeiT\.from_timm, not with ViT"):
        ViT.from_timm(tmp_path / "deit.pth")
    save_file(contiguous(timm.create_model("vit_tiny_patch16_224").state_dict()), tmp_path / "vit.safetensors")
    with pytest.raises(ValueError, match=r"vit\.safetensors: has no distillation token; load it with ViT\.from_timm"):
        DeiT.from_timm(tmp_path / "vit.safetensors")


def test_other_sizes_are_interpolated_as_timm_does_and_both_tokens_keep_their_positions(timm, tmp_path):
    theirs = fill(small_timm(timm, dynamic_img_size=True), 0.25).eval()
    save_file(contiguous(theirs.state_dict()), tmp_path / "model.safetensors")
    ours, x = DeiT.from_timm(tmp_path / "model.safetensors", SMALL).eval(), draw(B, C, 32, 8)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    assert torch.equal(ours.positions_for((9, 9))[:2], ours.positions[:2])


def test_tokens_stand_in_the_order_class_distillation_patches():
    config = ViTConfig((24, 16), 4, C, 24, layers=0, heads=3, feed_forward=48, classes=K)
    model, x = fill(DeiT(config), 0.25), draw(B, C, 24, 16)
    going_in = torch.stack([model.class_token, model.distillation_token]).expand(B, 2, 24)
    going_in = torch.cat([going_in, model.words(x)], 1) + model.positions
    hidden = model.hidden(x)
    torch.testing.assert_close(hidden, F.layer_norm(going_in, (24,), *model.encoder.norm.parameters(), eps=1e-6))
    of_class, of_distillation = model.train()(x)
    torch.testing.assert_close(of_class, model.head(hidden[:, 0]))
    torch.testing.assert_close(of_distillation, model.distillation_head(hidden[:, 1]))


# ------------------------------------------------------------------------------ losses


CLASS, DISTILLATION, TEACHER = ([[1.0, 0, 2], [0, 0, 0]], [[0.0, 1, 0], [2, 0, -1]], [[3.0, 0, 0], [0, 1, 0]])
LABELS = [2, 1]


def log_softmax(row, tau=1.0):
    total = math.log(sum(math.exp(x / tau) for x in row))
    return [x / tau - total for x in row]


def logits():
    return [torch.tensor(x).requires_grad_() for x in (CLASS, DISTILLATION, TEACHER)]


def cross_entropy(rows, labels):
    return -sum(log_softmax(row)[y] for row, y in zip(rows, labels)) / len(rows)


def test_hard_distillation_is_equation_3():
    loss = distillation_loss(*logits(), torch.tensor(LABELS), "hard")
    assert loss.item() == pytest.approx((cross_entropy(CLASS, LABELS) + cross_entropy(DISTILLATION, [0, 1])) / 2)


@pytest.mark.parametrize(("tau", "lam"), [(3.0, 0.1), (1.0, 0.7)])
def test_soft_distillation_is_equation_2_summed_over_classes(tau, lam):
    divergence = 0
    for student, teacher in zip(DISTILLATION, TEACHER):
        q, p = log_softmax(student, tau), log_softmax(teacher, tau)
        divergence += sum(math.exp(pk) * (pk - qk) for pk, qk in zip(p, q)) / 2  # two images
    expected = (1 - lam) * cross_entropy(CLASS, LABELS) + lam * tau**2 * divergence
    loss = distillation_loss(*logits(), torch.tensor(LABELS), "soft", tau, lam)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_soft_distillation_does_not_weaken_with_classes_that_nobody_means():
    """A KL divided by batch times classes would halve here."""
    loss = lambda *x: distillation_loss(*x, torch.tensor(LABELS), "soft").item()  # noqa: E731
    unlikely = [F.pad(x, (0, 3), value=-1e4) for x in logits()]
    assert loss(*unlikely) == pytest.approx(loss(*logits()), rel=1e-5)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_losses_reach_each_head_take_mixed_targets_and_leave_the_teacher(kind):
    student, distilled, teacher = logits()
    mixed = torch.tensor([[0.0, 0.3, 0.7], [0.5, 0.5, 0]])
    loss = distillation_loss(student, distilled, teacher, mixed, kind)
    loss.backward()
    assert student.grad.any() and distilled.grad.any() and teacher.grad is None
    by_label = [distillation_loss(*logits(), torch.full((2,), y), kind).item() for y in range(3)]
    row_1_same = distillation_loss(*logits(), torch.tensor([[0.0, 0.3, 0.7]]).expand(2, 3), kind).item()
    assert row_1_same == pytest.approx(0.3 * by_label[1] + 0.7 * by_label[2], rel=1e-5)


def test_another_kind_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="kind 'medium': expected 'hard' or 'soft'"):
        distillation_loss(*logits(), torch.tensor(LABELS), "medium")


def test_a_student_learns_its_teacher_through_the_distillation_head_only_from_the_teacher():
    """Labels and teacher disagree; in the end each head says what its own target says."""
    config = ViTConfig(16, 4, 1, 32, 2, 4, 64, classes=10, position_std=0.3)
    model, x = DeiT(config), draw(20, 1, 16, 16)
    labels = torch.arange(20) % 10
    teacher = 20 * F.one_hot((labels + 1) % 10, 10).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        loss = distillation_loss(*model(x), teacher, labels, "hard")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    of_class, of_distillation = model(x)
    assert (of_class.argmax(1) == labels).all() and (of_distillation.argmax(1) == (labels + 1) % 10).all()


# ------------------------------------------------------------------------------ the teacher


def test_the_teacher_answers_in_evaluation_mode_and_stays_as_it_was():
    teacher, x = fill(ConvNet(K, C), 0.3).train(), draw(8, C, 16, 16)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    answers = ask_teacher(teacher, x)
    assert not answers.requires_grad and teacher.training and teacher.norms[0].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    torch.testing.assert_close(ask_teacher(teacher, x[:1]), answers[:1])  # batch mates do not matter
    assert not torch.allclose(teacher(x), answers, atol=1e-2)  # in training mode they would
    assert not ask_teacher(teacher.eval(), x).requires_grad and not teacher.training


def test_a_distilled_teacher_gives_one_answer():
    assert ask_teacher(DeiT(SMALL).train(), draw(B, C, 24, 16)).shape == (B, K)


# ------------------------------------------------------------------------------ ConvNet


def test_convnet_has_the_weights_of_the_experiments_and_takes_images_of_any_size():
    model = ConvNet(10, 1)
    assert sum(p.numel() for p in model.parameters()) == 24_058
    assert model(draw(2, 1, 16, 16)).shape == model(draw(2, 1, 40, 23)).shape == (2, 10)
    with pytest.raises(ValueError, match="got images of 3 x 16 pixels, expected at least 4 x 4"):
        model(draw(2, 1, 3, 16))
    assert torch.equal(ConvNet(10, 1, seed=1).head.weight, ConvNet(10, 1, seed=1).head.weight)
    assert not torch.equal(ConvNet(10, 1, seed=1).convs[0].weight, model.convs[0].weight)


def test_convnet_is_its_torch_modules_one_after_the_other():
    model, x = fill(ConvNet(K, C), 0.3).eval(), draw(B, C, 16, 16)
    (a, b, c), (i, j, k) = model.convs, model.norms
    expected = F.relu(k(c(F.max_pool2d(F.relu(j(b(F.max_pool2d(F.relu(i(a(x))), 2)))), 2)))).mean((2, 3))
    torch.testing.assert_close(model(x), model.head(expected))


def test_receptive_fields_are_what_gradients_reach():
    model, x = ConvNet(K, 1).double().eval(), draw(1, 1, 64, 64).double().requires_grad_()
    for conv in model.convs:
        torch.nn.init.uniform_(conv.weight)  # positive, so that no ReLU blocks
    y, seen = x.exp(), []
    for i, (conv, norm) in enumerate(zip(model.convs, model.norms)):
        y = norm(conv(F.avg_pool2d(y, 2) if i else y)).relu()  # an average lets all of its pixels through
        (gradient,) = torch.autograd.grad(y[0, 0, y.shape[2] // 2, y.shape[3] // 2], x, retain_graph=True)
        rows, columns = gradient[0, 0].nonzero().amin(0), gradient[0, 0].nonzero().amax(0)
        seen.append((columns - rows + 1).tolist())
    assert seen == [[side, side] for side in model.receptive_fields()]


def test_convnet_learns_where_nothing_but_a_shape_tells_the_class():
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.randn(128, 1, 16, 16, generator=generator)
    y = torch.arange(128) % 2
    for image, label in zip(x, y):  # a bar that lies or stands, anywhere
        top, left = torch.randint(11, (2,), generator=generator).tolist()
        image[0, top : top + (5 if label else 1), left : left + (1 if label else 5)] += 2
    model = ConvNet(2, 1, widths=(8, 8, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = F.cross_entropy(model(x[:96]), y[:96])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.eval()(x[96:]).argmax(1) == y[96:]).float().mean() > 0.9
