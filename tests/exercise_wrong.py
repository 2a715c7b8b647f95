"""Wrong answers to the exercises, written without looking at the table of known mistakes: none may ever pass as right.

Some take a right answer of `exercise_right` and spoil what goes in or comes out; most are written out as a student would.
"""
import itertools
import random
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
from exercise_right import RIGHT

WRONG = defaultdict(list)


def answers(name):
    """Enter a function as a wrong answer to an exercise."""
    def enter(function):
        WRONG[name].append(function)
        return function
    return enter


def spoil(name, label, change, which=0):
    """Enter a right answer whose result goes through `change`."""
    def function(*args, **kwargs):
        return change(RIGHT[name][which](*args, **kwargs))
    function.__name__ = label
    WRONG[name].append(function)


# count_parameters
spoil("count_parameters", "one_too_many", lambda n: n + 1)
spoil("count_parameters", "in_thousands", lambda n: n / 1000)
answers("count_parameters")(lambda module: sum(p.numel() for p in module.parameters() if p.dim() > 1))
answers("count_parameters")(lambda module: sum(p.numel() for child in module.children() for p in child.parameters(recurse=False)))
answers("count_parameters")(lambda module: sum(sum(p.shape) for p in module.parameters()))
answers("count_parameters")(lambda module: None)


@answers("count_parameters")
def weights_and_biases_by_name(module):
    return sum(getattr(layer, name).numel() for layer in module.modules() for name in ("weight", "bias") if getattr(layer, name, None) is not None)


# frames_to_clips
@answers("frames_to_clips")
def last_clip_padded(frames, length=30):
    frames = iter(frames)
    while part := list(itertools.islice(frames, length)):
        yield np.stack(part + [part[-1]] * (length - len(part)))


@answers("frames_to_clips")
def sliding(frames, length=30):
    held = []
    for frame in frames:
        held = (held + [frame])[-length:]
        if len(held) == length:
            yield np.stack(held)


@answers("frames_to_clips")
def only_the_first(frames, length=30):
    yield np.stack(list(itertools.islice(frames, length)))


@answers("frames_to_clips")
def loses_a_frame(frames, length=30):
    held = []
    for frame in frames:
        if len(held) == length:
            yield np.stack(held)
            held = []
        else:
            held.append(frame)


@answers("frames_to_clips")
def one_frame_late(frames, length=30):
    held = []
    for frame in frames:
        if len(held) == length:
            yield np.stack(held)
            held = []
        held.append(frame)
    if len(held) == length:
        yield np.stack(held)


@answers("frames_to_clips")
def floats(frames, length=30):
    for clip in RIGHT["frames_to_clips"][0](frames, length):
        yield clip / 255


@answers("frames_to_clips")
def interleaved(frames, length=30):
    all_of_them = np.stack(list(frames))
    n = len(all_of_them) // length
    yield from (all_of_them[k:n * length:max(n, 1)] for k in range(n))


# assign_clusters
answers("assign_clusters")(lambda x_NF, c_KF, square_N=None: ((x_NF[:, None] - c_KF) ** 2).sum(2).argmin(1))
answers("assign_clusters")(lambda x_NF, c_KF, square_N=None: RIGHT["assign_clusters"][0](x_NF, c_KF)[::-1])
answers("assign_clusters")(lambda x_NF, c_KF, square_N=None: RIGHT["assign_clusters"][0](x_NF / np.linalg.norm(x_NF + 1e-9, axis=1, keepdims=True), c_KF))
answers("assign_clusters")(lambda x_NF, c_KF, square_N=None: RIGHT["assign_clusters"][0](c_KF, x_NF))
spoil("assign_clusters", "counted_from_one", lambda out: (out[0] + 1, out[1]))
spoil("assign_clusters", "half_the_square", lambda out: (out[0], out[1] / 2))


@answers("assign_clusters")
def square_forgotten(x_NF, c_KF, square_N=None):
    distance_NK = -2 * x_NF @ c_KF.T + (c_KF ** 2).sum(1)
    return distance_NK.argmin(1), distance_NK.min(1)


