"""What need not occur: points of the RTL and transitions of state machines, each with a reason."""

from relaxon.sim.testbench.rtlcoverage import Exclusion

UNREACHABLE: dict[tuple[str, str, str], str] = {}
"""Machine, from, to: why that transition is declared and cannot occur."""

EXCLUDED = [
    Exclusion(
        "a pin that compiled boards leave alone; bench_core.py drives it",
        module="|top|top.core", signal="start_self_test|before",
    ),
    Exclusion(
        "the answer to a sample has status OK, and so have the bits of it that pass through",
        signal=r"(early|answer)__head__payload(\$\d+)?\.(status|empty)",
    ),
    Exclusion(
        "the same where it is packed",
        signal=r"(early|answer)__head__payload(\$\d+)?", place=r"\[(1[2-9]|20)\].*",
    ),
    Exclusion(
        "statuses are 0 to 6 in a byte", signal=r"(.*[._])?status", place=r"\[[3-7]\].*",
    ),
    Exclusion(
        "16 bits in the answer for the number of unstable neurons, of which there are at most 20",
        signal=r"(.*\.)?unstable(_bytes)?", place=r"\[([5-9]|1\d)\].*",
    ),
    Exclusion(
        "16 bits in the answer for the number of sweeps, which is at most 1 + 3 * 255",
        signal=r"(.*\.)?sweeps(_bytes)?", place=r"\[1\d\].*",
    ),
    Exclusion(
        "both numbers where outcomes are packed", signal=r"(.*[._])?outcome(\$\d+)?",
        place=r"\[(1[2-8]|2[2-9]|3\d)\].*",
    ),
    Exclusion(
        "and where a packed outcome is what a register takes next",
        module=r"(.*\.)?(command\.samples|machine\.sequencer)", signal=r"\$\d+",
        place=r"\[(1[2-8]|2[2-9]|3\d)\].*",
    ),
    Exclusion(
        "a byte in the answer for a flag and for the number of a class, below 4",
        signal="(learned|prediction)_bytes", place=r"\[[2-7]\].*",
    ),
    Exclusion(
        "the self-test's addresses: 32 bits, of which those beyond the words that there are stay 0",
        module=r"(.*\.)?self_test(\$\d+)?", signal=r"\$\d+", place=r"\[([7-9]|[12]\d|3[01])\].*",
    ),
    Exclusion(
        "a strip of three lanes in a store of eight banks: what comes out of the other five",
        module=r"machine\.array\.strip\d\.store", signal=r"(given|by1|by2|turned)\$\d+",
        place=r"\[(2[4-9]|[3-9]\d|1\d\d)\].*",
    ),
    Exclusion(
        "a column store has no chain coupling: its register is 0",
        signal=r"((.*\.)?(registers|values)(\$\d+)?\.)?chain_coupling",
    ),
    Exclusion(
        "the same where registers are packed",
        signal=r"(registers|values)(\$\d+)?", place=r"\[(3\d|4\d|5[0-3])\].*",
    ),
    Exclusion(
        "a column store tells no envelope of its fields", signal=r"(.*\.)?field_envelope",
    ),
    Exclusion(
        "what a cycle counts, packed: a column store has no envelope, and there is room for more than "
        "machines of this size reach",
        module=r"|top|machine|top\.core(\.machine)?", signal=r"(machine\.)?amounts(\$\d+)?",
    ),
    Exclusion(
        "accumulators of compact lanes beyond those of six groups stay 0",
        module=r"machine\.array\.strip\d\.lanes", signal=r"(drive|recur)\d",
        place=r"\[[678]\].*",
    ),
]  # fmt: skip
