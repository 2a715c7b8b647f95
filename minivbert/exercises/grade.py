"""Grade a folder of submissions: a row a student, a column an exercise, the name of the mistake where it is known.

Each submission runs in a process of its own with a limit on the seconds of each answer. An answer that loops for ever, crashes the interpreter or
leaves it costs its own cell: the process is started anew for the next one. This protects the grading from accidents, not from malice: the
process has the rights of whoever starts it, so grade strangers' code in a container.
"""
import csv
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tqdm import tqdm

from minivbert.exercises.table import EXERCISES

STARTING = 180          # seconds that a process may take until torch is imported
PACKAGE = Path(__file__).resolve().parents[2]


def submissions_in(folder):
    """List the submissions of a folder: its .py and .ipynb files, and those one folder below; raise ValueError if there are none."""
    folder = Path(folder)
    found = sorted(path for pattern in ("*", "*/*") for path in folder.glob(pattern)
                   if path.suffix in (".py", ".ipynb") and path.is_file() and not path.name.startswith(("_", ".")))
    if not found:
        raise ValueError(f"{folder}: holds no submission; give a folder of .py or .ipynb files, or of folders with one each")
    return found


class Worker:
    """One submission's process."""

    def __init__(self, path, seed, limit):
        self.path, self.seed, self.limit, self.process = Path(path).resolve(), seed, limit, None
        self.lost = None            # what to answer for every exercise, where the file cannot even be read

    def ask(self, name):
        """Judge one answer: (kind, mistakes, sentence). The process is started if there is none, and ended if it does not answer in time."""
        if self.lost:
            return self.lost
        try:
            if self.process is None:
                self._start()
            self.process.stdin.write(f"{name}\n")
            self.process.stdin.flush()
            line = self._line(self.limit)
            return line["kind"], line["mistakes"], line["english"]
        except queue.Empty:
            return self._failed("time limit", f"{name}: no answer in {self.limit} s.")
        except (EOFError, OSError):
            return self._failed("ended", f"{name}: the process ended while it ran.")

    def _failed(self, kind, sentence):
        self.end()
        if not self.read:
            self.lost = kind, [], sentence
        return kind, [], sentence

    def _start(self):
        self.read = False
        paths = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minivbert.exercises.worker", str(self.path), str(self.seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, cwd=self.folder.name, start_new_session=True,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"})
        self.lines = queue.Queue()
        threading.Thread(target=self._listen, args=(self.process.stdout, self.lines), daemon=True).start()
        self._line(STARTING)
        self._line(self.limit)
        self.read = True

    @staticmethod
    def _listen(stdout, lines):
        for line in stdout:
            lines.put(line)
        lines.put(None)

    def _line(self, seconds):
        line = self.lines.get(timeout=seconds)
        if line is None:
            raise EOFError
        return json.loads(line)

    def end(self):
        """End the process and whatever it has started."""
        if self.process is None:
            return
        if hasattr(os, "killpg"):
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.folder.cleanup()
        self.process = None


def grade(folder, seed, limit, out, progress=True):
    """Write the grades of all submissions in a folder to an open file, as CSV; return {submission: number of right answers}.

    Cells: right, the name of a known mistake, wrong, shape, none, raised, not written, copied, time limit, ended. seed: of the cases, so that
    answers learned by heart do not pass. limit: seconds an answer.
    """
    folder, rights = Path(folder), {}
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["submission", *EXERCISES, "right", "of"])
    for path in tqdm(submissions_in(folder), desc="grading", unit="submission", disable=not progress, dynamic_ncols=True):
        worker, cells = Worker(path, seed, limit), []
        for name in EXERCISES:
            kind, mistakes, _ = worker.ask(name)
            cells.append(" and ".join(mistakes) or kind)
        worker.end()
        rights[str(path.relative_to(folder))] = cells.count("right")
        table.writerow([path.relative_to(folder), *cells, cells.count("right"), len(cells)])
        out.flush()
    return rights
