"""Many processes, each with its share of the rows: sums over all, and samples that do not depend on who holds what.

The processes are those of torch.distributed (a gloo group, as `torchrun` starts them; nccl moves no CPU memory). Without a group there
is one process and its share is all. Shares lie end to end in the order of the ranks, so that row i of the whole is the same row
however many processes there are. Every process must make the same calls in the same order.

    >>> place(), before(7), add_up(np.arange(3)).tolist()
    ((0, 1), (0, 7), [0, 1, 2])
"""
import datetime
import os

import numpy as np
import torch
import torch.distributed as dist

SLACK = 2 ** 18          # rows that a sample takes in before it drops what it need not keep
PATIENCE = datetime.timedelta(days=7)      # for processes whose videos take longer


def join():
    """Join the processes that torchrun started, if it started this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("gloo", timeout=PATIENCE)


def place():
    """Give (rank, processes)."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def add_up(array, to=None):
    """Give the sum of an array over all processes, in place; to: the one rank that gets it (others: their array, spent).

    Exact for integers, and where at most one process has something else than 0.
    """
    if place()[1] > 1:
        tensor = torch.from_numpy(array)
        together(dist.all_reduce, tensor) if to is None else together(dist.reduce, tensor, to)
    return array


def gather(value):
    """List what each process gave, in the order of their ranks."""
    values = [value] * place()[1]
    if len(values) > 1:
        together(dist.all_gather_object, values, value)
    return values


def together(work, *given):
    """Call what all processes call at once; raise ConnectionError, in a sentence, if one of them is gone."""
    try:
        work(*given)
    except RuntimeError as error:
        rank, processes = place()
        raise ConnectionError(f"process {rank} of {processes} lost the others ({(str(error).splitlines() or ['closed'])[0]}); what is "
                              "finished is kept: start the same command again") from error


def before(n):
    """Give (rows that the processes of lower rank hold, rows that all hold) where this one holds n."""
    counts = gather(n)
    return sum(counts[:place()[0]]), sum(counts)


class Sample:
    """A uniform sample of at most `most` rows of every group: those whose numbers, scrambled, are smallest (bottom-k sampling).

    What is kept does not depend on the order in which rows are offered, nor on the process that offers them.
    """

    def __init__(self, most, key):
        """key: whole number below 2^62; another one, another sample."""
        self.most, self.key, self.few = most, np.uint64(key), 0
        self.kept = np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def offer(self, group_N, number_N):
        """Take in rows: their groups (N,) and their numbers (N,) in the whole."""
        self._add(np.asarray(group_N, np.int64), scramble(number_N.astype(np.uint64) + self.key), number_N)
        if len(self.kept[0]) > 2 * self.few + SLACK:
            self._drop()

    def _add(self, *more):
        self.kept = tuple(np.concatenate(pair) for pair in zip(self.kept, more))

    def _drop(self):
        group_N, rank_N, _ = self.kept
        order = np.lexsort((rank_N, group_N))
        group_N = group_N[order]
        order = order[np.arange(len(order)) - np.searchsorted(group_N, group_N) < self.most]
        self.kept, self.few = tuple(x[order] for x in self.kept), len(order)

    def merge(self):
        """Bring together what all processes kept: [(group, row numbers)], both ascending, the same for all."""
        self._drop()
        for rank, theirs in enumerate(gather(self.kept)):
            if rank != place()[0]:
                self._add(*theirs)
        self._drop()
        group_M, _, number_M = self.kept
        order = np.lexsort((number_M, group_M))
        groups, starts = np.unique(group_M[order], return_index=True)
        return list(zip(groups.tolist(), np.split(number_M[order], starts[1:])))


def scramble(number_N):
    """Turn numbers (N,) uint64 into others that look drawn, one to one (splitmix64, Steele et al. 2014).

    >>> [hex(x) for x in scramble(np.arange(2, dtype=np.uint64))]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    z = (number_N + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