# kmeans_step
@answers("kmeans_step")
def nans_where_empty(x_NF, c_KF, label_N, nearest_N):
    with np.errstate(all="ignore"):
        return label_N.copy(), np.stack([x_NF[label_N == k].sum(0) / (label_N == k).sum() for k in range(len(c_KF))])


@answers("kmeans_step")
def drops_the_empty(x_NF, c_KF, label_N, nearest_N):
    return label_N.copy(), np.stack([x_NF[label_N == k].mean(0) for k in np.unique(label_N)])


@answers("kmeans_step")
def median(x_NF, c_KF, label_N, nearest_N):
    label_N, c_KF = RIGHT["kmeans_step"][0](x_NF, c_KF, label_N, nearest_N)
    return label_N, np.stack([np.median(x_NF[label_N == k], axis=0) if (label_N == k).any() else c_KF[k] for k in range(len(c_KF))])


@answers("kmeans_step")
def means_before_taking(x_NF, c_KF, label_N, nearest_N):
    new_N, _ = RIGHT["kmeans_step"][0](x_NF, c_KF, label_N, nearest_N)
    where_K = [label_N == k if (label_N == k).any() else new_N == k for k in range(len(c_KF))]
    return new_N, np.stack([x_NF[where].mean(0) for where in where_K])


@answers("kmeans_step")
def half_way(x_NF, c_KF, label_N, nearest_N):
    label_N, new_KF = RIGHT["kmeans_step"][0](x_NF, c_KF, label_N, nearest_N)
    return label_N, (new_KF + c_KF) / 2


@answers("kmeans_step")
def means_before_the_refill(x_NF, c_KF, label_N, nearest_N):
    new_KF = np.stack([x_NF[label_N == k].mean(0) if (label_N == k).any() else c_KF[k] for k in range(len(c_KF))])
    return RIGHT["kmeans_step"][0](x_NF, c_KF, label_N, nearest_N)[0], new_KF


answers("kmeans_step")(lambda x_NF, c_KF, label_N, nearest_N: (label_N, RIGHT["kmeans_step"][0](x_NF, c_KF, label_N, nearest_N)[1]))


@answers("kmeans_step")
def fills_with_the_mean_of_all(x_NF, c_KF, label_N, nearest_N):
    return label_N.copy(), np.stack([x_NF[label_N == k].mean(0) if (label_N == k).any() else x_NF.mean(0) for k in range(len(c_KF))])


# join_text_video
def spoil_row(label, change):
    """Enter a right answer that is spoiled in ids, types, keep, is_text or is_video."""
    def function(vocab, T, text_BW, text_len, clip_BW=None, clip_len=None):
        out = list(RIGHT["join_text_video"][0](vocab, T, text_BW, text_len, clip_BW, clip_len))
        change(vocab, out, clip_BW)
        return tuple(out)
    function.__name__ = label
    WRONG["join_text_video"].append(function)


spoil_row("all_kept", lambda vocab, out, clip: out[2].fill(True))
spoil_row("sep_masked_as_text", lambda vocab, out, clip: out[3].__setitem__(out[0] == vocab.sep, True))
spoil_row("cls_among_the_text", lambda vocab, out, clip: out[3].__setitem__((slice(None), 0), True))
spoil_row("no_types", lambda vocab, out, clip: out[1].fill(0))
spoil_row("types_inverted", lambda vocab, out, clip: out.__setitem__(1, 1 - out[1]))
spoil_row("keep_means_padding", lambda vocab, out, clip: out.__setitem__(2, ~out[2]))
spoil_row("text_and_video_swapped", lambda vocab, out, clip: out.__setitem__(slice(3, 5), out[4:2:-1]))
spoil_row("sep_is_text_type", lambda vocab, out, clip: out[1].__setitem__(out[0] == vocab.sep, 0))
spoil_row("join_in_the_video", lambda vocab, out, clip: out[4].__setitem__(out[0] == len(vocab), True))


