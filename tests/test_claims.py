"""The claims' machinery: why a ViT cannot mind the shuffle, cells that survive a kill, verdicts by hand, pictures' measures by brute force."""
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from minivbert.vision import claims
from minivbert.vision.cells import run_cells
from minivbert.vision.claims import Table, cell_of, plan, report, run_cell, shuffle_patches, verdicts
from minivbert.vision.deit import DeiT
from minivbert.vision.looking import attention_distance, even_distance, patch_distances, position_similarity, reach, rollout, token_cosine
from minivbert.vision.vit import ViT, ViTConfig

CONFIG = ViTConfig(image=(8, 12), patch=4, channels=2, width=16, layers=2, heads=2, feed_forward=32, classes=5)


def test_a_shuffle_moves_whole_patches_and_can_be_undone():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 2)).astype(np.uint8)
    order = np.random.default_rng(1).permutation(6)
    out = shuffle_patches(images, 4, order)
    cut = lambda x, i: x[:, i // 3 * 4:i // 3 * 4 + 4, i % 3 * 4:i % 3 * 4 + 4]
    assert all(np.array_equal(cut(out, i), cut(images, order[i])) for i in range(6)) and not np.array_equal(out, images)
    assert np.array_equal(shuffle_patches(out, 4, np.argsort(order)), images)


def test_a_vit_whose_positions_are_shuffled_too_gives_the_same_answer():
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 2)).astype(np.uint8)
    order = np.random.default_rng(1).permutation(6)
    x, shuffled = (torch.from_numpy(a).permute(0, 3, 1, 2) / 255 for a in (images, shuffle_patches(images, 4, order)))
    vit = ViT(CONFIG, seed=1).double().eval()
    for p in vit.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    expected = vit(x.double())
    assert (vit(shuffled.double()) - expected).abs().max() > 1e-3
    with torch.no_grad():
        vit.positions[1:] = vit.positions[1:][torch.from_numpy(order)]
    torch.testing.assert_close(vit(shuffled.double()), expected, atol=1e-12, rtol=0)


CALLS = "calls.txt"


def count_up(settings, stem):
    """A cell's work, for processes to import: fails where it is told to, and leaves a trace of every call."""
    with open(stem.parent / CALLS, "a") as file:
        file.write(stem.name + "\n")
    if settings.get("fails"):
        raise ValueError("killed here")
    return {"double": 2 * settings["value"], "threads": torch.get_num_threads()}


def test_cells_go_on_after_a_failure_and_are_made_again_only_if_changed(tmp_path):
    cells = {"a": {"value": 1}, "b": {"value": 2, "fails": True}, "c": {"value": 3}}
    with pytest.raises(ValueError, match="killed here"):
        run_cells(count_up, cells, tmp_path, processes=1)
    cells["b"] = {"value": 2}
    cells["c"] = {"value": 4}
    (tmp_path / "c.json").write_text('{"settings": {"val')                             # half a file
    results = run_cells(count_up, cells, tmp_path, processes=1)
    assert {name: r["double"] for name, r in results.items()} == {"a": 2, "b": 4, "c": 8} and results["a"]["threads"] == 1
    calls = (tmp_path / CALLS).read_text().split()
    assert calls.count("a") == 1 and run_cells(count_up, cells, tmp_path, processes=1) == results
    assert (tmp_path / CALLS).read_text().split() == calls
    assert run_cells(count_up, {"a": {"value": 5}}, tmp_path, processes=1)["a"]["double"] == 10            # another cell of the same name


def made_up(accuracy):
    """A table in which every cell has the accuracy that accuracy(settings) says."""
    cells, sizes = plan(quick=False)
    return Table({name: {"accuracy": accuracy(s), "seconds": 1.0} for name, s in cells.items()}, sizes)


def as_hoped(s):
    """A world in which (a), (b), the control and augmentation hold, and a teacher gives nothing."""
    if s["model"] == "convnet":
        return 0.3 if s["shuffled"] else 0.95
    return {500: 0.4, 2000: 0.7, 8000: 0.9, 32000: 0.94}[s["images"]] + 0.52 * s["affine"] + 0.3 * (s["unlabelled"] > 0) + 0.001 * s["seed"]


