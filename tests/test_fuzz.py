"""Any bytes at all, to the board and to the host: nothing hangs, nothing wrong is learned or raised.

With ``--long`` the board gets ten million bytes and the host one million; without, some hundredths.
"""

from __future__ import annotations

import io
import itertools
import pickle
import random
import time
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from faults import Training, messages, quick_board
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import random_couplings, random_samples
from test_conformance import CONFIG, SMALL, TWINLESS, Frames, Pair, counts, said_once

from relaxon import Config
from relaxon.checkpoint import Checkpoint, load, save
from relaxon.errors import DataError, LinkError, RelaxonError
from relaxon.framing import encode
from relaxon.linkboard import LinkBoard
from relaxon.protocol import (
    ACCESS,
    COUNTERS,
    HEADER_BYTES,
    REGISTERS,
    WINDOW,
    Opcode,
    Space,
    Status,
)
from relaxon.selftest import Script
from relaxon.session import Session
from relaxon.sim.simulated import SimulatedTransport
from relaxon.sim.twin import Twin, TwinTransport
from relaxon.transport import Transport

TIMEOUT = 0.03
"""Seconds of a hostile board's silence, or nonsense, after which the host gives up."""
SELF_TESTS = 0.001
"""How many of the self-tests that come up are kept: each takes as long as hundreds of frames."""
CYCLES_PER_BYTE = 30
"""Within which a board is at rest after bytes that are no self-test; the most is printed."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes with bits flipped, or a part lost, repeated, replaced, or cut off behind."""
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.randrange(1, 9))
    match rng.randrange(6):
        case 0:
            changed = bytearray(data)
            for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            return bytes(changed)
        case 1:
            return data[:at] + data[to:]
        case 2:
            return data[:to] + data[at:]
        case 3:
            return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[to:]
        case 4:
            return data[:at] + bytes(rng.randrange(1, 4)) + data[at:]
    return data[:at]


def up_to_counters(data: bytes) -> bytes:
    """Bytes up to the end of the first frame that reads or writes counters.

    Frames count on reception, so the answer to it tells of all that have come by then.
    """
    start = 0
    while end := data.find(b"\0", start) + 1:
        if counts(data[start:end]):
            return data[:end]
        start = end
    return data


# ---- the board ----------------------------------------------------------------------------------


