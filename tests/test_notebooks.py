"""The notebooks as committed: executed in order, small, readable without the machine that made them; and they still run."""
import copy
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
LARGEST = 300_000               # bytes of a notebook
LONGEST_CELL, WIDEST_LINE = 34, 112
SECTIONS = ("**The question.**", "**What the chapter says.**", "**Predict.**", "Your answer:", "## Break it", "## What differs from the paper",
            "## Exercises")
ABSOLUTE = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:\\|/)(?:[\w.-]+[/\\])+[\w.-]+|/(?:root|home|tmp|work|Users)\b")


def text_of(output):
    """Give the readable text of an output: what it printed, showed or raised, pictures left out."""
    data = output.get("data", {})
    parts = [output.get("text", ""), *(value for kind, value in data.items() if kind.startswith("text/")), *output.get("traceback", [])]
    return "\n".join("".join(part) for part in parts)


def faults(notebook, size):
    """List what is wrong with a notebook as it was committed, a sentence each."""
    found, cells = [], notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    if size >= LARGEST:
        found.append(f"{size:,} bytes")
    if cells[0]["cell_type"] != "markdown" or not re.match(r"# \d\d · \w", "".join(cells[0]["source"])):
        found.append("the first cell is no heading")
    at = [prose.find(section) for section in SECTIONS]
    if -1 in at or at != sorted(at):
        found.append("sections missing or out of order: " + ", ".join(s for s, place in zip(SECTIONS, at) if place == -1))
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("not executed from top to bottom")
    if not any("getsource(" in "".join(cell["source"]) for cell in code):
        found.append("shows no source of the package")
    if notebook["metadata"] != {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                                "language_info": {"name": "python"}}:
        found.append("metadata tell of a machine or of widgets")
    pictures = 0
    for cell in cells:
        source, outputs = "".join(cell["source"]), cell.get("outputs", [])
        if cell["cell_type"] == "code":
            lines = source.split("\n")
            if len(lines) > LONGEST_CELL or max(map(len, lines)) > WIDEST_LINE:
                found.append(f"a cell too long or too wide: {lines[0]}")
        for text in (source, *map(text_of, outputs)):
            if ABSOLUTE.search(text):
                found.append(f"an absolute path: {ABSOLUTE.search(text)[0]}")
        for k, output in enumerate(outputs):
            if output["output_type"] == "error":
                found.append(f"an error: {output['ename']}")
            if output.get("name") == "stderr":
                found.append(f"something on stderr: {text_of(output)[:80]}")
            if any("widget" in kind or kind == "text/html" for kind in output.get("data", {})):
                found.append("a widget or HTML")
            if "image/png" in output.get("data", {}):
                pictures += 1
                if len(output["metadata"].get("image/png", {}).get("alt", "")) < 20:
                    found.append("a picture without alt text")
                below = text_of(outputs[k + 1]).strip() if k + 1 < len(outputs) else ""
                if not re.match(r"(?s).{20,}[.!?]$", below):
                    found.append("a picture without a sentence below")
    return found + (["no picture"] if not pictures else [])


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_first_ten_steps_are_there_in_order():
    assert [path.name[:2] for path in NOTEBOOKS[:10]] == [f"{k:02d}" for k in range(1, 11)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_can_be_read_anywhere(path):
    assert faults(read(path), path.stat().st_size) == []


def first(notebook, kind):
    """Find a code cell with a picture ("picture"), or any code cell ("code")."""
    return next(cell for cell in notebook["cells"] if cell["cell_type"] == "code" and
                (kind == "code" or any("image/png" in output.get("data", {}) for output in cell["outputs"])))


def without_alt(notebook):
    next(o for o in first(notebook, "picture")["outputs"] if "image/png" in o.get("data", {}))["metadata"].clear()


def without_sentence(notebook):
    first(notebook, "picture")["outputs"] = [o for o in first(notebook, "picture")["outputs"] if o["output_type"] != "stream"]


def with_output(**output):
    return lambda notebook: first(notebook, "code")["outputs"].append(output)


BREAKS = {
    "heading": lambda notebook: notebook["cells"].pop(0),
    "top to bottom": lambda notebook: first(notebook, "code").update(execution_count=7),
    "top to": lambda notebook: first(notebook, "code").update(execution_count=None),
    "alt text": without_alt,
    "sentence below": without_sentence,
    "machine": lambda notebook: notebook["metadata"].update(widgets={}),
    "an error": with_output(output_type="error", ename="ValueError", evalue="", traceback=[]),
    "stderr": with_output(output_type="stream", name="stderr", text="12 %|#  |"),
    "widget": with_output(output_type="display_data", metadata={}, data={"application/vnd.jupyter.widget-view+json": {}}),
    "absolute path: /home": with_output(output_type="stream", name="stdout", text="read /home/me/show.mp4"),
    "too wide": lambda notebook: first(notebook, "code").update(source="x = 1  # " + "long " * 30),
    "sections": lambda notebook: notebook["cells"].pop(-1),
}


@pytest.mark.parametrize("said", BREAKS)
def test_each_fault_is_seen(said):
    notebook = copy.deepcopy(read(NOTEBOOKS[1]))
    BREAKS[said](notebook)
    assert any(said in fault for fault in faults(notebook, 1000))


def test_a_large_notebook_is_seen():
    assert any("bytes" in fault for fault in faults(read(NOTEBOOKS[1]), LARGEST))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")               # two at a time on two cores: more threads would wait for each other
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    # what is drawn and printed with whole numbers only (shapes, counts) does not hang on the machine's rounding
    kinds = [[[o["output_type"] for o in cell.get("outputs", [])] for cell in x["cells"]] for x in (notebook, read(path))]
    merged = [[sorted(set(outputs)) for outputs in one] for one in kinds]
    assert merged[0] == merged[1]
