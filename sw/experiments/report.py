"""Makes docs/results.md, its tables and its figures from finished experiments.

    python -m relaxon.experiments.report runs/experiments/full docs
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from relaxon import files
from relaxon.experiments import NAMES, Form, explained, find, question, results
from relaxon.experiments.sweep import Sweep

MOST_ROWS = 60
"""Of a table in the text; longer ones are in their files alone."""
HEAD = """# Results

What `relaxon experiment all --data DIR` finds, in its full form, hours of computing; `--quick` does
less of the same. Everything is computed by the chip's own arithmetic, on the model, which equals the
gateware bit for bit: `relaxon experiment NAME --repeat KEY --board sim` measures a point again on the
simulated board and compares every figure, and `tests/test_experiments.py` does so for one point of
every experiment. DIR has the folders `mnist` and `fashion-mnist` with their IDX files.

Error bars, and "deviation" in tables, are standard deviations over seeds (couplings, projection and
order change with the seed); "error" is a standard error. MNIST and Fashion-MNIST have 60 000 training
and 10 000 test images; "Entangled" is their projection to N random bits. Fields and couplings are in
units of K, the spread of a fresh recurrent field, unless something else is said.

This page is made by `python -m relaxon.experiments.report runs/experiments/full docs`.
"""


def section(name: str, folder: Path, docs: Path) -> str:
    """An experiment's part of the page; copies its table and figure. Empty if it is not finished."""
    script = find(name)
    swept = Sweep(name, script.points(Form.FULL), folder / name)
    if swept.missing():
        return ""
    frame = swept.frame()
    sources = ", ".join(sorted({made for _, made in swept.origins()}))
    verdict = results.write(name, script, frame, folder / name)
    results.draw(name, script, frame, folder / name)
    for file in results.files(name)[1:]:
        files.copy(folder / name / file, docs / "results")
    table = pd.read_csv(folder / name / f"{name}-table.csv")
    text = explained(script).partition("\n")[2].strip()
    links = f"[table](results/{name}-table.csv), {len(swept)} points, sources {sources}"
    parts = [
        f"## {name}\n", f"*{question(script)}*\n", text + "\n", f"![{name}](results/{name}.svg)\n",
        f"**Found:** {verdict}.\n", f"`relaxon experiment {name}`: {links}.\n",
    ]  # fmt: skip
    if len(table) <= MOST_ROWS:
        parts.append(table.map(_cell).to_markdown(index=False, disable_numparse=True) + "\n")
    return "\n".join(parts)


def _cell(value: Any) -> str:
    """Four digits of a number that is not whole, all of one that is."""
    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
    return str(value)


def main(folder: Path, docs: Path) -> None:
    """Write the page, and say what is missing."""
    (docs / "results").mkdir(parents=True, exist_ok=True)
    sections = {name: section(name, folder, docs) for name in NAMES}
    contents = [f"* [{n}](#{n}): {question(find(n))}\n" for n, text in sections.items() if text]
    page = [HEAD, "".join(contents), *filter(None, sections.values())]
    if missing := [name for name, text in sections.items() if not text]:
        page.append(f"Not run in full yet: {', '.join(missing)}.\n")
        print(f"not finished, and left out: {', '.join(missing)}", file=sys.stderr)
    files.write_text(docs / "results.md", "\n".join(page))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python -m relaxon.experiments.report FOLDER DOCS; {__doc__}")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
