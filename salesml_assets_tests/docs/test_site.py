"""The documentation site: what is generated is up to date, and every page has its place."""

from __future__ import annotations

import subprocess
import sys

import yaml

from salesml_assets_tests.docs.pages import DOCS


def test_the_reference_of_commands_is_up_to_date() -> None:
    command = [sys.executable, "-m", "typer", "salesml_assets.cli", "utils", "docs", "--name", "salesml"]
    result = subprocess.run([*command, "--title", "Commands"], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == (DOCS / "cli.md").read_text().strip()


def test_every_page_is_in_the_navigation() -> None:
    text = (DOCS.parent / "mkdocs.yml").read_text().replace("!!python/name:", "")
    listed = set()
    for entry in yaml.safe_load(text)["nav"]:
        (content,) = entry.values()
        listed |= {content} if isinstance(content, str) else {page for item in content for page in item.values()}
    assert listed == {path.name for path in DOCS.glob("*.md")} | {"adr/README.md"}
