"""Testbenches for the gateware: what runs them, and what they share inside the simulator."""
