"""Makes the history of a table older."""

from __future__ import annotations

import os
import re
from pathlib import Path

from salesml_assets.lake.store import Lakehouse


def aged(lake: Lakehouse, name: str, days: float) -> None:
    """Moves all commits and files of a table that many days into the past."""
    for file in sorted(Path(lake.path(name)).rglob("[!.]*")):
        if file.suffix == ".json":
            text = file.read_text(encoding="utf-8")
            times = r'"(deletionTimestamp|modificationTime|timestamp)":(\d+)'
            file.write_text(
                re.sub(times, lambda found: f'"{found[1]}":{int(found[2]) - round(days * 86_400_000)}', text),
                encoding="utf-8",
            )
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # Hadoop's sum of the old text
        at = file.stat().st_mtime - days * 86_400
        os.utime(file, (at, at))
