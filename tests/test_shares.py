"""Shares of several processes: samples do not depend on who holds what; two processes fit the tree of one."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivbert.config import DATA_SAMPLE
from minivbert.kitchen.film import make_show
from minivbert.kitchen.recipes import World
from minivbert.tokens import shares
from minivbert.tokens.hkmeans import Tree, fit
from minivbert.tokens.shares import Sample, scramble

ROOT = Path(__file__).parent.parent

# a process of a gloo group: its share of features.npy -> its tree. argv: folder, rank, processes, most
PROCESS = """
import sys
import numpy as np
import torch
import torch.distributed as dist
from minivbert.tokens import hkmeans
folder, rank, processes, most = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(1)
hkmeans.CHUNK = 700
dist.init_process_group("gloo", init_method=f"file://{folder}/meet{most}", rank=rank, world_size=processes)
x = np.load(f"{folder}/features.npy", mmap_mode="r")
cuts = np.load(f"{folder}/cuts.npy")
try:
    hkmeans.fit(x[cuts[rank]:cuts[rank + 1]], 4, 3, np.random.default_rng(3), most=most).save(f"{folder}/tree_{most}_{rank}.npz")
except ValueError as error:
    print(error)
dist.destroy_process_group()
"""


def blobs(n, width=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 5, (30, width))[rng.integers(30, size=n)] + rng.normal(0, 1, (n, width))).astype(np.float32)


def in_processes(folder, x, cuts, most):
    """Fit in as many processes as there are shares; return what each printed."""
    np.save(folder / "features.npy", x)
    np.save(folder / "cuts.npy", cuts)
    processes = [subprocess.Popen([sys.executable, "-c", PROCESS, str(folder), str(rank), str(len(cuts) - 1), str(most)], cwd=ROOT,
                                  stdout=subprocess.PIPE, text=True) for rank in range(len(cuts) - 1)]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert not any(process.returncode for process in processes)
    return said


def test_three_processes_fit_the_tree_of_one(tmp_path):
    """Shares of 401, 0 and 599 points; most = 100: nodes are sampled, and leaves are means over all shares."""
    x = blobs(1000)
    for most in (65536, 100):
        in_processes(tmp_path, x, [0, 401, 401, 1000], most)
        alone = fit(x, 4, 3, np.random.default_rng(3), most=most)
        for rank in range(3):
            theirs = Tree.load(tmp_path / f"tree_{most}_{rank}.npz")
            for level in range(3):
                assert (theirs.used[level] == alone.used[level]).all()
                if most == 65536 or level < 2:
                    assert (theirs.centroids[level] == alone.centroids[level]).all()
                assert np.allclose(theirs.centroids[level], alone.centroids[level], rtol=3e-7, atol=1e-7)
            assert (theirs.encode(x) == alone.encode(x)).all()


def test_one_share_with_nan_stops_all_processes(tmp_path):
    x = blobs(1000)
    x[900, 3] = np.nan
    said = in_processes(tmp_path, x, [0, 500, 1000], 65536)
    assert all("NaN" in sentence for sentence in said)


def test_a_lost_process_is_one_sentence(monkeypatch):
    def broken(values, value):
        raise RuntimeError("Connection closed by peer\nand a trace")

    monkeypatch.setattr(shares, "place", lambda: (0, 2))
    monkeypatch.setattr(shares.dist, "all_gather_object", broken)
    with pytest.raises(ConnectionError, match=r"process 0 of 2 lost the others \(Connection closed by peer\).*start the same command again"):
        shares.gather(1)


def test_a_sample_does_not_depend_on_order_or_holder(monkeypatch):
    monkeypatch.setattr(shares, "SLACK", 50)                          # drops often
    rng = np.random.default_rng(0)
    group, number = rng.integers(3, size=5000), np.arange(5000)
    group[:7] = 3                                                     # a group of fewer than are wanted

    def kept(order, parts):
        sample = Sample(200, 77)
        for at in np.array_split(order, parts):
            sample.offer(group[at], number[at])
        return sample.merge()

    one, other = kept(number, 1), kept(rng.permutation(number), 40)
    assert [g for g, _ in one] == [0, 1, 2, 3] and [len(rows) for _, rows in one] == [200, 200, 200, 7]
    assert all((a[1] == b[1]).all() for a, b in zip(one, other))
    assert all((group[rows] == g).all() and (np.diff(rows) > 0).all() for g, rows in one)
    another = Sample(200, 78)
    another.offer(group, number)
    assert (another.merge()[0][1] != one[0][1]).any()


def test_samples_are_uniform():
    seen = np.zeros(1000)
    for key in range(300):
        sample = Sample(100, key * 1_000_003)
        sample.offer(np.zeros(1000, int), np.arange(1000))
        seen[sample.merge()[0][1]] += 1
    assert abs(seen - 30).max() < 5.5 * np.sqrt(300 * 0.1 * 0.9) and 0.8 < seen.var() / 27 < 1.2
    assert len(np.unique(scramble(np.arange(10 ** 5, dtype=np.uint64)))) == 10 ** 5


PEAK = """
import sys
from pathlib import Path
import numpy as np
from minivbert.tokens import hkmeans
hkmeans.CHUNK = 2 ** 18
x = np.load(sys.argv[1], mmap_mode="r")
most = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])      # KB; ru_maxrss begins with the parent's
before = most()
tree = hkmeans.fit(x, 4, 2, np.random.default_rng(0), most=2000)
hkmeans.exemplars(tree, x)
print(most() - before)
"""


def test_memory_of_fitting_does_not_grow_with_the_features(tmp_path):
    """10 and 80 MB of features: what a fresh process needs on top of its start is the same within 4 MB."""
    grown = []
    for n in (10_000, 80_000):
        np.save(tmp_path / "x.npy", blobs(n, width=256))
        done = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path / "x.npy")], cwd=ROOT, capture_output=True, text=True,
                              env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
        grown.append(int(done.stdout) / 1024)
    assert grown[1] < grown[0] + 4, f"{grown[0]:.0f} MB at 10,000 rows, {grown[1]:.0f} MB at 80,000"


def test_the_samples_tree_comes_out_as_it_was():
    """Where the work folder of `kitchen.sample` is at hand: the shipped tree, bit by bit."""
    filmed = ROOT / "runs" / "sample" / "filmed.npy"
    if not filmed.is_file():
        pytest.skip("runs/sample/filmed.npy is not there; python -m minivbert.kitchen.sample makes it")
    held_out = sum(len(make_show(World(), 0, i).action) for i in range(600))
    tree, shipped = fit(np.load(filmed)[held_out:], 15, 2, np.random.default_rng(0)), Tree.load(DATA_SAMPLE / "corpus" / "tree.npz")
    assert all((a == b).all() for a, b in zip(tree.centroids + tree.used, shipped.centroids + shipped.used))
