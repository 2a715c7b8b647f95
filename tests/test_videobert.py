"""The model: its size on paper, cloze and alignment heads, visual rows, freezing, what may influence what."""

import math

import pytest
import torch

from minivbert.config import ModelConfig
from minivbert.model.videobert import VideoBERT

VT, VV, B, T = 19, 9, 3, 8
CONFIG = ModelConfig(
    width=16, layers=2, heads=2, feed_forward=32, text_vocab=VT, visual_vocab=VV, max_positions=10
)
PAPER = ModelConfig(
    width=1024,
    layers=24,
    heads=16,
    feed_forward=4096,
    text_vocab=30_522,
    visual_vocab=12**4,
    max_positions=512,
)


def model(seed=0, std=0.3, **changes):
    """A model whose weights are large enough for every path to count."""
    return VideoBERT(ModelConfig(**(vars(CONFIG) | {"init_std": std} | changes)), seed).eval()


def inputs(seed=0):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(VT + 1 + VV, (B, T), generator=g)
    types = (torch.arange(T) > torch.tensor([3, 5, 1])[:, None]).long()
    keep = torch.arange(T) < torch.tensor([8, 7, 4])[:, None]
    return ids, types, keep


def test_paper_size_is_bert_large_and_20736_rows_and_the_heads():
    """356.4 M is BERT-large without heads (335,141,888) and 12^4 rows; the rest is counted here."""
    with torch.device("meta"):
        size = sum(p.numel() for p in VideoBERT(PAPER).parameters())
    bert_large_and_rows = 335_141_888 + 12**4 * 1024
    assert round(bert_large_and_rows / 1e6, 1) == 356.4
    join_row, cloze, align = 1024, (1024 * 1024 + 1024) + 2 * 1024 + (30_522 + 1 + 12**4), 1024 + 1
    assert size == bert_large_and_rows + join_row + cloze + align == 357_480_508


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_first_losses_are_those_of_knowing_nothing(norm):
    fresh, (ids, types, keep), at = model(std=0.02, norm=norm), inputs(), torch.arange(T).expand(B, T)
    hidden = fresh.encode(ids, types, keep)
    for logits, V in ((fresh.text_logits(hidden, at), VT), (fresh.video_logits(hidden, at), VV)):
        assert logits.shape == (B, T, V)
        assert abs(-logits.log_softmax(-1).mean().item() - math.log(V)) < 0.05
    assert fresh.align_logit(hidden).shape == (B,) and fresh.align_logit(hidden).abs().max() < 0.3


def test_cloze_scores_the_gathered_position_over_its_own_modality():
    m, (ids, types, keep) = model(), inputs()
    hidden, at = m.encode(ids, types, keep), torch.tensor([[6, 1], [0, 0], [3, 2]])
    f = m.transform_norm(torch.nn.functional.gelu(m.transform(hidden)))
    joint = f @ m.token_table.weight.T + m.bias
    rows = torch.arange(B)[:, None]
    torch.testing.assert_close(m.text_logits(hidden, at), joint[rows, at, :VT])
    torch.testing.assert_close(m.video_logits(hidden, at), joint[rows, at, VT + 1 :])