@answers("join_text_video")
def joined_without_video_too(vocab, T, text_BW, text_len, clip_BW=None, clip_len=None):
    if clip_BW is None:
        clip_BW, clip_len = np.zeros((len(text_BW), 1), int), np.zeros(len(text_BW), int)
    return RIGHT["join_text_video"][0](vocab, T, text_BW, text_len, clip_BW, clip_len)


@answers("join_text_video")
def lengths_ignored(vocab, T, text_BW, text_len, clip_BW=None, clip_len=None):
    full = np.full(len(text_BW), min(text_BW.shape[1], int(text_len.max())))
    return RIGHT["join_text_video"][0](vocab, T, text_BW, full, clip_BW, clip_len)


# mask_tokens
def masker(label, rate_of=lambda rate: rate, fates=(0.8, 0.1, 0.1), spare=None, slots=None, choose=None, at_end=None):
    """Enter a row-by-row masker with one thing changed."""
    def function(ids_BT, candidate_BT, rate, M, mask_id, random_range, rng, corrupt=True):
        B = len(ids_BT)
        out, at, answer, weight = ids_BT.copy(), np.zeros((B, M), int), np.full((B, M), random_range[0]), np.zeros((B, M), np.float32)
        for b in range(B):
            places = np.flatnonzero(candidate_BT[b])
            n = min(M, (slots or (lambda n, rate: int(np.floor(rate * n + rng.random()))))(len(places), rate_of(rate)))
            picked = (choose or (lambda places, n: rng.choice(places, min(n, len(places)), replace=False)))(places, n) if len(places) and n else ()
            for m, t in enumerate(picked):
                at[b, m], answer[b, m], weight[b, m] = t, ids_BT[b, t], 1
                fate = rng.choice(3, p=fates) if corrupt else 0
                if fate < 2:
                    out[b, t] = mask_id if fate == 0 else rng.integers(*(spare or random_range))
        found = out, at, answer, weight
        return at_end(found, ids_BT, random_range) if at_end else found
    function.__name__ = label
    WRONG["mask_tokens"].append(function)


