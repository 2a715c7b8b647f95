"""Attention, blocks, encoder and decoder: gradients, masks, causality, taps, dropout."""

import pytest
import torch

from minivbert.model.transformer import (
    Attention,
    Block,
    Decoder,
    Encoder,
    causal_mask,
    dropout,
    mask_from_keep,
    rows,
)

B, T, S, D, H, F = 3, 7, 5, 8, 2, 12
NORMS = pytest.mark.parametrize("norm", ["post", "pre"])


def fill(module, std=0.4, seed=0):
    """Weights so large that attention is far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(
                torch.randn(p.shape, generator=generator) * std + ("norm" in name and name.endswith("weight"))
            )
    return module


def sample(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


KEEP_BT = torch.arange(T) < torch.tensor([7, 4, 1])[:, None]
KEEP_BS = torch.arange(S) < torch.tensor([2, 5, 1])[:, None]


@NORMS
def test_gradients_of_a_block_are_those_of_central_differences(norm):
    block = fill(Block(D, H, F, norm, cross=True, eps=1e-5)).double()
    x, memory = (sample(B, n, D, dtype=torch.float64).requires_grad_() for n in (T, S))
    masks = mask_from_keep(KEEP_BT, torch.float64), mask_from_keep(KEEP_BS, torch.float64)
    names, weights = zip(*block.named_parameters())

    def run(x, memory, *weights):
        return torch.func.functional_call(block, dict(zip(names, weights)), (x, masks[0], memory, masks[1]))

    assert torch.autograd.gradcheck(run, (x, memory, *weights), fast_mode=True)


@NORMS
def test_padding_and_batch_mates_change_nothing(norm):
    encoder, x = fill(Encoder(D, 2, H, F, norm)).eval(), sample(B, T, D)
    out = encoder(x, KEEP_BT)
    for row, n in enumerate(KEEP_BT.sum(1)):
        torch.testing.assert_close(out[row, :n], encoder(x[row : row + 1, :n])[0], atol=1e-5, rtol=1e-5)
    noisy = torch.where(KEEP_BT[..., None], x, 100 * sample(B, T, D, seed=1))
    torch.testing.assert_close(encoder(noisy, KEEP_BT)[KEEP_BT], out[KEEP_BT])
    assert not torch.allclose(encoder(noisy)[1, :4], out[1, :4], atol=1e-2)


@NORMS
def test_decoder_sees_no_future_and_no_padding_of_its_memory(norm):
    decoder, x, memory = fill(Decoder(D, 2, H, F, norm)).eval(), sample(B, T, D), sample(B, S, D, seed=1)
    out = decoder(x, memory, KEEP_BS)
    for t in range(T - 1):
        later = x.clone()
        later[:, t + 1 :] = sample(B, T - t - 1, D, seed=2)
        changed = (decoder(later, memory, KEEP_BS) - out).abs().amax((0, 2))
        assert changed[: t + 1].max() < 1e-5 < 1e-3 < changed[t + 1 :].min()
    noisy = torch.where(KEEP_BS[..., None], memory, 100 * sample(B, S, D, seed=3))
    torch.testing.assert_close(decoder(x, noisy, KEEP_BS), out)
    assert (decoder(x, memory + 1, KEEP_BS) - out).abs().amax(
        2
    ).min() > 1e-3  # every position reads the memory


@NORMS
def test_taps_give_the_weights_and_leave_the_output_alone(norm):
    decoder, x, memory = fill(Decoder(D, 2, H, F, norm)).eval(), sample(B, T, D), sample(B, S, D, seed=1)
    taps = {}
    torch.testing.assert_close(
        decoder(x, memory, KEEP_BS, taps), decoder(x, memory, KEEP_BS), atol=1e-5, rtol=1e-5
    )
    assert sorted(taps) == ["0.cross", "0.self", "1.cross", "1.self"]
    for name, weights in taps.items():
        torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, T))
        hidden = ~KEEP_BS[:, None, None] if "cross" in name else torch.ones(T, T).triu(1).bool()
        assert weights.shape == (B, H, T, hidden.shape[-1]) and not weights.masked_select(hidden).any()
    assert taps["0.self"][..., -1, :].std() > 0.05  # far from uniform, or this shows nothing


def test_attention_is_the_equation():
    attention, x = fill(Attention(D, H)), sample(1, T, D)
    q, k, v = (attention.qkv(x)[0].chunk(3, 1)[i] for i in range(3))
    heads = [torch.softmax(q[:, h] @ k[:, h].T / 2, 1) @ v[:, h] for h in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(attention(x)[0], attention.proj(torch.cat(heads, 1)))


@NORMS
def test_wanted_positions_alone_are_the_same_positions_of_all(norm):
    encoder, x = fill(Encoder(D, 2, H, F, norm)), sample(B, T, D).requires_grad_()
    at, direction = torch.tensor([[0, 6, 2, 2], [3, 0, 1, 0], [0, 0, 0, 0]]), sample(B, 4, D, seed=1)
    results = []
    for out in (encoder(x, KEEP_BT, at_BR=at), rows(encoder(x, KEEP_BT), at)):
        inputs = [x, *encoder.parameters()]
        results.append([out, *torch.autograd.grad((out * direction).sum(), inputs)])
    for some, every in zip(*results):
        torch.testing.assert_close(some, every, atol=1e-5, rtol=1e-4)


@NORMS
def test_training_without_dropout_is_evaluation(norm):
    """In training the weights are explicit, in evaluation a fused kernel is at work."""
    decoder, x, memory = fill(Decoder(D, 2, H, F, norm)), sample(B, T, D), sample(B, S, D, seed=1)
    torch.testing.assert_close(
        decoder.train()(x, memory, KEEP_BS), decoder.eval()(x, memory, KEEP_BS), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.001])
def test_dropout_drops_at_its_rate_independently_and_keeps_the_mean(dtype, rate):
    torch.manual_seed(0)
    n = 1_000_003
    x = torch.full((n,), 2.0, dtype=dtype, requires_grad=True)
    out = dropout(x, rate)
    dropped = (out == 0).double()
    sigma = (rate * (1 - rate) / n) ** 0.5
    assert abs(dropped.mean() - rate) < 4 * sigma + 2**-17
    torch.testing.assert_close(
        out[out != 0].double(),
        torch.full_like(out[out != 0], 2 / (1 - rate), dtype=torch.float64),
        rtol=1e-2 if dtype == torch.bfloat16 else 1e-4,
        atol=0,
    )
    centred = dropped - dropped.mean()
    for lag in (1, 2, 3, 4, 8):  # four numbers share a draw
        assert abs((centred[lag:] * centred[:-lag]).mean()) < 5 * sigma * (rate * (1 - rate)) ** 0.5
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach() / 2)
    assert not torch.equal(dropout(x, rate), out)


def test_no_dropout_costs_nothing_and_evaluation_has_none():
    x = sample(B, T, D)
    assert dropout(x, 0.0) is x
    block = fill(Block(D, H, F, dropout=0.5))
    assert not torch.equal(block.train()(x), block(x))
    assert torch.equal(block.eval()(x), block(x))
    still = Block(D, H, F, dropout=0.0)
    still.load_state_dict(block.state_dict())
    assert torch.equal(still.eval()(x), block(x))


@NORMS
def test_block_with_memory_is_torch_s_decoder_layer(norm):
    block, x, memory = (
        fill(Block(D, H, F, norm, eps=1e-5, cross=True)).eval(),
        sample(B, T, D),
        sample(B, S, D, seed=1),
    )
    peer = torch.nn.TransformerDecoderLayer(
        D, H, F, activation="gelu", batch_first=True, norm_first=norm == "pre", layer_norm_eps=1e-5
    )
    theirs = {"attn.qkv.": "self_attn.in_proj_", "attn.proj": "self_attn.out_proj", "norm1": "norm1"}
    theirs |= {
        "cross.qkv.": "multihead_attn.in_proj_",
        "cross.proj": "multihead_attn.out_proj",
        "norm_cross": "norm2",
    }
    theirs |= {"mlp.fc1": "linear1", "mlp.fc2": "linear2", "norm2": "norm3"}
    state = {}
    for name, tensor in block.state_dict().items():
        ours = next(prefix for prefix in theirs if name.startswith(prefix))
        state[name.replace(ours, theirs[ours])] = tensor
    peer.load_state_dict(state)
    mask = torch.ones(T, T).triu(1).bool()
    expected = peer.eval()(x, memory, tgt_mask=mask, memory_key_padding_mask=~KEEP_BS)
    got = block(x, causal_mask(T, x.dtype, "cpu"), memory, mask_from_keep(KEEP_BS, x.dtype))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="width 8 is not a multiple of heads 3"):
        Attention(8, 3)
    with pytest.raises(ValueError, match="norm 'both': expected 'post' .* or 'pre'"):
        Block(D, H, F, norm="both")
