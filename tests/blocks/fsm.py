"""The states and transitions that a block's FSM goes through, as coverage."""

from __future__ import annotations

from amaranth.hdl import Fragment
from amaranth.lib.wiring import Component
from cocotb.handle import LogicObject

from relaxon.sim.testbench.coverage import Coverage

FSM = "fsm_state"
"""How Amaranth calls the register."""


def state_names(component: Component) -> list[str]:
    """Names of the states, by number."""
    fragment = Fragment.get(component, None)
    signals = (
        signal
        for statements in fragment.statements.values()
        for statement in statements
        for signal in statement._lhs_signals()
    )
    register = next(signal for signal in signals if signal.name == FSM)
    names = []
    for number in range(1 << len(register)):
        try:
            names.append(register.decoder(number).partition("/")[0])
        except KeyError:
            break
    return names


class Walk:
    """Follows an FSM. A transition that was not declared is an error.

    Parameters
    ----------
    handle
        Its register in the simulation.
    names
        Of its states.
    seen
        The coverage group: a bin for every transition, "FROM > TO".
    """

    def __init__(self, handle: LogicObject, names: list[str], seen: Coverage):
        self._handle, self._names, self._seen, self._last = handle, names, seen, ""

    def look(self) -> None:
        """Once a cycle."""
        name = self._names[int(self._handle.value)]
        if self._last and name != self._last:
            self._seen.hit(f"{self._last} > {name}")
        self._last = name


def transitions(text: str) -> list[str]:
    """Bins for "A > B > C, A > C": each pair of neighbours once."""
    pairs = {}
    for path in text.split(","):
        states = [state.strip() for state in path.split(">")]
        pairs |= {f"{a} > {b}": None for a, b in zip(states, states[1:])}
    return list(pairs)
