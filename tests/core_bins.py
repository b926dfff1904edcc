"""What tests of a whole core must have seen: bins, filled from frames, answers and the model's steps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from core_traffic import SAMPLES, UNKNOWN_SPACES, Piece, register_ends

from relaxon import Config
from relaxon.framing import Deframer
from relaxon.layout import Layout
from relaxon.protocol import (
    COUNTERS,
    HEADER_BYTES,
    REGISTERS,
    SELF_TEST,
    Opcode,
    Space,
    Status,
    Verdict,
)
from relaxon.sim.model import Model
from relaxon.sim.testbench.coverage import Coverage
from relaxon.sim.testbench.streams import Stalls
from relaxon.sim.twin import Twin

REFUSALS = {
    Status.BAD_LENGTH: tuple(Opcode),
    Status.BAD_ADDRESS: (Opcode.READ, Opcode.WRITE),
    Status.BAD_LABEL: (Opcode.TRAIN,),
}
"""Which opcodes each refusal can be the answer to; BAD_OPCODE is for all others."""
READ_ONLY = (Space.BUILD, Space.SELF_TEST)
BROKEN = ("past the end", "short", "truncated", "flipped bit", "noise", "too long", "empty")
FEW_MANY = ("none", "some", "all")
ENDS = tuple(f"{array} {end}" for array in ("J", "W", "O") for end in ("at +", "at -"))
PHASES = ("clamped", "released", "infer")
WIDTHS = sorted({counter.bits for counter in COUNTERS})
ARRAYS = {"recurrent": "J", "input": "W", "readout": "O"}


def messages(data: bytes) -> list[bytes]:
    """The messages in bytes from the wire."""
    return Deframer(0xFFFF).feed(data)


def amount(part: int, whole: int) -> str:
    """Which of `FEW_MANY` that is."""
    return "none" if part == 0 else "all" if part == whole else "some"


class LinkBins:
    """What came over the link, and how it was answered."""

    def __init__(self, twin: Twin):
        self._twin = twin
        self.commands = Coverage(
            "core: commands",
            *(f"{opcode.name} OK" for opcode in Opcode),
            *(f"{o.name} {s.name}" for s, opcodes in REFUSALS.items() for o in opcodes),
            "BAD_OPCODE", "SELF_TEST BAD_OPCODE without one", "OUT_OF_SEQUENCE", "CLOSED",
        )  # fmt: skip
        self.spaces = Coverage(
            "core: spaces",
            *(f"{o} {space.name}" for o, space in product(("READ", "WRITE"), Space)),
            "several words at once", "the last word", "unknown space",
        )  # fmt: skip
        self.broken = Coverage("core: broken frames", *BROKEN)
        self.order = Coverage(
            "core: order",
            "answered before: answered again", "15 back: answered again", "16 back: missing",
            "an answer not sent yet: not sent twice",
            "gap told", "gap not told twice", "told again after the frame due",
            "HELLO forgives a gap", "OPEN forgives a gap", "a greeting with any number",
            "the number wraps",
        )  # fmt: skip
        self.pairs = Coverage(
            "core: one after another",
            *(f"{a.name}, {b.name}" for a, b in product(SAMPLES, SAMPLES)),
            "WRITE, sample", "refusal, sample",
        )  # fmt: skip
        self.counters = Coverage("core: counters wrap", *(f"{bits} bits" for bits in WIDTHS))
        self.registers = Coverage(
            "core: registers",
            *(f"{r.name} {end}" for r in REGISTERS for end in ("lowest", "0", "highest")
              if not (end == "lowest" and not r.signed)),
        )  # fmt: skip
        self._last: Opcode | str = ""
        self._told = self._was_told = False

    def fed(self, piece: Piece, before: dict[str, int], expected: int, answer: bytes) -> None:
        """A piece went to the twin, which said this; its counters and the number due are those
        before."""
        rose = {name for name, value in self._counters().items() if value != before[name]}
        if piece.kind in BROKEN:
            wanted = {"empty": set(), "too long": {"overflows"}}.get(piece.kind, {"bad_frames"})
            assert rose == wanted, f"a frame that is {piece.kind} made {rose} count"
            self.broken.hit(piece.kind)
            return
        (message,) = messages(piece.data)
        answers = messages(answer)
        status = Status(answers[0][1]) if answers else None
        number, opcode, body = message[0], message[1], message[HEADER_BYTES:]
        if status is Status.CLOSED:
            self.commands.hit("CLOSED")
            return
        self._order(piece, status, rose, number, expected)
        if status in (None, Status.OUT_OF_SEQUENCE) or "duplicates" in rose:
            return
        self._command(opcode, status, body)
        if piece.kind == "due":
            self._one_after_another(opcode, status)
            self.order.hit("the number wraps", when=expected == 255)

    def _order(
        self, piece: Piece, status: Status | None, rose: set[str], number: int, expected: int
    ) -> None:
        order, back = self.order, (expected - number) & 0xFF
        if piece.kind == "greeting":
            order.hit(f"{Opcode(messages(piece.data)[0][1]).name} forgives a gap", when=self._told)
            order.hit("a greeting with any number", when=number != expected)
            self._told = self._was_told = False
        elif "duplicates" in rose:
            order.hit("answered before: answered again")
            order.hit("15 back: answered again", when=back == 15)
        elif "out_of_sequence" in rose:
            order.hit("16 back: missing", when=back == 16)
            order.hit("gap told", when=status is not None)
            order.hit("gap not told twice", when=status is None)
            order.hit("told again after the frame due", when=self._was_told and status is not None)
            self.commands.hit("OUT_OF_SEQUENCE", when=status is not None)
            self._told = True
        else:
            self._was_told, self._told = self._told or self._was_told, False

    def _command(self, opcode: int, status: Status, body: bytes) -> None:
        if status is Status.BAD_OPCODE:
            own = opcode == Opcode.SELF_TEST
            self.commands.hit("SELF_TEST BAD_OPCODE without one" if own else "BAD_OPCODE")
            return
        opcode = Opcode(opcode)
        self.commands.hit(f"{opcode.name} {status.name}")
        if opcode not in (Opcode.READ, Opcode.WRITE):
            return
        if status is Status.BAD_ADDRESS:
            self.spaces.hit("unknown space", when=body[0] in UNKNOWN_SPACES)
        elif status is Status.OK:
            space, address, count = Space(body[0]), int.from_bytes(body[1:5], "little"), body[5]
            self.spaces.hit(f"{opcode.name} {space.name}")
            self.spaces.hit("several words at once", when=count > 1)
            self.spaces.hit("the last word", when=address + count == self._twin.layout.words(space))
            if opcode == Opcode.WRITE and space is Space.REGISTERS:
                self._register(address)

    def _register(self, address: int) -> None:
        register = REGISTERS[address]
        value = self._twin.memory.model.registers.as_dict()[register.name]
        low, high = register_ends(self._twin.config, self._twin.memory.model.registers, register.name)
        self.registers.hit(f"{register.name} highest", when=value == high > 0)
        self.registers.hit(f"{register.name} 0", when=value == 0)
        if register.signed:
            self.registers.hit(f"{register.name} lowest", when=value == low < 0)

    def _one_after_another(self, opcode: int, status: Status) -> None:
        is_sample = opcode in SAMPLES and status is Status.OK
        if is_sample and isinstance(self._last, Opcode) and self._last in SAMPLES:
            self.pairs.hit(f"{self._last.name}, {Opcode(opcode).name}")
        self.pairs.hit("WRITE, sample", when=is_sample and self._last == "WRITE")
        self.pairs.hit("refusal, sample", when=is_sample and self._last == "refusal")
        if status is not Status.OK:
            self._last = "refusal"
        else:
            self._last = Opcode(opcode) if is_sample else Opcode(opcode).name

    def _counters(self) -> dict[str, int]:
        return dict(self._twin.memory.counters)

    def wrapped(self, before: dict[str, int]) -> None:
        """A sample was computed; the model's counters were `before`."""
        after = self._twin.memory.model.counters
        for counter in COUNTERS:
            if counter.name in after and after[counter.name] < before[counter.name]:
                self.counters.hit(f"{counter.bits} bits")