def test_verdicts_are_what_was_found():
    found = {v["claim"]: v for v in verdicts(made_up(as_hoped))}
    a = found["(a) with 500 images the ConvNet is ahead of the ViT"]
    assert a["holds"] and a["mean"] == pytest.approx(54.9) and a["least"] == pytest.approx(54.8) and a["greatest"] == pytest.approx(55)
    assert found["(b) with 8,000 images the ConvNet is ahead"]["holds"]
    assert found["why: the shuffle takes from the ConvNet, 2,000 images"]["mean"] == pytest.approx(65)
    assert found["why: the shuffle takes from the ViT, 500 images"]["holds"]
    assert found["(c) augmentation gives the ViT, 500 images, 4,500 steps"]["mean"] == pytest.approx(52)
    assert not found["(c) distillation alone gives it, 1,500 steps"]["holds"]                  # nothing gained is nothing gained
    assert sum(not v["holds"] for v in found.values()) == 4
    same = {v["claim"]: v["holds"] for v in verdicts(made_up(lambda s: 0.5))}               # all networks alike: nothing is claimed
    assert sorted(c for c in same if same[c]) == ["(b) with 8,000 images the ConvNet is ahead",
                                                  "(c) left of the gap with both, 4,500 steps, the ConvNet augmented too",
                                                  "why: the shuffle takes from the ViT, 2,000 images",
                                                  "why: the shuffle takes from the ViT, 500 images"]
    noisy = lambda s: as_hoped(s) + (0.02 * (s["seed"] - 0.5) if s["model"] == "deit" else 0)          # one seed of three is below
    assert not any(v["holds"] for v in verdicts(made_up(noisy)) if "distillation" in v["claim"] and "only the teacher" not in v["claim"])


def test_every_distilled_run_has_its_match_without():
    for quick in (True, False):
        cells, _ = plan(quick)
        plain = [s for s in cells.values() if s["model"] == "vit"]
        for s in cells.values():
            if s["model"] == "deit":
                assert any(all(p[k] == s[k] for k in ("images", "steps", "seed", "affine")) for p in plain), s
        assert len({json.dumps(s) for s in cells.values()}) == len(cells)


def test_a_report_from_first_to_last(tmp_path, monkeypatch):
    """Train the six cells whose networks or figures matter for two steps, take the others' figures from them, draw everything."""
    monkeypatch.setattr(claims, "STRANGERS", 100)
    monkeypatch.setattr(claims, "HELD_OUT", 300)
    cells, sizes = plan(quick=True)
    (tmp_path / "cells").mkdir()
    results = {}
    for name, settings in cells.items():
        wanted = name in ("convnet-2000-300-seed0", "vit-2000-300-seed0", "deit-500-300-hard-0.75-seed0", "vit-500-300-shuffled-seed0")
        results[name] = run_cell(settings | {"steps": 2, "images": 64}, tmp_path / "cells" / name) if wanted else results.get(
            "convnet-2000-300-seed0", {"accuracy": 0.1, "seconds": 1.0})
    assert -1 <= results["deit-500-300-hard-0.75-seed0"]["token_cosine"] <= 1
    report(results, sizes, tmp_path, "the command")
    stored = json.loads((tmp_path / "claims.json").read_text())
    assert stored["command"] == "the command" and len(stored["rows"]) == len(cells) and stored["verdicts"]
    pictures = {p.name for p in tmp_path.glob("*.png")}
    assert pictures == {"claims_data.png", "claims_shuffle.png", "claims_help.png", "attention.png", "attention_distance.png", "augment.png",
                        "positions.png"}


def test_a_cell_trains_what_it_says(tmp_path, monkeypatch):
    """Two steps of the same cell are the same; shuffled, augmented or of another seed they are others."""
    monkeypatch.setattr(claims, "STRANGERS", 100)
    monkeypatch.setattr(claims, "HELD_OUT", 100)
    weights = {}
    for changes in ({}, {"shuffled": True}, {"affine": True}, {"seed": 1}, {"again": True}):
        _, settings = cell_of("vit", 64, 2, changes.get("seed", 0), **{k: v for k, v in changes.items() if k in ("shuffled", "affine")})
        run_cell(settings, tmp_path / "x")
        tensors = load_file(tmp_path / "x.safetensors")          # the file's header lists them in no fixed order
        weights[str(changes)] = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
    assert weights["{}"] == weights["{'again': True}"] and len(set(weights.values())) == 4