masker("rate_doubled", rate_of=lambda rate: 2 * rate)
masker("rate_a_third_too_low", rate_of=lambda rate: rate * 2 / 3)
masker("fates_90_10_0", fates=(0.9, 0.1, 0.0))
masker("fates_80_20_0", fates=(0.8, 0.2, 0.0))
masker("fates_70_15_15", fates=(0.7, 0.15, 0.15))
masker("random_is_always_the_same", spare=(50, 51))
masker("random_from_the_text", spare=(0, 30))
masker("rounded_down", slots=lambda n, rate: int(rate * n))
masker("rounded_up", slots=lambda n, rate: int(np.ceil(rate * n)))
masker("last_ones", choose=lambda places, n: places[-n:])
masker("with_replacement", choose=lambda places, n: [random.choice(places) for _ in range(n)])
masker("a_run_in_a_row", choose=lambda places, n: places[:-n or None][len(places) // 3:len(places) // 3 + n])
masker("labels_are_masked_ids", at_end=lambda found, ids, span: (found[0], found[1], np.take_along_axis(found[0], found[1], 1), found[3]))
masker("unused_slots_say_minus_100", at_end=lambda found, ids, span: (*found[:2], np.where(found[3] > 0, found[2], -100), found[3]))
masker("weights_are_mean_one", at_end=lambda found, ids, span: (*found[:3], found[3] / max(found[3].mean(), 1e-9)))
masker("places_from_one", at_end=lambda found, ids, span: (found[0], found[1] + 1, *found[2:]))
masker("all_slots_filled", slots=lambda n, rate: 10 ** 6)


@answers("mask_tokens")
def the_same_places_in_every_row(ids_BT, candidate_BT, rate, M, mask_id, random_range, rng, corrupt=True):
    at_BM = np.tile(rng.permutation(ids_BT.shape[1])[:M], (len(ids_BT), 1))
    weight_BM = np.take_along_axis(candidate_BT, at_BM, 1).astype(np.float32)
    label_BM, out_BT = np.take_along_axis(ids_BT, at_BM, 1), ids_BT.copy()
    np.put_along_axis(out_BT, at_BM, np.where(weight_BM > 0, mask_id, label_BM), 1)
    return out_BT, at_BM, label_BM, weight_BM


def row_masker(label, fates=None, spares=None, run=False):
    """Enter a masker of all rows at once, whose rates are right, and whose draws within a row hang together."""
    def function(ids_BT, candidate_BT, rate, M, mask_id, random_range, rng, corrupt=True):
        (B, T), n_B1 = ids_BT.shape, candidate_BT.sum(1, keepdims=True)
        first_B1, rank_BT = rng.integers(0, np.maximum(n_B1, 1)), np.cumsum(candidate_BT, 1) - 1
        keys_BT = (rank_BT - first_B1) % np.maximum(n_B1, 1) / T if run else rng.random((B, T))
        at_BM = np.argsort(np.where(candidate_BT, keys_BT, 2), axis=1)[:, :M]
        weight_BM = np.arange(M) < np.minimum(M, np.floor(rate * n_B1 + rng.random((B, 1))))
        label_BM, fate_BM = np.take_along_axis(ids_BT, at_BM, 1), np.broadcast_to(rng.random((B, fates or M)), (B, M))
        spare_BM = np.broadcast_to(rng.integers(*random_range, (B, spares or M)), (B, M))
        shown_BM = np.where((fate_BM < 0.8) | (not corrupt), mask_id, np.where(fate_BM < 0.9, spare_BM, label_BM))
        out_BT = ids_BT.copy()
        np.put_along_axis(out_BT, at_BM, np.where(weight_BM, shown_BM, label_BM), 1)
        return out_BT, at_BM, label_BM, weight_BM.astype(np.float32)
    function.__name__ = label
    WRONG["mask_tokens"].append(function)


row_masker("one_fate_a_row", fates=1)
row_masker("one_random_token_a_row", spares=1)
row_masker("one_run_a_row", run=True)


# alignment_pairs
answers("alignment_pairs")(lambda pick_B, true_B, *rest, **more: (pick_B.copy(), true_B.copy()))
answers("alignment_pairs")(lambda pick_B, true_B, *rest, **more: (np.roll(pick_B, 1), true_B.copy()))
answers("alignment_pairs")(lambda pick_B, true_B, *rest, **more: (np.where(true_B, pick_B, (pick_B + 1) % 120), true_B.copy()))
spoil("alignment_pairs", "answers_inverted", lambda out: (out[0], ~np.asarray(out[1])))
spoil("alignment_pairs", "answers_first", lambda out: out[::-1])
spoil("alignment_pairs", "answers_as_numbers", lambda out: (out[0], np.asarray(out[1]).astype(int)))


@answers("alignment_pairs")
def the_first_that_fits(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    shown, aligned = pick_B.copy(), np.ones(len(pick_B), bool)
    for b, a in enumerate(pick_B):
        others = [o for o in order_A[low_A[a]:high_A[a]] if video_A[o] != video_A[a]]
        if others and not true_B[b]:
            shown[b], aligned[b] = others[0], False
    return shown, aligned


@answers("alignment_pairs")
def neighbours_of_the_same_video(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    shown = pick_B.copy()
    for b, a in enumerate(pick_B):
        if not true_B[b]:
            shown[b] = order_A[rng.integers(low_A[a], high_A[a])]
    return shown, shown == pick_B


def partner(label, choose):
    """Enter a loop over pairs that chooses among the segments that could stand there in a wrong way."""
    def function(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
        shown, aligned = pick_B.copy(), np.ones(len(pick_B), bool)
        for b in np.flatnonzero(~true_B):
            others = order_A[low_A[pick_B[b]]:high_A[pick_B[b]]]
            others = others[video_A[others] != video_A[pick_B[b]]]
            if len(others):
                shown[b], aligned[b] = choose(others, video_A, b, rng), False
        return shown, aligned
    function.__name__ = label
    WRONG["alignment_pairs"].append(function)


partner("in_turn", lambda others, video_A, b, rng: others[b % len(others)])
partner("the_first_half", lambda others, video_A, b, rng: others[rng.integers(0, (len(others) + 1) // 2)])
partner("a_video_first", lambda others, video_A, b, rng: rng.choice(others[video_A[others] == rng.choice(np.unique(video_A[others]))]))


@answers("alignment_pairs")
def three_tries(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    return RIGHT["alignment_pairs"][0](pick_B, true_B, order_A, low_A, high_A, video_A, rng, 3)


@answers("alignment_pairs")
def one_draw_for_all(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    other_B = pick_B.copy()
    for _ in range(tries):
        at_B = low_A[pick_B] + (rng.random() * (high_A - low_A)[pick_B]).astype(int)
        other_B = np.where(video_A[other_B] == video_A[pick_B], order_A[at_B], other_B)
    aligned_B = true_B | (video_A[other_B] == video_A[pick_B])
    return np.where(aligned_B, pick_B, other_B), aligned_B


# split_heads
answers("split_heads")(lambda x_BTE, heads, K: x_BTE.reshape(x_BTE.shape[2] // (heads * K), len(x_BTE), heads, x_BTE.shape[1], K))
answers("split_heads")(lambda x_BTE, heads, K: torch.einsum("btphk->pbhkt", x_BTE.unflatten(2, (-1, heads, K))))
answers("split_heads")(lambda x_BTE, heads, K: torch.einsum("btphk->bphtk", x_BTE.unflatten(2, (-1, heads, K))))
answers("split_heads")(lambda x_BTE, heads, K: torch.einsum("btphk->pbhtk", x_BTE.unflatten(2, (-1, heads, K))).flip(2))
answers("split_heads")(lambda x_BTE, heads, K: torch.einsum("btphk->pbhtk", x_BTE.unflatten(2, (-1, heads, K)))[:1])
answers("split_heads")(lambda x_BTE, heads, K: torch.einsum("btphk->pbhtk", x_BTE.detach().unflatten(2, (-1, heads, K))))


# attention
def attend(label, **change):
    """Enter attention with one step changed."""
    step = dict(scale=lambda K: K ** -0.5, masked=lambda s, m: s if m is None else s + m, soft=lambda s: s.softmax(-1),
                drop=lambda w, rate: F.dropout(w, rate), gather=lambda w, v: w @ v, out=lambda o, w: (o, w)) | change

    def function(q_BHTK, k_BHSK, v_BHSK, mask=None, rate=0.0):
        weights = step["soft"](step["masked"](q_BHTK @ k_BHSK.mT * step["scale"](q_BHTK.shape[-1]), mask))
        return step["out"](step["gather"](step["drop"](weights, rate), v_BHSK), weights)
    function.__name__ = label
    WRONG["attention"].append(function)


attend("only_what_was_gathered", out=lambda o, w: o)
attend("weights_first", out=lambda o, w: (w, o))
attend("mask_multiplied", masked=lambda s, m: s if m is None else s * m)
attend("mask_subtracted", masked=lambda s, m: s if m is None else s - m)
attend("mask_as_zero_scores", masked=lambda s, m: s if m is None else s.masked_fill(m == -torch.inf, 0.0))
attend("only_padding_masked", masked=lambda s, m: s if m is None else s.masked_fill(m == -torch.inf, -torch.inf))
attend("log_softmax", soft=lambda s: s.log_softmax(-1))
attend("sigmoid", soft=lambda s: s.sigmoid())
attend("exp_not_normalised", soft=lambda s: s.exp())
attend("hard_maximum", soft=lambda s: F.one_hot(s.argmax(-1), s.shape[-1]).float())
attend("softmax_twice", soft=lambda s: s.softmax(-1).softmax(-1))
attend("scale_1_over_8", scale=lambda K: 1 / 8)
attend("dropout_not_scaled", drop=lambda w, rate: w * (torch.rand_like(w) >= rate))
attend("weights_detached", drop=lambda w, rate: F.dropout(w.detach(), rate))
attend("dropout_on_what_is_gathered", drop=lambda w, rate: w, gather=lambda w, v: F.dropout(w @ v, 0.5) if len(v) == 32 else w @ v)
attend("one_dropout_for_all_rows", drop=lambda w, rate: w * F.dropout(torch.ones_like(w[:1]), rate))
attend("one_dropout_for_all_heads", drop=lambda w, rate: w * F.dropout(torch.ones_like(w[:, :1]), rate))
attend("one_dropout_for_all_queries", drop=lambda w, rate: w * F.dropout(torch.ones_like(w[:, :, :1]), rate))
attend("dropout_of_a_whole_query", drop=lambda w, rate: w * F.dropout(torch.ones_like(w[..., :1]), rate))
attend("heads_averaged", gather=lambda w, v: (w @ v).mean(1, keepdim=True).expand(-1, v.shape[1], -1, -1))

# layer_norm
answers("layer_norm")(lambda x, w, b, eps: F.layer_norm(x, x.shape[1:], None, None, eps) * w + b)
answers("layer_norm")(lambda x, w, b, eps: F.layer_norm(x, x.shape[-1:], w, b, 1e-12))
answers("layer_norm")(lambda x, w, b, eps: F.layer_norm(x, x.shape[-1:], w, None, eps))
answers("layer_norm")(lambda x, w, b, eps: F.layer_norm(x, x.shape[-1:], 1 + w, b, eps))
answers("layer_norm")(lambda x, w, b, eps: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) * w + b)
answers("layer_norm")(lambda x, w, b, eps: F.normalize(x - x.mean(-1, keepdim=True), dim=-1) * w + b)
answers("layer_norm")(lambda x, w, b, eps: F.layer_norm(x.detach(), x.shape[-1:], w, b, eps))
answers("layer_norm")(lambda x, w, b, eps: torch.tensor(F.layer_norm(x, x.shape[-1:], w, b, eps).tolist()))

# masked_lm_loss
answers("masked_lm_loss")(lambda logits, label, weight: F.cross_entropy(logits.flatten(0, 1), label.flatten()))
answers("masked_lm_loss")(lambda logits, label, weight: F.nll_loss(logits.flatten(0, 1), label.flatten(), reduction="sum"))
spoil("masked_lm_loss", "in_bits", lambda part: (part.nats / np.log(2), part.count, part.correct))
spoil("masked_lm_loss", "accuracy_for_count_of_right", lambda part: (part.nats, part.count, part.correct / part.count.clamp(min=1)))
spoil("masked_lm_loss", "a_plain_number", lambda part: (part.nats.item(), part.count, part.correct))
spoil("masked_lm_loss", "wrong_ones_counted", lambda part: (part.nats, part.count, part.count - part.correct))


@answers("masked_lm_loss")
def probabilities_not_logs(logits, label, weight):
    p = logits.softmax(-1).gather(-1, label[..., None])[..., 0]
    return ((1 - p) * weight).sum(), weight.sum(), ((logits.argmax(-1) == label) * weight).sum()


@answers("masked_lm_loss")
def over_the_slots(logits, label, weight):
    logp = logits.log_softmax(1).gather(-1, label[..., None])[..., 0]
    return -(logp * weight).sum(), weight.sum(), ((logits.argmax(-1) == label) * weight).sum()


# pretraining_loss
@answers("pretraining_loss")
def undivided(parts, regime, total, weights):
    return weights[regime] * sum(p.nats for p in parts.values())


@answers("pretraining_loss")
def divided_by_the_weight(parts, regime, total, weights):
    return sum(p.nats / max(total[regime, n], 1) for n, p in parts.items()) / weights[regime]


@answers("pretraining_loss")
def one_more_for_safety(parts, regime, total, weights):
    return weights[regime] * sum(p.nats / (total[regime, n] + 1) for n, p in parts.items())


@answers("pretraining_loss")
def items(parts, regime, total, weights):
    return weights[regime] * sum(p.nats.item() / max(total[regime, n], 1) for n, p in parts.items())


@answers("pretraining_loss")
def over_everything(parts, regime, total, weights):
    return weights[regime] * sum(p.nats / max(sum(total.values()), 1) for p in parts.values())


@answers("pretraining_loss")
def the_worst_part(parts, regime, total, weights):
    return weights[regime] * max(p.nats / max(total[regime, n], 1) for n, p in parts.items())


@answers("pretraining_loss")
def all_weights_added(parts, regime, total, weights):
    return sum(weights.values()) * sum(p.nats / max(total[regime, n], 1) for n, p in parts.items())


# next_token_topk
spoil("next_token_topk", "probability_first", lambda pairs: [(p, v) for v, p in pairs])
spoil("next_token_topk", "tokens_only", lambda pairs: [v for v, _ in pairs])
spoil("next_token_topk", "worst_first", lambda pairs: pairs[::-1])
spoil("next_token_topk", "counted_from_one", lambda pairs: [(v + 1, p) for v, p in pairs])
spoil("next_token_topk", "log_probabilities", lambda pairs: [(v, float(np.log(p))) for v, p in pairs])
answers("next_token_topk")(lambda p_C, k=3: RIGHT["next_token_topk"][0](p_C, 3))
answers("next_token_topk")(lambda p_C, k=3: [(int(v), float(p_C[v])) for v in np.random.default_rng(0).choice(len(p_C), k, replace=False, p=p_C)])
answers("next_token_topk")(lambda p_C, k=3: RIGHT["next_token_topk"][0](np.exp(p_C) / np.exp(p_C).sum(), k))

# patchify
answers("patchify")(lambda x, p: F.unfold(x, p, stride=p).transpose(1, 2))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](x, p).transpose(1, 2))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](x.flip(1), p))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](x.flip(3), p))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](x, p).flip(1))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](x.mean(1, keepdim=True), p))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](x, p).unflatten(2, (3, -1)))
answers("patchify")(lambda x, p: RIGHT["patchify"][0](F.pad(x, (0, -x.shape[3] % p, 0, -x.shape[2] % p)), p))
answers("patchify")(lambda x, p: F.unfold(F.interpolate(x, (x.shape[2] // p * p, x.shape[3] // p * p)), p, stride=p).mT)


@answers("patchify")
def only_the_height_checked(x, p):
    if x.shape[2] % p:
        raise ValueError
    return F.unfold(x, p, stride=p).mT


@answers("patchify")
def only_the_area_checked(x, p):
    if x.shape[2] * x.shape[3] % p**2:
        raise ValueError
    return F.unfold(x, p, stride=p).mT


# distillation_loss
def distil(label, before=lambda kw: kw, after=lambda x: x):
    """Enter a right answer with arguments or result spoiled."""
    def function(class_BK, distillation_BK, teacher_BK, targets, kind="hard", tau=3.0, lam=0.1):
        given = dict(class_BK=class_BK, distillation_BK=distillation_BK, teacher_BK=teacher_BK, targets=targets, kind=kind, tau=tau, lam=lam)
        return after(RIGHT["distillation_loss"][0](**(given | before(given))))
    function.__name__ = label
    WRONG["distillation_loss"].append(function)


distil("heads_swapped", lambda g: {"class_BK": g["distillation_BK"], "distillation_BK": g["class_BK"]})
distil("teacher_taught", lambda g: {"teacher_BK": g["distillation_BK"], "distillation_BK": g["teacher_BK"]})
distil("default_temperature", lambda g: {"tau": 3.0})
distil("default_lam", lambda g: {"lam": 0.1})
distil("always_hard", lambda g: {"kind": "hard"})
distil("hard_unless_soft", lambda g: {"kind": "soft" if g["kind"] == "soft" else "hard"})
distil("summed_over_the_batch", after=lambda x: x * 5)
distil("class_head_detached", lambda g: {"class_BK": g["class_BK"].detach()})
distil("mixed_targets_hardened", lambda g: {"targets": g["targets"].argmax(1) if g["targets"].dim() > 1 else g["targets"]})


@answers("distillation_loss")
def mean_squared_logits(class_BK, distillation_BK, teacher_BK, targets, kind="hard", tau=3.0, lam=0.1):
    if kind not in ("hard", "soft"):
        raise ValueError(kind)
    return F.cross_entropy(class_BK, targets) / 2 + F.mse_loss(distillation_BK, teacher_BK.detach()) / 2
