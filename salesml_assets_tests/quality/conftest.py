"""Settings for sources as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from salesml_assets.config.settings import Settings
from salesml_assets_tests.quality.intake import TODAY


@pytest.fixture
def source_settings(settings_for: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings with a horizon of two weeks on the day after half a year of sales: `source_settings(sales={...})`."""

    def make(**sections: dict[str, Any]) -> Settings:
        forecast = {"target": "quantity", "horizon": 14} | sections.pop("forecast", {})
        return settings_for(**{"clock": {"today": TODAY}} | sections, forecast=forecast)

    return make