class Mutations(Frames):
    """Frames of `Frames`; such with any opcode and body but a right CRC; both damaged; noise."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self.recent: deque[bytes] = deque([b"\0"], maxlen=32)

    def piece(self, expected: int) -> bytes:
        """A frame or what is left of it, for a board that expects this sequence number."""
        rng = self.rng
        frame = self._frame(expected)
        other = rng.choice(self.recent)
        if frame:
            self.recent.append(frame)
        match rng.randrange(10):
            case 0 | 1:
                return mutated(frame, rng)
            case 2:  # a splice of two
                return frame[: rng.randrange(len(frame) + 1)] + other[rng.randrange(len(other)) :]
            case 3:
                return other
        return frame

    def noise(self) -> bytes:
        """Bytes that are no frame; what ends them is never an end in vain."""
        rng = self.rng
        length = rng.choice((10, 100, 1000, 5000))
        match rng.randrange(4):
            case 0:
                return rng.randbytes(length) + b"\0"
            case 1:  # codes that promise short groups
                return bytes(rng.choices((0, 1, 2, 3, 5, 255), k=length)) + b"\0"
            case 2:
                return bytes((rng.randrange(256),)) * length + b"\0"
        return b"".join(mutated(rng.choice(self.recent), rng) for _ in range(length // 10)) + b"\0"

    def _frame(self, expected: int) -> bytes:
        while True:
            crafted = self.rng.random() < 0.4
            data = self._crafted(expected) if crafted else self.bytes_on_the_wire(expected)
            if all(self._can_be_followed(message) for message in messages(data)):
                return data

    def _crafted(self, expected: int) -> bytes:
        rng = self.rng
        opcode = rng.choice((*Opcode, *Opcode, rng.randrange(256)))
        if rng.random() < 0.7:
            body = mutated(self._body(opcode), rng)
        else:
            body = rng.randbytes(rng.choice((0, 1, 2, 3, 5, 6, 7, 30, 300)))
        sequence = rng.choice((expected, expected, expected, rng.randrange(256)))
        return encode(bytes((sequence, opcode)) + body)

    def _can_be_followed(self, message: bytes) -> bool:
        """Whether the twin can say what comes of it: nothing undefined, nothing of the clock."""
        opcode, body = message[1], message[HEADER_BYTES:]
        if opcode == Opcode.SELF_TEST:
            return bool(body) or self.rng.random() < SELF_TESTS
        if opcode not in (Opcode.READ, Opcode.WRITE) or len(body) < ACCESS.size:
            return True
        space, address, count = ACCESS.unpack(body).values()
        data = body[ACCESS.size :]
        if opcode == Opcode.READ:
            clock = [c.name for c in COUNTERS].index(TWINLESS)
            timed = space == Space.COUNTERS and address <= clock < address + count
            return space != Space.STATE and not timed
        if space == Space.REGISTERS:
            names = [r.name for r in REGISTERS[address : address + count]]
            values = np.frombuffer(data[: len(data) // 4 * 4], "<i4").tolist()
            small = all(n in SMALL and 0 <= v < 5 for n, v in zip(names, values))
            return small or (names == ["margin"] and all(-2048 <= v < 2048 for v in values))
        if space in (Space.WEIGHTS, Space.READOUT):
            first, held = self.layout.place("recurrent")[1:]
            diagonal = space == Space.WEIGHTS and first - count < address < first + held
            return b"\x80" not in data and not (diagonal and any(data))
        return True


class Followed(Pair):
    """Adds the bound on the time that the board may take, and the figures."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.slowest = 0.0
        self.self_test_cycles = 2 * Script(CONFIG).cycles()
        self.answers: Counter[str] = Counter()

    def check(self, data: bytes, wanted: bytes) -> None:
        """The chip answers `data` as the twin did, and comes to rest in time."""
        before = self.chip.cycles
        tests = sum(message[1] == Opcode.SELF_TEST for message in messages(data))
        self.chip.write(data)
        said = b""
        while part := self.chip.read(20.0):
            said += part
        cycles = self.chip.cycles - before
        most = CYCLES_PER_BYTE * (len(data) + 100) + tests * self.self_test_cycles
        assert cycles <= most, f"not at rest after {cycles} cycles of {data.hex()}"
        answers = messages(wanted)
        assert said_once(messages(said)) == said_once(answers), data.hex()
        self.bytes += len(data)
        if not tests:
            self.slowest = max(self.slowest, cycles / (len(data) + 100))
        for answer in answers:
            known = answer[1] in set(Status)
            self.answers[Status(answer[1]).name if known else "?"] += 1

    def command(self, *commands: bytes) -> None:
        """Both carry out commands in order, one by one."""
        for command in commands:
            frame = encode(bytes((self.twin._expected,)) + command)
            self.check(frame, self.twin.feed(frame))

    def compare_everything(self) -> None:
        """Every coupling, read from both."""
        layout = self.twin.layout
        for space in (Space.REGISTERS, Space.WEIGHTS, Space.READOUT):
            for address in range(layout.words(space)):
                access = ACCESS.pack(space=space, address=address, count=1)
                self.command(bytes((Opcode.READ,)) + access)


