"""A rule that does not compile says which line, why, and what to write instead."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from quantkit import ConfigError, load_strategy
from quantkit.core.interface import Context
from quantkit.strategy.rules import context_type

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing compiles with NUMBA_DISABLE_JIT"
)

HEAD = """
import numpy as np
import pandas as pd
from quantkit import Strategy, param

LEVELS = [1, 2]

def text(x):
    return x + "a"

class Own(Strategy):
    how: str = param("x")
    days: int = param(3)
    weights = [1, 2]
    state = {"last": float}

    def part(self, x):
        return x

    @property
    def half(self):
        return self.days / 2

    def on_bar(self, ctx):
        s = 0
"""

# What stands in on_bar, which of its lines is to blame, and what the message says.
CASES: list[tuple[str, int, str]] = [
    ("ctx.clsoe[0, s]", 1, "ctx has no 'clsoe'; did you mean ctx.close?"),
    ("ctx.total = 3", 1, "ctx has no 'total'"),
    ("x = ctx.close[0]", 1, "how many bars back and which name, as in ctx.close[0, s]"),
    ("x = ctx.close[0, 1.5]", 1, "takes whole numbers; int(x) makes one of a float"),
    ("x = ctx.close[0:3, s]", 1, "takes whole numbers"),
    ("x = ctx.position[0, s]", 1, "ctx.position takes one number, the name"),
    ("x = ctx.close(0, s)", 1, "ctx.close takes square brackets"),
    ("x = len(ctx.close)", 1, "it is no array, ctx.close[...] gives one value\n.*\nInstead: read what is needed"),
    ("ctx.cancel_all[s]", 1, "called with round brackets"),
    ("x = ctx.signals['nope'][s]", 1, "no signal 'nope'; prepare gives 'mean'"),
    ("x = ctx.signals['mean'][1, s]", 1, "ctx.signals['mean'] takes one number, the name"),
    ("ctx.buy(s, 1, limt=3.0)", 1, "unexpected keyword argument 'limt'; it is called as buy(s, quantity, *,"),
    ("ctx.buy(s)", 1, "missing a required argument: 'quantity'"),
    ("ctx.buy(s, 1, limit=3.0, tif='gtd')", 1, "tif='gtd'): choose one of 'day', 'ioc', 'fok', 'gtc', 'conditional'"),
    ("how = 'gtc' if ctx.i > 3 else 'day'\nctx.buy(s, 1, limit=3.0, tif=how)", 2, "takes a text written in the call"),
    ("ctx.buy(s, 1, limit='high')", 1, "ctx.buy(limit=...) takes a number, and got the text 'high'"),
    ("ctx.target(1.5, 1.0)", 1, "ctx.target(s=...) takes a whole number"),
    ("for order in ctx.orders(s):\n    x = order.price", 2, "no field 'price'\n.*\nInstead: an order has id"),
    ("x = self.part(3)", 1, "self.part is a method; make it a function of the module"),
    ("if self.how == 'x':\n    pass", 1, "self.how is text, which compiled code cannot read; branch on it in prepare"),
    ("x = self.half", 1, "self.half is a property"),
    ("x = self.weights[0]", 1, "self.weights is a list; make it a param, or a tuple"),
    ("x = self.dyas", 1, "self has no 'dyas'; did you mean self.days?"),
    ("self.days = 4", 1, "parameters are fixed: self.days cannot be set; what changes goes into state"),
    ("ctx.state.lst = 1.0", 1, "ctx.state has no 'lst'; did you mean ctx.state.last?"),
    ("ctx.state.last = 'a'", 1, "the text 'a' cannot be kept where a number is declared"),
    ("ctx.symbol_state[s].n += 1", 1, "the class declares no symbol_state"),
    ("x = pd.Series([1.0]).mean()", 1, "pandas.Series works on whole columns, in Python\n.*\nInstead: compute it"),
    ("x = np.genfromtxt('a')", 1, "numpy.genfromtxt does not exist in compiled code"),
    ("x = open('a')", 1, "open() does not exist in compiled code"),
    ("if any([ctx.valid[s]]):\n    pass", 1, "any() does not exist in compiled code\n.*\nInstead: write a loop"),
    ("x = f'{ctx.cash:.2f}'", 1, "it cannot format text"),
    ("try:\n    x = 1\nexcept ValueError:\n    x = 2", 3, "it cannot catch errors of one kind\n.*\nInstead: ask"),
    ("d = {'a': 1, 'b': 2.0}\nd['c'] = 'x'", 2, "a dict with values of several kinds\n.*\nInstead: declare"),
    ("LEVELS.append(3)", 1, "LEVELS is a list from outside of on_bar, which would never change"),
    ("if ctx.i > 3:\n    x = 1.0\nelse:\n    x = 'a'\nctx.target(s, x)", 5, "x is the text 'a' in one place and"),
    ("x = None\nif x > 3:\n    pass", 2, "something is None here"),
    ("x = np.zeros(3)\nx[0] = 'a'", 2, "the text 'a' cannot be put into an array"),
    ("ctx.target(s, weight)", 1, "weight is not defined"),
    ("import math", 1, "it cannot import\n.*\nInstead: import at the top"),
    ("with open('a') as file:\n    pass", 1, "it cannot use with"),
    ("x = sum(ctx.close[k, s] for k in range(3))", 1, "it cannot sum up a generator"),
    ("x = ctx.time.year", 1, "a whole number has no 'year'"),
    ("return 5", 1, "on_bar returns something\n.*\nInstead: it acts through ctx"),
    ("x = text(3.0)", -16, "it does not know a number + the text 'a'"),
]  # fmt: skip


def compile_rule(path: Path, body: str) -> Any:
    from quantkit.strategy.compiling import compiled

    path.write_text(HEAD.lstrip() + textwrap.indent(body, "        ") + "\n", encoding="utf-8")
    cls = load_strategy(str(path))
    return compiled(cls, context_type(cls, ("mean",)))


@pytest.mark.parametrize(("body", "line", "message"), CASES, ids=[case[0].split("\n")[0] for case in CASES])
def test_a_rule_that_does_not_compile_says_where_and_why(tmp_path: Path, body: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_rule(tmp_path / "own.py", body)
    said = str(caught.value)
    number = HEAD.lstrip().count("\n") + line
    assert said.startswith(f"{tmp_path / 'own.py'}, line {number}: Own.on_bar does not compile: ")
    assert (
        said.splitlines()[1].strip()
        == (tmp_path / "own.py").read_text(encoding="utf-8").splitlines()[number - 1].strip()
    )
    wanted = "\n".join(".*" if part == ".*" else re.escape(part) for part in message.split("\n"))
    assert re.search(wanted, said), said
    assert "nopython" not in said
    assert "float64" not in said
    assert caught.value.__cause__ is not None


def test_what_a_rule_may_write(tmp_path: Path) -> None:
    body = """
        closes = np.array([ctx.close[0, s] for s in range(ctx.n)])
        best = int(np.argmax(closes))
        a, b = ctx.buy(best, 10, limit=closes[best]), ctx.sell(best, 5, stop=closes.min(), tag=3)
        ctx.oco(a, b)
        if not ctx.working(a) and ctx.filled(b) == -1 and ctx.replace(b, quantity=3) != b:
            print("gone", ctx.i)
        assert ctx.equity >= 0, "poor"
        while ctx.state.last > 3:
            ctx.state.last /= 2
        ctx.state.last = max(ctx.params.days, self.days) ** 2 + np.sqrt(ctx.cash)
        for order in ctx.orders(s):
            if order.age > 5 and order.side > 0:
                ctx.cancel(order.id)
    """
    assert compile_rule(tmp_path / "own.py", textwrap.dedent(body).strip()).address > 0


def test_compiled_and_python_ctx_offer_the_same_names() -> None:
    from quantkit.core import calling
    from quantkit.core.kinds import known_names

    assert set(calling.CALLS) <= set(known_names())
    assert known_names() == sorted(name for name in vars(Context) if not name.startswith("_"))