def test_distance_by_brute_force():
    torch.manual_seed(0)
    grid, patch = (2, 3), 4
    weights = torch.rand(2, 3, 8, 8)                                       # two special tokens
    at = [(y * patch, x * patch) for y in range(2) for x in range(3)]
    expected = torch.zeros(3)
    for b in range(2):
        for n in range(3):
            for q in range(6):
                row = weights[b, n, 2 + q, 2:] / weights[b, n, 2 + q, 2:].sum()
                expected[n] += sum(float(row[k]) * np.hypot(at[q][0] - at[k][0], at[q][1] - at[k][1]) for k in range(6)) / 12
    torch.testing.assert_close(attention_distance(weights, grid, patch, specials=2), expected)
    torch.testing.assert_close(attention_distance(torch.ones(1, 1, 8, 8), grid, patch, 2), torch.tensor([even_distance(grid, patch)]))
    assert patch_distances(grid, patch)[0, 5] == pytest.approx(np.hypot(4, 8))


@pytest.mark.parametrize("side, image", [(3, (6, 6)), (5, (4, 7)), (99, (5, 3))])
def test_reach_by_brute_force(side, image):
    distances = [np.hypot(y - v, x - u) for y in range(image[0]) for x in range(image[1]) for v in range(image[0]) for u in range(image[1])
                 if abs(y - v) <= side // 2 and abs(x - u) <= side // 2]
    assert reach(side, image) == pytest.approx(np.mean(distances))


def test_rollout_of_one_layer_and_of_layers_that_look_at_themselves():
    torch.manual_seed(0)
    weights = torch.rand(2, 3, 5, 5).softmax(-1)
    eye = torch.eye(5).expand(2, 3, 5, 5)
    direct = weights.mean(1)[:, 0, 1:]
    for layers in ([weights], [eye, weights], [weights, eye]):
        torch.testing.assert_close(rollout(layers), direct / direct.sum(1, keepdim=True))
    x = torch.rand(2, 2, 8, 12)
    torch.testing.assert_close(rollout(DeiT(CONFIG).eval().attention(x), specials=2).sum(1), torch.ones(2))
    first, then = torch.rand(1, 1, 3, 3).softmax(-1), torch.rand(1, 1, 3, 3).softmax(-1)
    by_hand = ((then + torch.eye(3)) / 2 @ ((first + torch.eye(3)) / 2))[0, 0, 0, 1:]
    torch.testing.assert_close(rollout([first, then])[0], by_hand / by_hand.sum())


def test_similarity_forgets_what_all_positions_share_and_the_special_tokens():
    torch.manual_seed(0)
    positions = torch.randn(7, 4)
    alike = position_similarity(positions)
    other = positions.clone()
    other[0], other[1:] = 9.0, other[1:] + 5
    torch.testing.assert_close(position_similarity(other), alike, atol=1e-5, rtol=0)
    torch.testing.assert_close(alike.diagonal(), torch.ones(6))
    assert token_cosine(replace_first(torch.randn(3, 4, 8))) == pytest.approx(-1)


def replace_first(hidden_BTD):
    """Make the second token the opposite of the first."""
    return torch.cat([hidden_BTD[:, :1], -2 * hidden_BTD[:, :1], hidden_BTD[:, 2:]], 1)


@pytest.mark.slow
def test_little_data_and_its_reason_in_a_short_run(tmp_path):
    """300 steps, 500 images, one seed: the bars of claim (a) and of the control already hold."""
    score = lambda model, shuffled: 100 * run_cell(cell_of(model, 500, 300, 0, shuffled=shuffled)[1], tmp_path / "x")["accuracy"]
    convnet, vit = ([score(model, shuffled) for shuffled in (False, True)] for model in ("convnet", "vit"))
    assert convnet[0] - vit[0] > 30
    assert convnet[0] - convnet[1] > 30 and abs(vit[0] - vit[1]) < 5
