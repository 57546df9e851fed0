"""`python -I -S healthcheck.py ADDRESS`: exit code 0 if an http:// address answers with 2xx, a tcp:// one accepts.

It runs every few seconds in every container, so it imports next to nothing.
"""

import socket
import sys

scheme, _, rest = sys.argv[1].partition("://")
place, _, path = rest.partition("/")
host, _, port = place.partition(":")
with socket.create_connection((host, int(port)), timeout=3) as connection:
    if scheme == "http":
        connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
        status = connection.recv(64).split(b" ")[1]
        sys.exit(0 if status.startswith(b"2") else 1)
