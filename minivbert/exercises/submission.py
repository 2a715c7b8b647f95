"""A student's file: write the one with the stubs, read one back as functions.

Reading runs imports, definitions and assignments only, one by one, so that a broken or unfinished answer, a stray `print` or an `exit()` does
not take the others along; where the file does not parse, what does not is the answer's own fault and the rest is read all the same.
Notebooks are read as their code cells, one after the other.
"""
import ast
import json
import linecache
import re
from dataclasses import dataclass
from pathlib import Path

from minivbert.exercises.diagnosis import SEEDS, Verdict, diagnose
from minivbert.exercises.table import EXERCISES
from minivbert.files import replace_file

WORK = Path("notebooks/exercises/work.py")
RUN = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)

HEAD = '''"""Your answers: {count} functions of minivbert, of which the first is written.

    python -m minivbert.exercises check                what each answer does, and the name of the mistake if it is a known one
    python -m minivbert.exercises check attention      one of them
    python -m minivbert.exercises hint attention
    python -m minivbert.exercises swap                 train VideoBERT with your functions in it

What a name ends in are the letters of its axes, one letter an axis: x_BTD is (B, T, D).
"""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
'''


def work_text():
    """Write the student's file: the first exercise solved, stubs of the others."""
    parts, lesson = [HEAD.format(count=len(EXERCISES))], 0
    for number, exercise in enumerate(EXERCISES.values()):
        title = f"\n\n# {'=' * 10} lesson {exercise.lesson} {'=' * 10}\n" if exercise.lesson != lesson else "\n"
        lesson = exercise.lesson
        parts.append(f"{title}\n# {number}. {exercise.name}\n{exercise.imports()}\n{exercise.stub() if number else exercise.solution()}")
    return "".join(parts)


def start(path=WORK, again=False):
    """Write the student's file; return its path. With again, one that is there becomes work_before.py; without, ValueError."""
    path = Path(path)
    if path.exists():
        before = path.with_name(f"{path.stem}_before{path.suffix}")
        if not again:
            raise ValueError(f"{path}: is there already and is not touched; go on with it, or begin anew with --again, which keeps it "
                             f"as {before.name}")
        if before.exists():
            raise ValueError(f"{before}: is there already, and would be lost; move it away, then begin anew with --again")
        path.rename(before)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: temporary.write_text(work_text(), encoding="utf-8"))
    return path


@dataclass(frozen=True)
class Submission:
    """What a file holds: its names, and {name: error} of the definitions that do not even run."""
    names: dict
    errors: dict

    def answer(self, name):
        """Give a student's function, or None."""
        found = self.names.get(name)
        return found if callable(found) else None

    def judge(self, name, seeds=SEEDS):
        """Diagnose the answer to one exercise."""
        if name in self.errors:
            error = self.errors[name]
            line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
            what = f"{type(error).__name__}: {getattr(error, 'msg', error)}{line}"
            return Verdict("raised", f"{name}: the definition does not run, {what}.", f"{name}: 정의 자체가 실행되지 않습니다. {what}.")
        if self.answer(name) is None:
            return Verdict("not written", f"{name}: not written yet.", f"{name}: 아직 쓰지 않았습니다.")
        return diagnose(self.answer(name), name, seeds)


def read_submission(path):
    """Read a student's .py or .ipynb; raise ValueError for a file that is neither or is missing."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        source = code_of_notebook(text) if path.suffix == ".ipynb" else text
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); give a work.py or a notebook") from error
    label = str(path)
    linecache.cache[label] = len(source), None, source.splitlines(keepends=True), label
    names, errors = {"__name__": path.stem}, {}
    for defined, node in pieces(source):
        try:
            if isinstance(node, SyntaxError):
                raise node
            exec(compile(ast.Module([node], []), label, "exec"), names)
            errors.pop(defined, None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:              # a student's exit() too
            errors[defined] = error
    return Submission(names, errors)


def code_of_notebook(text):
    """Give the code cells of a notebook as one source, without the lines that are for IPython only."""
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    code = "\n\n".join(cell if isinstance(cell, str) else "".join(cell) for cell in cells)
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.M)


def pieces(source):
    """Cut a source into what it defines: [(name or None, node, or the SyntaxError of that piece)].

    >>> [(name, type(node).__name__) for name, node in pieces("def f(): return 1\\nexit()\\ndef g(: pass\\nx = 2")]
    [('f', 'FunctionDef'), ('g', 'SyntaxError'), (None, 'Assign')]
    """
    try:
        return [(getattr(node, "name", None), node) for node in ast.parse(source).body if isinstance(node, RUN)]
    except (SyntaxError, ValueError, RecursionError):
        pass
    found, lines = [], source.splitlines()
    begins = [i for i, line in enumerate(lines) if re.match(r"(def|class|import|from|@|\w+ *=)", line)] + [len(lines)]
    for first, last in zip(begins, begins[1:]):
        text = "\n" * first + "\n".join(lines[first:last])              # so that line numbers stay
        name = re.search(r"^(?:def|class)\s+(\w+)", text, re.M)
        try:
            found += [(getattr(node, "name", None), node) for node in ast.parse(text).body if isinstance(node, RUN)]
        except SyntaxError as error:
            found.append((name and name.group(1), error))
    return found
