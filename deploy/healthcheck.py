"""`python healthcheck.py ADDRESS`: exit code 0 if http://... answers with 2xx, or tcp://host:port accepts."""

import socket
import sys
import urllib.parse
import urllib.request

address = sys.argv[1]
if address.startswith("tcp://"):
    parts = urllib.parse.urlsplit(address)
    socket.create_connection((parts.hostname, parts.port), timeout=3).close()
else:
    urllib.request.urlopen(address, timeout=3).close()
