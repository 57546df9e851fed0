"""Which of an asset's materializations wrote its present table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from salesml_assets.automation.history import table_history
from salesml_assets.config.settings import Settings

Table = Callable[[Path, str], dict[str, str]]


def test_each_table_has_a_history_of_its_own(instance: dg.DagsterInstance, tmp_path: Path, table: Table) -> None:
    def made(identity: dict[str, str], number: int) -> None:
        event = dg.AssetMaterialization("sales", metadata={**identity, "number": number})
        instance.report_runless_asset_event(event)

    def known(lake: str, limit: int = 60) -> list[int]:
        settings = Settings.model_validate({"lake": {"root": str(tmp_path / lake)}})
        return [each.metadata["number"] for each in table_history(instance, "sales", settings, limit)]

    assert known("here") == []
    here, elsewhere = table(tmp_path / "here", "sales"), table(tmp_path / "elsewhere", "sales")
    for number, identity in enumerate([here, elsewhere, here, {}, elsewhere]):
        made(identity, number)
    assert known("here") == [2, 0]
    assert known("elsewhere") == [4, 1]
    assert known("elsewhere", limit=1) == [4]
    table(tmp_path / "here", "sales")
    assert known("here") == []
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    assert known("elsewhere") == []
    assert known("moved") == [4, 1]
