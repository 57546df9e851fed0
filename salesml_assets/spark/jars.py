"""The jars that Spark needs beside its own (Delta, S3A): fetched once, checked by hash, used without a network.

`jars.lock` lists every one of them, so nothing is resolved transitively. What pyspark brings along is not in it, nor
are the parts of Delta that only Unity Catalog uses, nor the AWS bundle (642 MB), of which these few jars do.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.spark.network import java_network_options

LOCK = Path(__file__).with_name("jars.lock")
MIRROR = "DEFAULT_ARTIFACT_REPOSITORY"  # Spark's own variable for another repository than Maven Central
_IVY = ("ivy-*.jar", "commons-cli-*.jar")  # Ivy comes with pyspark


@dataclass(frozen=True)
class Jar:
    """One jar: its Maven coordinates and the hash of its content."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the jar's file."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(lock: Path = LOCK) -> list[Jar]:
    """The jars that the lock lists, one per line: `group:artifact:version sha256:<hash>`."""
    jars = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        coordinates, digest = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, digest.removeprefix("sha256:")))
    return jars


def jar_paths(folder: Path) -> list[Path]:
    """The jars' files in the order of the lock.

    Raises:
        ConfigurationError: One of them is not there: the set-up has not been run.
    """
    paths = [folder / jar.file_name for jar in locked_jars()]
    for path in paths:
        if not path.is_file():
            raise ConfigurationError(f"Spark's jar {path} is not there. Run `make setup` once; it needs a network")
    return paths


def fetch_jars(folder: Path, java: Path) -> list[Jar]:
    """Brings a folder to what the lock says; without a network if it is there already.

    Args:
        folder: Where the jars go. Other files in it are removed, since Spark would load them too.
        java: The Java with which Ivy runs.

    Returns:
        The jars that were fetched.

    Raises:
        ConfigurationError: A jar cannot be had, or is not the one that the lock knows.
    """
    jars = locked_jars()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in {jar.file_name for jar in jars}:
            path.unlink()
    wanted = [jar for jar in jars if not is_intact(jar, folder)]
    if wanted:
        with tempfile.TemporaryDirectory(prefix="jars-", dir=folder.parent) as scratch:
            _retrieve(wanted, Path(scratch), java)
            for jar in wanted:
                if not is_intact(jar, Path(scratch)):
                    raise ConfigurationError(f"{jar.file_name} is not the file that {LOCK.name} knows by its hash")
                (Path(scratch) / jar.file_name).replace(folder / jar.file_name)
    return wanted


def is_intact(jar: Jar, folder: Path) -> bool:
    """Whether the folder has this jar, with the content that the lock knows."""
    path = folder / jar.file_name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _retrieve(jars: Sequence[Jar], folder: Path, java: Path) -> None:
    settings, module = folder / "ivysettings.xml", folder / "ivy.xml"
    settings.write_text(ivy_settings(os.environ.get(MIRROR)), encoding="utf-8")
    module.write_text(ivy_module(jars), encoding="utf-8")
    class_path = os.pathsep.join(str(path) for path in _ivy_classpath())
    command: list[str | Path] = [java, *java_network_options(folder), "-cp", class_path, "org.apache.ivy.Main", "-warn"]
    command += ["-settings", settings, "-cache", folder / "cache", "-ivy", module, "-types", "jar"]
    command += ["-retrieve", f"{folder}/[artifact]-[revision].[ext]"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        reasons = [line.strip(" :\t") for line in (answer.stdout + answer.stderr).splitlines() if "not found" in line]
        raise ConfigurationError(
            f"Spark's jars could not be fetched ({reasons[0] if reasons else 'Ivy failed'}): this step needs a "
            f"network, once; another repository than Maven Central is named by {MIRROR}"
        )


def _ivy_classpath() -> list[Path]:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ConfigurationError("pyspark is not installed in this environment: run `make setup`")
    return [path for pattern in _IVY for path in (Path(spec.origin).parent / "jars").glob(pattern)]


def ivy_settings(mirror: str | None) -> str:
    """Ivy's settings: one repository, and no look at a jar's own dependencies.

    Args:
        mirror: Address of the repository; default: Maven Central, which Ivy knows.
    """
    root = f" root={quoteattr(mirror)}" if mirror else ""
    resolver = f'<ibiblio name="repository" m2compatible="true" usepoms="false"{root}/>'
    return f'<ivysettings><settings defaultResolver="repository"/><resolvers>{resolver}</resolvers></ivysettings>'


def ivy_module(jars: Sequence[Jar]) -> str:
    """Ivy's description of a module that depends on exactly these jars."""
    dependencies = "".join(
        f"<dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} rev={quoteattr(jar.version)} "
        'transitive="false" conf="default-&gt;default"/>'
        for jar in jars
    )
    info = '<info organisation="salesml" module="jars"/>'
    return f'<ivy-module version="2.0">{info}<dependencies>{dependencies}</dependencies></ivy-module>'