@pytest.mark.parametrize("seed", range(2))
def test_any_bytes_leave_the_board_as_they_leave_its_twin(seed: int, long: bool):
    most = 5_100_000 if long else 60_000
    pair, frames = Followed(), Mutations(seed)
    rng, room = random.Random(seed), frames.layout.rx_bytes
    began, compared = time.monotonic(), 0
    while pair.bytes < most:
        if rng.random() < 0.06:
            # Alone, for it takes all of the receive buffer.
            burst = up_to_counters(b"\0" + frames.noise())
            wanted = pair.twin.feed(burst)
        else:
            burst = wanted = b""
            for _ in range(rng.randrange(1, WINDOW + 1)):
                data = up_to_counters(frames.piece(pair.twin._expected))
                if burst and len(burst) + len(data) > room:
                    break
                burst += data
                wanted += pair.twin.feed(data)
                if counts(data):
                    break
            burst += b"\0"  # what is left open would take room from the next burst
            wanted += pair.twin.feed(b"\0")
        pair.check(burst, wanted)
        if pair.bytes > compared + 1_000_000:
            compared = pair.bytes
            pair.compare_everything()
    x, y = random_samples(CONFIG, 60, seed)
    bits = np.packbits(x > 0, axis=1, bitorder="little")
    pair.command(*(bytes((Opcode.TRAIN, label)) + row.tobytes() for row, label in zip(bits, y)))
    pair.compare_everything()
    pair.chip.close()
    seconds, received = time.monotonic() - began, pair.twin._deframer
    refused = sum(pair.answers[status.name] for status in Status if status is not Status.OK)
    print(
        f"\nboard, seed {seed}: {pair.bytes:,} bytes; {received.frames:,} frames with a right CRC "
        f"({pair.answers['OK']:,} answered OK, {refused:,} refused), {received.bad_frames:,} bad, "
        f"{received.oversized:,} too long; couplings equal; at most {pair.slowest:.0f} cycles per "
        f"byte; {seconds:.1f} s, {pair.bytes / seconds:,.0f} bytes/s"
    )
    assert pair.answers["OK"] and refused and received.bad_frames and received.oversized


@pytest.mark.parametrize("seed", range(2))
def test_a_flood_is_learned_up_to_the_first_frame_that_found_no_room(seed: int, long: bool):
    """More samples than the receive buffer holds, noise among them, and nobody waits for answers."""
    chip, twin = SimulatedTransport(CONFIG), Twin(CONFIG)
    boards = [LinkBoard(transport, CONFIG) for transport in (chip, TwinTransport(twin))]
    for board in boards:
        board.load(random_couplings(CONFIG, seed))
    frames, rng = Mutations(seed), random.Random(seed)
    received = learned = lost = 0
    began = time.monotonic()
    for _ in range(500 if long else 10):
        first = Session(chip).identity.expected
        samples = [frames.sample((first + k) & 0xFF) for k in range(60)]
        flood = b"".join(
            frames.noise() + frame if rng.random() < 0.05 else frame for frame in samples
        )
        chip.write(flood)
        before = chip.cycles
        while chip.read(20.0):
            pass
        assert chip.cycles - before <= CYCLES_PER_BYTE * len(flood), "not at rest"
        done = (Session(chip).identity.expected - first) & 0xFF
        assert 0 < done <= len(samples)
        twin.feed(b"".join(samples[:done]))
        received, learned, lost = received + len(flood), learned + done, lost + len(samples) - done
    left, right = (LinkBoard(t, CONFIG).couplings() for t in (chip, TwinTransport(twin)))
    assert not any(left.differences(right).values())
    chip.close()
    print(
        f"\nflood, seed {seed}: {received:,} bytes, {learned:,} samples carried out, {lost:,} after "
        f"a gap refused; couplings equal; {time.monotonic() - began:.1f} s"
    )
    assert lost > learned / 10


# ---- the host -----------------------------------------------------------------------------------


def hostile(reply: bytes, rng: random.Random) -> bytes:
    """What a board that is out of its mind, or an attacker who knows the CRC, sends instead."""
    message = messages(reply)[0]
    match rng.randrange(9):
        case 0 | 1:
            return mutated(reply, rng)
        case 2:
            return encode(mutated(message, rng))
        case 3:
            return encode(message[:HEADER_BYTES] + rng.randbytes(len(message) - HEADER_BYTES))
        case 4:
            head = bytes((rng.randrange(256), rng.randrange(8)))
            return encode(head + rng.randbytes(rng.randrange(60)))
        case 5:
            return encode(bytes((message[0], Status.OUT_OF_SEQUENCE, rng.randrange(256))))
        case 6:
            return rng.randbytes(rng.choice((3, 30, 600))) + rng.choice((b"", b"\0")) + reply
        case 7:
            return reply + reply
    return b""


