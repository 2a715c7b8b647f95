"""Fill a table of experiments cell by cell, in processes of one thread each, so that a killed call goes on where it stopped.

A cell is a name and a dict of settings; its result is a dict, kept in FOLDER/NAME.json together with the settings as soon as it is known.
A kept result whose settings are still the same is not made again.

    >>> run_cells(work, {"a": {"seed": 0}}, "runs/table", processes=2)                       # doctest: +SKIP
    {'a': {'accuracy': 0.5}}
"""
import json
import multiprocessing
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from minivbert.files import replace_file


def kept(path, settings):
    """Give the result kept in a file if it was made with these settings, else None."""
    try:
        stored = json.loads(Path(path).read_text())
        return stored["result"] if stored["settings"] == json.loads(json.dumps(settings)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fill(work, folder, cell):
    name, settings = cell
    result = work(settings, Path(folder) / name)
    text = json.dumps({"settings": settings, "result": result}, indent=1) + "\n"
    replace_file(Path(folder) / f"{name}.json", lambda path: path.write_text(text))
    return name


def run_cells(work, cells, folder, processes, name="cells"):
    """Make the results that are missing; return {name: result} in the order of the cells.

    work(settings, path without suffix) -> result dict: a function of a module, since processes import it. cells: {name: settings dict}.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    todo = [(n, s) for n, s in cells.items() if kept(folder / f"{n}.json", s) is None]
    if todo:
        with multiprocessing.get_context("spawn").Pool(min(processes, len(todo)), torch.set_num_threads, (1,)) as pool:
            for _ in tqdm(pool.imap_unordered(partial(_fill, work, folder), todo), total=len(cells), initial=len(cells) - len(todo),
                          desc=name, unit="cell", dynamic_ncols=True):
                pass
    return {n: kept(folder / f"{n}.json", s) for n, s in cells.items()}
