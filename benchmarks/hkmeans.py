"""Hierarchical k-means against flat k-means: python benchmarks/hkmeans.py

1. Visual words against the truth, on shows that neither MiniS3D nor any tree has seen: the shipped tree; a tree and scikit-learn's
   flat k-means with as many clusters, both fitted on the same 200 other shows.
2. Encoding at the paper's size: 12^4 = 20,736 clusters, descent (4 x 12 distances) against brute force (20,736), in numpy and in faiss.

Prints tables, ratios of times measured in this run, and last the bars as one JSON object.
"""
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans

from minivbert.config import DATA_SAMPLE
from minivbert.kitchen.film import clips_of_show, make_show, show_rngs
from minivbert.kitchen.recipes import PHASES, World
from minivbert.tokens.coherence import nmi, purity
from minivbert.tokens.features import FRAMES_SEEN, load_mini, shrink
from minivbert.tokens.hkmeans import Tree, fit, squared_distances


def film(model, seed, shows):
    """Film shows of a seed; return features (N, F) and the (action, phase) class of each clip (N,)."""
    features, classes = [], []
    for i in range(shows):
        show, picture = make_show(World(), seed, i), show_rngs(seed, i)[1]
        seen = torch.cat([shrink(clip[None]) for clip in clips_of_show(show, picture, FRAMES_SEEN)])
        with torch.inference_mode():
            features.append(model.embed(seen).numpy())
        classes.append(show.action * PHASES + show.phase)
    return np.concatenate(features), np.concatenate(classes)


def timed(work, repeats=1):
    """Give (result, median seconds)."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - begin)
    return result, float(np.median(seconds))


def main():
    """Run both parts."""
    model, shipped = load_mini(DATA_SAMPLE / "weights" / "mini_s3d.safetensors"), Tree.load(DATA_SAMPLE / "corpus" / "tree.npz")
    clusters = shipped.k ** shipped.depth
    train, _ = film(model, 6, 200)
    test, truth = film(model, 5, 120)
    tree, tree_seconds = timed(lambda: fit(train, shipped.k, shipped.depth, np.random.default_rng(0)))
    flat, flat_seconds = timed(lambda: KMeans(clusters, n_init=1, random_state=0).fit(train))
    rows = {"shipped tree": shipped.encode(test), "tree": tree.encode(test), "flat (scikit-learn)": flat.predict(test)}
    print(f"{len(test):,} clips of 120 shows, {clusters} clusters, {truth.max() + 1} (action, phase) classes")
    for name, tokens in rows.items():
        print(f"{name:<22} NMI {nmi(tokens, truth):.3f}  purity {purity(tokens, truth):.3f}")
    print(f"fit on {len(train):,} clips: tree {tree_seconds:.2f} s, flat {flat_seconds:.2f} s, ratio {flat_seconds / tree_seconds:.1f}")

    rng = np.random.default_rng(0)
    k, depth, width, points = 12, 4, 1024, 2048
    centroids = [rng.normal(size=(k ** (level + 1), width)).astype(np.float32) for level in range(depth)]
    paper = Tree(k, tuple(centroids), tuple(np.ones(len(c), bool) for c in centroids))
    x = rng.normal(size=(points, width)).astype(np.float32)
    index = faiss.IndexFlatL2(width)
    index.add(centroids[-1])
    descent = timed(lambda: paper.encode(x), 5)[1]
    brute = timed(lambda: squared_distances(x, centroids[-1]).argmin(1), 3)[1]
    peer = timed(lambda: index.search(x, 1), 3)[1]
    print(f"encode {points:,} clips at 20,736 clusters: descent {descent * 1e3:.0f} ms, numpy flat {brute * 1e3:.0f} ms "
          f"({brute / descent:.0f}x), faiss flat {peer * 1e3:.0f} ms ({peer / descent:.0f}x)")
    print(json.dumps({"bars": {
        "NMI of the tree over NMI of flat k-means": [nmi(rows["tree"], truth) / nmi(rows["flat (scikit-learn)"], truth), 0.95],
        "flat fit time over tree fit time": [flat_seconds / tree_seconds, 1.0],
        "faiss flat encode time over descent": [peer / descent, 5.0]}}))


if __name__ == "__main__":
    main()