class Fiend(TwinTransport):
    """A board whose every answer is hostile with probability `rate`; counts the bytes it says."""

    def __init__(self, twin: Twin, rng: random.Random, rate: float):
        super().__init__(twin, self._alter)
        self.rng, self.rate, self.bytes = rng, rate, 0

    def _alter(self, direction: str, frame: bytes) -> bytes:
        if direction == "reply":
            if self.rng.random() < self.rate:
                frame = hostile(frame, self.rng)
            self.bytes += len(frame)
        return frame


def calls(board: LinkBoard, training: Training) -> Iterator[Callable[[], object]]:
    """All that a host asks of a board."""
    yield lambda: board.load(training.start)
    yield lambda: board.train(training.x, training.y)
    yield lambda: board.infer(training.x)
    yield lambda: board.scores(training.x)
    yield board.couplings
    yield lambda: board.read("state")
    yield board.counters
    yield board.build_info
    yield lambda: board.registers
    yield lambda: setattr(board, "registers", CONFIG.registers)
    yield board.session.resynchronise
    yield lambda: board.self_test(timeout=TIMEOUT)


@pytest.mark.filterwarnings("ignore::relaxon.linkboard.BuildWarning")
def test_no_board_can_hang_or_crash_the_host(long: bool):
    rng, most = random.Random(1), 1_100_000 if long else 40_000
    training, twin = Training(CONFIG, 10), Twin(CONFIG, self_test=0)
    received, ended, longest = 0, Counter(), 0.0
    began = time.monotonic()
    while received < most:
        fiend = Fiend(twin, rng, rng.choice((0.02, 0.1, 0.5)))
        try:
            board = quick_board(fiend, rng.choice((None, CONFIG)), timeout=TIMEOUT)
            for call in calls(board, training):
                started = time.monotonic()
                try:
                    call()
                    ended["well"] += 1
                except RelaxonError as error:
                    ended[type(error).__name__] += 1
                longest = max(longest, time.monotonic() - started)
        except RelaxonError as error:
            ended[type(error).__name__] += 1
        received += fiend.bytes
    seconds = time.monotonic() - began
    print(
        f"\nhost: {received:,} bytes of hostile boards; {ended.total():,} calls, of which "
        f"{', '.join(f'{count:,} {how}' for how, count in ended.items())}; the longest took "
        f"{longest:.2f} s (time-out {TIMEOUT} s); {seconds:.1f} s, {received / seconds:,.0f} bytes/s"
    )
    assert longest < 200 * TIMEOUT
    assert ended["well"] and ended["LinkError"] and ended["CommandError"]
    twin.reset()
    training.carry_through(quick_board(TwinTransport(twin), CONFIG))


class Babble(Transport):
    """Says these pieces, whatever it is asked, and then nothing."""

    def __init__(self, pieces: list[bytes]):
        self.pieces = list(pieces)

    def write(self, data: bytes) -> None: ...

    def read(self, timeout: float) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        time.sleep(timeout)
        return b""

    def close(self) -> None: ...


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), st.builds(encode, st.binary())), max_size=6))
def test_any_bytes_in_place_of_a_greeting_are_told_in_time(pieces: list[bytes]):
    began = time.monotonic()
    with pytest.raises(LinkError, match="did not answer within 0.01 s"):
        Session(Babble(pieces), timeout=0.01)
    assert time.monotonic() - began < 1


# ---- checkpoints --------------------------------------------------------------------------------

SMALL_MACHINE = Config(modules=2, neurons=3, inputs=4, classes=2)


class Planted:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("planted"),)


def pickled_array() -> bytes:
    """An .npy of one pickled object."""
    file = io.BytesIO()
    np.save(file, np.array([Planted()]), allow_pickle=True)
    return file.getvalue()


def headed(text: str) -> bytes:
    """An .npy with this header, and some bytes."""
    data = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + len(data).to_bytes(2, "little") + data + bytes(64)


