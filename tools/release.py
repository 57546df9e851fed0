"""Builds a release and tries it out: the wheel is installed into an empty environment and forecasts there.

    .venv/bin/python tools/release.py           into dist/
    .venv/bin/python tools/release.py --build   builds only
    .venv/bin/python tools/release.py --python python3.12 --python python3.13   tries it out with each

The environment must have been set up (`make setup`). Trying out needs a network, and takes some minutes.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import math
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DAYS, PRODUCTS = 150, 5


def main(arguments: list[str] | None = None) -> int:
    """Builds the wheel and, unless told otherwise, tries it out; the exit code is 1 after an error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build", action="store_true", help="do not try it out")
    parser.add_argument("--python", action="append", help="interpreter to try it out with; default: the present one")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the wheel")
    chosen = parser.parse_args(arguments)
    try:
        check_changelog(ROOT)
        wheel = build(chosen.out)
        print(f"release: {wheel}", flush=True)
        if not chosen.build:
            for python in chosen.python or [sys.executable]:
                with tempfile.TemporaryDirectory() as folder:
                    try_out(wheel, Path(folder), python)
                print(f"release: installed, and made forecasts in an empty environment of {python}", flush=True)
    except (subprocess.CalledProcessError, ValueError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def version() -> str:
    """The version that pyproject.toml declares."""
    declared: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return declared


def check_changelog(root: Path) -> None:
    """Checks that the changelog has something to say about the release.

    Raises:
        ValueError: It has neither a section of this version nor an unreleased one.
    """
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## {version()}" not in text and "## Unreleased" not in text:
        raise ValueError(f"CHANGELOG.md has no section for {version()}")


def build(out: Path) -> Path:
    """Builds the wheel with the locked build tool; its path."""
    out.mkdir(parents=True, exist_ok=True)
    if (leftovers := ROOT / "build" / "lib").exists():  # of an earlier build: modules that are gone would be packed
        shutil.rmtree(leftovers)
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)]
    subprocess.run([sys.executable, "-m", *command], check=True)
    (wheel,) = out.glob(f"salesml-{version()}-*.whl")
    return wheel


def try_out(wheel: Path, folder: Path, interpreter: str) -> None:
    """Installs a wheel into an empty environment and runs it on a small file of sales, as its user would.

    Args:
        wheel: The wheel.
        folder: An empty folder for environment and sales.
        interpreter: The Python that makes the environment.

    Raises:
        CalledProcessError: A step failed.
    """
    environment, shop = folder / "environment", folder / "shop"
    # With this folder on the path, pip would take the project for installed.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str | Path, cwd: Path = folder) -> None:
        subprocess.run(command, cwd=cwd, env=variables, check=True)

    run(interpreter, "-m", "venv", environment)
    python = environment / "bin" / "python"
    locked = ["--requirement", str(ROOT / "requirements.lock"), "--require-hashes", "--no-deps"]
    setuptools = next(
        line
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        if line.startswith("setuptools==")
    )
    (folder / "build-tool.txt").write_text(setuptools + "\n", encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-build-isolation"]
    run(*pip, "--require-hashes", "--requirement", folder / "build-tool.txt")
    run(*pip, *locked)
    run(*pip, "--no-deps", wheel.resolve())
    run(python, "-m", "salesml_assets.spark.prepare")
    shop.mkdir()
    write_sales(shop / "sales.csv")
    command = str(environment / "bin" / "salesml")
    variables["SALESML_TRAINING__ALGORITHMS"] = '["seasonal_naive", "xgboost"]'
    for arguments in (["init", "sales.csv"], ["check"], ["run"], ["export", "forecasts", "forecasts.csv"]):
        run(command, *arguments, cwd=shop)


def write_sales(file: Path) -> None:
    """Writes daily sales of a few products until yesterday."""
    yesterday = dt.date.today() - dt.timedelta(1)
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["date", "product", "quantity", "revenue"])
        for age in range(DAYS, -1, -1):
            day = yesterday - dt.timedelta(age)
            for number in range(PRODUCTS):
                units = 10 + 5 * number + round(4 * math.sin(age * math.tau / 7 + number))
                rows.writerow([day.isoformat(), f"P{number}", units, units * 2.5])


if __name__ == "__main__":
    sys.exit(main())
