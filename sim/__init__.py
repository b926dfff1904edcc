"""The reference model, the simulated board and what testbenches share."""
