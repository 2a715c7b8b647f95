"""Hierarchical k-means against flat k-means: python benchmarks/hkmeans.py [--points 200000] [--parts words fitting encoding paper memory]

words     Visual words against the truth, on shows that neither MiniS3D nor any tree has seen: the shipped tree; a tree and flat k-means
          with as many clusters (scikit-learn, faiss), all fitted on the same 200 other shows; means over 10 seeds each, since one seed's
          NMI strays by 0.01. Mean squared distance to the centroid beside it.
fitting   Fitting 12^3 = 1,728 clusters of 512 features: the tree against scikit-learn's and faiss's flat k-means, error on unseen points.
encoding  Encoding at the paper's size: 12^4 = 20,736 clusters, descent (4 x 12 distances) against brute force (20,736), in numpy and in faiss.
paper     Fitting and encoding at the paper's size: 12^4 clusters of 200,000 points of 1,024 features, the tree against faiss's flat k-means
          of 10 iterations, which takes a quarter of an hour. The points lie in 20,000 clusters around 200 hubs; distances within a cluster,
          between those of a hub and between hubs are as 1 : 0.5 : 1. Each node is clustered on at most 4,096 of its points (`most`).
memory    Fitting memory-mapped points: memory on top of a fresh process, for 100,000 and 400,000 rows of 256 features.

Every library keeps to one thread. Prints tables, ratios of times measured in this run, and last the bars as one JSON object, higher being
better: where a figure may be at most so much, the bar is divided by the figure and must come out at 1 or more. A peer that is not
installed is named and left out, with its bars.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from minivbert.config import DATA_SAMPLE
from minivbert.kitchen.film import clips_of_show, make_show, show_rngs
from minivbert.kitchen.recipes import PHASES, World
from minivbert.tokens.coherence import nmi, purity
from minivbert.tokens.features import FRAMES_SEEN, load_mini, shrink
from minivbert.tokens.hkmeans import Tree, fit, quantisation_error
from minivbert.tokens.kmeans import squared_distances

try:
    from sklearn.cluster import KMeans
except ImportError:
    KMeans = None
try:
    import faiss
except ImportError:
    faiss = None


SEEDS = 10


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


def nearest(x_NF, c_CF):
    """Give the nearest of all centroids (N,), by brute force."""
    return squared_distances(x_NF, c_CF).argmin(1)


def flat_error(x_NF, c_CF):
    """Give the mean squared distance of points to their nearest centroid."""
    return float(((x_NF - c_CF[nearest(x_NF, c_CF)]) ** 2).sum(1).mean())


def flat_fits(x_NF, clusters, seed=0):
    """Fit flat k-means, 25 iterations from one seeding, with each peer there is: {name: (centroids, seconds)}."""
    fits = {}
    if KMeans is not None:
        model, seconds = timed(lambda: KMeans(clusters, n_init=1, max_iter=25, random_state=seed).fit(x_NF))
        fits["scikit-learn"] = model.cluster_centers_.astype(np.float32), seconds
    if faiss is not None:
        model = faiss.Kmeans(x_NF.shape[1], clusters, niter=25, seed=seed + 1, min_points_per_centroid=1,
                             max_points_per_centroid=len(x_NF))
        seconds = timed(lambda: model.train(x_NF))[1]
        fits["faiss"] = model.centroids, seconds
    return fits


def score(token_N, class_N, error):
    """Give (NMI, purity, error)."""
    return nmi(token_N, class_N), purity(token_N, class_N), error


def words(bars):
    """Do visual words agree with what was done?"""
    model, shipped = load_mini(DATA_SAMPLE / "weights" / "mini_s3d.safetensors"), Tree.load(DATA_SAMPLE / "corpus" / "tree.npz")
    clusters = shipped.k ** shipped.depth
    train, _ = film(model, 6, 200)
    test, truth = film(model, 5, 120)
    scores = {"shipped tree": [score(shipped.encode(test), truth, quantisation_error(shipped, test))]}
    for seed in range(SEEDS):
        tree = fit(train, shipped.k, shipped.depth, np.random.default_rng(seed))
        scores.setdefault("tree", []).append(score(tree.encode(test), truth, quantisation_error(tree, test)))
        for name, (centroids, _) in flat_fits(train, clusters, seed).items():
            scores.setdefault(name, []).append(score(nearest(test, centroids), truth, flat_error(test, centroids)))
    print(f"{len(test):,} clips of 120 shows, {clusters} clusters, {truth.max() + 1} (action, phase) classes, "
          f"fitted on {len(train):,} clips")
    for name, found in scores.items():
        means = np.mean(found, 0)
        print(f"  {name:<14} NMI {means[0]:.3f} ({min(found)[0]:.3f} to {max(found)[0]:.3f})  purity {means[1]:.3f}  "
              f"mean squared distance {means[2]:.2f}")
        if name not in ("tree", "shipped tree"):
            bars[f"NMI of the tree over flat {name}'s"] = [np.mean(scores["tree"], 0)[0] / means[0], 0.95]


def fitting(bars, points=6000, width=512):
    """Time of fitting and error, on a mixture of 400 Gaussians in 32 directions."""
    rng = np.random.default_rng(0)
    sources = rng.normal(0, 2, (400, 32))[rng.integers(400, size=2 * points)] + rng.normal(size=(2 * points, 32))
    x = (sources @ rng.normal(size=(32, width)) / 32 ** 0.5 + rng.normal(0, 0.1, (2 * points, width))).astype(np.float32)
    x, unseen = x[:points], x[points:]
    tree, seconds = timed(lambda: fit(x, 12, 3, np.random.default_rng(0)))
    ours = quantisation_error(tree, unseen)
    print(f"fit 1,728 clusters on {points:,} x {width}: tree {seconds:.2f} s, "
          f"{tree.leaf_used.sum():,} leaves used, mean squared distance {ours:.1f}")
    for name, (centroids, peer) in flat_fits(x, 1728).items():
        error = flat_error(unseen, centroids)
        print(f"  flat {name:<13} {peer:.2f} s ({peer / seconds:.1f}x the tree's), mean squared distance {error:.1f} "
              f"({error / ours:.2f} of the tree's)")
        bars[f"fit time of flat {name} over the tree's"] = [peer / seconds, 1.0]


def encoding(bars, k=12, depth=4, width=1024, points=8192):
    """Time of encoding."""
    rng = np.random.default_rng(0)
    centroids = [rng.normal(size=(k ** (level + 1), width)).astype(np.float32) for level in range(depth)]
    tree = Tree(k, tuple(centroids), tuple(np.ones(len(c), bool) for c in centroids))
    x = rng.normal(size=(points, width)).astype(np.float32)
    descent = timed(lambda: tree.encode(x), 3)[1]
    brute = timed(lambda: nearest(x, centroids[-1]))[1]
    print(f"encode {points:,} clips at {k ** depth:,} clusters: descent {descent * 1e3:.0f} ms, numpy flat {brute * 1e3:.0f} ms "
          f"({brute / descent:.0f}x)")
    bars["numpy flat encode time over descent"] = [brute / descent, 20.0]
    if faiss is not None:
        index = faiss.IndexFlatL2(width)
        index.add(centroids[-1])
        peer = timed(lambda: index.search(x, 1))[1]
        print(f"  faiss flat {peer * 1e3:.0f} ms ({peer / descent:.0f}x)")
        bars["faiss flat encode time over descent"] = [peer / descent, 5.0]


def clustered(points, width=1024, seed=0):
    """Draw points (N, F) float32 in N / 10 clusters around N / 1,000 hubs."""
    rng = np.random.default_rng(seed)
    normal = lambda n: rng.standard_normal((n, width), np.float32)
    hubs = normal(max(1, points // 1000))
    centres = hubs[rng.integers(len(hubs), size=points // 10)] + 0.5 * normal(points // 10)
    x = normal(points)
    for at in np.array_split(np.arange(points), max(1, points // 10_000)):        # else three times the memory
        x[at] += centres[rng.integers(len(centres), size=len(at))]
    return x


def papers_size(bars, points, k=12, searched=16_384):
    """Fit and encode 12^4 clusters; fewer levels where there are fewer than 8 points a cluster."""
    depth = max(level for level in (1, 2, 3, 4) if level == 1 or points >= 8 * k ** level)
    x = clustered(points)
    tree, seconds = timed(lambda: fit(x, k, depth, np.random.default_rng(0), most=4096))
    ours = quantisation_error(tree, x)
    tokens, encoding = timed(lambda: tree.encode(x))
    print(f"fit {k ** depth:,} clusters on {points:,} x {x.shape[1]}: tree {seconds:.1f} s, {tree.leaf_used.sum():,} leaves used, "
          f"mean squared distance {ours:.1f}; encode {encoding / points * 1e6:.2f} us a point", flush=True)
    if faiss is None:
        return
    model = faiss.Kmeans(x.shape[1], k ** depth, niter=10, seed=1, min_points_per_centroid=1, max_points_per_centroid=points)
    peer = timed(lambda: model.train(x))[1]
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(model.centroids)
    some = x[np.random.default_rng(1).permutation(points)[:searched]]
    (distance, _), searching = timed(lambda: index.search(some, 1))
    theirs, same = float(distance.mean()), quantisation_error(tree, some)
    print(f"  faiss flat, 10 iterations: {peer:.1f} s ({peer / seconds:.1f}x the tree's), mean squared distance of {len(some):,} points "
          f"{theirs:.1f} (the tree's {same / theirs:.3f} of it); search {searching / len(some) * 1e6:.1f} us a point "
          f"({searching / len(some) / (encoding / points):.0f}x)")
    bars["paper's size: faiss flat fit time over the tree's"] = [peer / seconds, 50.0]
    bars["paper's size: 1.07 over the tree's error in faiss flat's"] = [1.07 / (same / theirs), 1.0]
    bars["paper's size: faiss flat search time over descent"] = [searching / len(some) / (encoding / points), 60.0]


GROWN = """
import sys
from pathlib import Path
import numpy as np
from minivbert.tokens.hkmeans import fit
x = np.load(sys.argv[1], mmap_mode="r")
most = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])      # KB; ru_maxrss begins with the parent's
before = most()
fit(x, 12, 3, np.random.default_rng(0), most=4096)
print(most() - before)
"""


def memory(bars, width=256):
    """Memory of fitting a memory-mapped array."""
    grown = []
    for points in (100_000, 400_000):
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/x.npy", clustered(points, width))
            done = subprocess.run([sys.executable, "-c", GROWN, f"{folder}/x.npy"], stdout=subprocess.PIPE, text=True, check=True,
                                  env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)})
        grown.append(int(done.stdout) / 1024)
        print(f"fit {points:,} x {width} memory-mapped ({points * width * 4 / 2 ** 20:.0f} MB): {grown[-1]:.0f} MB on top of the process")
    bars["memory of fitting 100,000 rows over that of 400,000"] = [grown[0] / grown[1], 0.9]


def main():
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ("words", "fitting", "encoding", "paper", "memory")
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts, help="what is run")
    parser.add_argument("--points", type=int, default=200_000, help="points of the part `paper`")
    o = parser.parse_args()
    torch.set_num_threads(1)
    for name, module in (("scikit-learn", KMeans), ("faiss-cpu", faiss)):
        if module is None:
            print(f"{name} is not installed: its rows and bars are left out (pip install {name})")
    if faiss is not None:
        faiss.omp_set_num_threads(1)
    bars = {}
    run = {"words": words, "fitting": fitting, "encoding": encoding, "paper": lambda bars: papers_size(bars, o.points), "memory": memory}
    for part in parts:
        if part in o.parts:
            run[part](bars)
    print(json.dumps({"bars": bars}))


if __name__ == "__main__":
    main()
