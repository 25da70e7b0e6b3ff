"""Measure one class; run by itself, in a process that may be stopped, with nothing but torch.

    python -m tools.survey.probe FOLDER       (reads the class as JSON, prints a record as JSON)

In the expressions of a class stand: `C`, the class or function that was taken; `m`, what was built;
`d` and `n`, width and length; `x`, zeros or input vectors `(1, n, d)`; `p`, the positions as whole
numbers; and `torch`, `math`, `filled`, `space`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from simplellm import Convention, identify
from tools.survey.taking import Taker

WIDTH, ODD, SHORT, MANY, FAR = 512, 65, 32, 5000, 100_000
SECONDS = 120

#: What begins a line that holds a record.
MARK = "record: "


def filled(module: Any) -> Any:
    """What only a whole model's initialisation does: the sinusoids written into the weight."""
    with torch.no_grad():
        weight = module.create_weight()
        if isinstance(weight, Tensor):
            module.weight = nn.Parameter(weight, requires_grad=False)
    return module


@dataclass
class Probe:
    """One class, and how it is built and asked.

    Args:
        taken: The class or function.
        make: Builds it for a width and a length; "" for a function.
        ask: Gives the rows of n positions.
    """

    taken: Any
    make: str
    ask: str

    @property
    def has_length(self) -> bool:
        """Whether it is built for a number of positions, so that there is an end."""
        return bool(self.make) and "n" in compile(self.make, "make", "eval").co_names

    @property
    def asks_itself(self) -> bool:
        """Whether it is called, and not only its table read."""
        return not re.match(r"m\.\w+\b(?!\()", self.ask)

    def build(self, d: int, n: int) -> Any:
        """A new one, in evaluation mode."""
        if not self.make:
            return self.taken
        torch.manual_seed(0)
        made = self._eval(self.make, d=d, n=n)
        return made.eval() if isinstance(made, nn.Module) else made

    def out(self, m: Any, d: int, n: int, x: Tensor | None = None, p: Tensor | None = None) -> Any:
        """What it gives as it is asked."""
        x = torch.zeros(1, n, d) if x is None else x
        p = torch.arange(n) if p is None else p
        return self._eval(self.ask, m=m, d=d, n=n, x=x, p=p)

    def rows(self, m: Any, d: int, n: int, **more: Any) -> Tensor:
        """The rows of n positions, ``(n, width)``."""
        out = torch.as_tensor(self.out(m, d, n, **more))
        return out.detach().reshape(-1, out.shape[-1])

    def _eval(self, expression: str, **names: Any) -> Any:
        space = {"torch": torch, "math": math, "C": self.taken, "filled": filled}
        return eval(expression, {**space, "space": SimpleNamespace, **names})


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Stops what takes too long."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def said(measure: Callable[[], Any]) -> Any:
    """A measurement, or what it raised."""
    try:
        with time_limit():
            return measure()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:90] if str(error) else ''}"


def rounded(value: float) -> float:
    """Two significant digits: what is the same on other machines."""
    return float(f"{value:.2g}")


def record(probe: Probe) -> dict[str, Any]:
    """Everything that is measured of one class."""
    widths = {d: probe.rows(probe.build(d, 64), d, 64) for d in (64, WIDTH)}
    found = identify(widths[WIDTH])
    narrow = identify(widths[64])
    measured: dict[str, Any] = {"difference to 64": rounded(found.difference)}
    says = found.convention
    if says != narrow.convention:
        measured["at width 64"] = repr(narrow).splitlines()[0]
    measured["error to 5000"] = said(lambda: _error(probe, says, MANY))
    measured["error at 100000"] = said(lambda: _far(probe, says))
    if probe.asks_itself:
        measured["past the end"] = said(lambda: _past(probe)) if probe.has_length else "no table"
    measured["odd width"] = said(lambda: _odd(probe, says))
    module = probe.build(64, 512)
    if isinstance(module, nn.Module):
        measured["state_dict"] = sorted(module.state_dict())
        measured["trained"] = sorted(k for k, p in module.named_parameters() if p.requires_grad)
        for dtype in (torch.float16, torch.bfloat16):
            name = str(dtype).removeprefix("torch.")
            measured[name] = said(functools.partial(_low, probe, dtype, back=False))
            again = said(functools.partial(_low, probe, dtype, back=True))
            measured[f"{name}, then float32"] = again
    if probe.make and "x" in probe.ask.replace("max", ""):
        asked = said(lambda: _input(probe))
        measured |= asked if isinstance(asked, dict) else {"factor on the input": asked}
    short = {"half precision": widths[WIDTH].half(), "slice": widths[WIDTH][20:]}
    measured["known again"] = {
        name: says is not None and _same(identify(rows).convention, says, name)
        for name, rows in short.items()
    }
    return {
        "convention": None if says is None else _fields(says),
        "measured": measured,
        "why": found.why,
    }


def _same(one: Convention | None, other: Convention, name: str) -> bool:
    if one is None:
        return False
    return _fields(one) | {"first": 0} == _fields(other) | {"first": 0} and (
        one.first - other.first == (20 if name == "slice" else 0)
    )


def _fields(says: Convention) -> dict[str, Any]:
    """The arguments that are not the paper's."""
    plain = Convention()
    names = [field.name for field in fields(Convention)]
    return {n: getattr(says, n) for n in names if getattr(says, n) != getattr(plain, n)}


