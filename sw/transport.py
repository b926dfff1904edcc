"""Bytes to and from a board, whatever carries them."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Transport(ABC):
    """An ordered byte stream in each direction. Bytes may be lost or changed; that is the
    business of the layers above."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises `LinkError` if the other end is gone."""

    @abstractmethod
    def read(self, timeout: float) -> bytes:
        """Return the bytes that have arrived, at least one, waiting up to `timeout` seconds for
        the first; ``b""`` if none came. Raises `LinkError` if the other end is gone."""

    @abstractmethod
    def close(self) -> None:
        """Release the port; twice is once."""