class MachineBins:
    """What the machine computed: from the steps of a `Model`, which it watches."""

    def __init__(self, config: Config, model: Model):
        self.config, self.layout, self._model = config, Layout(config), model
        self._neurons = config.total_neurons
        self.sweeps = Coverage(
            "core: sweeps",
            *(f"{kind}: {which} of the neurons" for kind, which in
              product(("free sweep", "sweep"), FEW_MANY)),
            "one neuron turns", "from rest", "from the state as it is, made anew",
            "from the state as it is, not made anew", "all at once", "groups in turn",
            *(f"{phase}: {end}" for phase, end in
              product(PHASES, ("no sweep", "ends at a fixed point", "ends at its limit"))),
        )  # fmt: skip
        self.learning = Coverage(
            "core: learning",
            *(f"{which} unstable" for which in FEW_MANY), *(f"{end} cut" for end in ENDS),
            *(f"{array} {does}" for array in ARRAYS.values() for does in ("learns", "is kept")),
            *(f"{who} readout {does}" for who in ("the label's", "another")
              for does in ("learns", "is kept")),
            "gate passes", "gate holds", "no gate",
        )  # fmt: skip
        self.samples = Coverage(
            "core: samples",
            *(f"{which} of the inputs changed" for which in FEW_MANY),
            "label as before", "another label", "everything made anew", "nothing made anew",
            "two classes have the best score",
        )  # fmt: skip
        self.modules = Coverage(
            "core: modules",
            "the first learns", "the last learns", "one learns and another does not",
            *(f"chain {sign} {where}" for sign, where in
              product("+-", ("within a group", "from group to group"))),
        )  # fmt: skip
        machines = Coverage(
            "core: machines",
            "skewed store", "column store", "one module", "several modules", "one strip",
            "several strips", "a group a module", "several groups a module", "padding",
            "no padding", "elements of 1 byte", "elements of 2 bytes", "several groups",
        )  # fmt: skip
        self._structure(machines)
        self._label: int | None = None
        self._flips = 0
        for name in ("_start", "_move", "_phase", "_learn", "_saturate", "_finish"):
            setattr(model, name, self._watching(name))
        self._train_one = model.train_one
        model.train_one = self._train

    def _structure(self, machines: Coverage) -> None:
        config, layout = self.config, self.layout
        body, tail = layout.padding()
        several = config.modules > 1
        machines.hit(f"{config.store} store")
        machines.hit("several modules" if several else "one module")
        machines.hit("several strips" if layout.strips > 1 else "one strip")
        machines.hit("padding" if body != tail else "no padding")
        machines.hit(f"elements of {layout.element_bytes} byte{'s' * (layout.element_bytes > 1)}")
        whole = layout.groups_per_module > 1
        machines.hit("several groups a module" if whole else "a group a module")
        machines.hit("several groups", when=layout.groups > 1)

    def _watching(self, name: str) -> Callable[..., Any]:
        """A step of the model, seen before or after it is done."""
        step, seen = getattr(self._model, name), getattr(self, f"_see{name}")
        return lambda *args, **kwargs: seen(step, *args, **kwargs)

    # ---- the model's steps ------------------------------------------------------------------

    def _train(self, x, y):
        self.samples.hit("label as before" if y == self._label else "another label",
                         when=self._label is not None)  # fmt: skip
        self._label, gate = y, self._model.registers.gate_enable
        self._phases = list(PHASES[:2])
        if gate:
            self._phases.insert(0, "infer")
        result = self._train_one(x, y)
        gated = "gate holds" if result.learned else "gate passes"
        self.learning.hit(gated if gate else "no gate")
        return result

    def _see_start(self, step, x):
        rebuild, kept = self._model.rebuild, self._model.registers.keep_state
        anew = "made anew" if rebuild else "not made anew"
        self.sweeps.hit(f"from the state as it is, {anew}" if kept else "from rest")
        self.samples.hit("everything made anew" if rebuild else "nothing made anew")
        if not hasattr(self, "_phases"):
            self._phases = ["infer"]
        if not rebuild:
            changed = np.count_nonzero(x != self._model._x)
            self.samples.hit(f"{amount(changed, len(x))} of the inputs changed")
        self._moved = np.zeros((self.config.modules, self.config.neurons), bool)
        step(x)

    def _see_move(self, step, moved, *, free=False, **kwargs):
        count = step(moved, free=free, **kwargs)
        kind = "free sweep" if free else "sweep"
        self.sweeps.hit(f"{kind}: {amount(count, self._neurons)} of the neurons")
        self.sweeps.hit("one neuron turns", when=not free and count == 1)
        self._flips, self._moved = count, self._moved | moved
        return count

    def _see_phase(self, step, most, label=None):
        phase, in_turn = self._phases.pop(0), self._model.registers.sequential
        several = most > 0 and self.layout.groups > 1
        self.sweeps.hit("groups in turn" if in_turn else "all at once", when=several)
        self._flips = -1
        step(most, label=label)
        end = "ends at a fixed point" if self._flips == 0 else "ends at its limit"
        self.sweeps.hit(f"{phase}: {end if most else 'no sweep'}")

    def _see_learn(self, step, scores, y):
        before = {name: getattr(self._model, name).copy() for name in ARRAYS}
        unstable = step(scores, y)
        self.learning.hit(f"{amount(unstable, self._neurons)} unstable")
        changed = {name: getattr(self._model, name) != before[name] for name in ARRAYS}
        for name, array in ARRAYS.items():
            self.learning.hit(f"{array} {'learns' if changed[name].any() else 'is kept'}")
        rows = changed["readout"].any((1, 2))
        others = np.delete(rows, y)
        self.learning.hit(f"the label's readout {'learns' if rows[y] else 'is kept'}")
        self.learning.hit("another readout learns", when=others.any())
        self.learning.hit("another readout is kept", when=not others.all())
        if self.config.modules > 1:
            learned = changed["recurrent"].any((1, 2)) | changed["input"].any((1, 2))
            self.modules.hit("the first learns", when=learned[0])
            self.modules.hit("the last learns", when=learned[-1])
            self.modules.hit(
                "one learns and another does not", when=learned.any() and not learned.all()
            )
        return unstable

    def _see_saturate(self, step, array, wanted, limit, counter):
        for sign, end in ((1, "at +"), (-1, "at -")):
            self.learning.hit(f"{ARRAYS[array]} {end} cut", when=(sign * wanted > limit).any())
        step(array, wanted, limit, counter)

    def _see_finish(self, step, scores, unstable=0):
        del self._phases
        best = np.count_nonzero(scores == scores.max())
        self.samples.hit("two classes have the best score", when=best > 1)
        chain, group = self._model.registers.chain_coupling, self.layout.group[:, 0]
        if chain:
            turned = self._moved.any(1)
            for m in np.flatnonzero(turned[1:]):
                together = group[m] == group[m + 1]
                where = "within a group" if together else "from group to group"
                self.modules.hit(f"chain {'+' if chain > 0 else '-'} {where}")
        return step(scores, unstable)


class BoardBins:
    """What happened around the machine: stalls, windows, the self-test."""

    def __init__(self) -> None:
        self.stalls = Coverage("core: stalls", *(stalls.value for stalls in Stalls))
        self.windows = Coverage(
            "core: windows",
            "receive buffer empty", "receive buffer full of bytes", "16 frames wait",
            "all slots wait to be sent", "the machine stands, its answers wait",
            "frames dropped for want of bytes", "frames dropped for want of places",
        )  # fmt: skip
        self.self_test = Coverage(
            "core: self-test",
            *(f"reads {verdict.name}" for verdict in Verdict), "asked for by the host",
            "started by the pin", "frames wait for its end", "a READ waits for its end",
            "started again while it runs",
        )  # fmt: skip

    def verdict(self, word: bytes) -> None:
        """The host read this of SELF_TEST."""
        self.self_test.hit(f"reads {Verdict(SELF_TEST.unpack(word)['result']).name}")