def test_encoding_only_what_is_read_changes_no_logit():
    m, (ids, types, keep) = model(), inputs()
    at = torch.tensor([[0, 6, 1], [0, 5, 5], [0, 3, 2]])
    every, some = m.encode(ids, types, keep), m.encode(ids, types, keep, at_BR=at)
    torch.testing.assert_close(
        m.video_logits(some[:, 1:]), m.video_logits(every, at[:, 1:]), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(m.align_logit(some), m.align_logit(every), atol=1e-5, rtol=1e-5)


def test_a_masked_position_sees_both_sides_and_nothing_of_padding_or_other_rows():
    """Earlier reimplementations masked causally, or let padding in."""
    m, (ids, types, keep) = model(), inputs()
    keep[0, 6:] = False
    at, before = torch.full((B, 1), 3), None
    for change, sees in ((None, None), ((0, 1), True), ((0, 5), True), ((0, 7), False), ((1, 2), False)):
        other = ids.clone()
        if change:
            other[change] = (other[change] + 1) % (VT + 1 + VV)
        logits = m.text_logits(m.encode(other, types, keep), at)[0]
        before = logits if before is None else before
        if change:
            assert ((logits - before).abs().max() > 1e-3) == sees
    assert not torch.allclose(m.encode(ids, 1 - types, keep), m.encode(ids, types, keep), atol=1e-2)
    assert not torch.allclose(
        m.encode(ids.roll(1, 1), types, keep)[1, 0], m.encode(ids, types, keep)[1, 0], atol=1e-2
    )


def test_no_label_reaches_its_own_logits():
    """Inputs that differ in one word are one once it is masked; unmasked, the logits tell them apart."""
    m, (ids, types, keep), mask, at = model(), inputs(), 4, torch.full((B, 1), 2)
    other = ids.clone()
    other[:, 2] = (ids[:, 2] + 1) % VT
    open_logits = [m.text_logits(m.encode(x, types, keep), at) for x in (ids, other)]
    masked_logits = [
        m.text_logits(m.encode(x.index_fill(1, torch.tensor(2), mask), types, keep), at) for x in (ids, other)
    ]
    assert torch.equal(*masked_logits) and (open_logits[0] - open_logits[1]).abs().max() > 0.1


def test_same_seed_same_weights_whatever_the_global_random_state():
    a, b, c = model(0).state_dict(), (torch.manual_seed(9), model(0))[1].state_dict(), model(1).state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert all(not torch.equal(a[k], c[k]) for k in a if a[k].dim() > 1)


def test_too_long_an_input_is_refused():
    with pytest.raises(ValueError, match=r"got 11 tokens, expected at most 10 \(max_positions\)"):
        ids = torch.zeros(1, 11, dtype=torch.long)
        model().encode(ids, ids, ids == 0)


def distances(rows):
    return torch.pdist(rows.double())


def test_centroids_keep_their_geometry_in_rows_of_the_table_s_size():
    m, before = model(), model().token_table.weight.detach()
    centroids, used = torch.randn(VV, 16) * torch.linspace(1, 9, 16) + 50, torch.ones(VV, dtype=torch.bool)
    used[[2, 5]] = False
    m.init_visual_rows(centroids, used, torch.Generator().manual_seed(3))
    rows = m.token_table.weight.detach()
    assert torch.equal(rows[: VT + 1], before[: VT + 1])
    ratio = distances(rows[VT + 1 :][used]) / distances(centroids[used])
    torch.testing.assert_close(ratio / ratio[0], torch.ones_like(ratio), atol=1e-5, rtol=0)
    assert rows[VT + 1 :][used].square().mean().sqrt().item() == pytest.approx(
        rows[:VT].std().item(), rel=1e-4
    )
    assert rows[VT + 1 :][used].mean(0).abs().max() < 1e-5
    assert 0.5 < rows[VT + 1 :][~used].std() / rows[:VT].std() < 2
    again = model()
    again.init_visual_rows(centroids, used, torch.Generator().manual_seed(3))
    assert torch.equal(rows, again.token_table.weight)


def test_centroids_of_another_width_are_projected_at_random():
    m, centroids = model(width=512, heads=2), torch.randn(VV, 24)
    m.init_visual_rows(centroids, torch.ones(VV, dtype=torch.bool), torch.Generator().manual_seed(3))
    rows = m.token_table.weight.detach()[VT + 1 :]
    assert torch.corrcoef(torch.stack([distances(rows), distances(centroids)]))[0, 1] > 0.9
    with pytest.raises(ValueError, match=rf"got centroids \({VV - 1}, 24\) .* expected {VV} of each"):
        m.init_visual_rows(centroids[1:], torch.ones(VV, dtype=torch.bool), torch.Generator())


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_embeddings_stay_while_the_rest_learns(frozen):
    m, (ids, types, keep) = model(frozen_embeddings=frozen).train(), inputs()
    before = {k: v.clone() for k, v in m.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=0.1)
    hidden = m.encode(ids, types, keep)
    at = torch.arange(T).expand(B, T)
    loss = m.text_logits(hidden, at).logsumexp(-1).sum() + m.video_logits(hidden, at).logsumexp(-1).sum()
    (loss + m.align_logit(hidden).square().sum()).backward()
    optimizer.step()
    still = {k for k, v in m.state_dict().items() if torch.equal(v, before[k])}
    assert still == ({"token_table.weight"} if frozen else set())


def test_taps_collect_a_map_a_layer():
    m, (ids, types, keep), taps = model(), inputs(), {}
    torch.testing.assert_close(
        m.encode(ids, types, keep, taps), m.encode(ids, types, keep), atol=1e-5, rtol=1e-5
    )
    assert {name: tuple(w.shape) for name, w in taps.items()} == {
        "0.self": (B, 2, T, T),
        "1.self": (B, 2, T, T),
    }


@pytest.mark.parametrize("positions, same", [("part", True), ("row", False)])
def test_positions_of_the_video_begin_anew_or_go_on(positions, same):
    """[CLS] [>] v v v and [CLS] w w [>] v v v: the video tokens enter alike if, and only if, each part has its own positions."""
    net = model(positions=positions)
    video = [VT + 1, VT + 4, VT + 2]
    alone, after = torch.tensor([[2, VT, *video]]), torch.tensor([[2, 7, 8, VT, *video]])
    x, y = (net.embed(ids, (ids > VT).long())[0, -3:] for ids in (alone, after))
    assert torch.equal(x, y) == same
    with pytest.raises(ValueError, match="'column'.*'row' or 'part'"):
        model(positions="column")
