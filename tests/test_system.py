from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from probes.system import appending, claim, orphaned


def test_bytes_are_appended_as_they_are(tmp_path: Path) -> None:
    """Ends of lines stay one byte, what stood there stays, and a file that is not there is made."""
    for _ in range(2):
        handle = appending(tmp_path / "lines")
        os.write(handle, b"one\n")
        os.close(handle)
    assert (tmp_path / "lines").read_bytes() == b"one\none\n"


def test_a_port_that_is_in_use_cannot_be_taken() -> None:
    """Two sockets that claim one port: the second fails."""
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            claim(one)
        first.bind(("127.0.0.1", 0))
        first.listen()
        with pytest.raises(OSError, match=r"in use|permission"):
            second.bind(first.getsockname())


def test_the_parent_is_known_by_its_number() -> None:
    """A process whose parent is the one that started it is no orphan; where it is another, it is."""
    assert not orphaned(os.getppid())
    assert orphaned(os.getpid())
