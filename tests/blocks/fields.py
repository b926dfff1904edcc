"""A model of lanes: what is added to fields, and what evaluations of them report."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from relaxon.hw.operation import Mode
from relaxon.layout import Layout


@dataclass
class Addition:
    """What is added to all lanes, and where: to A (`drive`) or R of `group`, or nowhere (`clear`,
    or not even that: the label's column, which an evaluation adds)."""

    kind: str
    group: int
    drive: bool
    a: list[int]
    b: list[int]
    two: bool = False
    differ: bool = False
    hit: int = 0
    up: int = 0
    count: int = 0
    factor: int = 1

    def amounts(self, columns: int) -> list[int]:
        """What each lane adds."""
        if self.kind == "clear":
            return [0] * len(self.a)
        if self.kind == "learned":
            sign = [1 if self.up >> p & 1 else -1 for p in range(len(self.a))]
            size = [self.count if columns == 2 else sign[p] for p in range(len(self.a))]
            return [size[p] * self.factor * (self.hit >> p & 1) for p in range(len(self.a))]
        second = [0] * len(self.a) if not self.two else self.b
        return [
            (a + (-b if self.differ else b)) * self.factor for a, b in zip(self.a, second, strict=True)
        ]


@dataclass
class Evaluation:
    """An evaluation of a group, and what comes of it."""

    mode: Mode
    group: int
    clamped: bool
    state: int
    previous: int
    next: int
    has_previous: bool
    has_next: bool
    valid: int
    reported: int = 0
    sign: int = 0
    fields: list[int] = field(default_factory=list)

    @property
    def turns(self) -> bool:
        """Whether neurons get the sign of their field."""
        return self.mode in (Mode.FREE, Mode.SWEEP)

    @property
    def sees_recur(self) -> bool:
        """Whether it looks at R."""
        return self.mode in (Mode.SWEEP, Mode.STABILITY)


@dataclass
class Cycle:
    """What begins in one cycle."""

    addition: Addition | None = None
    evaluation: Evaluation | None = None


class Fields:
    """Both accumulators of every neuron on some lanes, and the registers that fields depend on."""

    def __init__(self, layout: Layout, lanes: int, rng: random.Random):
        self.layout, self.lanes, self.rng = layout, lanes, rng
        self.limit = 1 << layout.config.field_bits - 2
        self.sums = {drive: [[0] * lanes for _ in range(layout.groups)] for drive in (True, False)}
        self.chained = layout.config.modules > 1 and not layout.serial
        self.self_coupling, self.chain_coupling, self.margin = 0, 0, 0

    def choose_registers(self) -> None:
        """Registers of either sign, or 0."""
        rng = self.rng
        self.self_coupling = rng.choice((0, 77, -50, rng.randint(-300, 300)))
        self.chain_coupling = rng.choice((0, rng.randint(-300, 300))) if self.chained else 0
        self.margin = rng.choice((0, -1, rng.randint(-100, 600)))

    def add(self, addition: Addition) -> None:
        """Add, or clear."""
        if addition.kind == "clear":
            for sums in self.sums.values():
                sums[addition.group] = [0] * self.lanes
        elif addition.kind != "label":
            sums = self.sums[addition.drive][addition.group]
            for p, amount in enumerate(addition.amounts(self.layout.columns)):
                sums[p] += amount

    def full(self, group: int) -> bool:
        """Whether an accumulator is near the end of its range."""
        return any(abs(s) > self.limit // 4 for sums in self.sums.values() for s in sums[group])

    def evaluate(self, e: Evaluation, label: list[int]) -> None:
        """Fill in what it reports; of a state that is kept there are no fields."""
        if e.mode is Mode.KEEP:
            e.sign = e.state
            return
        for p in range(self.lanes):
            s = 1 if e.state >> p & 1 else -1
            h = self.sums[True][e.group][p]
            if e.sees_recur:
                neighbours = sum(
                    1 if states >> p & 1 else -1
                    for states, there in ((e.previous, e.has_previous), (e.next, e.has_next))
                    if there
                )
                h += self.sums[False][e.group][p] + self.self_coupling * s
                h += self.chain_coupling * neighbours + label[p]
            e.fields.append(h)
            new = h >= 0
            if e.mode is Mode.STABILITY:
                e.reported |= (s * h <= self.margin) << p
                e.sign |= (s > 0) << p
            else:
                e.reported |= (new != (s > 0)) << p
                e.sign |= new << p


def random_addition(fields: Fields, group: int, factors: list[int]) -> Addition:
    """Any addition to a group."""
    rng, lanes = fields.rng, fields.lanes
    half = 1 << fields.layout.element_bits - 1
    kind = rng.choice(("column", "column", "learned"))
    if fields.full(group) or rng.random() < 0.03:
        kind = "clear"
    words = [[rng.choice((half - 1, 1 - half, rng.randint(1 - half, half - 1)))
              for _ in range(lanes)] for _ in range(2)]  # fmt: skip
    two = fields.layout.columns == 2 and rng.random() < 0.5
    addition = Addition(
        kind, group, rng.random() < 0.5, *words, two, two and rng.random() < 0.5,
        factor=rng.choice(factors),
    )  # fmt: skip
    if kind == "learned":
        addition.up, addition.factor = rng.getrandbits(lanes), abs(addition.factor)
        addition.hit = rng.getrandbits(lanes)
        if fields.layout.columns == 2:
            addition.hit, addition.count = 1 << rng.randrange(lanes), rng.randint(0, fields.layout.banks)
            addition.factor *= rng.choice((1, -1))
    return addition


def random_evaluation(fields: Fields, group: int, mode: Mode, clamped: bool) -> Evaluation:
    """An evaluation of a group, whatever its states are."""
    rng, lanes = fields.rng, fields.lanes
    state = rng.getrandbits(lanes)
    if rng.random() < 0.5:  # states that fields agree with
        sums = [a + r for a, r in zip(*(fields.sums[d][group] for d in (True, False)))]
        state = sum((s >= 0) << p for p, s in enumerate(sums))
    return Evaluation(
        mode, group, clamped, state, rng.getrandbits(lanes), rng.getrandbits(lanes),
        rng.random() < 0.7, rng.random() < 0.7, rng.choice((0, 1, (1 << lanes) - 1)),
    )  # fmt: skip


def edges(fields: Fields) -> list[Cycle]:
    """Registers, and cycles, for fields just at zero and at the margin, on both sides."""
    rng, lanes = fields.rng, fields.lanes
    fields.self_coupling, fields.margin = rng.randint(-60, 60), rng.randint(-60, 60)
    ahead = fields.margin - fields.self_coupling
    cases = [(Mode.STABILITY, s, s * (ahead + n)) for s in (1, -1) for n in (0, 1)]
    cases += [(Mode.SWEEP, s, n - s * fields.self_coupling) for s in (1, -1) for n in (0, -1)]
    cycles = []
    for mode, s, a in cases:
        group = rng.randrange(fields.layout.groups)
        clear = Addition("clear", group, False, [0] * lanes, [0] * lanes)
        add = Addition("column", group, True, [a] * lanes, [0] * lanes)
        state = (1 << lanes) - 1 if s > 0 else 0
        evaluation = Evaluation(mode, group, False, state, 0, 0, False, False, (1 << lanes) - 1)
        for addition in (clear, add):
            fields.add(addition)
            cycles += [Cycle(addition), Cycle(), Cycle()]
        fields.evaluate(evaluation, [0] * lanes)
        cycles += [Cycle(None, evaluation)]
    return cycles
