"""Matplotlib as it is needed here: figures that go into files, without a screen.

A notebook names a backend of its own in the environment variable MPLBACKEND, which programs that it
starts inherit and may not have: Matplotlib then refuses to be imported. No backend is needed here.
"""

from __future__ import annotations

import os

_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend

__all__ = ["Figure", "FigureCanvasAgg", "FigureCanvasSVG", "matplotlib"]
