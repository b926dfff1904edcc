"""Runs the testbenches and the covered boards, and prints what they have covered.

    python tests/coverage_report.py

Three tables: functional bins (declared by testbenches), states and transitions of the state machines
(declared by the gateware), lines and toggles of the generated RTL. The status is 1 if less was covered
than is wanted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from coverage_cores import cores
from coverage_exclusions import EXCLUDED, UNREACHABLE
from coverage_workload import BURSTS, exercise

from relaxon.sim.testbench.coverage import COUNTS, Bins, gathered, write
from relaxon.sim.testbench.fsm import StateMachine, Transition
from relaxon.sim.testbench.rtlcoverage import CoveredCore, Tally, tally

TESTS = Path(__file__).parent
BENCHES = ("test_core.py", "blocks", "test_uart_top.py", "test_fields.py", "test_simulators.py")
"""What has cocotb testbenches."""
FUNCTIONAL, RTL = 95.0, 90.0
"""Percent wanted: of bins, states and transitions; of lines and toggles."""
SHOWN = 12
"""Signals and bins that are named at most."""
JOBS = 2


@dataclass
class Seen:
    """What was covered of one core, to be passed between processes."""

    name: str
    machines: list[StateMachine]
    transitions: dict[str, Counter[Transition]]
    tallies: dict[str, Tally]


@dataclass
class Machine:
    """A state machine in all cores that have it."""

    states: set[str] = field(default_factory=set)
    transitions: set[Transition] = field(default_factory=set)
    seen: Counter[Transition] = field(default_factory=Counter)


def run_benches(bins: Path) -> bool:
    """Run the cocotb testbenches; whether all passed."""
    paths = [str(TESTS / name) for name in BENCHES if (TESTS / name).exists()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
               "--numprocesses", str(JOBS), *paths]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, COUNTS: str(bins)}, check=False)
    return done.returncode == 0


def run_core(name: str, bursts: int) -> Seen:
    """Build a board of one core, exercise it, and count."""
    core = next(core for core in cores() if core.name == name)
    covered = CoveredCore(core.make())
    exercise(core, covered, bursts=bursts)
    write()  # a worker of a pool has no other occasion
    machines = [m for m in covered.machines if m.path.startswith(core.inside)]
    counts = Counter(
        {p: count for p, count in covered.counts.items() if p.module.startswith(core.inside)}
    )
    tallies = {kind: tally(counts, kind, EXCLUDED) for kind in ("line", "toggle")}
    return Seen(core.name, machines, covered.transitions(), tallies)


# ---- tables -----------------------------------------------------------------------------------


def print_bins(bins: Bins) -> float:
    """The table of functional bins; their share in percent."""
    print(f"\n{'functional bins':40} {'hit':>5} {'of':>5}   missing")
    hit = declared = 0
    for group, counts in bins.items():
        missing = [name for name, count in counts.items() if not count]
        hit, declared = hit + len(counts) - len(missing), declared + len(counts)
        print(f"{group:40} {len(counts) - len(missing):5} {len(counts):5}   {_some(missing)}")
    share = 100 * hit / max(1, declared)
    print(f"{'all':40} {hit:5} {declared:5}   {share:.1f} %")
    return share


def print_machines(seen: list[Seen]) -> tuple[float, bool]:
    """The table of state machines; the share of states and transitions in percent, and whether any
    transition occurred that is not declared."""
    machines = _united(seen)
    print(f"\n{'state machines':40} {'states':>9} {'transitions':>12}   missing")
    hit = declared = 0
    strange = False
    for name, machine in machines.items():
        reached = {state for step, count in machine.seen.items() if count for state in step}
        wanted = {step for step in machine.transitions if (name, *step) not in UNREACHABLE}
        done = {step for step in wanted if machine.seen[step]}
        others = {step for step, count in machine.seen.items() if count and step[0] != step[1]}
        undeclared = others - machine.transitions
        missing = [f"{a} to {b}" for a, b in sorted(wanted - done)]
        missing += [f"state {state}" for state in sorted(machine.states - reached)]
        hit += len(done) + len(machine.states & reached)
        declared += len(wanted) + len(machine.states)
        print(f"{name:40} {len(machine.states & reached):4} / {len(machine.states):2} "
              f"{len(done):7} / {len(wanted):2}   {_some(missing)}")  # fmt: skip
        for a, b in sorted(undeclared):
            strange = True
            print(f"    {a} to {b} occurred and is not declared")
    share = 100 * hit / max(1, declared)
    print(f"{'all':40} {hit} / {declared}   {share:.1f} %")
    for (name, a, b), why in UNREACHABLE.items():
        print(f"    not wanted: {name}, {a} to {b}: {why}")
    return share, strange


def print_rtl(seen: list[Seen]) -> float:
    """The table of lines and toggles; the least share in percent."""
    print(f"\n{'generated RTL':24} {'points':>8} {'excluded':>9} {'hit':>8} {'share':>7}")
    least, reasons = 100.0, Counter[str]()
    for core in seen:
        for kind, count in core.tallies.items():
            print(f"{core.name + ': ' + kind:24} {count.points:8} {count.excluded.total():9} "
                  f"{count.happened:8} {count.share:6.1f} %")  # fmt: skip
            least = min(least, count.share)
            reasons.update(count.excluded)
    for core in seen:
        for kind, count in core.tallies.items():
            most = [f"{'.'.join(filter(None, key))} {n}" for key, n in count.missing.most_common(SHOWN)]
            print(f"missing in {core.name}, {kind}: {', '.join(most) or 'nothing'}")
    for reason, count in reasons.items():
        print(f"excluded: {count} points: {reason}")
    return least


def _united(seen: Iterable[Seen]) -> dict[str, Machine]:
    """The machines of all cores by their path in a `Core`."""
    machines: dict[str, Machine] = {}
    for core in seen:
        for machine in core.machines:
            name = machine.path.removeprefix("top.core.").removeprefix("peripheral.core.")
            into = machines.setdefault(name, Machine())
            into.states.update(machine.states)
            into.transitions.update(machine.transitions)
            into.seen.update(core.transitions[machine.path])
    return dict(sorted(machines.items()))


def _some(names: list[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bins", type=Path, default=Path("build/coverage"), help="folder for counts")
    parser.add_argument("--bursts", type=int, default=BURSTS, help="random bursts for each board")
    parser.add_argument("--no-benches", action="store_true", help="covered boards alone")
    names = [core.name for core in cores()]
    parser.add_argument("--only", choices=names, nargs="+", default=names, help="these cores")
    given = parser.parse_args()
    given.bins = given.bins.resolve()  # simulators run in folders of their own
    shutil.rmtree(given.bins, ignore_errors=True)
    passed = given.no_benches or run_benches(given.bins)
    os.environ[COUNTS] = str(given.bins)
    seen = []
    with ProcessPoolExecutor(JOBS, max_tasks_per_child=1) as pool:
        runs = {name: pool.submit(run_core, name, given.bursts) for name in given.only}
        for name, run in runs.items():
            try:
                seen.append(run.result())
            except Exception:
                traceback.print_exc()
                print(f"{name} failed: see above")
                passed = False
    functional = print_bins(gathered(given.bins))
    machines, strange = print_machines(seen)
    rtl = print_rtl(seen)
    good = min(functional, machines) >= FUNCTIONAL and rtl >= RTL and not strange
    print(f"\nbins {functional:.1f} %, machines {machines:.1f} % (wanted {FUNCTIONAL:.0f} %); "
          f"RTL at least {rtl:.1f} % (wanted {RTL:.0f} %)")  # fmt: skip
    if not passed:
        print("something failed: see above")
    return 0 if passed and good else 1


if __name__ == "__main__":
    sys.exit(main())
