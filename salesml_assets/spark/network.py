"""Java on the way out: through the proxies, and with the trust, that other programs of the machine have.

A Java runtime brings its own list of certificate authorities, and no notion of HTTPS_PROXY. Behind a company's proxy or
own authority, pip gets through and Java does not.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import struct
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

BUNDLES = ("REQUESTS_CA_BUNDLE", "PIP_CERT")  # what pip looks at, besides the system's store and SSL_CERT_FILE
_PASSWORD = "public"  # for the format's sake: there are no secrets in a list of authorities


def java_network_options(folder: Path) -> list[str]:
    """Options for a `java` that fetches something.

    Args:
        folder: Where the file with the trusted authorities is written.
    """
    options = proxy_options(urllib.request.getproxies())
    authorities = trusted_authorities()
    if authorities:
        store = folder / "authorities.jks"
        store.write_bytes(java_key_store(authorities, _PASSWORD))
        trust = "-Djavax.net.ssl.trustStore"
        options += [f"{trust}={store}", f"{trust}Type=JKS", f"{trust}Password={_PASSWORD}"]
    return options


def proxy_options(proxies: dict[str, str]) -> list[str]:
    """Java's options for proxies as Python knows them.

    >>> proxy_options({"https": "http://proxy.example:3128", "no": "localhost,.example"})
    ['-Dhttps.proxyHost=proxy.example', '-Dhttps.proxyPort=3128', '-Dhttp.nonProxyHosts=localhost|*.example']
    """
    options = []
    for scheme in ("http", "https"):
        parts = urlsplit(proxies.get(scheme, ""))
        if parts.hostname:
            options += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={parts.port or 80}"]
    if options and proxies.get("no"):
        hosts = [f"*{host}" if host.startswith(".") else host for host in proxies["no"].split(",")]
        options.append(f"-Dhttp.nonProxyHosts={'|'.join(host.strip() for host in hosts)}")
    return options


def trusted_authorities() -> list[bytes]:
    """Certificates (DER) of the authorities that the system trusts; none where Python cannot list them."""
    context = ssl.create_default_context()
    for variable in BUNDLES:
        bundle = os.environ.get(variable, "")
        if Path(bundle).is_file():
            context.load_verify_locations(cafile=bundle)
    return context.get_ca_certs(binary_form=True)


def java_key_store(certificates: Sequence[bytes], password: str) -> bytes:
    """A store of trusted certificates in the format JKS, version 2.

    Source of the format: `sun.security.provider.JavaKeyStore` of OpenJDK. All numbers are big-endian: magic, version,
    number of entries; per entry a tag (2: trusted certificate), alias, time, type and content; last a SHA-1 digest over
    password, a salt that is always the same, and all before it.
    """
    body = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        alias, kind = f"authority-{number}".encode(), b"X.509"
        body += struct.pack(">IH", 2, len(alias)) + alias + struct.pack(">Q", 0)
        body += struct.pack(">H", len(kind)) + kind + struct.pack(">I", len(certificate)) + certificate
    digest = hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body, usedforsecurity=False)
    return body + digest.digest()
