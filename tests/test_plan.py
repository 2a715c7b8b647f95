"""The plan's figures are those of the model itself, as torch counts them."""
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minivbert.config import PRESETS, Config, InputConfig, ModelConfig, TrainConfig
from minivbert.model.videobert import VideoBERT
from minivbert.plan import MFU, batch_flops, chips, main, masked, memory, move_flops, parameters, step_flops
from minivbert.pretraining import objective
from minivbert.pretraining.inputs import Batch
from minivbert.train import build_optimizers

SMALL = ModelConfig(width=48, layers=3, heads=4, feed_forward=160, text_vocab=300, visual_vocab=120, max_positions=64, dropout=0.0)


def random_batch(c, regime, B, T, M_text, M_video):
    """Make a batch of some shape whose contents mean nothing."""
    g = torch.Generator().manual_seed(0)
    draw = lambda high, *shape: torch.randint(high, shape, generator=g)
    return Batch(draw(c.text_vocab, B, T), draw(2, B, T), torch.ones(B, T, dtype=torch.bool),
                 draw(T, B, M_text), draw(c.text_vocab, B, M_text), torch.ones(B, M_text),
                 draw(T, B, M_video), draw(c.visual_vocab, B, M_video), torch.ones(B, M_video),
                 torch.ones(B) if regime == "video-text" else None, regime)


def measured(model, batch):
    """Count the FLOPs of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        parts = objective.forward(model, batch)
        objective.weighted_loss(parts, batch.regime, objective.counts([batch]), {batch.regime: 1.0}).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("change", [{}, {"norm": "pre", "positions": "part"}, {"frozen_embeddings": True}, {"width": 64, "layers": 1}])
@pytest.mark.parametrize("regime, T, M_text, M_video", [("text", 28, 4, 0), ("video", 20, 0, 3), ("video-text", 48, 5, 4)])
def test_flops_of_a_batch_are_those_that_torch_counts(change, regime, T, M_text, M_video):
    c = replace(SMALL, **change)
    said = batch_flops(c, 6, T, M_text, M_video, regime == "video-text")
    assert said == pytest.approx(measured(VideoBERT(c), random_batch(c, regime, 6, T, M_text, M_video)), rel=0.03)


def test_recomputed_blocks_cost_a_third_more():
    model = VideoBERT(SMALL)
    model.encoder.recompute = lambda block, *given: torch.utils.checkpoint.checkpoint(block, *given, use_reentrant=False)
    batch = random_batch(SMALL, "video-text", 6, 48, 5, 4)
    assert batch_flops(SMALL, 6, 48, 5, 4, True, recompute=True) == pytest.approx(measured(model, batch), rel=0.03)


def test_muons_flops_are_those_that_torch_counts():
    config = Config(model=SMALL, train=TrainConfig(muon_lr=0.01))
    model = VideoBERT(SMALL)
    optimizers = build_optimizers(model, config.train)
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    with FlopCounterMode(display=False) as counter:
        for optimizer in optimizers:
            optimizer.step()
    assert move_flops(config) == pytest.approx(counter.get_total_flops(), rel=0.03)


@pytest.mark.parametrize("change", [{}, {"norm": "pre"}])
def test_parameters_are_those_of_the_model(change):
    c = replace(SMALL, **change)
    model = VideoBERT(c)
    inner = sum(p.numel() for name, p in model.named_parameters() if name.startswith("encoder.") and p.dim() > 1)
    assert parameters(c) == (sum(p.numel() for p in model.parameters()), inner)


def test_paper_on_a_known_compile():
    """XLA, compiling BERT-large for 32 rows of 512 a chip: 30 GiB on v5p as it is, 7.4 GiB on v5e with recomputed blocks."""
    paper = PRESETS["paper"]
    config = replace(paper, model=replace(paper.model, frozen_embeddings=False), inputs=replace(paper.inputs, rows=(128,) * 3))
    for recompute, said in ((False, 30), (True, 7.4)):
        assert sum(memory(config, 4, recompute=recompute).values()) / 2**30 == pytest.approx(said, rel=0.2)


def test_the_shares_of_memory_by_hand():
    config = Config(model=SMALL, inputs=InputConfig(rows=(8, 8, 8)), train=TrainConfig())
    one, four, split = memory(config, 1), memory(config, 4), memory(config, 4, sharded=True)
    assert one["weights and moments"] == 16 * parameters(SMALL)[0] == four["weights and moments"] == 4 * split["weights and moments"]
    assert one["activations"] == 4 * four["activations"] == 3 * (8 * 46 * (18 * 48 + 4 * 160) + 5 * 4 * 46**2 * 8)
    assert memory(config, 1, recompute=True)["activations"] < one["activations"]


def test_the_command(capsys):
    main(["--preset", "paper", "--chips", "v5e-4"])
    said = capsys.readouterr().out
    paper = PRESETS["paper"]
    assert f"{parameters(paper.model)[0]:,}" in said
    days = sum(step_flops(paper).values()) * paper.train.steps / (4 * 197e12 * MFU[0]) / 86_400
    assert f"{days:.2f}" in said and "--recompute" in said
    assert masked(paper, "video", 128) == (0, 19)


@pytest.mark.parametrize("options, says", [(["--chips", "abacus"], "chips 'abacus'"), (["--chips", "v4-3"], "chips 'v4-3'"),
                                           (["--rows", "6", "8", "8"], "6 rows a batch do not divide by 4")])
def test_bad_options_are_one_sentence_and_exit_code_2(options, says, capsys):
    with pytest.raises(SystemExit) as stop:
        main(options)
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and says in said and len(said.splitlines()) == 1


def test_the_kinds_of_chips():
    assert chips("v5p-8")[0] == 4 and chips("v6e-8")[0] == 8
