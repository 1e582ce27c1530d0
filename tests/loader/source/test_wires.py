"""Who makes and reads the values of units in a row: a residual unit, drawn by hand."""

from __future__ import annotations

from decant.loader.plan.steps import Value
from decant.loader.source.wires import Run, Wires
from tests.loader.source.test_blocks import power

DATA = Value("data", (1, 4))


def wires() -> Wires:
    """data -> a -> b -> (b + data) -> c, and twice that."""
    a = power("a", [DATA])
    b = power("b", a.outputs)
    total = power("sum", [b.outputs[0], DATA], "{0} + {1}")
    c = power("c", total.outputs)
    units = [a, b, total, c]
    return Wires(units, c.outputs, [unit.written.call for unit in units], [False] * 4)


def test_what_goes_in_and_what_comes_out() -> None:
    found = wires()
    one = Run(0, 3)
    into, out = found.borders(one)
    assert into == [DATA] and [x.blob for x in out] == ["sum"]
    assert found.more_values(one) == 0
    assert found.more_values(Run(1, 2)) == 1


def test_a_block_joins_branches_and_is_in_one_piece() -> None:
    found = wires()
    assert found.is_block(Run(0, 3)) and not found.is_block(Run(0, 2))
    assert found.connected(Run(0, 4))
    # of a and c alone nothing hangs together
    apart = Wires(
        [power("a", [DATA]), power("b", [Value("other", (1, 4))])], [], [0, 0], [False] * 2
    )
    assert not apart.connected(Run(0, 2))


def test_what_stands_there_once_is_lonely() -> None:
    assert wires().lonely == [False, False, True, False]
