"""Notes every address that a Python process looks up, connects or binds to, from its very start.

A folder of its own, to be put first in PYTHONPATH: children of the process are watched as well.
"""

import os
import sys
from _socket import socket

EVENTS = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
)  # fmt: skip


def note(event: str, arguments: tuple[object, ...]) -> None:
    if event not in EVENTS:
        return
    given = arguments[1] if isinstance(arguments[0], socket) else arguments
    if isinstance(given, tuple):  # otherwise a path: a socket of this machine
        line = f"{event} {given[0]!r}\n".encode()
        handle = os.open(os.environ["SOCKET_NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, line)
        os.close(handle)


if "SOCKET_NOTES" in os.environ:
    sys.addaudithook(note)
