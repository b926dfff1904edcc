"""Writes ``docs/protocol.md`` from `relaxon.protocol`: ``python -m relaxon.protocol_table > …``."""

from __future__ import annotations

from collections.abc import Iterable

from relaxon import protocol
from relaxon.protocol import Fields, Opcode, Space, Status

HEAD = """\
# The link

Made from `sw/protocol.py` by `python -m relaxon.protocol_table > docs/protocol.md`; do not edit.
Protocol version {version}.

A frame is COBS(payload) and a zero byte. Every number is little-endian; CRC-32 is CRC-32/ISO-HDLC
(zlib's), over everything before it.

| direction | payload |
|---|---|
| host to board | sequence u8, opcode u8, body, CRC-32 u32 |
| board to host | sequence u8, status u8, body, CRC-32 u32 |
"""

BEHAVIOUR = """\
## What the board does with what it receives

1. Bytes are split at zeros; an empty frame is ignored. A frame with a broken encoding, a payload
   shorter than {overhead} bytes or a wrong CRC is dropped and counted in `bad_frames`. One for which
   the receive buffer (`rx_bytes` of IDENTITY; {slots} frames) has no room is dropped and counted in
   `overflows`. All others count in `frames`.
2. HELLO and OPEN are answered whatever their sequence numbers. The answer carries `expected`, the
   sequence number the board wants next (0 after power-up), and `opened`, 1 if there was an OPEN
   since power-up or reset, this one not counted. Any other frame before the first OPEN is answered
   CLOSED, each time, and counted in `out_of_sequence`. That is all that OPEN does; HELLO does
   nothing.
3. A frame with that number is carried out. Its answer is kept in slot (sequence mod {slots}), and
   `expected` goes up by one (mod 256).
4. A frame with one of the {window} numbers before it was carried out already: it is not carried out
   again, its kept answer is sent again, and `duplicates` counts it.
5. Any other frame is OUT_OF_SEQUENCE and counted in `out_of_sequence`; the answer says which number
   is expected. It is given once, until the expected frame has come or a HELLO or OPEN was answered.
6. An error in a command (a status other than OK) has an empty body, counts in `refused`, and takes
   its place in the sequence. Checked are, in this order: the opcode; for READ and WRITE that the body
   holds the access, that the words exist, that they fit an answer and the length is right; for
   samples the length, then the label.

So a host may have {window} frames in flight, and encoded bytes up to `rx_bytes`, before it waits for
an answer; after a time-out it sends again from the oldest frame without one. However often a training
frame arrives, it is learned once.

A host that connects sends HELLO with a nonce of its own choice and drops everything until the answer
that repeats it. Relaxon's driver then does the same with OPEN, with a sequence number half-way round
from `expected`, so that no late answer can pass for one to a command. It never sends OPEN again: so
a board that is reset, and may expect the very number that comes next, cannot learn the rest of a
stream whose beginning it has lost.

Link counters count on reception: a READ of the counters has counted its own frame.

A WRITE to any space but COUNTERS makes the next sample compute its fields anew, which takes longer
and changes nothing else.

IDENTITY's `store` is 0 for the store {stores[0]}, 1 for {stores[1]}; bit 0 of `features` says that the
board has a self-test. Without one, SELF_TEST is a BAD_OPCODE.

BUILD is UTF-8 text and zeros: a line `key=value` for each thing known of the build, such as `board`,
`git` (the description of the commit), `seed` and the versions of tools.

After power-up the registers have the values of `relaxon.config.power_up_registers`: the papers' for
the sizes of the machine or, where the fields of these would exceed `field_bits`, the nearest that fit.

SELF_TEST is answered at once; the test begins when it is, and every later frame waits until the test
is over. So does a READ of the word SELF_TEST, whose `result` is {results}. The
test carries out the commands of `relaxon.selftest.Script` as if they came from the host, but for
sequence numbers, answers and the link's counters. It overwrites registers (with their values after
power-up), couplings and state, and counts in the machine's counters. `signature` is the CRC-32 of the
answers, each without its sequence number. A button may start the same test: it is for boards without a
host, which is not told.

Undefined is what follows when a host writes what the machine cannot have: a diagonal of J other than
0, elements out of range, or registers whose fields exceed `field_bits`. The driver refuses them.
"""


def rows(head: Iterable[str], body: Iterable[Iterable[object]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in body)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def fields(layout: Fields) -> str:
    """The members of a body in one cell."""
    return ", ".join(f"{name} {kind}" for name, kind in layout.types.items())


def document() -> str:
    """The whole page."""
    words = f"{fields(protocol.ACCESS)}"
    element, bit = "an element of 1 or 2 bytes", "a bit, 1 where s = +1,"
    bodies = {
        **dict.fromkeys(protocol.GREETINGS, (fields(protocol.HELLO), fields(protocol.IDENTITY))),
        Opcode.READ: (words, "`count` words"),
        Opcode.WRITE: (f"{words}, `count` words", "nothing"),
        Opcode.TRAIN: (f"{fields(protocol.TRAIN)}, input bits", fields(protocol.OUTCOME)),
        Opcode.INFER: ("input bits", fields(protocol.OUTCOME)),
        Opcode.SCORE: ("input bits", f"{fields(protocol.OUTCOME)}, `classes` scores i32"),
        Opcode.SELF_TEST: ("nothing", "nothing"),
    }
    spaces = {
        Space.REGISTERS: (f"{protocol.REGISTER_BYTES} bytes, two's complement", "the table below"),
        Space.COUNTERS: (f"{protocol.COUNTER_BYTES} bytes", "the table below; writing sets it"),
        Space.WEIGHTS: (f"{element} for each lane, two's complement", "`relaxon.layout`"),
        Space.READOUT: ("`classes` elements of 2 bytes", "one word per slot, strip after strip"),
        Space.STATE: (f"{bit} for each lane", "one word per group"),
        Space.BUILD: ("1 byte", f"{protocol.BUILD_BYTES} of them, see below; writes are ignored"),
        Space.SELF_TEST: (fields(protocol.SELF_TEST), "one, see below; writes are ignored"),
    }
    return "\n".join(
        [
            HEAD.format(version=protocol.VERSION),
            "## Commands\n",
            rows(
                ("opcode", "value", "body", "body of the answer"),
                ((o.name, f"0x{o.value:02X}", *bodies[o]) for o in Opcode),
            ),
            "Bit n mod 8 of byte ⌊n/8⌋ of the input bits is 1 where x[n] = +1.\n",
            "## Answers\n",
            rows(
                ("status", "value", "meaning"),
                ((s.name, f"0x{s.value:02X}", protocol.STATUS_HELP[s]) for s in Status),
            ),
            BEHAVIOUR.format(
                overhead=protocol.FRAME_OVERHEAD, slots=protocol.SLOTS, window=protocol.WINDOW,
                stores=protocol.STORES,
                results=", ".join(f"{r.value} {r.name}" for r in protocol.Verdict),
            ),
            "## Address spaces\n",
            rows(
                ("space", "value", "word", "which word"),
                ((s.name, s.value, *spaces[s]) for s in Space),
            ),
            "## Registers\n",
            rows(
                ("word", "name", "range", "meaning"),
                (
                    (at, f"`{r.name}`", f"{r.low} … {r.high}", r.doc)
                    for at, r in enumerate(protocol.REGISTERS)
                ),
            ),
            "## Counters\n",
            rows(
                ("word", "name", "bits", "counts"),
                ((at, f"`{c.name}`", c.bits, c.doc) for at, c in enumerate(protocol.COUNTERS)),
            ),
        ]
    )


if __name__ == "__main__":
    print(document(), end="")