def _exact(says: Convention | None, positions: Tensor, d: int, n: int) -> Tensor:
    if says is None:
        raise ValueError("no convention to compare with")
    return says.rows(positions, d, n)


def _error(probe: Probe, says: Convention | None, n: int) -> float:
    rows = probe.rows(probe.build(WIDTH, n), WIDTH, n)
    return rounded(float((rows.double() - _exact(says, torch.arange(n), WIDTH, n)).abs().max()))


def _far(probe: Probe, says: Convention | None) -> float:
    place = torch.tensor([FAR])
    module = probe.build(WIDTH, FAR + 1)
    names = compile(probe.ask, "ask", "eval").co_names
    if "p" in names and "n" not in names and "x" not in names:
        last = probe.rows(module, WIDTH, 1, p=place)
    else:
        last = probe.rows(module, WIDTH, FAR + 1)[FAR:]
    return rounded(float((last.double() - _exact(says, place, WIDTH, FAR + 1)).abs().max()))


def _past(probe: Probe) -> str:
    module = probe.build(64, SHORT)
    longer = probe.rows(module, 64, SHORT + 16)
    if len(longer) != SHORT + 16:
        return f"returns {len(longer)} rows for {SHORT + 16}, no error"
    whole = probe.rows(probe.build(64, SHORT + 16), 64, SHORT + 16)
    return "goes on with the formula" if torch.allclose(longer, whole, atol=1e-4) else "other rows"


def _odd(probe: Probe, says: Convention | None) -> str:
    rows = probe.rows(probe.build(ODD, 64), ODD, 64).double()
    if rows.shape[1] != ODD:
        return f"{rows.shape[1]} columns"
    kind = "last column zero" if not rows[:, -1].any() else f"last column begins {rows[0, -1]:.3g}"
    try:
        exact = _exact(says, torch.arange(64), ODD, 64)
        same = bool((rows - exact).abs().max() < 1e-4)
    except ValueError:
        same = False
    return f"{kind}; {'as the convention says' if same else 'another formula'}"


def _low(probe: Probe, dtype: torch.dtype, back: bool) -> dict[str, Any]:
    exact = probe.rows(probe.build(WIDTH, 512), WIDTH, 512).double()
    module = probe.build(WIDTH, 512).to(dtype)
    module = module.float() if back else module
    x = torch.zeros(1, 512, WIDTH, dtype=torch.float32 if back else dtype)
    rows = probe.rows(module, WIDTH, 512, x=x)
    off = float((rows.double() - exact).abs().max())
    out = str(rows.dtype).removeprefix("torch.")
    return {"error": rounded(off), "dtype": out, "distinct": len(rows.unique(dim=0))}


def _input(probe: Probe) -> dict[str, Any]:
    d, n = 64, 16
    module = probe.build(d, n)
    torch.manual_seed(1)
    x = torch.randn(1, n, d).requires_grad_()
    y, zero = probe.out(module, d, n, x=x), probe.out(module, d, n)
    change = (y - zero).reshape(-1, d).detach()
    flat = x.detach().reshape(-1, d)
    factor = float((change * flat).sum() / flat.square().sum())
    if abs(factor) < 1e-6:
        return {}  # it returns rows alone
    result: dict[str, Any] = {"factor on the input": rounded(factor), "sqrt(d)": rounded(d**0.5)}
    y.sum().backward() if y.requires_grad else None
    result["gradient to the input"] = 0.0 if x.grad is None else rounded(float(x.grad.mean()))
    two = torch.zeros(2, n, d)
    out = probe.out(module, d, n, x=two) if "transpose" not in probe.ask else None
    if out is not None:
        alike = out.shape[0] == 2 and torch.allclose(out[0], out[1], atol=1e-6)
        result["both sentences of a batch get the same rows"] = alike
    result["batch axis"] = 1 if "x.transpose(0, 1)" in probe.ask else 0
    if result["batch axis"]:
        result["batch first"] = said(lambda: _batch_first(probe))
    return result


def _batch_first(probe: Probe) -> str:
    """What a class that wants the batch on the second axis does with it on the first."""
    names = {"m": probe.build(64, 16), "d": 64, "n": 16, "x": torch.zeros(2, 16, 64)}
    out = probe._eval(probe.ask.replace("x.transpose(0, 1)", "x"), **names).detach()
    alike = out.shape == (2, 16, 64) and torch.equal(out, out[:, :1].expand_as(out))
    return "one row a sentence" if alike and not torch.equal(out[0], out[1]) else "something else"


def main(folder: str) -> None:
    """Read the classes of a package from standard input, print a record for each."""
    torch.set_num_threads(1)
    sys.path.append(folder)  # for what was put beside the package; this environment goes before
    for spec in json.load(sys.stdin):
        taker = Taker(Path(folder))
        try:
            probe = Probe(taker.take(spec["file"], spec["take"]), spec["make"], spec["ask"])
            result = record(probe)
        except Exception as error:
            why = f"not run: {type(error).__name__}: {error}".splitlines()[0][:300]
            result = {"convention": None, "measured": {}, "why": why}
        if taker.missing and result["measured"]:
            result["measured"]["taken without"] = sorted(taker.missing)
        print(f"\n{MARK}{json.dumps(result)}", flush=True)  # a package may print too


if __name__ == "__main__":
    main(sys.argv[1])
