"""Runs inside a simulator (see test_array_blocks.py): prediction, gate and margins of class scores."""

import random
from collections import deque

import cocotb
from ports import Ports, made, named

from relaxon.sim.testbench.bench import parameters, start
from relaxon.sim.testbench.coverage import Coverage

seen = Coverage(
    "decision", "tie", "no tie", "first wins", "last wins", "all negative", "gate passed",
    "gate not passed", "gate met", "true margin passed", "true margin missed", "true margin met",
    "false margin passed", "false margin missed", "false margin met", "label first", "label last",
    "ends of the range",
)  # fmt: skip


def decided(scores: list[int], label: int, gate: int, true: int, false: int) -> dict:
    """What the scores mean."""
    others = [score for c, score in enumerate(scores) if c != label]
    return {
        "prediction": scores.index(max(scores)),
        "passes": scores[label] - max(others) > gate,
        "up": (scores[label] <= true) << label,
        "down": sum((-s <= false) << c for c, s in enumerate(scores) if c != label),
        "scores": scores,
    }


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=named("decision"))
async def decides_as_the_scores_say(dut, name):
    component, rng = made(name), random.Random(9)
    block, classes, latency = Ports(dut, name, component), component._classes, component._latency
    await start(dut)
    limit = 1 << len(component.score) - 1
    for _ in range(parameters()["cycles"] // 4):
        size = rng.choice((3, 20, limit))
        scores = [max(1 - limit, min(limit - 1, rng.randint(-size, size))) for _ in range(classes)]
        if rng.random() < 0.1:
            scores = [-abs(score) - 1 for score in scores]
        if rng.random() < 0.1:
            scores[0], scores[-1] = rng.choice(((1 - limit, limit - 1), (limit - 1, 1 - limit)))
        label = rng.choice((0, classes - 1, rng.randrange(classes)))
        rival = max(s for c, s in enumerate(scores) if c != label)
        near = [rng.randint(-1, 1) for _ in range(3)]
        gate = rng.choice((scores[label] - rival + near[0], rng.randint(-limit, limit)))
        true = rng.choice((scores[label] + near[1], rng.randint(-limit, limit)))
        false = rng.choice((near[2] - rng.choice(scores), rng.randint(-limit, limit)))
        registers = {"label": label, "gate": gate, "margin_true": true, "margin_false": false}
        await block.step(start=1, **registers)
        asked = deque([block.get("score_of")] * latency)
        answers = dict(enumerate(scores))
        for cycle in range(classes + 1 + latency):
            await block.step(start=0, score=answers.get(asked[0], 0))
            assert block.get("busy") == 1, f"only for {cycle} cycles"
            asked.append(block.get("score_of"))
            asked.popleft()
        await block.step()
        await block.steps(rng.choice((0, 0, 5)))  # results hold
        wanted = decided(scores, label, gate, true, false)
        assert block.get("busy") == 0
        assert {member: block.get(member) for member in wanted} == wanted

        best, ahead = max(scores), scores[label] - rival
        seen.hit("tie" if scores.count(best) > 1 else "no tie")
        seen.hit("first wins", when=scores[0] == best)
        seen.hit("last wins", when=scores.index(best) == classes - 1)
        seen.hit("all negative", when=best < 0)
        seen.hit("gate passed" if ahead > gate else "gate not passed")
        seen.hit("gate met", when=ahead == gate)
        seen.hit("true margin passed" if scores[label] > true else "true margin missed")
        seen.hit("true margin met", when=scores[label] == true)
        for score in (s for c, s in enumerate(scores) if c != label):
            seen.hit("false margin passed" if -score > false else "false margin missed")
            seen.hit("false margin met", when=-score == false)
        seen.hit("label first", when=label == 0)
        seen.hit("label last", when=label == classes - 1)
        seen.hit("ends of the range", when={1 - limit, limit - 1} <= set(scores))
