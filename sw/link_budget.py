"""Writes ``docs/link.md``, what the link allows: ``python -m relaxon.link_budget > docs/link.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relaxon.baud import MIN_CYCLES_PER_BIT, cycles_per_bit
from relaxon.config import Config
from relaxon.errors import ConfigError
from relaxon.framing import encoded_bytes
from relaxon.layout import Layout
from relaxon.protocol import FRAME_OVERHEAD, OUTCOME, WINDOW
from relaxon.protocol_table import rows

BAUDS = (115_200, 1_000_000, 3_000_000, 12_000_000)
INPUTS = (100, 128, 784)
CLOCKS_HZ = (48_000_000, 100_000_000)
BITS_PER_BYTE = 10
"""Start bit, eight bits, stop bit."""

HEAD = """\
# What the link allows

Made from `sw/protocol.py` by `python -m relaxon.link_budget > docs/link.md`; do not edit.

Every training sample is one frame to the board and one answer. Counted is everything that goes over
the line: sequence number, opcode or status, label and packed inputs or the outcome, CRC, COBS code
bytes at their most (one, and one more for each 254 bytes of payload) and the delimiter. A UART takes
{bits} bits for a byte. Both directions are used at once.
"""

MIDDLE = """\
## When the line is the bottleneck

While the board computes one sample it receives the next and answers the last (`hw/command.py`), so a
sample takes as long as its frame on the line or as the machine computes, whichever is longer. These
are the clock cycles a frame takes: a machine that needs fewer for a sample waits for the line, one
that needs more is never kept waiting. Fetching a frame from the receive buffer, 2 cycles for each
byte, is hidden too.

A UART needs at least {least} clock cycles for a bit, and a whole number of them within 2 %; — is a
rate that the clock cannot make.
"""

END = """\
## How late an answer may be

The driver keeps up to {window} frames under way, as far as they fit the receive buffer; a whole window
of samples always does. The first answer of a full window must have come back, and the next frame have
left the host, before the last frame of the window has gone: so from the end of a frame to the start of
the one that its answer makes room for, {less} frame times may pass without a gap on the line. In it
are the machine's computing, the answer's own time on the line, the operating system and the latency
of the USB adapter. Where the machine is the bottleneck, it is {less} times what a sample takes to
compute, if that is longer.
"""


@dataclass(frozen=True)
class Budget:
    """What training samples of so many inputs need on the line."""

    inputs: int

    @property
    def request(self) -> int:
        """Bytes to the board, encoded."""
        return encoded_bytes(Layout(Config(inputs=self.inputs)).sample_payload)

    @property
    def answer(self) -> int:
        """Bytes from the board, encoded."""
        return encoded_bytes(FRAME_OVERHEAD + OUTCOME.size)

    def cycles(self, baud: int, clock_hz: int) -> int | None:
        """Clock cycles of a request on the line; None where the clock cannot make the rate."""
        try:
            cycles_per_bit(clock_hz, baud)
        except ConfigError:
            return None
        return round(self.request * BITS_PER_BYTE * clock_hz / baud)

    def round_trip(self, baud: int) -> float:
        """Seconds that may pass from the end of a frame to the one that its answer allows."""
        return (WINDOW - 1) * self.request * BITS_PER_BYTE / baud


def rate(baud: int, size: int) -> int:
    """Frames of so many bytes per second."""
    return baud // (BITS_PER_BYTE * size)


def _each() -> Iterator[tuple[int, Budget]]:
    return ((baud, Budget(inputs)) for baud in BAUDS for inputs in INPUTS)


def _number(value: int | None) -> str:
    return "—" if value is None else f"{value:,}".replace(",", " ")


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms" if seconds < 0.1 else f"{1e3 * seconds:.0f} ms"


def document() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD.format(bits=BITS_PER_BYTE),
            "## Samples per second\n",
            rows(
                ("baud", "inputs", "bytes to the board", "samples/s", "bytes back", "answers/s"),
                (
                    (_number(baud), b.inputs, b.request, _number(rate(baud, b.request)),
                     b.answer, _number(rate(baud, b.answer)))
                    for baud, b in _each()
                ),
            ),
            MIDDLE.format(least=MIN_CYCLES_PER_BIT),
            rows(
                ("baud", "inputs", *(f"cycles at {hz // 10**6} MHz" for hz in CLOCKS_HZ)),
                (
                    (_number(baud), b.inputs, *(_number(b.cycles(baud, hz)) for hz in CLOCKS_HZ))
                    for baud, b in _each()
                ),
            ),
            END.format(window=WINDOW, less=WINDOW - 1),
            rows(
                ("baud", "inputs", "round trip"),
                ((_number(baud), b.inputs, _time(b.round_trip(baud))) for baud, b in _each()),
            ),
        ]
    )


if __name__ == "__main__":
    print(document(), end="")
