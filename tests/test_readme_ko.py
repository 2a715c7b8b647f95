"""README.ko.md follows README.md: it was read again after the last change, and says no figure or command that is not there."""
import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
COMMAND = r"(?:pip install|pytest|python -m|apt install|torchrun)"
FIGURE = r"(?<![\w.,/-])\d+(?:[.,]\d+)*(?![\w.-]*[A-Za-z_])"        # numbers, but not those inside of names such as show_000.mp4


def stale(english, korean):
    """Say what to do if a translation is of another text; None if it is of this one."""
    now = hashlib.sha256(english.encode()).hexdigest()[:16]
    if korean.rstrip().endswith(f"<!-- README.md: {now} -->"):
        return None
    return f"README.md has changed: bring README.ko.md up to date, then make <!-- README.md: {now} --> its last line"


def foreign(english, korean):
    """List the commands, figures, rows of figures and lines of output of a translation that the original does not have."""
    body = korean.split("<!--")[0]
    commands = [line.split("  #")[0].strip() for line in body.splitlines() if line.startswith("    ")]
    commands += re.findall(rf"`({COMMAND}[^`]*)`", body)
    rows = re.findall(r"^\|[^A-Za-z가-힣`]*\d[^A-Za-z가-힣`]*\|$", body, re.MULTILINE)
    printed = [line for block in re.findall(r"```\n(.*?)```", body, re.DOTALL) for line in block.splitlines()]
    figures = set(re.findall(FIGURE, re.sub(r"\(\S+\)|`[^`]*`", "", body))) - set(re.findall(FIGURE, english))
    return [x for x in commands + rows + printed if x not in english] + sorted(figures)


def test_it_was_read_again_after_the_last_change():
    assert not stale(ENGLISH, KOREAN), stale(ENGLISH, KOREAN)


def test_a_change_is_seen():
    assert stale("a", f"ㄱ\n<!-- README.md: {hashlib.sha256(b'a').hexdigest()[:16]} -->\n") is None
    assert stale(ENGLISH + "\n", KOREAN).startswith("README.md has changed: ")


def test_its_figures_and_commands_are_those_of_readme():
    assert len(re.findall(FIGURE, KOREAN)) >= 30 and len(re.findall(COMMAND, KOREAN)) >= 10
    assert foreign(ENGLISH, KOREAN) == []


def test_a_foreign_figure_or_command_is_seen():
    english = "    python -m a        # 5 minutes\n\n| 0 | 98.6 % | 95.1 % |\n"
    assert foreign(english, "    python -m a        # 5분\n\n| 0 | 98.6 % | 95.1 % |\n") == []
    assert foreign(english, "| 0 | 95.1 % | 98.6 % |\n\n5.1 %, 7분, `python -m b`\n") == ["python -m b", "| 0 | 95.1 % | 98.6 % |", "5.1", "7"]


def test_what_it_links_to_is_there():
    assert all((ROOT / path).exists() for path in re.findall(r"\]\(([^)]+)\)", KOREAN))
