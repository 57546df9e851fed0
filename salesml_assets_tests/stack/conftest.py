"""One stack for all tests of this folder that need containers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from salesml_assets_tests.stack import shop
from salesml_assets_tests.stack.compose import PROJECT, Stack, build_images, has_engine, new_values, run, write_env

KEEP = "SALESML_STACK_KEEP"  # 1: the stack stays for a look at it
PULL = "SALESML_STACK_PULL"  # 1: images are pulled instead of built from packages


@pytest.fixture(scope="session")
def images() -> str:
    """The images, built; which are stand-ins."""
    assert has_engine(), "no Docker engine with its compose plug-in answers: start one, or set DOCKER_HOST"
    since = time.monotonic()
    told = build_images(stand_ins=os.environ.get(PULL) != "1")
    print(f"\n{told}images ready after {time.monotonic() - since:.0f} s", file=sys.__stderr__, flush=True)
    return told


@pytest.fixture(scope="session")
def stack(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, healthy, with nothing in its volumes; removed with its volumes at the end."""
    folder = tmp_path_factory.mktemp("stack")
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)  # the containers' user reads the settings
    settings = folder / "salesml.yaml"
    settings.write_text(shop.settings(), encoding="utf-8")
    settings.chmod(0o644)
    values = new_values(settings)
    write_env(folder / "env", values)
    made = Stack(folder / "env", values)
    made.compose("down", "--volumes", "--remove-orphans")
    since = time.monotonic()
    try:
        made.up()
        print(f"\nstack healthy after {time.monotonic() - since:.0f} s", file=sys.__stderr__, flush=True)
        yield made
    finally:
        if os.environ.get(KEEP) != "1":
            logs = made.compose("logs", "--no-color", "--timestamps", check=False)
            Path(folder / "logs.txt").write_text(logs, encoding="utf-8")
            run(["docker", "compose", "--project-name", PROJECT, "down", "--volumes"], check=False, **values)
