"""One stack for all tests of this folder that need containers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from salesml_assets_tests.stack import shop
from salesml_assets_tests.stack.compose import Stack, build_images, has_engine, new_values

KEEP = "SALESML_STACK_KEEP"  # 1: the stack stays for a look at it
# One stack goes through these, in this order.
CHAPTERS = ["test_story.py", "test_restore.py", "test_faults.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The chapters come last, in their order."""
    items.sort(key=lambda item: CHAPTERS.index(item.path.name) if item.path.name in CHAPTERS else -1)


@pytest.fixture(scope="session")
def images() -> str:
    """The images, built; which are stand-ins."""
    assert has_engine(), "no Docker engine with its compose plug-in answers: start one, or set DOCKER_HOST"
    since = time.monotonic()
    told = build_images()
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
    made = Stack(folder, new_values(settings))
    made.prepare()
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
            made.remove()
