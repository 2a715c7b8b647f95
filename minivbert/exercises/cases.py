"""What answers are tried on: seeded inputs whose axes all have other sizes, so that an axis mixed up shows.

A case gives the arguments by name. Where the answer is drawn at random, `facts` says what of it can be told: what may never happen, and rates
with the margin that chance leaves them; so any order of draws passes. `refuses` is the error that the input must raise.

Tensors that require a gradient get one: the gradient of the answer belongs to the answer.
"""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from minivbert.pretraining.alignment import Partners
from minivbert.pretraining.masking import slots
from minivbert.pretraining.objective import Part
from minivbert.tokens import kmeans
from minivbert.tokens.wordpiece import SPECIALS, WordPiece

CHANCE = 0.035          # how far a rate may lie from the solution's: more than four standard deviations of every rate below


@dataclass(frozen=True)
class Case:
    """One try.

    args: {name: value}, in the order of the function's parameters. read(returned, args): what is compared, if not what was returned.
    facts(args, returned): {"English | Korean": (value, margin)}, compared instead of values. refuses: the error that must be raised.
    """
    args: dict
    read: Callable | None = None
    facts: Callable | None = None
    refuses: type | None = None


class Film:
    """An iterator over frames that knows how many were taken."""

    def __init__(self, frames):
        self.frames, self.taken = iter(frames), 0

    def __iter__(self):
        return self

    def __next__(self):
        frame = next(self.frames)
        self.taken += 1
        return frame


def sizes(rng, n, low=2):
    """Draw n sizes that all differ."""
    return rng.permutation(np.arange(low, low + n + 3))[:n].tolist()


def normal(rng, *shape, grad=True):
    """Draw a float32 tensor from N(0, 1)."""
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32)).requires_grad_(grad)


def count_parameters(seed):
    """Nested layers; a frozen one; buffers; a table that two layers share."""
    rng = np.random.default_rng(seed)
    a, b, c, d = sizes(rng, 4)
    nested = nn.Sequential(nn.Linear(a, b), nn.Sequential(nn.BatchNorm1d(b), nn.Linear(b, c, bias=False)))
    frozen = nn.Sequential(nn.Embedding(d, a), nn.Linear(a, c))
    frozen[0].weight.requires_grad_(False)
    tied = nn.Sequential(nn.Embedding(d, b), nn.Linear(b, d))
    tied[1].weight = tied[0].weight
    return [Case({"module": module}) for module in (nested, frozen, tied, nn.LayerNorm(c), nn.GELU())]


def frames_to_clips(seed):
    """Films with frames left over, without any, and shorter than a clip."""
    rng = np.random.default_rng(seed)
    L, H, W = sizes(rng, 3, low=4)

    def read(clips, args):
        found, taken = [], 0
        for clip in clips:
            taken = taken or args["frames"].taken
            found.append(clip)
        return {"clips": found, "frames_taken_before_the_first_clip": taken}

    return [Case({"frames": Film(rng.integers(256, size=(n, H, W, 3), dtype=np.uint8)), "length": L}, read=read)
            for n in (3 * L + 2, 2 * L, L - 1)]


def split_heads(seed):
    """One part and three."""
    rng = np.random.default_rng(seed)
    B, T, H, K = sizes(rng, 4, low=4)
    return [Case({"x_BTE": normal(rng, B, T, P * H * K), "heads": H, "K": K}) for P in (3, 1, 2)]


