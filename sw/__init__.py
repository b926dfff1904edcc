"""Relaxon: open hardware that learns without backpropagation."""

from relaxon.config import Config, Registers
from relaxon.couplings import Couplings
from relaxon.errors import RelaxonError

__all__ = ["Config", "Couplings", "Registers", "RelaxonError"]
__version__ = "0.1.0"
