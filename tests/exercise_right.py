"""Right answers to the exercises in other styles than the package's: einsum, loops, library calls, draws in another order."""
import itertools
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from minivbert.model.transformer import dropout
from minivbert.pretraining.objective import Part

RIGHT = defaultdict(list)


def answers(name):
    """Enter a function as a right answer to an exercise."""
    def enter(function):
        RIGHT[name].append(function)
        return function
    return enter


@answers("count_parameters")
def with_a_loop(module):
    total = 0
    for _, tensor in module.named_parameters():
        total += int(np.prod(tensor.shape))
    return total


@answers("count_parameters")
def by_walking_the_layers(module):
    seen = {}
    for part in module.modules():
        for tensor in part.parameters(recurse=False):
            seen[id(tensor)] = tensor.nelement()
    return sum(seen.values())


@answers("frames_to_clips")
def with_islice(frames, length=30):
    frames = iter(frames)
    while len(part := list(itertools.islice(frames, length))) == length:
        yield np.stack(part)


@answers("frames_to_clips")
def with_a_list_that_fills(frames, length=30):
    held = []
    for frame in frames:
        held.append(frame)
        if len(held) == length:
            yield np.array(held, dtype=np.uint8)
            held = []


@answers("assign_clusters")
def by_broadcasting(x_NF, c_KF, square_N=None):
    distance_NK = ((x_NF[:, None] - c_KF[None]) ** 2).sum(-1)
    return distance_NK.argmin(-1), distance_NK.min(-1)


@answers("assign_clusters")
def by_loops(x_NF, c_KF, square_N=None):
    labels, nearest = [], []
    for x in x_NF:
        best, at = float("inf"), -1
        for k, c in enumerate(c_KF):
            distance = sum((a - b) ** 2 for a, b in zip(x, c))
            if distance < best:
                best, at = distance, k
        labels.append(at)
        nearest.append(best)
    return labels, nearest