def attention(seed):
    """Without a mask; with padding; with any mask; with dropout, judged by its rate."""
    rng = np.random.default_rng(seed)
    B, H, T, S, K = sizes(rng, 5)

    def qkv():
        return {"q_BHTK": 1.5 * normal(rng, B, H, T, K, grad=False), "k_BHSK": normal(rng, B, H, S, K, grad=False),
                "v_BHSK": normal(rng, B, H, S, K, grad=False)}

    def facts(args, returned):
        out_BHTK, weights_BHTS = (x.detach().double().numpy() for x in returned)
        exp_BHTS = np.exp(args["q_BHTK"] @ args["k_BHSK"].swapaxes(2, 3))
        whole_BHTS = exp_BHTS / exp_BHTS.sum(-1, keepdims=True)
        return {"mean of what is gathered from ones, under dropout | dropout에서 1들을 모은 값의 평균": (out_BHTK.mean(), CHANCE),
                "its standard deviation | 그 표준편차": (out_BHTK.std(), CHANCE),
                "that of its mean over rows | 행 평균의 표준편차": (out_BHTK.mean(0).std(), CHANCE),
                "that of its mean over heads | 헤드 평균의 표준편차": (out_BHTK.mean(1).std(), CHANCE),
                "that of its mean over queries | 쿼리 평균의 표준편차": (out_BHTK.mean(2).std(), CHANCE),
                "how far the weights lie from those before dropout | dropout 이전의 가중치와의 차이": (np.abs(weights_BHTS - whole_BHTS).max(), 1e-4)}

    padding = torch.from_numpy(np.where(np.arange(S) < rng.integers(1, S, (B, 1)), 0.0, -np.inf).astype(np.float32))[:, None, None]
    padding[0, ..., -1] = -torch.inf
    free = normal(rng, B, 1, T, S, grad=False).masked_fill(torch.from_numpy(rng.random((B, 1, T, S)) < 0.3), -torch.inf)
    free[..., 0] = 0.5
    many = {"q_BHTK": normal(rng, 32, 8, 30, 1, grad=False), "k_BHSK": normal(rng, 32, 8, 6, 1, grad=False),
            "v_BHSK": torch.ones(32, 8, 6, 1)}          # K = 1, where no scale is wrong: this case is about dropout alone
    cases = [Case(qkv()), Case(qkv() | {"mask": padding}), Case(qkv() | {"mask": free})]
    for case in cases:
        for name in ("q_BHTK", "k_BHSK", "v_BHSK"):
            case.args[name].requires_grad_()
    return [*cases, Case(many | {"mask": None, "rate": 0.5}, facts=facts)]


def layer_norm(seed):
    """Tokens of other means and sizes; an epsilon that counts and one that does not."""
    rng = np.random.default_rng(seed)
    B, T, D = sizes(rng, 3, low=3)
    return [Case({"x_BTD": (normal(rng, B, T, D, grad=False) * scale + normal(rng, B, T, 1, grad=False)).requires_grad_(),
                  "weight_D": normal(rng, D), "bias_D": normal(rng, D), "eps": eps}) for scale, eps in ((2.0, 1e-5), (0.5, 0.3))]


def assign_clusters(seed):
    """Points anywhere, and points on a grid, where distances tie."""
    rng = np.random.default_rng(seed)
    N, K, F = sizes(rng, 3, low=4)
    grid_NF, centroid_KF = rng.integers(-3, 4, (40 + N, F)).astype(float), rng.integers(-3, 4, (K, F)).astype(float)
    centroid_KF[-1] = centroid_KF[0]
    x_NF = rng.standard_normal((N, F)) + 2
    return [Case({"x_NF": x_NF, "c_KF": rng.standard_normal((K, F)) * 2}), Case({"x_NF": grid_NF, "c_KF": centroid_KF}),
            Case({"x_NF": x_NF, "c_KF": rng.standard_normal((K, F)), "square_N": (x_NF ** 2).sum(1)})]


def kmeans_step(seed):
    """Clusters that all have points; two that have none; one whose only point is taken by an empty one."""
    rng = np.random.default_rng(seed)
    K, F = sizes(rng, 2, low=4)
    cases = []
    for empty, lonely in ((0, False), (2, False), (2, True)):
        c_KF = rng.standard_normal((K, F)) * 4
        x_NF = np.concatenate([c_KF[k] + rng.standard_normal((3 + k, F)) for k in range(K)])
        used = rng.permutation(K)[empty:]
        if lonely:
            x_NF = np.concatenate([x_NF, np.full((1, F), 60.0)])
            c_KF[used[0]] = 45.0
        label_N, nearest_N = kmeans.assign_clusters(x_NF, c_KF[used])
        cases.append(Case({"x_NF": x_NF, "c_KF": c_KF, "label_N": used[label_N], "nearest_N": nearest_N}))
    return cases


