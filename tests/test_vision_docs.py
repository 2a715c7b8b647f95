"""docs/vision.md says what the committed runs found."""
import json
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "vision.md").read_text()


def test_every_verdict_stands_there_with_its_figures():
    for v in json.loads((DOCS / "results" / "vision_claims.json").read_text())["verdicts"]:
        found = "holds" if v["holds"] else "**does not hold**"
        assert f"| {v['claim']} | {v['bar']} | {v['mean']:.1f} ({v['least']:.1f} to {v['greatest']:.1f}) | {found} |" in TEXT, v["claim"]


def test_the_figures_of_the_cloze_on_patches():
    groups = {}
    for name, cell in json.loads((DOCS / "results" / "vision_patches.json").read_text())["labelled"].items():
        groups.setdefault(name.rsplit("-", 1)[0], []).append(100 * cell["accuracy"])
    assert len(groups) == 8
    for name, found in groups.items():
        assert f"{np.mean(found):.1f} ({min(found):.1f} to {max(found):.1f})" in TEXT, name


def test_the_figures_of_motion():
    rows = json.loads((DOCS / "results" / "vision_motion.json").read_text())["rows"]
    for kind in ("mini", "shuffled", "still", "vit"):
        for key in ("moment", "action", "verb", "ingredient"):
            found = [row[key] for name, row in rows.items() if name.startswith(f"{kind}-")]
            assert len(found) == 3 and f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})" in TEXT, (kind, key)


def test_every_picture_is_there():
    named = {line.split("](")[1].rstrip(")") for line in TEXT.splitlines() if line.startswith("![")}
    assert len(named) == 8 and all((DOCS / name).is_file() for name in named)
