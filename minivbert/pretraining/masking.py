"""Mask tokens for the cloze: choose positions, then 80 % [MASK], 10 % a random token, 10 % left as they are.

VideoBERT, section 3.1, "largely follows BERT" (Devlin et al. 2018, section 3.1). The three fates come from *one* uniform draw a
position, so their rates are 80/10/10 and not the overlap of two draws. Random tokens come from the same modality and are
never special tokens.

Axes: B rows, T positions, M slots: every row has the same number of slots, those not needed carry weight 0, so shapes are fixed.

Differs from BERT: a row of n candidates gets floor(rate * n + u) masked positions, u ~ uniform(0, 1), whose mean is exactly
rate * n, instead of max(1, round(rate * n)), which masks a third of three tokens.

    >>> ids = np.array([[2, 7, 8, 9, 3]])
    >>> out, at, label, weight = mask(ids, ids > 4, 0.34, 1, 4, (5, 10), np.random.default_rng(0), corrupt=False)
    >>> out.tolist(), at.tolist(), label.tolist(), weight.tolist()
    ([[2, 7, 8, 4, 3]], [[3]], [[9]], [[1.0]])
"""
import numpy as np


def slots(rate, most):
    """Count the slots that rows of at most `most` candidates can need.

    >>> slots(0.15, 16)
    3
    """
    return min(most, int(rate * most) + 1)


def mask(ids_BT, candidate_BT, rate, M, mask_id, random_range, rng, corrupt=True):
    """Mask a share `rate` of the candidate positions: 80 % become [MASK], 10 % a random token, 10 % stay as they are.

    A row of n candidates has floor(rate n + u) of them masked, at most M, u uniform on 0 to 1; each candidate is as likely.

    ids_BT (B, T) int; candidate_BT (B, T) bool: where masking is allowed; M: slots, see `slots`; mask_id: the id of [MASK];
    random_range: (low, high) ids for the 10 % random tokens; corrupt=False: always [MASK], for evaluation.
    Returns a masked copy (B, T), at (B, M) int positions, label (B, M) int the ids that stood there, weight (B, M) float32.
    """
    B, T = ids_BT.shape
    key_BT = np.where(candidate_BT, rng.random((B, T)), 2.0)
    at_BM = np.argsort(key_BT, axis=1)[:, :M]
    count_B = np.floor(rate * candidate_BT.sum(1) + rng.random(B))
    chosen_BM = np.arange(M) < count_B[:, None]
    rows = np.arange(B)[:, None]
    label_BM = ids_BT[rows, at_BM]
    fate_BM = rng.random((B, M))
    random_BM = rng.integers(*random_range, size=(B, M))
    if not corrupt:
        fate_BM[:] = 0.0
    new_BM = np.where(fate_BM < 0.8, mask_id, np.where(fate_BM < 0.9, random_BM, label_BM))
    out_BT = ids_BT.copy()
    out_BT[rows, at_BM] = np.where(chosen_BM, new_BM, label_BM)
    at_BM, label_BM = np.where(chosen_BM, at_BM, 0), np.where(chosen_BM, label_BM, random_range[0])
    return out_BT, at_BM, label_BM, chosen_BM.astype(np.float32)
