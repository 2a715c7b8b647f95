"""docs/glossary.md: every name is there to be imported, every shape is its docstring's, every place is there to be opened."""
import importlib
import inspect
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
LINES = (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| ")][1:]


def find(name):
    """Import `package.module.Class.method`: modules as far as they go, then attributes."""
    words = name.split(".")
    for n in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:n]))
        except ModuleNotFoundError:
            continue
        for word in words[n:]:
            found = getattr(found, word)
        return found
    raise AttributeError(name)


def test_the_table_is_whole():
    assert len(ROWS) >= 40 and all(len(row) == 5 and all(row) for row in ROWS)
    assert all(re.search("[가-힣A-Z]", row[0]) for row in ROWS) and len({row[0] for row in ROWS}) == len({row[1] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_name_is_in_the_code_and_its_place_is_there(row):
    find(row[2].strip("`"))
    assert (DOCS / re.search(r"\]\((.+)\)", row[4])[1]).is_file()


def unknown_shapes(shape, source):
    """List the axes in a cell, such as (B, T, D), that source neither spells so nor has as the suffix of a name, x_BTD."""
    axes = re.findall(r"\((?:[^()]|\([^()]*\))*,(?:[^()]|\([^()]*\))*\)", shape)
    return [a for a in axes if a not in source and not re.search("_" + re.sub(r"[ ,()]", "", a) + r"\b", source)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_shape_is_that_of_the_code(row):
    found = find(row[2].strip("`"))
    if inspect.isroutine(found) or inspect.isclass(found):
        assert unknown_shapes(row[3], inspect.getsource(found)) == []


def test_a_wrong_shape_is_seen():
    assert unknown_shapes("(B, T) → (T, B), (N,)", "def f(x_BT): return y_N") == ["(T, B)"]


def test_a_name_that_is_gone_is_seen():
    with pytest.raises(AttributeError):
        find("minivbert.tokens.hkmeans.Tree.no_such")
