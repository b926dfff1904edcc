"""Transports carry bytes, and say what is wrong when they cannot."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time

import pytest
import serial

from relaxon import Config
from relaxon.errors import ConfigError, LinkError
from relaxon.transport import (
    DEFAULT_BAUD,
    DEFAULT_TCP_PORT,
    SerialTransport,
    TcpTransport,
    open_transport,
)

posix = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals need Linux or macOS")


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def pty():
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            pass


def test_tcp_carries_bytes_both_ways_and_gives_up_in_time(listener):
    transport = open_transport(f"tcp:127.0.0.1:{listener.getsockname()[1]}")
    peer, _ = listener.accept()
    transport.write(b"ping")
    assert peer.recv(10) == b"ping"
    began = time.monotonic()
    assert transport.read(0.1) == b""
    assert 0.09 < time.monotonic() - began < 0.5
    peer.sendall(b"pong")
    assert transport.read(1) == b"pong"
    peer.close()
    with pytest.raises(LinkError, match=r"gone \(closed by the other end\): is `relaxon serve`"):
        transport.read(1)
    transport.close()
    transport.close()
    for use in (lambda: transport.read(0.1), lambda: transport.write(b"x")):
        with pytest.raises(LinkError, match="is gone"):
            use()


def test_tcp_write_gives_up_in_time(listener):
    transport = TcpTransport("127.0.0.1", listener.getsockname()[1], timeout=0.2)
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"took no data for 0\.2 s"):
        transport.write(bytes(100_000_000))
    assert time.monotonic() - began < 2
    transport.close()


def test_tcp_disconnected_before_a_word_hints_at_another_client(listener):
    transport = TcpTransport("127.0.0.1", listener.getsockname()[1])
    listener.accept()[0].close()
    with pytest.raises(LinkError, match="another client"):
        transport.read(1)
    transport.close()


def test_tcp_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(LinkError, match=rf"nothing listens on tcp:127.0.0.1:{port}: is"):
        TcpTransport("127.0.0.1", port)


def test_tcp_unknown_hosts_and_time_outs_are_told(monkeypatch: pytest.MonkeyPatch):
    def answer(error):
        def connect(*_):
            raise error
        monkeypatch.setattr(socket, "create_connection", connect)

    answer(socket.gaierror(-2, "Name or service not known"))
    with pytest.raises(LinkError, match="cannot be reached: .*not known"):
        TcpTransport("nowhere.invalid", 1)
    answer(TimeoutError())
    with pytest.raises(LinkError, match=r"did not answer within 0\.5 s"):
        TcpTransport("10.0.0.1", 1, timeout=0.5)


@posix
def test_serial_carries_bytes_both_ways_and_gives_up_in_time(pty):
    master, device = pty
    transport = open_transport(f"serial:{device}")
    every = bytes(range(256))
    transport.write(every)
    assert os.read(master, 300) == every
    for wait in (0, 0.02, 0.12):
        began = time.monotonic()
        assert transport.read(wait) == b""
        assert wait <= time.monotonic() - began < wait + 0.3
    threading.Timer(0.1, os.write, (master, every)).start()
    assert transport.read(2) == every
    transport.close()
    transport.close()
    for use in (lambda: transport.read(0.1), lambda: transport.write(b"x")):
        with pytest.raises(LinkError, match="is gone"):
            use()


@posix
def test_serial_unplugged_is_told(pty):
    master, device = pty
    transport = SerialTransport(device)
    os.close(master)
    with pytest.raises(LinkError, match="is gone .*unplugged"):
        transport.read(1)
    with pytest.raises(LinkError, match="is gone"):
        transport.write(b"x")


@posix
def test_serial_write_gives_up_in_time(pty):
    transport = SerialTransport(pty[1], timeout=0.2)
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"took no data for 0\.2 s"):
        transport.write(bytes(1_000_000))
    assert time.monotonic() - began < 2


@posix
def test_serial_in_use_is_told(pty):
    first = SerialTransport(pty[1])
    with pytest.raises(LinkError, match="in use by another program"):
        SerialTransport(pty[1])
    first.close()
    SerialTransport(pty[1]).close()


def test_serial_no_such_port():
    with pytest.raises(LinkError, match="no serial port /dev/ttyNONE9: is the board plugged in"):
        SerialTransport("/dev/ttyNONE9")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (serial.SerialException(errno.EACCES, "could not open port"), "usermod -aG dialout"),
        (serial.SerialException("could not open port 'COM9': PermissionError(13)"), "is it in use"),
        (serial.SerialException("port 'COM9': FileNotFoundError(2)"), "no serial port"),
        (serial.SerialException(errno.EIO, "broken"), "cannot be opened: .*broken"),
        (ValueError("Invalid baud rate: 17"), "cannot run at 17 baud"),
    ],
)
def test_serial_failures_say_what_to_do(monkeypatch: pytest.MonkeyPatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(serial, "Serial", fail)
    with pytest.raises(LinkError, match=message):
        SerialTransport("COM9", 17)


@pytest.mark.parametrize(
    ("url", "port", "baud"),
    [
        ("serial:/dev/ttyUSB0", "/dev/ttyUSB0", DEFAULT_BAUD),
        ("serial:COM3@115200", "COM3", 115_200),
        ("serial:/dev/by@id@9600", "/dev/by@id", 9600),
    ],
)
def test_serial_urls(monkeypatch: pytest.MonkeyPatch, url, port, baud):
    opened = []
    monkeypatch.setattr(serial, "Serial", lambda port, baud, **_: opened.append((port, baud)))
    open_transport(url)
    assert opened == [(port, baud)]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp:localhost:80", ("localhost", 80)),
        ("tcp:board.local", ("board.local", DEFAULT_TCP_PORT)),
        ("tcp:[::1]:80", ("::1", 80)),
        ("tcp:[::1]", ("::1", DEFAULT_TCP_PORT)),
    ],
)
def test_tcp_urls(monkeypatch: pytest.MonkeyPatch, url, address):
    asked = []

    def connect(address, timeout):
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(LinkError):
        open_transport(url)
    assert asked == [address]


@pytest.mark.parametrize(
    "url", ["tcp:localhost:0", "tcp:localhost:65536", "tcp:localhost:http", "serial:COM1@fast",
            "serial:COM1@0", "serial:COM1@", "tcp:h:１"],
)
def test_numbers_in_urls_are_checked(url):
    with pytest.raises(ConfigError, match="must be a number from 1 to"):
        open_transport(url)


@pytest.mark.parametrize("url", ["model", "nothing", ""])
def test_what_is_no_transport_is_refused(url):
    with pytest.raises(ConfigError, match="no such board"):
        open_transport(url, Config())