def join_text_video(seed):
    """Text with video, text alone, video alone; rows of many lengths, with room to spare and without."""
    rng = np.random.default_rng(seed)
    B, W, X = sizes(rng, 3, low=5)
    vocab = WordPiece([*SPECIALS, *"abcdefghijklmnop"])
    text_BW, clip_BW = rng.integers(len(SPECIALS), len(vocab), (B, W)), rng.integers(0, 40, (B, X))
    text_len, clip_len = rng.integers(1, W + 1, B), rng.integers(1, X + 1, B)
    text_len[0], clip_len[0], clip_BW[1, 0] = W, X, 0
    video = {"clip_BW": clip_BW, "clip_len": clip_len}
    return [Case({"vocab": vocab, "T": W + X + 3 + spare, "text_BW": text_BW, "text_len": text_len, **video}) for spare in (0, 4)] + [
        Case({"vocab": vocab, "T": W + 5, "text_BW": text_BW, "text_len": text_len}),
        Case({"vocab": vocab, "T": X + 7, "text_BW": np.zeros((B, 1), int), "text_len": np.zeros(B, int), **video})]


def mask_tokens(seed):
    """Many rows, judged by what may never happen and by rates: for training, for evaluation, of visual words."""
    rng = np.random.default_rng(seed)
    B, T = 1500, 30

    def case(rate, low, high, corrupt):
        ids_BT = rng.integers(low, high, (B, T))
        candidate_BT = np.arange(T) < rng.integers(1, T + 1, (B, 1))
        candidate_BT[:, 0], ids_BT[:, 0] = False, 2
        return Case({"ids_BT": ids_BT, "candidate_BT": candidate_BT, "rate": rate, "M": slots(rate, T), "mask_id": 4,
                     "random_range": (low, high), "rng": np.random.default_rng(seed + 1), "corrupt": corrupt}, facts=facts)

    def facts(args, returned):
        return facts_of_masking(args, returned) | facts_of_drawing(args["rng"], seed + 1)

    return [case(0.15, 5, 200, True), case(0.4, 300, 400, True), case(0.3, 5, 200, False)]


def facts_of_drawing(rng, seed):
    """Tell whether anything was drawn from a generator that began with a seed."""
    same = rng.bit_generator.state == np.random.default_rng(seed).bit_generator.state
    return {"generators given that nothing was drawn from | 아무것도 뽑지 않은 난수 생성기의 수": (float(same), 0.0)}


