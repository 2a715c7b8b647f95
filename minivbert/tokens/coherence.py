"""How well clusters agree with known classes: purity and normalised mutual information.

    purity   share of points that belong to the commonest class of their cluster
    NMI      2 I(cluster; class) / (H(cluster) + H(class))

VideoBERT chose d = 4 and k = 12 by looking at clusters (section 4.1); where the truth is known, these two numbers look for us.
"""
import numpy as np


def contingency(token_N, class_N):
    """Count points by (cluster, class), whatever the names of either; raise ValueError for no points or unequal lengths.

    >>> contingency(np.array([9, 9, 4]), np.array([-1, 2, 2])).tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    if len(token_N) == 0 or len(token_N) != len(class_N):
        raise ValueError(f"{len(token_N)} tokens and {len(class_N)} classes; give one class a token, and at least one")
    tokens, row_N = np.unique(token_N, return_inverse=True)
    classes, column_N = np.unique(class_N, return_inverse=True)
    table = np.zeros((len(tokens), len(classes)))
    np.add.at(table, (row_N, column_N), 1)
    return table


def purity(token_N, class_N):
    """Give the purity of clusters, 0 to 1.

    >>> purity(np.array([0, 0, 1, 1]), np.array([5, 5, 5, 7]))
    0.75
    """
    return float(contingency(token_N, class_N).max(1).sum() / len(token_N))


def nmi(token_N, class_N):
    """Give the normalised mutual information, 0 to 1 (arithmetic mean of the entropies).

    >>> round(nmi(np.array([3, 3, 1, 1]), np.array([0, 0, 2, 2])), 6)
    1.0
    """
    joint = contingency(token_N, class_N) / len(token_N)
    entropy = lambda p: float(-(p[p > 0] * np.log(p[p > 0])).sum())
    clusters, classes = entropy(joint.sum(1)), entropy(joint.sum(0))
    both = clusters + classes
    return 2 * (both - entropy(joint)) / both if both > 0 else 1.0
