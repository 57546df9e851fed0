"""The set-up itself, on a project of two small packages that lie on this disk: no index, no network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JAR_LINE = "org.example:one:1.0 sha256:0\n"
BACKEND = """
import zipfile
def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "mini-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr("mini.pth", "PROJECT")
        wheel.writestr("mini-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mini\\nVersion: 1.0\\n")
        wheel.writestr("mini-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nTag: py3-none-any\\n")
        wheel.writestr("mini-1.0.dist-info/RECORD", "")
    return name
build_wheel = build_editable
"""
PREPARE = """
from pathlib import Path
jars = Path(".salesml/jars")
jars.mkdir(parents=True, exist_ok=True)
(jars / "one-1.0.jar").touch()
print("prepared")
"""


class Project:
    """A project with a lock, and the wheels that it pins."""

    def __init__(self, folder: Path) -> None:
        self.root, self.wheels = folder / "a project", folder / "wheels"
        self.wheels.mkdir(parents=True)
        (self.root / "tools").mkdir(parents=True)
        resources = self.root / "salesml_assets" / "spark"
        resources.mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "setup.py", self.root / "tools")
        (resources / "jars.lock").write_text(JAR_LINE)
        (resources / "prepare.py").write_text(PREPARE)
        (self.root / "backend.py").write_text(BACKEND.replace("PROJECT", str(self.root)))
        (self.root / "pyproject.toml").write_text(
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
            "[project]\nname = 'mini'\nversion = '1.0'\n"
        )
        self.lock("requirements.lock", "setuptools==1.0", "alpha==1.0")
        self.lock("requirements-dev.lock", "setuptools==1.0", "alpha==1.0", "beta==1.0")

    @property
    def python(self) -> Path:
        return self.root / ".venv" / "bin" / "python"

    def lock(self, name: str, *pins: str) -> None:
        (self.root / name).write_text("".join(f"{pin} \\\n    --hash=sha256:{self.wheel(pin)}\n" for pin in pins))

    def wheel(self, pin: str) -> str:
        """Makes a wheel with one module that knows its version; returns its hash."""
        name, version = pin.split("==")
        path, info = self.wheels / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as wheel:
            for file, text in {
                f"{name}.py": f"VERSION = '{version}'\n",
                f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
                f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                f"{info}/RECORD": "",
            }.items():
                wheel.writestr(zipfile.ZipInfo(file), text)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_TARGET": "/nowhere/target"}

    def set_up(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "tools/setup.py", *options]
        return subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False
        )

    def version_of(self, module: str) -> str | None:
        code = f"import {module}; print({module}.VERSION)"
        answer = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.slow
def test_once_is_enough_and_then_nothing_is_needed(project: Project) -> None:
    answer = project.set_up()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2/4 packages of requirements.lock: 2" in answer.stdout
    assert "prepared" in answer.stdout
    assert (project.version_of("alpha"), project.version_of("beta")) == ("1.0", None)
    shutil.rmtree(project.wheels)
    with (project.root / "pyproject.toml").open("a") as settings:
        settings.write("[tool.linter]\nline-length = 1\n")
    start = time.monotonic()
    again = project.set_up()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - start < 2


@pytest.mark.slow
def test_tools_for_tests_come_on_top_and_a_changed_lock_is_followed(project: Project) -> None:
    assert project.set_up().returncode == 0
    answer = project.set_up("--dev")
    assert "1/4" not in answer.stdout
    assert project.version_of("beta") == "1.0"
    assert project.set_up().stdout == ""  # the environment of tests does for runs
    project.lock("requirements.lock", "setuptools==1.0", "alpha==2.0")
    assert project.set_up().returncode == 0
    assert project.version_of("alpha") == "2.0"


@pytest.mark.slow
def test_a_set_up_that_was_killed_is_repaired_by_the_next(project: Project) -> None:
    slow = project.root / "salesml_assets" / "spark" / "prepare.py"
    setup = subprocess.Popen(
        [sys.executable, "tools/setup.py"], cwd=project.root, env=project.environment(), stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    with setup:
        assert setup.stdout is not None
        while "2/4" not in setup.stdout.readline():
            assert setup.poll() is None
        os.killpg(setup.pid, signal.SIGKILL)
    (project.root / ".venv" / "half-written").touch()
    answer = project.set_up()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert not (project.root / ".venv" / "half-written").exists()
    assert project.version_of("alpha") == "1.0"
    slow.write_text("import sys; sys.exit('no network')")
    shutil.rmtree(project.root / ".salesml")  # as users do to start over
    failed = project.set_up()
    assert failed.returncode == 1
    assert "no network" in failed.stdout
    slow.write_text(PREPARE)
    repaired = project.set_up()
    assert repaired.returncode == 0
    assert "2/4" not in repaired.stdout  # the packages were there
    assert "prepared" in repaired.stdout


@pytest.mark.slow
def test_a_moved_project_or_one_with_a_broken_stamp_gets_a_new_environment(project: Project) -> None:
    assert project.set_up().returncode == 0
    stamp = project.root / ".venv" / "salesml-setup.json"
    known = json.loads(stamp.read_text())
    stamp.write_text('{"folder": ')
    assert "1/4" in project.set_up().stdout
    assert json.loads(stamp.read_text()) == known
    project.root = project.root.rename(project.root.with_name("moved"))
    (project.root / "backend.py").write_text(BACKEND.replace("PROJECT", str(project.root)))
    answer = project.set_up()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "1/4" in answer.stdout
    assert str(project.root) in (project.root / ".venv" / "bin" / "pip").read_text()


@pytest.mark.slow
def test_a_package_with_another_hash_is_refused(project: Project) -> None:
    lock = project.root / "requirements.lock"
    lock.write_text(lock.read_text().replace(project.wheel("alpha==1.0"), "0" * 64))
    answer = project.set_up()
    assert answer.returncode == 1
    assert "DO NOT MATCH THE HASHES" in answer.stderr
    assert not (project.root / ".venv" / "salesml-setup.json").exists()


def test_python_without_ensurepip_is_told_what_to_install(project: Project, tmp_path: Path) -> None:
    code = (
        "import importlib.util, runpy, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'ensurepip' else real(name, *rest)\n"
        "sys.argv = ['tools/setup.py']\n"
        "runpy.run_path('tools/setup.py', run_name='__main__')\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=project.root, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert f"apt install python3.{sys.version_info[1]}-venv" in answer.stderr
    assert not (project.root / ".venv").exists()


@pytest.mark.parametrize("version", ["3.10.13", "3.15.0"])
def test_make_names_the_python_that_is_missing(tmp_path: Path, version: str) -> None:
    """A PATH with a Python of the wrong age only."""
    major, minor, micro = version.split(".")
    wrong = tmp_path / "bin" / "python3"
    wrong.parent.mkdir()
    wrong.write_text(
        f"#!{sys.executable}\nimport sys\nsys.version_info = ({major}, {minor}, {micro})\nexec(sys.argv[2])\n"
    )
    wrong.chmod(0o755)
    (wrong.parent / "sh").symlink_to("/bin/sh")
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    answer = subprocess.run(
        [make, "-C", ROOT, "setup"], env={"PATH": str(wrong.parent)}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert "no Python 3.11 to 3.14" in answer.stderr
