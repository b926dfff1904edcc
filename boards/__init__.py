"""FPGA boards: what each one is, and the way from gateware to a bitstream on it."""
