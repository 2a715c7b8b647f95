"""Training on images: it learns, resumes bit for bit, its teacher stays out of it; what does not fit is one sentence and nothing is written."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from minivbert.vision import train as train_module
from minivbert.vision.augment import affine, erase, mix
from minivbert.vision.data import Images, open_data
from minivbert.vision.network import Classifier, NetworkConfig
from minivbert.vision.train import PRESETS, TrainingConfig, draw_batch, evaluate, main, rows_of, train, train_step

SMALL = NetworkConfig(width=16, layers=1, heads=2, feed_forward=32, widths=(4, 4, 4))


def small(model, **changes):
    """A run that takes a second."""
    training = replace(PRESETS[model].training, **{"steps": 6, "batch": 8, "log_every": 2, "eval_every": 3, **changes})
    return replace(PRESETS[model], network=SMALL, training=training)


@pytest.fixture(scope="module")
def images():
    training, held_out = open_data("shapes", 200)
    return training, held_out.first(300)


def test_a_convnet_learns_shapes_but_not_shuffled_labels(images):
    _, held_out = images
    many = open_data("shapes", 1000)[0]
    config = replace(PRESETS["convnet"], training=TrainingConfig(steps=60, lr=1e-2, affine=False, eval_every=60))
    assert train(config, many, held_out).summary["held_out_accuracy"] > 0.3
    nonsense = Images(many.pixels_NHWC, np.random.default_rng(0).permutation(many.label_N), many.names)
    assert train(config, nonsense, held_out).summary["held_out_accuracy"] < 0.2


@pytest.mark.parametrize("model", ["vit", "deit"])
def test_a_transformer_can_learn_a_batch_by_heart(images, model):
    training, held_out = images[0].first(8), images[0].first(8)
    config = replace(PRESETS[model], training=TrainingConfig(steps=40, batch=8, lr=2e-3, affine=False, eval_every=40))
    teacher = None
    if model == "deit":
        teacher = train(replace(config, model="convnet", training=replace(config.training, lr=1e-2)), training, held_out).classifier
        assert evaluate(teacher, training)[0] == 1
    assert train(config, training, held_out, teacher=teacher).summary["held_out_accuracy"] == 1


@pytest.mark.parametrize("model", ["vit", "deit", "convnet"])
def test_a_resumed_run_is_the_run(images, model, tmp_path, monkeypatch):
    teacher = Classifier.new("convnet", SMALL, images[0], seed=3) if model == "deit" else None
    config = small(model, mix=True, erase=0.5)
    whole = train(config, *images, teacher=teacher)

    class Killed(Exception):
        pass

    def killed_at_4(step, c):
        if step == 4:
            raise Killed
        return share(step, c)
    share = train_module.share_of_peak
    monkeypatch.setattr(train_module, "share_of_peak", killed_at_4)
    with pytest.raises(Killed):
        train(config, *images, out=tmp_path, teacher=teacher)
    monkeypatch.setattr(train_module, "share_of_peak", share)
    resumed = train(config, *images, out=tmp_path, teacher=teacher, resume=True)
    ours, theirs = (h.classifier.network.state_dict() for h in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [line["step"] for line in resumed.lines] == [2, 3, 4, 6]
    assert resumed.lines[-1]["loss"] == whole.lines[-1]["loss"]
    files = {p.name for p in tmp_path.iterdir()}
    assert files == {"checkpoint.pt", "config.json", "confusion.png", "curves.png", "history.jsonl", "model.safetensors", "summary.json"}
    assert json.loads((tmp_path / "summary.json").read_text())["held_out_accuracy"] == resumed.summary["held_out_accuracy"]


def test_a_run_draws_only_from_its_seed(images):
    def weights(noise, seed):
        torch.manual_seed(noise)
        np.random.seed(noise)
        return train(small("vit", seed=seed, mix=True), *images).classifier.network.head.weight
    assert torch.equal(weights(0, seed=5), weights(1, seed=5)) and not torch.equal(weights(0, seed=5), weights(0, seed=6))


def test_a_batch_is_turned_then_erased_then_mixed_with_its_targets(images):
    classifier = Classifier.new("vit", SMALL, images[0])
    plain, labels = draw_batch(classifier, images[0], None, 3, small("vit", affine=False).training)
    assert torch.equal(plain, classifier.scaled(images[0].pixels_NHWC[rows_of(3, 8, 200, 0)]))
    rng = np.random.default_rng([0, 4, 3])
    expected = mix(erase(affine(plain, rng), rng, 0.5), labels, rng)
    changed = draw_batch(classifier, images[0], None, 3, small("vit", mix=True, erase=0.5).training)
    assert torch.equal(changed[0], expected[0]) and torch.equal(changed[1], expected[1])
    assert not torch.equal(changed[1], labels)


def test_every_image_comes_once_an_epoch():
    rows = np.concatenate([rows_of(step, 7, 20, seed=1) for step in range(20)])
    epochs = rows.reshape(7, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs.tolist()) and not np.array_equal(epochs[0], epochs[1])


def test_the_teacher_sees_the_students_images_and_is_left_as_it_was(images):
    student = Classifier.new("deit", SMALL, images[0])
    teacher = Classifier.new("convnet", SMALL, images[0])
    seen, before = [], {k: v.clone() for k, v in teacher.network.state_dict().items()}
    teacher.network.register_forward_hook(lambda module, args, out: seen.append((args[0], module.training)))
    config = small("deit", mix=True, erase=0.5)
    x_BCHW, target_BK = draw_batch(student, images[0], None, 0, config.training)
    optimizer = train_module.build_optimizer(student.network.train(), config.training)
    train_step(student, optimizer, x_BCHW, target_BK, teacher, 1.0, config.training)
    assert torch.equal(seen[0][0], x_BCHW) and not seen[0][1] and target_BK.max() < 1
    assert all(torch.equal(before[k], v) for k, v in teacher.network.state_dict().items())


def test_a_teacher_with_another_scaling_sees_the_same_pixels(images):
    student, teacher = (Classifier.new("convnet", SMALL, images[0]) for _ in range(2))
    teacher.mean, teacher.std = (0.5,), (0.1,)
    pixels = images[0].pixels_NHWC[:4]
    torch.testing.assert_close(teacher.rescaled(student.scaled(pixels), student), teacher.scaled(pixels), atol=1e-5, rtol=1e-5)


def test_images_without_a_label_teach_the_distillation_head_only(images):
    student, teacher = Classifier.new("deit", SMALL, images[0]), Classifier.new("convnet", SMALL, images[0])
    c = small("deit", unlabelled=1.0, affine=False).training
    x_BCHW, target_BK = draw_batch(student, images[0], images[1], 0, c)
    assert target_BK.abs().sum() == 0 and {x.tobytes() for x in x_BCHW.numpy()} <= {x.tobytes() for x in student.scaled(images[1].pixels_NHWC).numpy()}
    before = {name: p.clone() for name, p in student.network.named_parameters()}
    optimizer = torch.optim.SGD(student.network.parameters(), lr=1.0)
    train_step(student, optimizer, x_BCHW, target_BK, teacher, 1.0, c)
    moved = {name for name, p in student.network.named_parameters() if not torch.equal(p, before[name])}
    assert "distillation_head.weight" in moved and not {"head.weight", "head.bias"} & moved
    half = small("deit", unlabelled=0.5, affine=False).training
    _, target_BK = draw_batch(student, images[0], images[1], 0, half)
    assert target_BK.sum(1).tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_evaluation_is_accuracy_and_cross_entropy(images):
    classifier = Classifier.new("convnet", SMALL, images[0])
    accuracy, loss, confusion = evaluate(classifier, images[1])
    logits, labels = torch.from_numpy(classifier.logits(images[1].pixels_NHWC, batch=7)), torch.from_numpy(images[1].label_N)
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), abs=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert np.array_equal(confusion.sum(1), np.bincount(labels, minlength=10)) and np.trace(confusion) == round(accuracy * 300)


@pytest.mark.parametrize("model", ["vit", "deit", "convnet"])
def test_a_saved_network_comes_back_whole(images, model, tmp_path):
    classifier = Classifier.new(model, SMALL, images[0], seed=9)
    classifier.save(tmp_path / "model.safetensors")
    back = Classifier.load(tmp_path)
    assert back == classifier and not back.network.training
    np.testing.assert_array_equal(back.logits(images[1].pixels_NHWC), classifier.logits(images[1].pixels_NHWC))


def refused(capsys, *options):
    """Run the command, which must fail with exit code 2 and one sentence on stderr; give the sentence."""
    with pytest.raises(SystemExit) as left:
        main([str(o) for o in options])
    said = capsys.readouterr()
    assert left.value.code == 2 and said.err.count("\n") == 1 and "Traceback" not in said.err and not said.out
    return said.err


def write_folder(folder, size=(16, 16), classes=("cat", "dog"), mode="RGB"):
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode).save(folder / name / f"{i}.png")
    return folder


FAST = ("--steps", 2, "--batch", 4, "--width", 16, "--layers", 1, "--heads", 2, "--feed-forward", 16, "--device", "cpu")


def test_bad_data_is_one_sentence_and_nothing_is_written(tmp_path, capsys):
    out = tmp_path / "run"
    assert "no such folder" in refused(capsys, "--data", tmp_path / "nowhere", "--out", out)
    assert "takes two" in refused(capsys, "--data", write_folder(tmp_path / "one", classes=("cat",)), "--out", out)
    tiny = write_folder(tmp_path / "tiny", size=(3, 3))
    assert "an image of 3 x 3 pixels is not made of whole patches of 4 x 4" in refused(capsys, "--data", tiny, "--patch", 4, "--out", out)
    assert "3 x 3 pixels are too small for 3 convolutions" in refused(capsys, "--data", tiny, "--model", "convnet", "--out", out)
    odd = write_folder(tmp_path / "odd", size=(17, 19))
    assert "17 x 19 pixels are not made of 49 or fewer whole square patches" in refused(capsys, "--data", odd, "--out", out)
    several = write_folder(tmp_path / "several")
    Image.new("RGB", (16, 20)).save(several / "dog" / "9.png")
    assert "9.png: 16 x 20 pixels, but" in refused(capsys, "--data", several, "--out", out)
    (several / "dog" / "9.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "9.png: not an image that can be read" in refused(capsys, "--data", several, "--out", out)
    good = write_folder(tmp_path / "good")
    assert "99 images asked for, but there are 8" in refused(capsys, "--data", good, "--count", 99, "--out", out)
    assert "heads" in refused(capsys, "--data", good, "--width", 30, "--heads", 4, "--out", out)
    assert "--teacher is for --model deit only" in refused(capsys, "--data", good, "--teacher", tmp_path, "--out", out)
    assert not out.exists()


def test_checkpoints_of_another_kind_are_one_sentence(tmp_path, capsys):
    pets, letters = write_folder(tmp_path / "pets"), write_folder(tmp_path / "letters", classes=("a", "b", "c"))
    out = tmp_path / "run"
    main([str(o) for o in ("--data", pets, "--out", out, *FAST)])
    assert "held-out images right" in capsys.readouterr().out
    stamp = {p.name: p.read_bytes() for p in out.iterdir()}
    assert "was trained with width 16, not 32" in refused(capsys, "--data", pets, "--out", out, "--resume", "--width", 32)
    assert "was trained with model vit, not convnet" in refused(capsys, "--data", pets, "--out", out, "--resume", "--model", "convnet")
    assert "was trained on other images (2 classes, 16 x 16 pixels)" in refused(capsys, "--data", letters, "--out", out, "--resume")
    (out / "checkpoint.pt").write_bytes(stamp["checkpoint.pt"][:100])
    assert "cannot be resumed" in refused(capsys, "--data", pets, "--out", out, "--resume")
    (out / "checkpoint.pt").write_bytes(stamp["checkpoint.pt"])
    assert {p.name: p.read_bytes() for p in out.iterdir()} == stamp
    other = tmp_path / "other"
    deit = ("--model", "deit", "--out", other)
    assert "nothing to resume" in refused(capsys, "--data", pets, "--out", other, "--resume")
    assert "the teacher: knows 2 classes (cat, dog ...), but these images have 3" in refused(capsys, "--data", letters, *deit, "--teacher", out)
    grey = write_folder(tmp_path / "grey", mode="L")
    assert "the teacher: made for images of 16 x 16 pixels in 3 channels" in refused(capsys, "--data", grey, *deit, "--teacher", out)
    assert "not a readable safetensors" in refused(capsys, "--data", pets, *deit, "--teacher", tmp_path / "nowhere")
    from safetensors.torch import save_file
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    assert "weights of another network" in refused(capsys, "--data", pets, *deit, "--teacher", tmp_path / "other.safetensors")
    about = json.dumps(Classifier.load(out).about())
    save_file({"a": torch.zeros(1)}, tmp_path / "liar.safetensors", metadata={"network": "minivbert.vision", "about": about})
    assert "not of the network that it says it is" in refused(capsys, "--data", pets, *deit, "--teacher", tmp_path / "liar.safetensors")
    assert not other.exists()