def facts_of_masking(args, returned):
    """Tell what of masked rows can be told whatever the draws."""
    out_BT, at_BM, label_BM, weight_BM = (np.asarray(x) for x in returned)
    ids_BT, candidate_BT, (low, high) = args["ids_BT"], args["candidate_BT"], args["random_range"]
    inside = (at_BM >= 0) & (at_BM < ids_BT.shape[1])
    known = (label_BM >= min(low, ids_BT.min())) & (label_BM < high)
    rows, slot = np.nonzero(weight_BM)
    at, label = np.clip(at_BM, 0, ids_BT.shape[1] - 1)[rows, slot].astype(int), label_BM[rows, slot]
    was, now = ids_BT[rows, at], out_BT[rows, at]
    hits_BT = np.zeros(ids_BT.shape, int)
    np.add.at(hits_BT, (rows, at), 1)
    n_B, masked_B = candidate_BT.sum(1), (weight_BM > 0).sum(1)
    least_B = np.minimum(np.floor(args["rate"] * n_B), weight_BM.shape[1])
    order_BT = np.cumsum(candidate_BT, 1) / np.maximum(n_B, 1)[:, None]
    long = n_B[rows] > 15
    is_random = (now != args["mask_id"]) & (now != was)
    random = now[is_random]
    share = lambda x: float(np.mean(x)) if np.size(x) else 0.0
    fate = 2 * (now == args["mask_id"]) + is_random
    mates = lambda x, where: share(np.diff(x[where])[np.diff(rows[where]) == 0] == 0)          # of neighbours in a row, how many are alike
    masked_BT = np.zeros(ids_BT.shape, bool)
    masked_BT[rows, at] = True
    never, rate = (lambda x: (share(x), 0.0)), (lambda x: (share(x), CHANCE))
    return {
        "positions masked that are no candidates | 후보가 아닌데 가려진 위치의 비율": never(~candidate_BT[rows, at]),
        "positions masked twice | 두 번 가려진 위치의 비율": never(hits_BT > 1),
        "labels that are not what stood there | 원래 토큰이 아닌 정답의 비율": never(label != was),
        "positions changed without being masked | 가려지지 않았는데 바뀐 위치의 비율": never((out_BT != ids_BT) & (hits_BT == 0)),
        "weights other than 0 and 1 | 0도 1도 아닌 가중치의 비율": never((weight_BM != 0) & (weight_BM != 1)),
        "places outside the row | 행 밖을 가리키는 위치의 비율": never(~inside),
        "labels outside the vocabulary | 어휘 밖의 정답의 비율": never(~known),
        "rows with another count than floor(rate n + u) | 개수가 floor(rate n + u)가 아닌 행의 비율":
            never((masked_B < least_B) | (masked_B > least_B + 1)),
        "of the candidates, masked | 후보 가운데 가려진 비율": (len(rows) / candidate_BT.sum(), CHANCE),
        "of the candidates in short rows, masked | 짧은 행의 후보 가운데 가려진 비율":
            (masked_B[n_B < 4].sum() / max(n_B[n_B < 4].sum(), 1), 2 * CHANCE),
        "of the masked, [MASK] | 가려진 것 가운데 [MASK]의 비율": rate(now == args["mask_id"]),
        "of the masked, left as they were | 가려진 것 가운데 그대로인 비율": rate((now == was) & (now != args["mask_id"])),
        "of the random tokens, special or of the other kind | 임의 토큰 가운데 특수 토큰이나 다른 종류의 비율": never((random < low) | (random >= high)),
        "random tokens, mean place in the range | 임의 토큰의 범위 안 평균 자리": (share((random - low) / (high - low)), 3 * CHANCE),
        "of two masked in one row, with the same fate | 같은 행에서 가려진 둘의 운명이 같은 비율": (mates(fate, fate >= 0), 2 * CHANCE),
        "of two random tokens in one row, equal | 같은 행의 두 임의 토큰이 같은 비율": (mates(now, is_random), 4 * CHANCE),
        "of the masked, followed by a masked one | 가려진 것 가운데 바로 뒤도 가려진 비율":
            (share(masked_BT[:, 1:][masked_BT[:, :-1]]), 2 * CHANCE),
        "masked places, mean (1: the row's last) | 가려진 자리의 평균 (1: 행의 끝)": rate(order_BT[rows, at][long]),
        "masked places, spread | 가려진 자리의 퍼짐": (float(np.std(order_BT[rows, at][long])) if long.any() else 0.0, CHANCE),
    }


def masked_lm_loss(seed):
    """Slots with and without weight; none with."""
    rng = np.random.default_rng(seed)
    B, M, V = sizes(rng, 3, low=4)
    weight_BM = (rng.random((B, M)) < 0.6).astype(np.float32)
    weight_BM[0, :2] = 1, 0
    cases = []
    for weight in (weight_BM, np.zeros((B, M), np.float32)):
        logits_BMV = normal(rng, B, M, V, grad=False)
        label_BM = torch.from_numpy(np.where(rng.random((B, M)) < 0.5, logits_BMV.argmax(-1).numpy(), rng.integers(0, V, (B, M))))
        cases.append(Case({"logits_BMV": (3 * logits_BMV).requires_grad_(), "label_BM": label_BM, "weight_BM": torch.from_numpy(weight)}))
    return cases


