"""Writes ``docs/embedding.md``, the ports included: ``python -m relaxon.boards.embedding > …``."""

from __future__ import annotations

from typing import NamedTuple

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from relaxon.hw.core import MEMBERS, STATUS
from relaxon.hw.wishbone import STATE


class Port(NamedTuple):
    """A port of the emitted Verilog: its name, "input" or "output", and its bits."""

    name: str
    direction: str
    bits: int


def ports(signature: wiring.Signature) -> list[Port]:
    """The ports of what `relaxon.hw.verilog.emit` makes of a component with these members."""
    members = [Port("clk", "input", 1), Port("rst", "input", 1)]
    for path, member, _ in signature.flatten(signature.create()):
        direction = "input" if member.flow is In else "output"
        members.append(Port("__".join(map(str, path)), direction, Shape.cast(member.shape).width))
    return members


MEANING = {
    "clk": "the only clock; everything is taken and given at its rising edge",
    "rst": "synchronous reset, active high; power-up is one, too; couplings survive it",
    "rx__payload": "a byte from the host",
    "rx__valid": "there is one",
    "rx__ready": "it is taken (always 1)",
    "tx__payload": "a byte to the host",
    "tx__valid": "there is one; it stays until it is taken",
    "tx__ready": "it is taken",
    "idle": "no whole frame waits, nothing is computed, no answer is left to send",
    "start_self_test": "its rising edge starts the self-test",
    "status": ", ".join(f"bit {bit} {name}" for bit, name in enumerate(STATUS.members)),
}
"""What the ports of `Core` are for."""

LAMPS = {
    "busy": ("`idle` being 0", "the board has something to do; dark: at rest"),
    "learning": ("`learning`", "training samples are computed"),
    "passed": ("`passed`", "the last self-test passed; dark before any, and while one runs"),
    "error": (
        "`error` or `failed`",
        "the last frame was broken or refused (the next good one ends it), or the self-test failed",
    ),
}
"""Lamps of a board: what lights them, and what it means."""

BITS = {"available": "a byte from the core waits", "idle": "the core is idle"}
"""What those bits of the peripheral's STATUS mean that are not `Core`'s status."""

EXAMPLE = """\
// A Relaxon machine between two AXI4-Streams of bytes, with a button for the self-test.
module example (
    input        aclk,
    input        aresetn,
    input  [7:0] s_axis_tdata,
    input        s_axis_tvalid,
    output       s_axis_tready,
    output [7:0] m_axis_tdata,
    output       m_axis_tvalid,
    input        m_axis_tready,
    input        button,
    output       busy,
    output [4:0] status
);
    wire      idle;
    reg [1:0] pressed;  // in step with the clock
    always @(posedge aclk) pressed <= {pressed[0], button};
    assign busy = ~idle;

    relaxon core (
        .clk(aclk), .rst(~aresetn),
        .rx__payload(s_axis_tdata), .rx__valid(s_axis_tvalid), .rx__ready(s_axis_tready),
        .tx__payload(m_axis_tdata), .tx__valid(m_axis_tvalid), .tx__ready(m_axis_tready),
        .start_self_test(pressed[1]), .idle(idle), .status(status)
    );
endmodule
"""

PAGE = """\
# The core in other designs

Made by `python -m relaxon.boards.embedding > docs/embedding.md`; do not edit.

`relaxon.hw.core.Core` is a whole machine that speaks the protocol ([protocol.md](protocol.md)) over two
streams of bytes; `relaxon.hw.top.Top` is the same behind a UART, `relaxon.hw.wishbone` behind a
Wishbone bus. `relaxon verilog -o relaxon.sv` writes the core as Verilog (`--component top` with the
UART), with the sizes given or those of a board; in Python, where more can be chosen:

```python
from relaxon import Config, build_info
from relaxon.build_id import build_id
from relaxon.hw.core import Core
from relaxon.hw.verilog import emit
from relaxon.sim.selftest import expected

config = Config.preset("modules", modules=16, neurons=32, inputs=100, lanes=32)
core = Core(
    config, build=build_id(config), clock_hz=50_000_000, self_test=expected(config).signature,
    about=build_info.encode(build_info.describe("my design")),
)
open("relaxon.v", "w").write(emit(core, "relaxon"))
```

## Ports

| port | direction | bits | what |
| --- | --- | --- | --- |
{ports}
The streams are AXI4-Streams without `TLAST`: a byte moves in a cycle in which `valid` and `ready` are 1,
and once offered it stays. The host keeps to its credit (`rx_bytes` of IDENTITY), so the core
takes every byte at once; answers wait in it until they are taken.

## Example

```verilog
{example}```

A host behind any such stream is a board to the driver: implement `relaxon.transport.Transport` and open
`relaxon.linkboard.LinkBoard(transport)`.

## Wishbone

`relaxon.hw.wishbone.WishbonePeripheral` has two words on a classic bus of 32 bits:

| word | bits | access | meaning |
| --- | --- | --- | --- |
| DATA, 0 | 7:0 | write | a byte for the core |
| DATA, 0 | 7:0 | read | the next byte from the core; it is taken by being read |
| DATA, 0 | 8 | read | 1: there was one |
{state}| STATUS, 1 | 0 | write | 1: start the self-test |

`irq` is 1 while a byte from the core waits.

## Lamps and the button

A board without a host shows that it works: press the button, and the self-test trains a built-in set of
vectors and compares the CRC of everything that comes out with what the reference model gave when the
board was built. That takes milliseconds; it overwrites couplings, state and registers.

| lamp | lit by | meaning |
| --- | --- | --- |
{lamps}
A board with fewer lamps leaves out the upper ones. What is lit for a few cycles only has to be held for
some 20 ms to be seen. The button needs no debouncing: while a test runs, it is not started again, and a
second test gives the same result.
"""


def document() -> str:
    """The whole page."""
    bits = [name for name in STATE.members if name != "status"] + list(STATUS.members)
    return PAGE.format(
        ports="".join(
            f"| `{p.name}` | {p.direction} | {p.bits} | {MEANING[p.name]} |\n" for p in ports(MEMBERS)
        ),
        state="".join(
            f"| STATUS, 1 | {bit} | read | {BITS.get(name, name)} |\n"
            for bit, name in enumerate(bits)
        ),
        lamps="".join(
            f"| {name} | {source} | {meaning} |\n" for name, (source, meaning) in LAMPS.items()
        ),
        example=EXAMPLE,
    )


if __name__ == "__main__":
    print(document(), end="")
