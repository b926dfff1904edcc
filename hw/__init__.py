"""Gateware of Relaxon, in Amaranth."""
