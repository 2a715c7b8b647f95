"""What a function does with a case: its results, their gradients, the inputs it changed, its error; and where two outcomes first differ."""
import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from minivbert.exercises.cases import CHANCE

CLOSE = dict(rtol=1e-4, atol=1e-5, equal_nan=True)      # float32, summed in another order
KINDS = {"f": "real numbers", "i": "whole numbers", "u": "whole numbers", "b": "truth values", "c": "complex numbers"}
KINDS_KOREAN = {"f": "실수", "i": "정수", "u": "정수", "b": "참거짓", "c": "복소수"}


@dataclass(frozen=True)
class Outcome:
    """What a function did with one case: error or None; outputs and gradients [(label, array)]; names of changed arguments.

    told: (the case's `facts`, arguments as they were, what was returned).
    """
    error: BaseException | None = None
    none: bool = False
    outputs: tuple = ()
    gradients: tuple = ()
    changed: tuple = ()
    told: tuple = (None, None, None)

    @cached_property
    def facts(self):
        """Give the facts of a random answer, whose outputs must have the right shapes: {name: (value, margin)}."""
        facts, args, result = self.told
        return facts(args, result)


def leaves(value, label=""):
    """Take a result apart: [(label, tensor or array)]. Tuples, dicts and dataclasses into their parts; a list of numbers is an array."""
    if dataclasses.is_dataclass(value):
        value = tuple(getattr(value, f.name) for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return [leaf for key, part in value.items() for leaf in leaves(part, f"{label}.{key}" if label else str(key))]
    if isinstance(value, list) and value and all(isinstance(x, (bool, int, float, np.generic)) for x in value):
        value = np.array(value)
    if isinstance(value, (tuple, list)):
        return [leaf for i, part in enumerate(value) for leaf in leaves(part, f"{label}[{i}]")]
    return [(label, value if torch.is_tensor(value) else np.asarray(value))]


def numbers(x):
    """Give a tensor or array as an array of its own."""
    return np.array(x.detach().cpu().numpy() if torch.is_tensor(x) else x)


def learners(value, label=""):
    """List the tensors among arguments that require a gradient: [(label, tensor)]."""
    return [(name, x) for name, x in leaves(value, label) if torch.is_tensor(x) and x.requires_grad]


def gradients(outputs, wanted):
    """Give the gradients of a fixed mixture of the outputs for tensors [(label, tensor)]: [(label, array)], zeros where there is none."""
    mixture = 0.0
    for i, (_, x) in enumerate(outputs):
        if torch.is_tensor(x) and x.requires_grad:
            mixture = mixture + (x.double() * torch.randn(x.shape, generator=torch.Generator().manual_seed(i), dtype=torch.float64)).sum()
    found = [None] * len(wanted)
    if torch.is_tensor(mixture) and wanted:
        found = torch.autograd.grad(mixture, [x for _, x in wanted], allow_unused=True)
    return tuple((label, numbers(torch.zeros_like(x) if g is None else g)) for (label, x), g in zip(wanted, found))


def run(function, case):
    """Run a function on a case, which it may use up; give its `Outcome`."""
    plain = {name: x for name, x in case.args.items() if isinstance(x, (np.ndarray, torch.Tensor))}
    before = {name: numbers(x) for name, x in plain.items()}
    try:
        torch.manual_seed(0)
        result = function(*case.args.values())          # by position: a student may name them otherwise
        if result is None:
            return Outcome(none=True)
        outputs = leaves(case.read(result, case.args) if case.read else result)
        wanted = [] if case.facts else learners({name: x for name, x in case.args.items() if not isinstance(x, torch.nn.Module)})
        slopes = gradients(outputs, wanted)
    except KeyboardInterrupt:
        raise
    except BaseException as error:          # a student's exit() too
        return Outcome(error=error)
    changed = tuple(name for name, x in plain.items() if not np.array_equal(numbers(x), before[name], equal_nan=before[name].dtype.kind == "f"))
    return Outcome(outputs=tuple((label, numbers(x)) for label, x in outputs), gradients=slopes, changed=changed,
                   told=(case.facts, case.args | before, result))


def titles(label):
    """Name an output by its label, in English and Korean.

    >>> titles(""), titles("[1]")
    (('the result', '결과'), ('result[1]', '결과[1]'))
    """
    return ("the result", "결과") if not label else (f"result{label}", f"결과{label}") if label[0] == "[" else (f"what is in {label}", label)


def difference(got, want, loose=False):
    """Find the first difference of an outcome from the wanted one: (kind, english, korean), or None. loose: rates may differ by chance."""
    if want.error is not None or got.error is not None:
        if type(got.error) is type(want.error):
            return None
        expected, found = (type(x.error).__name__ if x.error is not None else None for x in (want, got))
        if found is None:
            return "wrong", f"an input that must be refused with {expected} is accepted", f"{expected}로 거부해야 할 입력을 받아들입니다"
        return "raised", f"{found} where {expected or 'an answer'} is wanted", f"{expected or '답'}이 와야 하는데 {found}가 났습니다"
    if len(got.outputs) != len(want.outputs):
        return ("shape", f"{len(got.outputs)} results, expected {len(want.outputs)}", f"결과가 {len(got.outputs)}개입니다. {len(want.outputs)}개여야 합니다")
    for (label, a), (_, b) in zip(got.outputs, want.outputs):
        if a.shape != b.shape:
            return "shape", (label, a.shape, b.shape), None
        if a.dtype.kind != b.dtype.kind and not (b.dtype.kind == "f" and a.dtype.kind in "iub") and not {a.dtype.kind, b.dtype.kind} <= set("iu"):
            english, korean = titles(label)
            return ("wrong", f"{english} holds {KINDS.get(a.dtype.kind, a.dtype)}, expected {KINDS[b.dtype.kind]}",
                    f"{korean}의 종류가 {KINDS_KOREAN.get(a.dtype.kind, a.dtype)}입니다. {KINDS_KOREAN[b.dtype.kind]}여야 합니다")
    if want.told[0] is not None:
        mine = got.facts
        for name, (value, margin) in want.facts.items():
            margin = max(margin, CHANCE) if loose and value else margin          # what never happens there may not happen here
            if not abs(mine[name][0] - value) <= margin + 1e-9:
                english, korean = name.split(" | ")
                return "wrong", f"{english}: {mine[name][0]:.3f}, expected {value:.3f}", f"{korean}: {mine[name][0]:.3f}, 기대값 {value:.3f}"
    else:
        named = [(*titles(label), a, b) for (label, a), (_, b) in zip(got.outputs, want.outputs)]
        named += [(f"the gradient of {label}", f"{label}의 기울기", a, b) for (label, a), (_, b) in zip(got.gradients, want.gradients)]
        for english, korean, a, b in named:
            off = ~np.isclose(a, b, **CLOSE)
            if off.any():
                at = tuple(int(i) for i in np.argwhere(off)[0])
                if not at:
                    return "wrong", f"{english} is {a:.6g}, want {b:.6g}", f"{korean}: 나온 값 {a:.6g}, 맞는 값 {b:.6g}"
                return ("wrong", f"{off.mean():.0%} of {english} is wrong, first at {list(at)}: got {a[at]:.6g}, want {b[at]:.6g}",
                        f"{korean}의 {off.mean():.0%}가 틀립니다. 처음 틀린 곳 {list(at)}: 나온 값 {a[at]:.6g}, 맞는 값 {b[at]:.6g}")
    if got.changed != want.changed:
        return "wrong", f"it changes its input {', '.join(got.changed)}", f"입력 {', '.join(got.changed)}을(를) 바꿉니다"
    return None
