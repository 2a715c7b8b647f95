"""The exercises as a notebook, made from the same source: for students, or as the source of an nbgrader assignment.

The student's has a stub and a check for each exercise. The nbgrader source has the solution between nbgrader's markers, which `nbgrader
generate_assignment` takes out, and a locked test of one point.
"""
from pathlib import Path

from minivbert.exercises.exercise import NOT_YET
from minivbert.exercises.table import EXERCISES
from minivbert.files import replace_file

TITLE = """# VideoBERT by hand

{count} functions that minivbert is made of, in the order of the chapter; the first is written. Run a cell's check after each: it says what is
wrong, and names the mistake where it is a known one. What a name ends in are the letters of its axes: `x_BTD` is (B, T, D)."""
SETUP = """import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minivbert.exercises import check, diagnose"""


def write_notebook(path, nbgrader=False):
    """Write the notebook; raise ValueError where nbformat is not installed."""
    try:
        from nbformat import v4, write
    except ImportError as error:
        raise ValueError("notebooks are written by nbformat, which is not installed; pip install nbformat") from error

    def cell(make, text, key, **marks):
        made = make(text)
        made["id"] = key
        if nbgrader:
            made["metadata"]["nbgrader"] = {"grade_id": key, "schema_version": 3, "grade": False, "solution": False, "locked": True,
                                            "task": False} | marks
        return made

    cells = [cell(v4.new_markdown_cell, TITLE.format(count=len(EXERCISES)), "title"), cell(v4.new_code_cell, SETUP, "setup")]
    for number, exercise in enumerate(EXERCISES.values()):
        name = exercise.name
        text = f"## {number}. {name}\n\nLesson {exercise.lesson}. {exercise.hint[0]}\n\n{exercise.hint[1]}"
        cells.append(cell(v4.new_markdown_cell, text, f"{name}-text"))
        answer = exercise.imports() + (solution_cell(exercise) if nbgrader else exercise.stub() if number else exercise.solution())
        cells.append(cell(v4.new_code_cell, answer.rstrip(), f"{name}-answer", solution=True, locked=False))
        test = f'check("{name}", {name})'
        if nbgrader:
            test += f'\nassert diagnose({name}, "{name}", seeds=(100, 101)).right'
        cells.append(cell(v4.new_code_cell, test, f"{name}-check", grade=True, points=1))
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: write(notebook, str(temporary)))


def solution_cell(exercise):
    """Give the solution with its body between nbgrader's markers."""
    head, solution = exercise.stub().removesuffix(f"    {NOT_YET}\n"), exercise.solution()
    return f"{head}    ### BEGIN SOLUTION\n{solution.removeprefix(head).rstrip()}\n    ### END SOLUTION\n"
