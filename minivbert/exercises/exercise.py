"""One exercise: a function of the package, and from its source the stub, the solution and every known mistake.

There is no second copy of any answer. The source is read where it stands (`inspect.getsource`), so

    stub        its signature and docstring
    solution    all of it
    mistake     all of it after one edit, old text -> new text; the old text must stand there exactly once

and a function that is rewritten takes its exercise along, or says loudly which edit no longer finds its place (`StaleEdit`).

    >>> from minivbert.exercises.table import EXERCISES
    >>> print(EXERCISES["count_parameters"].solution().splitlines()[-1].strip())
    return sum(parameter.numel() for parameter in module.parameters())
"""
import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

NOT_YET = 'raise NotImplementedError("write me")'


class StaleEdit(ValueError):
    """An edit whose old text does not stand exactly once in the function's source."""


@dataclass(frozen=True)
class Mistake:
    """A known mistake: an edit of the real source, and one sentence, in English and Korean, on what it does and what it breaks."""
    name: str
    old: str
    new: str
    english: str
    korean: str


@dataclass(frozen=True)
class Exercise:
    """An exercise.

    name: of the student's function. where: "module:function" of the package. lesson: 1 to 4. hint: in English and Korean.
    cases: takes a seed and gives the `cases.Case`s that answers are tried on. axes: letters of each output's axes.
    """
    name: str
    where: str
    lesson: int
    hint: tuple
    cases: Callable
    axes: tuple
    mistakes: tuple

    @property
    def reference(self):
        """Give the package's own function."""
        module, function = self.where.split(":")
        return getattr(importlib.import_module(module), function)

    def source(self):
        """Read the function's source as the package has it."""
        return textwrap.dedent(inspect.getsource(self.reference))

    def solution(self):
        """Give the source under the exercise's name."""
        return self._renamed(self.source())

    def stub(self):
        """Give signature and docstring under the exercise's name, and a line that says that the rest is missing."""
        source = self.source()
        docstring = ast.parse(source).body[0].body[0]
        head = "\n".join(source.splitlines()[:docstring.end_lineno])
        return self._renamed(f"{head}\n    {NOT_YET}\n")

    def imports(self):
        """Write the lines that import what the function uses of its module's names, which a student's file must have; or nothing."""
        module, names = importlib.import_module(self.where.split(":")[0]), {}
        used = {node.id for node in ast.walk(ast.parse(self.source())) if isinstance(node, ast.Name)} - {self.reference.__name__}
        for name in sorted(used & set(vars(module))):
            if not inspect.ismodule(getattr(module, name)):
                names.setdefault(getattr(getattr(module, name), "__module__", module.__name__), []).append(name)
        return "".join(f"from {home} import {', '.join(here)}\n" for home, here in sorted(names.items()))

    def edited(self, mistake):
        """Give the source with a mistake put in; raise `StaleEdit` where its old text does not stand there exactly once."""
        source = self.source()
        found = source.count(mistake.old)
        if found != 1:
            raise StaleEdit(f"mistake {mistake.name!r} of {self.name}: its old text stands {found} times in {self.where}, expected once; "
                            f"the function has changed, so write the edit anew: {mistake.old!r}")
        return source.replace(mistake.old, mistake.new)

    def broken(self, mistake):
        """Build the function with a mistake put in."""
        return self._build(self.edited(mistake), mistake.name)

    def correct(self):
        """Build the function from its own source, apart from the one that the package uses."""
        return self._build(self.source(), "solution")

    def _build(self, source, label):
        namespace = dict(vars(importlib.import_module(self.where.split(":")[0])))
        exec(compile(source, f"<{self.name}: {label}>", "exec"), namespace)
        return namespace[self.reference.__name__]

    def _renamed(self, source):
        return re.sub(rf"\b{self.reference.__name__}\(", f"{self.name}(", source)
