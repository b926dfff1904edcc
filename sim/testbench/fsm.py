"""State machines of the gateware: which states and transitions each declares, and which occur.

What is declared is read off the elaborated design: a state is a case of a switch over a signal of
`Module.FSM`, and each assignment to that signal below the case a transition. What occurs is counted
in simulation by a cover point for every pair of states, so that a transition which nobody declared
is seen, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Elaboratable, Fragment, Signal
from amaranth.hdl._ast import Assign, Switch
from amaranth.lib.wiring import Component

MARK = "relaxon_fsm"
"""The attribute of a state signal: the place of its machine in a list."""
Transition = tuple[str, str]
"""From one state to another."""

_MARKED = re.compile(rf'  \(\* {MARK} = "(\d+)" \*\)\n(  reg \[?(?:(\d+):0\] )?(\\\S+ |\w+)[^\n]*\n)')
_WAKE = re.compile(r"(?m)^ +if \(\\\S*dump_module\S* \) begin end\n")
"""What Yosys makes every combinational block read, and Verilator would count as a branch."""
_POINT = re.compile(r"fsm_(\d+)_(\d+)_(\d+)")


@dataclass(frozen=True)
class StateMachine:
    """A state machine as it is declared.

    Attributes
    ----------
    path
        Where it is: the names of submodules, joined by dots, and its number if one has several.
    states
        Their names by their encoding.
    transitions
        Pairs of different states, from and to.
    """

    path: str
    states: tuple[str, ...]
    transitions: frozenset[Transition]


class Watched(Elaboratable):
    """A component whose state machines are marked for `covered`.

    Parameters
    ----------
    component
        As it would be given to `relaxon.hw.verilog.emit`, which takes this as well.

    Attributes
    ----------
    machines
        Filled in when the component is elaborated.
    """

    def __init__(self, component: Component):
        self._component = component
        self.machines: list[StateMachine] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)

    def elaborate(self, platform: Any) -> Fragment:
        top = Fragment.get(self._component, platform)
        self.machines = []
        for path, fragment in _fragments(top, ""):
            found = [s for s in _switches(fragment) if _is_state(s.test)]
            states = {id(s.test): s.test for s in found}
            for number, state in enumerate(states.values(), 1):
                state.attrs[MARK] = str(len(self.machines))
                name = path if len(states) == 1 else f"{path}.{number}"
                own = [switch for switch in found if switch.test is state]
                self.machines.append(_machine(name, state, own))
        return top


def covered(verilog: str, machines: list[StateMachine]) -> str:
    """The Verilog that was emitted of a `Watched` component, with its cover points."""

    def points(match: re.Match[str]) -> str:
        number, declaration, high, name = match.groups()
        bits, last = int(high or 0) + 1, f"\\{MARK}{number} "
        states = range(len(machines[int(number)].states))
        lines = [
            f"  reg [{bits - 1}:0] {last} = 0;\n  always_ff @(posedge clk) {last} <= {name};\n",
            *(
                f"  fsm_{number}_{a}_{b}: cover property (@(posedge clk) "
                f"{last} == {bits}'d{a} && {name} == {bits}'d{b});\n"
                for a in states for b in states
            ),
        ]  # fmt: skip
        return declaration + "".join(lines)

    return _WAKE.sub("", _MARKED.sub(points, verilog))


def transition(point: str, machines: list[StateMachine]) -> tuple[StateMachine, Transition] | None:
    """What a cover point of this name counts; None if it is none of `covered`'s."""
    match = _POINT.fullmatch(point)
    if match is None:
        return None
    machine = machines[int(match[1])]
    return machine, (machine.states[int(match[2])], machine.states[int(match[3])])


def _fragments(fragment: Fragment, path: str) -> Iterator[tuple[str, Fragment]]:
    yield path, fragment
    for sub, name, *_ in fragment.subfragments:
        yield from _fragments(sub, f"{path}.{name}" if path else str(name))


def _switches(fragment: Fragment) -> Iterator[Switch]:
    for statements in fragment.statements.values():
        for statement in statements:
            yield from _nested(statement)


def _nested(statement: Any) -> Iterator[Switch]:
    if isinstance(statement, Switch):
        yield statement
        for _, statements, *_ in statement.cases:
            for each in statements:
                yield from _nested(each)


def _is_state(test: Any) -> bool:
    """Whether a value is the signal of an FSM: only they tell names of states."""
    return isinstance(test, Signal) and callable(test.decoder) and test.name.endswith("_state")


def _machine(path: str, state: Signal, switches: list[Switch]) -> StateMachine:
    count = len({pattern for switch in switches for pattern in _encodings(switch)})
    names = tuple(state.decoder(n).rsplit("/", 1)[0] for n in range(count))
    found = set()
    for switch in switches:
        for patterns, statements, *_ in switch.cases:
            (source,) = patterns
            for target in _targets(state, statements):
                found.add((names[int(source, 2)], names[target]))
    return StateMachine(path, names, frozenset(found))


def _encodings(switch: Switch) -> Iterator[int]:
    for patterns, *_ in switch.cases:
        yield from (int(pattern, 2) for pattern in patterns)


def _targets(state: Signal, statements: Any) -> Iterator[int]:
    """Which states these statements may set."""
    for statement in statements:
        if isinstance(statement, Assign) and statement.lhs is state:
            value = statement.rhs
            assert isinstance(value, Const)
            yield value.value
        elif isinstance(statement, Switch):
            for _, nested, *_ in statement.cases:
                yield from _targets(state, nested)