def alignment_pairs(seed):
    """Many pairs from few videos, long and short, one segment without its like; judged by what may never happen and by rates."""
    rng = np.random.default_rng(seed)
    video_A, clips_A = np.repeat(np.arange(5), (60, 30, 15, 10, 5)), rng.integers(1, 5, 120)
    clips_A[7] = 9
    partners = Partners(clips_A, video_A)
    pick_B, true_B = rng.integers(0, 120, 5000), rng.random(5000) < 0.3

    def facts(args, returned):
        shown_B, aligned_B = (np.asarray(x) for x in returned)
        shown_B = np.clip(shown_B, 0, 119).astype(int)
        aligned_B = aligned_B.astype(bool)
        other = ~aligned_B & (shown_B != pick_B)
        eligible_AA = (clips_A[:, None] == clips_A) & (video_A[:, None] != video_A)
        place_AA = (np.cumsum(eligible_AA, 1) - 0.5) / np.maximum(eligible_AA.sum(1), 1)[:, None]
        place = place_AA[pick_B, shown_B][other]
        share = lambda x: float(np.mean(x))
        return {
            "segments shown with another number of clips | 클립 수가 다른 세그먼트의 비율": (share(clips_A[shown_B] != clips_A[pick_B]), 0.0),
            "pairs called true that show other clips | 참이라 했지만 다른 클립을 보이는 쌍의 비율": (share(aligned_B & (shown_B != pick_B)), 0.0),
            "pairs called false that show the same video | 거짓이라 했지만 같은 비디오를 보이는 쌍의 비율":
                (share(~aligned_B & (video_A[shown_B] == video_A[pick_B])), 0.0),
            "pairs that should be true and are not | 참이어야 하는데 거짓인 쌍의 비율": (share(true_B & ~aligned_B), 0.0),
            "pairs called true | 참이라 한 쌍의 비율": (share(aligned_B), CHANCE),
            "place of the partner among all that could be, mean | 가능한 상대 가운데 자리의 평균": (share(place) if other.any() else 0.0, CHANCE),
            "its spread | 그 퍼짐": (float(place.std()) if other.any() else 0.0, CHANCE),
        } | facts_of_drawing(args["rng"], seed + 1)

    return [Case({"pick_B": pick_B, "true_B": true_B, "order_A": partners.order, "low_A": partners.low, "high_A": partners.high,
                  "video_A": video_A, "rng": np.random.default_rng(seed + 1)}, facts=facts)]


def pretraining_loss(seed):
    """A regime with all three parts; one with a single part; one without a masked token in the step."""
    rng = np.random.default_rng(seed)
    total = {("text", "text"): 11.0, ("video", "video"): 17.0, ("video-text", "text"): 23.0, ("video-text", "video"): 29.0,
             ("video-text", "alignment"): 8.0, ("text", "alignment"): 0.0}
    weights = dict(zip(("text", "video", "video-text"), rng.uniform(0.3, 2.5, 3).tolist()))

    def part(count, nats=None):
        return Part(torch.tensor(float(rng.uniform(3, 30)) if nats is None else nats, requires_grad=True), torch.tensor(count), torch.tensor(1.0))

    return [Case({"parts": parts, "regime": regime, "total": total | more, "weights": weights}) for regime, parts, more in (
        ("video-text", {"text": part(5.0), "video": part(7.0), "alignment": part(2.0)}, {}),
        ("video", {"video": part(6.0)}, {}),
        ("text", {"text": part(0.0, 0.0)}, {("text", "text"): 0.0}))]


def next_token_topk(seed):
    """Probabilities of many tokens, with ties and without."""
    rng = np.random.default_rng(seed)
    p_C, tied_C = rng.dirichlet(np.ones(31)), rng.permutation([4, 4, 3, 3, 3, 2, 1, 1, 1, 1, 0, 0]) / 23
    return [Case({"p_C": p, "k": k}) for p, k in ((p_C, 3), (tied_C, 4), (p_C, 1), (tied_C, 9))]


def patchify(seed):
    """Images of colour, of many patches a row and a column; and such as whole patches do not fill, in height or in width."""
    rng = np.random.default_rng(seed)
    p, rows, columns = sizes(rng, 3)
    return [Case({"images_BCHW": normal(rng, B, 3, rows * p, columns * p), "p": p}) for B in (2, 1)] + [
        Case({"images_BCHW": normal(rng, 2, 3, H, W), "p": p}, refuses=ValueError) for H, W in ((rows * p + 1, p * p), (p * p, columns * p + 1))]


def distillation_loss(seed):
    """Hard and soft; labels, and labels mixed; another kind."""
    rng = np.random.default_rng(seed)
    B, K = sizes(rng, 2, low=4)
    label_B = torch.from_numpy(rng.integers(0, K, B))
    mixed_BK = torch.from_numpy(rng.dirichlet(np.ones(K), B).astype(np.float32))

    def case(targets, refuses=None, **more):
        logits = {f"{name}_BK": 2 * normal(rng, B, K, grad=False) for name in ("class", "distillation", "teacher")}
        return Case({name: x.requires_grad_() for name, x in logits.items()} | {"targets": targets} | more, refuses=refuses)

    return [case(label_B), case(mixed_BK, kind="hard"), case(label_B, kind="soft"), case(mixed_BK, kind="soft", tau=1.7, lam=0.35),
            case(label_B, kind="medium", refuses=ValueError)]
