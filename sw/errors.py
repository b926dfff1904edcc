"""The project's exceptions: one base, one subclass per layer.

Every message says what was wrong, where, and what to do about it. The command line maps each
class to an exit code and prints no traceback for any of them.
"""


class RelaxonError(Exception):
    """Base of every error Relaxon raises on purpose."""

    exit_code = 1


class ConfigError(RelaxonError, ValueError):
    """A size, width or register value that the machine cannot have."""

    exit_code = 2


class DataError(RelaxonError, ValueError):
    """A dataset, sample or checkpoint that is missing, damaged or does not fit."""

    exit_code = 3


class LinkError(RelaxonError):
    """The link to the board failed: nothing there, no answer in time, a broken frame."""

    exit_code = 4


class IdentityError(LinkError):
    """The board answers, but it is not the machine the caller asked for."""

    exit_code = 5


class ResetError(LinkError):
    """The board was powered up or reset since it was opened: what it had learned is gone."""


class CommandError(LinkError):
    """The board refused a command and said why."""

    exit_code = 6


class ToolError(RelaxonError):
    """A tool that a build needs (compiler, Verilator, Yosys) is missing or failed."""

    exit_code = 7
