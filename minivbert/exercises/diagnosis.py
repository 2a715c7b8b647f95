"""Tell what is wrong with an answer: which known mistake it behaves like, or where it first differs.

An answer is run on seeded cases beside the solution. If it differs, every known mistake is run too, and one that gives on all cases what the
answer gives (values, gradients, changed inputs, errors) is named. What it looks like inside plays no part, so any style passes.

    >>> from minivbert.exercises.table import EXERCISES
    >>> print(diagnose(lambda module: len(list(module.parameters())), "count_parameters").english)
    count_parameters: mistake counts-tensors. It counts the tensors, not the numbers in them.
"""
import re
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from minivbert.exercises.outcome import difference, run, titles
from minivbert.exercises.table import EXERCISES

SEEDS = (0, 1)


@dataclass(frozen=True)
class Verdict:
    """What was found. kind: "right", "not written", "copied", "raised", "none", "mistake", "shape" or "wrong"; mistakes: their names."""
    kind: str
    english: str
    korean: str
    mistakes: tuple = ()

    @property
    def right(self):
        """Tell whether the answer passes."""
        return self.kind == "right"

    def __str__(self):
        return f"{self.english}\n{self.korean}"


@lru_cache(maxsize=256)
def known_outcomes(name, mistake, seeds):
    """Give the outcomes of the solution (mistake None) or of a known mistake on all cases of the seeds."""
    exercise = EXERCISES[name]
    function = exercise.correct() if mistake is None else exercise.broken(mistake)
    return [run(function, case) for seed in seeds for case in exercise.cases(seed)]


def explanation(found, right, exercise, seeds):
    """Find the known mistake that outcomes are those of, or else the one or two that explain every case that is not right.

    found: outcomes on all cases; right: whether each is the solution's. Returns (mistakes, whether a single one gives all outcomes).
    """
    alike = {mistake: [difference(a, b, loose=True) is None for a, b in zip(found, known_outcomes(exercise.name, mistake, seeds))]
             for mistake in exercise.mistakes}
    for mistake in exercise.mistakes:
        if all(alike[mistake]):
            return (mistake,), True
    solution = known_outcomes(exercise.name, None, seeds)
    tells = {mistake: [same and difference(a, b) is not None for same, a, b in
                       zip(alike[mistake], known_outcomes(exercise.name, mistake, seeds), solution)]
             for mistake in exercise.mistakes}          # on a case where it gives the solution's outcome, a mistake explains nothing
    for n in (1, 2):
        for some in combinations(exercise.mistakes, n):
            if all(fine or any(tells[mistake][i] for mistake in some) for i, fine in enumerate(right)):
                return some, False
    return (), False


def letters(shape, args, known=""):
    """Write a shape with its axes: "(2, 5) = (B, T)". Letters: known ones, or those of the arguments' axes of the same size."""
    if not shape:
        return "() = one number"
    if len(known) != len(shape):
        sizes = {x: key for key, x in args.items() if re.fullmatch("[A-Z]", key) and isinstance(x, int)}
        sizes |= {args["heads"]: "H"} if "heads" in args else {}
        for name, x in args.items():
            axes = name.rpartition("_")[2]
            if isinstance(x, (np.ndarray, torch.Tensor)) and len(axes) == x.ndim:
                sizes |= dict(zip(x.shape, axes))
        known = [sizes.get(n, str(n)) for n in shape]
    return f"{tuple(shape)} = ({', '.join(known)})"


class CallsTheAnswer(BaseException):
    """Raised when an answer calls the function that it should be; no `except Exception` of a student stops it."""


@contextmanager
def tripwire(function):
    """Make the package's own function raise `CallsTheAnswer`, by whatever name it is called."""
    def fires(*args, **kwargs):
        from minivbert.exercises.diagnosis import CallsTheAnswer          # it runs among the names of the other function's module
        raise CallsTheAnswer

    code = function.__code__
    function.__code__ = fires.__code__
    try:
        yield
    finally:
        function.__code__ = code


