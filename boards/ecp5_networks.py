"""Networks for the ECP5 parts that more than one board carries."""

from __future__ import annotations

from relaxon.boards.target import Network, Nextpnr

ON_25F = {
    "modules": Network(modules=18, lanes=8),
    "single": Network(modules=1, neurons=232, lanes=8),
    "mnist": Network(modules=3, inputs=784, lanes=8),
}
ON_45F = {
    "modules": Network(modules=36, lanes=16),
    "single": Network(modules=1, neurons=384, lanes=16),
    "mnist": Network(modules=6, inputs=784, lanes=16),
}
SPREAD = Nextpnr(placer="static", floorplan=True)
"""For machines that fill much of a large chip."""
ON_85F = {
    "modules": Network(modules=72, lanes=32, clock_mhz=50, nextpnr=SPREAD),
    "fast": Network(modules=32, lanes=32, nextpnr=SPREAD),
    "wide": Network(modules=64, lanes=64, store="column", clock_mhz=80, nextpnr=SPREAD),
    "widest": Network(modules=48, lanes=128, store="column", nextpnr=SPREAD),
    "single": Network(modules=1, neurons=544, lanes=32),
    "mnist": Network(modules=14, inputs=784, lanes=32),
}