@answers("assign_clusters")
def by_cdist(x_NF, c_KF, square_N=None):
    distance_NK = torch.cdist(torch.from_numpy(x_NF), torch.from_numpy(c_KF), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    nearest_N, label_N = torch.min(distance_NK, 1)
    return label_N, nearest_N


@answers("kmeans_step")
def with_a_loop_over_clusters(x_NF, c_KF, label_N, nearest_N):
    label_N, nearest_N, c_KF = np.array(label_N), np.array(nearest_N), np.array(c_KF)
    empty = [k for k in range(len(c_KF)) if not (label_N == k).any()]
    for k, far in zip(empty, np.argsort(-nearest_N)):
        label_N[far] = k
    for k in range(len(c_KF)):
        if (label_N == k).any():
            c_KF[k] = x_NF[label_N == k].mean(0)
    return label_N, c_KF


@answers("kmeans_step")
def with_add_at(x_NF, c_KF, label_N, nearest_N):
    label_N = label_N.copy()
    missing = sorted(set(range(len(c_KF))) - set(label_N.tolist()))
    label_N[np.argsort(nearest_N)[::-1][:len(missing)]] = missing
    total_KF, count_K = np.zeros_like(c_KF), np.zeros(len(c_KF))
    np.add.at(total_KF, label_N, x_NF)
    np.add.at(count_K, label_N, 1)
    out_KF = c_KF.copy()
    out_KF[count_K > 0] = total_KF[count_K > 0] / count_K[count_K > 0, None]
    return label_N, out_KF


@answers("join_text_video")
def row_by_row(vocab, T, text_BW, text_len, clip_BW=None, clip_len=None):
    B = len(text_len)
    ids, types = np.full((B, T), vocab.pad), np.zeros((B, T), int)
    keep, is_text, is_video = (np.zeros((B, T), bool) for _ in range(3))
    for b in range(B):
        row = [vocab.cls] + [int(i) for i in text_BW[b][:text_len[b]]]
        is_text[b, 1:len(row)] = True
        if clip_BW is not None:
            row.append(len(vocab))
            first = len(row)
            row += [len(vocab) + 1 + int(v) for v in clip_BW[b][:clip_len[b]]]
            is_video[b, first:len(row)] = True
            types[b, first:len(row) + 1] = 1
        row.append(vocab.sep)
        ids[b, :len(row)], keep[b, :len(row)] = row, True
    return ids, types, keep, is_text, is_video


@answers("join_text_video")
def by_padding_lists(vocab, T, text_BW, text_len, clip_BW=None, clip_len=None):
    rows, marks = [], []
    for b, n in enumerate(text_len):
        video = [] if clip_BW is None else [len(vocab) + 1 + int(v) for v in clip_BW[b, :clip_len[b]]]
        row = [vocab.cls, *text_BW[b, :n].tolist(), *([len(vocab)] if clip_BW is not None else []), *video, vocab.sep]
        mark = "c" + "t" * n + ("j" if clip_BW is not None else "") + "v" * len(video) + ("S" if clip_BW is not None else "s")
        rows.append(row + [vocab.pad] * (T - len(row)))
        marks.append(list(mark.ljust(T, ".")))
    mark = np.array(marks)
    return torch.tensor(rows), np.isin(mark, ["v", "S"]).astype(int), mark != ".", mark == "t", mark == "v"


@answers("mask_tokens")
def row_by_row_with_choice(ids_BT, candidate_BT, rate, M, mask_id, random_range, rng, corrupt=True):
    B = len(ids_BT)
    out, at, label, weight = ids_BT.copy(), np.zeros((B, M), int), np.full((B, M), random_range[0]), np.zeros((B, M), np.float32)
    for b in range(B):
        places = np.flatnonzero(candidate_BT[b])
        n = min(M, int(np.floor(rate * len(places) + rng.random())))
        for m, t in enumerate(rng.choice(places, n, replace=False) if n else ()):
            at[b, m], label[b, m], weight[b, m] = t, ids_BT[b, t], 1
            fate = rng.choice(3, p=[0.8, 0.1, 0.1]) if corrupt else 0
            if fate < 2:
                out[b, t] = mask_id if fate == 0 else rng.integers(*random_range)
    return out, at, label, weight


@answers("mask_tokens")
def in_another_order(ids_BT, candidate_BT, rate, M, mask_id, random_range, rng, corrupt=True):
    B, T = ids_BT.shape
    spare, fate, shift = rng.integers(*random_range, (B, T)), rng.permuted(np.tile(np.linspace(0, 1, T, endpoint=False), (B, 1)), axis=1), rng.random(B)
    fate = (fate + rng.random((B, 1))) % 1
    rank = np.argsort(np.argsort(np.where(candidate_BT, -rng.random((B, T)), 1), axis=1), axis=1)
    hit = candidate_BT & (rank < np.minimum(M, np.floor(rate * candidate_BT.sum(1) + shift))[:, None])
    out = np.array(ids_BT)
    out[hit & ((fate < 0.8) | (not corrupt))] = mask_id
    change = hit & (fate >= 0.8) & (fate < 0.9) & corrupt
    out[change] = spare[change]
    at = np.argsort(~hit, axis=1, kind="stable")[:, :M]
    weight = np.take_along_axis(hit, at, 1)
    return out, at, np.take_along_axis(ids_BT, at, 1), weight.astype(float)


@answers("alignment_pairs")
def one_by_one(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    shown, aligned = pick_B.copy(), np.ones(len(pick_B), bool)
    for b, a in enumerate(pick_B):
        if true_B[b]:
            continue
        for _ in range(tries):
            other = order_A[rng.integers(low_A[a], high_A[a])]
            if video_A[other] != video_A[a]:
                shown[b], aligned[b] = other, False
                break
    return shown, aligned


@answers("alignment_pairs")
def from_those_of_other_videos(pick_B, true_B, order_A, low_A, high_A, video_A, rng, tries=8):
    shown, aligned = [], []
    for a, true in zip(pick_B.tolist(), true_B.tolist()):
        others = order_A[low_A[a]:high_A[a]]
        others = others[video_A[others] != video_A[a]]
        own = true or not len(others)
        shown.append(a if own else int(rng.choice(others)))
        aligned.append(own)
    return shown, aligned


@answers("split_heads")
def with_einsum_alone(x_BTE, heads, K):
    B, T, E = x_BTE.shape
    return torch.einsum("btphk->pbhtk", x_BTE.reshape(B, T, E // (heads * K), heads, K))


@answers("split_heads")
def with_chunks(x_BTE, heads, K):
    parts = x_BTE.split(heads * K, dim=-1)
    return torch.stack([torch.stack(part.split(K, dim=-1), dim=1) for part in parts])


@answers("attention")
def with_einsum(q_BHTK, k_BHSK, v_BHSK, mask=None, rate=0.0):
    scores = torch.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHSK) / q_BHTK.size(-1) ** 0.5
    if mask is not None:
        scores += mask
    weights = F.softmax(scores, dim=-1)
    return torch.einsum("bhts,bhsk->bhtk", F.dropout(weights, rate), v_BHSK), weights


@answers("attention")
def head_by_head(q_BHTK, k_BHSK, v_BHSK, mask=None, rate=0.0):
    B, H, T, K = q_BHTK.shape
    mask = torch.zeros(B, H, T, k_BHSK.shape[2]) if mask is None else mask.expand(B, H, T, -1)
    out, weights = [], []
    for b in range(B):
        for h in range(H):
            e = torch.exp(q_BHTK[b, h] @ k_BHSK[b, h].T / np.sqrt(K) + mask[b, h])
            weights.append(e / e.sum(1, keepdim=True))
            out.append(dropout(weights[-1], rate) @ v_BHSK[b, h])
    return torch.stack(out).view(B, H, T, K), torch.stack(weights).view(B, H, T, -1)


@answers("attention")
def with_the_fused_kernel(q_BHTK, k_BHSK, v_BHSK, mask=None, rate=0.0):
    out = F.scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSK, mask, dropout_p=rate)
    scores = (q_BHTK @ k_BHSK.transpose(2, 3)) * q_BHTK.shape[-1] ** -0.5
    return out, torch.softmax(scores if mask is None else scores + mask, 3)


@answers("layer_norm")
def by_the_library(x_BTD, weight_D, bias_D, eps):
    return F.layer_norm(x_BTD, x_BTD.shape[-1:], weight_D, bias_D, eps)


@answers("layer_norm")
def by_var_mean(x_BTD, weight_D, bias_D, eps):
    variance, mean = torch.var_mean(x_BTD, dim=2, correction=0, keepdim=True)
    return torch.addcmul(bias_D, (x_BTD - mean) * torch.rsqrt(variance + eps), weight_D)


@answers("masked_lm_loss")
def by_log_softmax(logits_BMV, label_BM, weight_BM):
    logp = logits_BMV.log_softmax(-1).gather(-1, label_BM[..., None])[..., 0]
    return Part(-(logp * weight_BM).sum(), weight_BM.sum(), ((logits_BMV.argmax(-1) == label_BM) * weight_BM).sum())


@answers("masked_lm_loss")
def only_where_there_is_weight(logits_BMV, label_BM, weight_BM):
    used = weight_BM > 0
    logits, label = logits_BMV[used], label_BM[used]
    return F.cross_entropy(logits, label, reduction="sum"), used.sum(), (logits.argmax(1) == label).sum()


@answers("pretraining_loss")
def part_by_part(parts, regime, total, weights):
    loss = torch.zeros(())
    for name in parts:
        count = total[(regime, name)]
        loss = loss + parts[name].nats / (count if count > 1 else 1) * weights[regime]
    return loss


@answers("pretraining_loss")
def stacked(parts, regime, total, weights):
    nats = torch.stack([part.nats for part in parts.values()])
    count = torch.tensor([total[regime, name] for name in parts]).clamp(min=1)
    return weights[regime] * (nats / count).sum()


@answers("next_token_topk")
def with_sorted(p_C, k=3):
    return sorted(((v, float(p)) for v, p in enumerate(p_C)), key=lambda pair: -pair[1])[:k]


@answers("next_token_topk")
def by_taking_the_largest(p_C, k=3):
    left, found = p_C.astype(float), []
    for _ in range(k):
        v = int(left.argmax())
        found.append((v, p_C[v]))
        left[v] = -1
    return found


@answers("patchify")
def with_unfold(images_BCHW, p):
    if images_BCHW.shape[2] % p or images_BCHW.shape[3] % p:
        raise ValueError("whole patches do not fill the image")
    return F.unfold(images_BCHW, p, stride=p).transpose(1, 2)


@answers("patchify")
def cut_out_one_by_one(images_BCHW, p):
    B, C, H, W = images_BCHW.shape
    if H % p != 0 or W % p != 0:
        raise ValueError
    return torch.stack([images_BCHW[:, :, y:y + p, x:x + p].flatten(1) for y in range(0, H, p) for x in range(0, W, p)], 1)


@answers("distillation_loss")
def written_out(class_BK, distillation_BK, teacher_BK, targets, kind="hard", tau=3.0, lam=0.1):
    wanted = F.one_hot(targets, class_BK.shape[1]).float() if targets.dim() == 1 else targets
    ce = -(wanted * class_BK.log_softmax(1)).sum(1).mean()
    with torch.no_grad():
        hard, soft = teacher_BK.argmax(1), (teacher_BK / tau).softmax(1)
    if kind == "hard":
        return 0.5 * ce + 0.5 * -distillation_BK.log_softmax(1)[torch.arange(len(hard)), hard].mean()
    if kind == "soft":
        return (1 - lam) * ce + lam * tau * tau * (soft * (soft.log() - (distillation_BK / tau).log_softmax(1))).sum(1).mean()
    raise ValueError(kind)


@answers("distillation_loss")
def with_distributions(class_BK, distillation_BK, teacher_BK, targets, kind="hard", tau=3.0, lam=0.1):
    match kind:
        case "hard":
            return torch.stack([F.cross_entropy(class_BK, targets), F.nll_loss(distillation_BK.log_softmax(1), teacher_BK.max(1).indices)]).mean()
        case "soft":
            teacher, student = (torch.distributions.Categorical(logits=x / tau) for x in (teacher_BK.detach(), distillation_BK))
            return torch.lerp(F.cross_entropy(class_BK, targets), tau ** 2 * torch.distributions.kl_divergence(teacher, student).mean(), lam)
    raise ValueError(f"{kind} is neither hard nor soft")