def diagnose(student, name, seeds=SEEDS):
    """Run a student's function as an answer to exercise `name`; return a `Verdict`. seeds: of the cases."""
    exercise = EXERCISES[name]
    tried = [case for seed in seeds for case in exercise.cases(seed)]
    with tripwire(exercise.reference):
        found = [run(student, case) for case in tried]
    for case, outcome in zip(tried, found):
        if isinstance(outcome.error, NotImplementedError):
            return Verdict("not written", f"{name}: not written yet.", f"{name}: 아직 쓰지 않았습니다.")
        if isinstance(outcome.error, CallsTheAnswer):
            return Verdict("copied", f"{name}: it calls the package's own function; write it yourself.",
                           f"{name}: 패키지의 함수를 그대로 부릅니다. 직접 써 보세요.")
        if outcome.error is not None and case.refuses is None:
            return raised(name, student, outcome.error, case)
        if outcome.none:
            return Verdict("none", f"{name}: it returned None; is a `return` missing?", f"{name}: None을 돌려주었습니다. return을 빠뜨리지 않았나요?")
    wanted = known_outcomes(name, None, tuple(seeds))
    try:
        differences = [difference(a, b) for a, b in zip(found, wanted)]
    except Exception as error:
        return Verdict("wrong", f"{name}: what it returned cannot be compared ({type(error).__name__}: {error}).",
                       f"{name}: 돌려준 값을 비교할 수 없습니다 ({type(error).__name__}: {error}).")
    at = next((i for i, d in enumerate(differences) if d), None)
    if at is None:
        return Verdict("right", f"{name}: right.", f"{name}: 맞았습니다.")
    known, everywhere = explanation(found, [d is None for d in differences], exercise, tuple(seeds))
    if known:
        names = tuple(mistake.name for mistake in known)
        where, where_korean = ("", "") if everywhere else (", on some of the inputs", " (일부 입력에서)")
        return Verdict("mistake", f"{name}: mistake {' and '.join(names)}{where}. {' '.join(m.english for m in known)}",
                       f"{name}: 실수 {', '.join(names)}{where_korean}. {' '.join(m.korean for m in known)}", names)
    kind, english, korean = differences[at]
    if kind == "shape" and korean is None:
        label, got, want = english
        index = int(label[1:-1]) if re.fullmatch(r"\[\d+\]", label) else 0
        axes = exercise.axes[index] if index < len(exercise.axes) else ""
        (english, korean), found, wanted = titles(label), letters(got, tried[at].args), letters(want, tried[at].args, axes)
        english, korean = f"{english} has shape {found}, expected {wanted}", f"{korean}의 모양이 {found}입니다. {wanted}여야 합니다"
    if kind == "raised":
        return raised(name, student, found[at].error, tried[at], f"{english}. ")
    return Verdict(kind, f"{name}: {english}.", f"{name}: {korean}.")


def raised(name, student, error, case, prefix=""):
    """Say what an answer raised, in which of its own lines, for which shapes."""
    file = getattr(getattr(student, "__code__", None), "co_filename", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = f", line {frames[-1].lineno} of {Path(file).name}: {frames[-1].line or '?'}" if frames else ""
    shapes = ", ".join(f"{key} {tuple(x.shape)}" if hasattr(x, "shape") else f"{key} {x}" for key, x in case.args.items()
                       if hasattr(x, "shape") or isinstance(x, (bool, int, float, str, tuple)))
    what = f"{type(error).__name__}{': ' if str(error) else ''}{str(error).partition(chr(10))[0]}"
    return Verdict("raised", f"{name}: {prefix}it raises {what}{line}. Inputs: {shapes}.", f"{name}: 오류가 납니다: {what}{line}. 입력: {shapes}.")


def check(name, student):
    """Print the verdict on a function as an answer to exercise `name`."""
    print(diagnose(student, name))
