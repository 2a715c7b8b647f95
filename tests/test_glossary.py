"""docs/glossary.md: every name is there to be imported, every place to be opened."""
import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in (DOCS / "glossary.md").read_text().splitlines() if line.startswith("| ")][1:]


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
    assert callable(find(row[2].strip("`")))
    assert (DOCS / re.search(r"\]\((.+)\)", row[4])[1]).is_file()


def test_a_name_that_is_gone_is_seen():
    with pytest.raises(AttributeError):
        find("minivbert.tokens.hkmeans.Tree.no_such")