class Files:
    """A good checkpoint, and what becomes of others made from its parts."""

    def __init__(self) -> None:
        self.path = Path("machine.npz")
        self.couplings = random_couplings(SMALL_MACHINE, seed=1)
        save(self.path, SMALL_MACHINE, self.couplings, x=np.arange(5, dtype=np.int8), seed=3)
        self.whole = self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            self.parts = {name: archive.read(name) for name in archive.namelist()}
        self.refused = self.loaded = 0

    def rewritten(self, **changes: bytes) -> bytes:
        """The archive with these parts instead, its CRCs right."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in (self.parts | {f"{n}.npy": d for n, d in changes.items()}).items():
                archive.writestr(name, data)
        return file.getvalue()

    def load(self, data: bytes) -> Checkpoint | None:
        """What is loaded; None if it is refused."""
        self.path.write_bytes(data)
        try:
            machine = load(self.path)
        except DataError as error:
            assert str(self.path) in str(error)
            self.refused += 1
            return None
        self.loaded += 1
        return machine

    def same(self, machine: Checkpoint) -> bool:
        """Whether it is the good one."""
        equal = not any(machine.couplings.differences(self.couplings).values())
        return equal and machine.config == SMALL_MACHINE and machine.extra == {"seed": 3}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.chdir(tmp_path)
    return Files()


def test_a_checkpoint_with_any_bit_flipped_or_any_end_lost_is_refused_or_the_same(
    files: Files, long: bool
):
    """All of the archive's list of contents in any case: no CRC guards it."""
    began = time.monotonic()
    listed = files.whole.index(b"PK\1\2")
    members = range(0, listed, 1 if long else 41)
    for at in (*members, *range(listed, len(files.whole))):
        for bit in range(8) if long else (at % 8,):
            flipped = bytearray(files.whole)
            flipped[at] ^= 1 << bit
            machine = files.load(bytes(flipped))
            assert machine is None or files.same(machine), (at, bit)
        assert files.load(files.whole[:at]) is None
    print(
        f"\ncheckpoints of {len(files.whole):,} bytes: {files.refused:,} damaged ones refused, "
        f"{files.loaded:,} loaded the same; {time.monotonic() - began:.1f} s"
    )


def test_a_checkpoint_with_parts_exchanged_is_refused(files: Files):
    names = [name.removesuffix(".npy") for name in files.parts if name != "x.npy"]
    for one, other in itertools.combinations(names, 2):
        exchanged = {one: files.parts[f"{other}.npy"], other: files.parts[f"{one}.npy"]}
        assert files.load(files.rewritten(**exchanged)) is None, (one, other)
    assert files.same(files.load(files.rewritten()))


def test_parts_damaged_under_a_right_crc_are_refused_or_a_machine(files: Files, long: bool):
    """Whoever writes such a file may change what is in it, but no more."""
    rng = random.Random(1)
    began = time.monotonic()
    names = [name.removesuffix(".npy") for name in files.parts]
    for _ in range(20_000 if long else 400):
        name = rng.choice(names)
        machine = files.load(files.rewritten(**{name: mutated(files.parts[f"{name}.npy"], rng)}))
        if machine is not None:
            machine.couplings.check(machine.config)
    print(
        f"\ncheckpoints with a part damaged and a right CRC: {files.refused:,} refused, "
        f"{files.loaded:,} loaded; {time.monotonic() - began:.1f} s"
    )


def test_nothing_planted_in_any_part_is_executed(files: Files):
    payloads = (
        pickle.dumps(Planted()),
        pickled_array(),
        pickled_array()[:128] + pickle.dumps(Planted()),
        headed("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")[:-64]
        + pickle.dumps(Planted()),
        headed("__import__('pathlib').Path('planted').touch()"),
        headed("{'descr': __import__('pathlib').Path('planted').touch(), 'shape': ()}"),
        b"import pathlib; pathlib.Path('planted').touch()",
    )
    for name, payload in itertools.product([*files.parts, "more.npy"], payloads):
        assert files.load(files.rewritten(**{name.removesuffix(".npy"): payload})) is None, name
    for payload in payloads:
        assert files.load(payload) is None
    assert not Path("planted").exists()
    pickle.loads(payloads[0])
    assert Path("planted").exists(), "the payload does nothing"
