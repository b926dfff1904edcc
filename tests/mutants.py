"""Faults to be planted in the gateware, one at a time, and the tests that are to catch each.

A mutant replaces one piece of a source by another. What is missing, swapped, off by one or stale in
it is what its name says; none of them is a fault that nobody could see from outside. `mutation.py`
plants them.
"""

from __future__ import annotations

from dataclasses import dataclass

LEARNS = "test_gateware.py::test_learns_exactly_as_the_model[{}-{}]"
TWIN = "test_conformance.py::test_the_gateware_answers_as_the_twin[0]"
OVERLAP = "test_conformance.py::test_frames_that_overlap_are_answered_as_one_by_one[0]"
GARBAGE = "test_garbage.py::test_training_goes_on_correctly_after_garbage"
COUNTS = "test_counters.py::test_counts_exactly[skewed]"

APART = (
    "test_proofs.py::test_proof[no word is read while written; only couplings of who learns change, "
    "by one: RowLearner, SkewedStore M=2 H=2 N=2 P=2]"
)


def skewed(case: str) -> str:
    """The test that a machine with the skewed store learns as the model does."""
    return LEARNS.format(case, "skewed")


def column(case: str) -> str:
    """The same with a column store."""
    return LEARNS.format(case, "column")


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Parameters
    ----------
    name
        What is wrong, in words.
    file
        Source under ``hw/``.
    old, new
        What is replaced there, and by what; `old` occurs exactly once.
    tests
        Under ``tests/``, in the order in which they are tried.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The source with the fault; raises `ValueError` if it is not the one that was meant."""
        times = source.count(self.old)
        if times != 1:
            raise ValueError(
                f"mutant {self.name!r}: hw/{self.file} has {times} times, not once:\n{self.old}\n"
                "The source has moved on; give the mutant the new text (tests/mutants.py)."
            )
        return source.replace(self.old, self.new)


MUTANTS = (
    # ---- fields ---------------------------------------------------------------------------------
    Mutant(
        "a field of 0 is taken for negative (lanes)", "lane.py",
        "negative, old = field[-1], states[2]",
        "negative, old = field[-1] | (field == 0), states[2]",
        (skewed("two-lanes"), skewed("saturating")),
    ),
    Mutant(
        "a field of 0 is taken for negative (compact lanes)", "compact.py",
        "return field[-1]", "return field[-1] | (field == 0)",
        (column("padded"), column("saturating")),
    ),
    Mutant(
        "margin: s = +1 is stable at h = κ", "cluster.py",
        "- (sign > 0)", "", (skewed("two-lanes"), skewed("saturating")),
    ),
    Mutant(
        "margin: s = -1 is stable at -h = κ", "cluster.py",
        "- (sign > 0)", "- 1", (skewed("two-lanes"), skewed("saturating")),
    ),
    Mutant(
        "margin: stable at s·h = κ (compact lanes)", "compact.py",
        "<< 1) - 1)", "<< 1) + 1)", (column("padded"), column("saturating")),
    ),
    Mutant(
        "self-coupling with the wrong sign", "cluster.py",
        "at_rest.eq(sign * self.self_coupling)", "at_rest.eq(-sign * self.self_coupling)",
        (skewed("two-lanes"),),
    ),
    Mutant(
        "the free sweep has R, too", "lane.py",
        "Mux(second.mode == Mode.FREE, 0, recur)", "recur", (skewed("two-lanes"),),
    ),
    Mutant(
        "an addition does not see the one a cycle before", "lane.py",
        "Mux(self.again, latest,", "Mux(0, latest,", (skewed("one-group"),),
    ),
    Mutant(
        "an addition does not see the one a cycle before (compact lanes)", "compact.py",
        "recurs.eq(again & ~reading.drive)", "recurs.eq(0)",
        (column("recurrent-alone-learns"),),
    ),
    Mutant(
        "the label's column of the class after", "sequencer.py",
        "layout.feedback_base + self.label * layout.groups",
        "layout.feedback_base + (self.label + 1) * layout.groups", (skewed("two-lanes"),),
    ),
    Mutant(
        "the label stays clamped in the released sweeps", "sequencer.py",
        "clamped = (self.sweeps == Phase.CLAMPED)", "clamped = (self.sweeps != Phase.INFER)",
        (skewed("two-lanes"),),
    ),
    Mutant(
        "the label's column is never taken off again (compact lanes)", "sequencer.py",
        "access.positive_a.eq(self.sweeps == Phase.CLAMPED)", "access.positive_a.eq(1)",
        (column("padded"),),
    ),
    # ---- states that are kept -------------------------------------------------------------------
    Mutant(
        "kept: neurons turn all the same (lanes)", "lane.py",
        "(negative == old) & (mode != Mode.KEEP)", "negative == old", (skewed("kept"),),
    ),
    Mutant(
        "kept: neurons turn all the same (compact lanes)", "compact.py",
        "m.d.sync += factor.eq(1)", "m.d.sync += factor.eq(0)", (column("kept"),),
    ),
    Mutant(
        "kept: A has its say (compact lanes)", "compact.py",
        "drive_zero = Mux(now.valid, keeps,", "drive_zero = Mux(now.valid, 0,", (column("kept"),),
    ),
    Mutant(
        "kept: events are added to the sum of the group whose states are read", "cluster.py",
        "(self._now.mode == Mode.FREE) | (self._now.mode == Mode.KEEP)",
        "self._now.mode == Mode.FREE", (skewed("kept-many-groups"),),
    ),
    # ---- groups in turn -------------------------------------------------------------------------
    Mutant(
        "in turn: the last group alone tells a fixed point", "sequencer.py",
        "m.next = \"SWEEP\"\n            with m.If(self.idle & self.ends)",
        "self._to_sweep(m, \"SWEEP\")\n            with m.If(self.idle & self.ends)",
        (skewed("in-turn"),),
    ),
    Mutant(
        "in turn: groups that have not changed are passed over", "sequencer.py",
        "& ~self.coupled & ~self.in_turn", "& ~self.coupled", (skewed("in-turn-side-by-side"),),
    ),
    Mutant(
        "in turn: a sweep ends with its first group", "sequencer.py",
        "self.ends.eq(self.groups.last)", "self.ends.eq(1)", (skewed("in-turn"),),
    ),
    Mutant(
        "in turn: the free sweep, too", "sequencer.py",
        "self.registers.sequential & ~self.free", "self.registers.sequential", (skewed("in-turn"),),
    ),
    # ---- chains ---------------------------------------------------------------------------------
    Mutant(
        "chain: twice the module after, never the one before", "strip.py",
        "states.before.eq(group - step)", "states.before.eq(group + step)", (skewed("chain"),),
    ),
    Mutant(
        "chain: at an end, the neighbour that is not there", "lane.py",
        "Mux(self.has_previous, self.previous, self.next)",
        "Mux(self.has_previous, self.next, self.previous)", (skewed("chain"),),
    ),
    Mutant(
        "chain: the last module of all has a neighbour", "strip.py",
        "return has_previous, Const(1) if self._number < in_foot - 1 else ~evaluation.foot",
        "return has_previous, Const(1)", (skewed("chain-within-group"),),
    ),
    Mutant(
        "chain: from one group to the next, the wrong row", "array.py",
        "if number else strips[-1].before", "if number else strips[-1].center",
        (skewed("chain-within-group"),),
    ),
    Mutant(
        "chain: neurons change before their neighbours have read them", "strip.py",
        "self.apply | ~self.coupled | entry.learns", "1", (skewed("chain-of-large"),),
    ),
    Mutant(
        "chain: modules beside one that changed are not evaluated again", "sequencer.py",
        "self.again & ~self.coupled &", "self.again &",
        (skewed("chain"),),
    ),
    # ---- events ---------------------------------------------------------------------------------
    Mutant(
        "of two events at once, one is lost to the fields", "strip.py",
        "access.two.eq(pair.two)", "access.two.eq(0)", (skewed("two-lanes"),),
    ),
    Mutant(
        "of two events at once, one is lost to the scores", "readout.py",
        "Cat(self.event.valid, self.event.valid & pair.two)", "Cat(self.event.valid, Const(0))",
        (skewed("two-lanes"),),
    ),
    Mutant(
        "an event counts once, not twice", "strip.py",
        "access.twice.eq(~self.rest)", "access.twice.eq(0)", (skewed("two-lanes"),),
    ),
    Mutant(
        "an event goes to the wrong group", "strip.py",
        "access.group.eq(pair.tag.group - pair.tag.local + part)",
        "access.group.eq(pair.tag.group + part)", (column("padded"),),
    ),
    Mutant(
        "an event comes twice, the next one not at all", "events.py",
        "entry.mask & ~lowest & ~Mux", "entry.mask & ~Mux", (column("padded"),),
    ),
    Mutant(
        "the last event of an entry is lost", "events.py",
        "last.eq(left <= Mux(alone, 1, 2))", "last.eq(left <= 2)", (column("padded"),),
    ),
    Mutant(
        "an entry of the list is lost", "events.py",
        "one.eq(end == (at + 2)[: len(at)])", "one.eq(1)", (skewed("one-module"),),
    ),
    Mutant(
        "the scores move by half of what they should", "readout.py",
        "event << 1", "event", (skewed("two-lanes"),),
    ),
    Mutant(
        "the last input never changes", "inputs.py",
        "(1 << layout.config.inputs % width) - 1", "(1 << layout.config.inputs % width - 1) - 1",
        (column("padded"),),
    ),
    Mutant(
        "inputs are compared with those of two samples ago", "inputs.py",
        "copy.data.eq(self.current.data)", "copy.data.eq(old.data)", (column("padded"),),
    ),
    Mutant(
        "of two inputs at once, the second goes to the first group only", "sequencer.py",
        "access.b.eq(column + pair.b + self.offset)", "access.b.eq(column + pair.b)",
        (skewed("padded"),),
    ),
    Mutant(
        "the states of the last group are not written", "states.py",
        "Mux(host.active, host.write, self.write.valid)",
        "Mux(host.active, host.write, self.write.valid & (self.write.group != self.layout.groups - 1))",
        (column("padded"),),
    ),
    # ---- the course of a sample -----------------------------------------------------------------
    Mutant(
        "a sweep less than the limit", "sequencer.py",
        "with m.If(self.remaining != 0):", "with m.If(self.remaining > 1):", (column("padded"),),
    ),
    Mutant(
        "a free sweep may be a fixed point", "sequencer.py",
        "(self.moved == 0) & ~self.free", "self.moved == 0",
        ("test_gateware.py::test_a_free_sweep_that_moves_nothing_is_no_fixed_point",),
    ),
    Mutant(
        "every sweep is a fixed point", "sequencer.py",
        "(self.moved == 0) & ~self.free", "~self.free", (column("padded"),),
    ),
    Mutant(
        "what a sweep moved is remembered for ever", "sequencer.py",
        "self.moved.eq(0), self.apply", "self.moved.eq(self.moved), self.apply",
        (column("many-sweeps"),),
    ),
    Mutant(
        "groups that changed are evaluated twice in a sweep", "groups.py",
        "others.eq(rest & ~second)", "others.eq(rest)", (column("many-rows"),),
    ),
    Mutant(
        "a sample is learned though the gate has ended it", "sequencer.py",
        "with m.If(self.training & ~self.passes):", "with m.If(self.training):",
        (column("like-the-icebreaker"),),
    ),
    Mutant(
        "gated: the prediction of the final state is told", "sequencer.py",
        "with m.If(~self.registers.gate_enable):", "with m.If(1):",
        (column("like-the-icebreaker"),),
    ),
    Mutant(
        "what the host wrote does not invalidate the fields", "access.py",
        "self.invalidate.eq(self.space != Space.COUNTERS)", "self.invalidate.eq(0)", (TWIN,),
    ),
    # ---- decisions ------------------------------------------------------------------------------
    Mutant(
        "of equal scores, the highest class wins", "decision.py",
        "(score > best)", "(score >= best)", (skewed("two-lanes"),),
    ),
    Mutant(
        "of equal scores, the label wins (serial readout)", "serialreadout.py",
        "ahead = self.class_ < self.prediction", "ahead = Const(0)", (column("padded"),),
    ),
    Mutant(
        "gate: a lead that equals it is enough", "decision.py",
        "true - rival > self.gate", "true - rival >= self.gate",
        ("test_survivors.py::test_limits_are_met_exactly[skewed]",),
    ),
    Mutant(
        "gate: a lead that equals it is enough (serial readout)", "serialreadout.py",
        "m.Elif(score >= limit)", "m.Elif(score > limit)",
        ("test_survivors.py::test_limits_are_met_exactly[column]",),
    ),
    Mutant(
        "the label's class does not learn at r = κ₊", "decision.py",
        "score <= self.margin_true", "score < self.margin_true",
        ("test_survivors.py::test_limits_are_met_exactly[skewed]",),
    ),
    Mutant(
        "another class does not learn at -r = κ₋", "decision.py",
        "score + self.margin_false >= 0", "score + self.margin_false > 0",
        ("test_survivors.py::test_limits_are_met_exactly[skewed]",),
    ),
    Mutant(
        "no class learns at its margin (serial readout)", "serialreadout.py",
        "low.eq(~plus(self.margin, score, self.own)[-1])",
        "low.eq(plus(self.margin, score, self.own) > 0)",
        ("test_survivors.py::test_limits_are_met_exactly[column]",),
    ),
    # ---- learning -------------------------------------------------------------------------------
    Mutant(
        "couplings learn in the wrong direction", "store.py",
        "element + Cat(Const(1, 1), (~up)", "element + Cat(Const(1, 1), (up)",
        (column("padded"),),
    ),
    Mutant(
        "couplings of 8 bits: no upper end", "store.py",
        "top = ~sign & (low.all() | high.any())",
        "top = ~sign & (low.all() | high.any()) & (bits != 7)",
        ("test_survivors.py::test_couplings_of_8_bits_saturate_at_both_ends[skewed]",),
    ),
    Mutant(
        "couplings of fewer bits: no upper end", "store.py",
        "top = ~sign & (low.all() | high.any())", "top = 0", (column("saturating"),),
    ),
    Mutant(
        "couplings: the lower end is one too low", "store.py",
        "~(low[1:].any() & high.all())", "~(low.any() & high.all())", (column("saturating"),),
    ),
    Mutant(
        "couplings: no lower end", "store.py",
        "return Mux(up, top, bottom)", "return up & top",
        ("test_survivors.py::test_couplings_of_8_bits_saturate_at_both_ends[column]",),
    ),
    Mutant(
        "couplings: J has the range of W", "store.py",
        "Mux(self.recurrent, of_recurrent, of_input)", "Mux(self.recurrent, of_input, of_input)",
        (skewed("narrow-recurrent"),),
    ),
    Mutant(
        "couplings: the range of J comes to W, too (column store)", "store.py",
        "self.access.a, self.access.drive, self.learn,", "self.access.a, Const(0), self.learn,",
        (column("narrow-recurrent"),),
    ),
    Mutant(
        "an event of J is not shifted", "strip.py",
        "access.shift.eq(self.registers.recurrent_shift)", "access.shift.eq(0)",
        (skewed("narrow-recurrent"),),
    ),
    Mutant(
        "what J learned is not shifted in the field", "strip.py",
        "Mux(drive, registers.input_shift, registers.recurrent_shift)",
        "Mux(drive, registers.input_shift, 0)", (column("narrow-recurrent"),),
    ),
    Mutant(
        "readout: no upper end", "readout.py",
        "Mux(high, limit, Mux(low, -limit, value))", "Mux(low, -limit, value)",
        (skewed("saturating"),),
    ),
    Mutant(
        "readout: no lower end", "readout.py",
        "Mux(high, limit, Mux(low, -limit, value))", "Mux(high, limit, value)",
        (skewed("saturating"),),
    ),
    Mutant(
        "readout: the lower end is one too low (serial readout)", "serialreadout.py",
        "~(low_bits.any() & high_bits.all())", "~high_bits.all()",
        ("test_survivors.py::test_couplings_of_8_bits_saturate_at_both_ends[column]",),
    ),
    Mutant(
        "readout: no upper end (serial readout)", "serialreadout.py",
        "Mux(high, limit, Mux(low, -limit, value))", "Mux(low, -limit, value)",
        (column("saturating"),),
    ),
    Mutant(
        "fields follow couplings that were cut", "store.py",
        "self.moved.eq(self.mask & ~cuts)", "self.moved.eq(self.mask)", (column("saturating"),),
    ),
    Mutant(
        "fields do not follow what was learned", "store.py",
        "self.change.valid.eq(late)", "self.change.valid.eq(0)", (skewed("two-lanes"),),
    ),
    Mutant(
        "a neuron learns a coupling to itself", "learners.py",
        "& ~(diagonal & (itself == p))", "", (skewed("two-lanes"),),
    ),
    Mutant(
        "a row's last word learns beyond the last input", "learners.py",
        "Mux(final, number < rest, number < every)", "number < every", (skewed("padded"),),
    ),
    Mutant(
        "a row's last word learns beyond the last neuron", "learners.py",
        "Mux(final, number < tail, number < body)", "number < body", (skewed("padded"),),
    ),
    Mutant(
        "padding learns", "strip.py",
        "valid.eq(Mux(at.tail, tail, body))", "valid.eq(body)",
        (column("padded"), "test_gateware.py::test_padding_never_learns"),
    ),
    Mutant(
        "W learns whether enabled or not", "strip.py",
        "learner.input.eq(self.registers.learn_input)", "learner.input.eq(1)",
        (skewed("recurrent-alone-learns"),),
    ),
    Mutant(
        "J learns whether enabled or not", "strip.py",
        "learner.recurrent.eq(self.registers.learn_recurrent)", "learner.recurrent.eq(1)",
        (skewed("input-alone-learns"),),
    ),
    Mutant(
        "the readout learns whether enabled or not", "parallelreadout.py",
        " & self.registers.learn_readout", "", (skewed("input-alone-learns"),),
    ),
    Mutant(
        "a row of couplings begins in the wrong line", "store.py",
        "Mux(wraps[p], following, high)", "high", (skewed("two-lanes"),),
    ),
    Mutant(
        "the row's bank before the first is in the wrong line", "learners.py",
        "Cat(low < address", "Cat(low <= address", (skewed("two-lanes"),),
    ),
    Mutant(
        "who learns is counted from the wrong bank", "learners.py",
        "number.eq(p - origin)", "number.eq(p - origin - 1)", (skewed("two-lanes"),),
    ),
    Mutant(
        "signs are turned the wrong way round", "store.py",
        "rotate(m, learn.up, (-origin)", "rotate(m, learn.up, (origin)", (skewed("two-lanes"),),
    ),
    Mutant(
        "a coupling that learns is not read", "store.py",
        "Mux(learning, learn.mask[p], columns)", "columns", (skewed("two-lanes"),),
    ),
    Mutant(
        "what lies beyond a row is read, and may be being written", "store.py",
        "Mux(learning, learn.mask[p], columns)", "reads", (APART,),
    ),
    Mutant(
        "columns are turned by one lane too many", "store.py",
        "delayed(m, 3, a[: self._bits]", "delayed(m, 3, (a + 1)[: self._bits]",
        (skewed("two-lanes"),),
    ),
    Mutant(
        "the last word learned may be lost (column store)", "store.py",
        "changed.eq(changes | (changed & ~writes))", "changed.eq(changes & ~changed)",
        (column("padded"),),
    ),
    # ---- counters and cycles --------------------------------------------------------------------
    Mutant(
        "an amount that comes as a sum is taken is lost", "counters.py",
        "alone = amount", "alone = Const(0)", (COUNTS,),
    ),
    Mutant(
        "an amount that comes as a sum is taken counts twice", "counters.py",
        "m.d.sync += value.eq(0)", "m.d.sync += value.eq(amount)", (COUNTS,),
    ),
    Mutant(
        "counters: no carry from one word to the next", "counters.py",
        "carry.eq(total[-1]), part", "part", (COUNTS,),
    ),
    Mutant(
        "couplings that stay are counted as cut", "store.py",
        "self.cut.eq(self.mask & cuts)", "self.cut.eq(cuts)", (column("saturating"),),
    ),
    Mutant(
        "a decision takes a cycle more", "decision.py",
        "with m.If(finishes):", "with m.If(delayed(m, 1, finishes)[0]):", (skewed("two-lanes"),),
    ),
    Mutant(
        "a class's score takes a cycle more (serial readout)", "serialreadout.py",
        "adding += self._latency - 1", "adding += self._latency", (column("padded"),),
    ),
    # ---- frames ---------------------------------------------------------------------------------
    Mutant(
        "the checksum of a frame is not checked", "framing.py",
        " | ~crc.match", "", (TWIN,),
    ),
    Mutant(
        "the checksum starts from the wrong value", "checksum.py",
        "with m.If(self.start):\n            m.d.sync += register.eq(0xFFFFFFFF)",
        "with m.If(self.start):\n            m.d.sync += register.eq(0x7FFFFFFF)",
        ("test_checksum.py",),
    ),
    Mutant(
        "a block of 254 bytes is followed by a zero", "framing.py",
        "owes_zero.eq(byte != 0xFF)", "owes_zero.eq(1)",
        ("test_survivors.py::test_blocks_without_a_zero_are_received",),
    ),
    Mutant(
        "a frame that ends in mid-block is good", "framing.py",
        "self.broken.eq(left != 0)", "self.broken.eq(0)", (TWIN,),
    ),
    Mutant(
        "the receive buffer takes a byte too many", "framing.py",
        "(used == self._size) |", "(used == self._size + 1) |",
        ("test_survivors.py::test_the_receive_buffer_takes_as_much_as_it_says",),
    ),
    Mutant(
        "a frame as long as the receive buffer is refused", "framing.py",
        "(used == self._size) | (received == self._size)", "received == self._size - 1",
        ("test_survivors.py::test_the_receive_buffer_takes_as_much_as_it_says",),
    ),
    Mutant(
        "the lengths of frames that wait are kept for half of them", "framing.py",
        "depth=protocol.SLOTS", "depth=protocol.SLOTS // 2", (OVERLAP,),
    ),
    Mutant(
        "a reply of 254 bytes without a zero is one block", "replies.py",
        "full.eq(run == 0xFE)", "full.eq(run == 0xFF)",
        ("test_survivors.py::test_replies_are_frames",),
    ),
    Mutant(
        "replies lie one byte too near to each other", "replies.py",
        "encoder.write.offset + self.slot * self._bytes",
        "encoder.write.offset + self.slot * (self._bytes - 1)", (TWIN,),
    ),
    # ---- sequence -------------------------------------------------------------------------------
    Mutant(
        "a board that was reset takes commands unopened", "order.py",
        "self.opened & (behind == 0)", "behind == 0", (TWIN,),
    ),
    Mutant(
        "HELLO opens the board", "command.py",
        "self.order.open.eq(self.opcode == Opcode.OPEN)", "self.order.open.eq(1)", (TWIN,),
    ),
    Mutant(
        "a board that is not open says OUT_OF_SEQUENCE", "command.py",
        "Mux(self.order.opened, Status.OUT_OF_SEQUENCE, Status.CLOSED)",
        "Status.OUT_OF_SEQUENCE", (TWIN,),
    ),
    Mutant(
        "a board that is not open says so once", "order.py",
        "self.complain & self.opened", "self.complain", (TWIN,),
    ),
    Mutant(
        "a frame that comes twice is carried out twice", "order.py",
        "(behind == 0)", "(behind <= 1)", (TWIN,),
    ),
    Mutant(
        "the oldest answer that is kept is not sent again", "order.py",
        "behind <= kept", "behind < kept", (TWIN,),
    ),
    Mutant(
        "an answer is said to be kept when it is not any more", "order.py",
        "kept != protocol.SLOTS - 1", "kept != protocol.SLOTS", (TWIN,),
    ),
    Mutant(
        "a gap in the sequence is told again and again", "order.py",
        "self.complained.eq(1)", "self.complained.eq(0)", (TWIN,),
    ),
    Mutant(
        "a command that is refused takes no number", "command.py",
        "self.order.step.eq(1), self.refused.eq(~good)",
        "self.order.step.eq(good), self.refused.eq(~good)", (TWIN,),
    ),
    Mutant(
        "the answer before is sent again", "command.py",
        "Mux(self.repeats, self.sequence, writer.slot)",
        "Mux(self.repeats, self.sequence - 1, writer.slot)", (TWIN,),
    ),
    Mutant(
        "a sample's answer has the next one's number", "samples.py",
        "oldest.eq(self.expected - self.under_way)", "oldest.eq(self.expected - 1)", (OVERLAP,),
    ),
    # ---- words ----------------------------------------------------------------------------------
    Mutant(
        "a READ ends after its first word", "access.py",
        "self.last & (self.count == 1)", "self.last", (TWIN,),
    ),
    Mutant(
        "a word behind the last one exists", "access.py",
        "self.address + count <= words", "self.address + count - 1 <= words", (TWIN,),
    ),
    Mutant(
        "the last word does not exist", "access.py",
        "self.address + count <= words", "self.address + count < words", (TWIN,),
    ),
    Mutant(
        "bytes of a word in the wrong order", "wordbuffer.py",
        "Cat(register[8:], byte)", "Cat(byte, register[:-8])", (TWIN,),
    ),
    Mutant(
        "registers below 0 are read as if above", "registers.py",
        "found[-1].replicate(8)", "0",
        ("test_gateware.py::test_every_word_can_be_written_and_read_back",),
    ),
    # ---- self-test, lines, bus ------------------------------------------------------------------
    Mutant(
        "the self-test always passes", "selftest.py",
        "good.eq(signature.value == self._expected)", "good.eq(1)",
        ("test_selftest.py::test_a_fault_is_found[signature_changed]",),
    ),
    Mutant(
        "the host's frames are lost amid the self-test", "selftest.py",
        "self.received.next.eq(self.frames.next),\n            ]",
        "]\n        m.d.comb += self.received.next.eq(self.frames.next)",
        ("test_selftest.py::test_frames_of_the_host_wait_and_none_is_lost",),
    ),
    Mutant(
        "UART: bits are sampled at their edges", "uart.py",
        "timer.eq(self._cycles // 2 - 1), bit", "timer.eq(self._cycles - 1), bit",
        ("test_uart.py",),
    ),
    Mutant(
        "UART: a byte without a stop bit is taken", "uart.py",
        "self.bytes.valid.eq(line)", "self.bytes.valid.eq(1)",
        ("test_uart.py::test_a_byte_without_stop_bit_is_dropped",),
    ),
    Mutant(
        "UART: no stop bit is sent", "uart.py",
        "left.eq(10)", "left.eq(9)", ("test_uart.py::test_sends_bytes_back_to_back",),
    ),
    Mutant(
        "Wishbone: reading STATUS takes a byte", "wishbone.py",
        "core.tx.ready.eq(to_data & ~bus.we)", "core.tx.ready.eq(access & ~bus.we)",
        ("test_wishbone.py",),
    ),
    Mutant(
        "Wishbone: an access without its byte counts", "wishbone.py",
        "bus.cyc & bus.stb & bus.sel[0] & ~bus.ack", "bus.cyc & bus.stb & ~bus.ack",
        ("test_wishbone.py",),
    ),
    Mutant(
        "Wishbone: an access is acknowledged twice", "wishbone.py",
        "bus.cyc & bus.stb & ~bus.ack & (core", "bus.cyc & bus.stb & (core",
        ("test_wishbone.py",),
    ),
    Mutant(
        "idle while a command is carried out", "core.py",
        "receiver.waiting | command.busy |", "receiver.waiting |",
        ("test_survivors.py::test_a_core_is_not_idle_before_its_answer_is_sent",),
    ),
    Mutant(
        "idle while an answer is being sent", "core.py",
        "command.busy | replies.busy |", "command.busy |",
        ("test_survivors.py::test_a_core_is_not_idle_before_its_answer_is_sent",),
    ),
    Mutant(
        "a button that is held down starts one self-test after another", "core.py",
        "(self.start_self_test & ~before)", "self.start_self_test",
        ("test_survivors.py::test_a_button_that_is_held_down_starts_one_self_test",),
    ),
)  # fmt: skip
