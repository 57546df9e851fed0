"""The notification sensors, evaluated one tick after the other as the daemon does it."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg
import pytest

from salesml_assets.config.settings import Settings
from salesml_assets.notifications.sensors import notification_sensors

UI = "https://dagster.example.com"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Ticks:
    """The three sensors with their cursors."""

    def __init__(self, instance: dg.DagsterInstance, port: int | None = None) -> None:
        self.instance = instance
        self.cursors: dict[str, str | None] = {}
        self.seconds = 0.0
        self.relay_at(port)

    def relay_at(self, port: int | None, **values: object) -> None:
        """Sets mails up, or not."""
        mails = {} if port is None else {"smtp_host": "127.0.0.1", "smtp_port": port, "recipients": ["ann@example.com"]}
        settings = Settings.model_validate(
            {"notifications": {"smtp_security": "none", "smtp_timeout_seconds": 1, "ui_url": UI} | mails | values}
        )
        self.sensors = {sensor.name: sensor for sensor in notification_sensors(settings)}

    def tick(self, name: str) -> str:
        """One evaluation of one sensor: what it says."""
        begun = time.monotonic()
        with dg.build_sensor_context(self.instance, cursor=self.cursors.get(name)) as context:
            result = self.sensors[name].evaluate_tick(context)
        self.seconds = max(self.seconds, time.monotonic() - begun)
        assert result.run_requests in (None, [])
        self.cursors[name] = result.cursor
        return str(result.skip_message)

    def all(self) -> dict[str, str]:
        """One evaluation of every sensor."""
        return {name: self.tick(name) for name in self.sensors}


@pytest.fixture
def ticks(instance: dg.DagsterInstance) -> Callable[..., Ticks]:
    """Makes the sensors, after their first evaluation."""

    def make(port: int | None = None) -> Ticks:
        made = Ticks(instance, port)
        assert set(made.all().values()) == {"First evaluation: starting at the current end of the event log."}
        return made

    return make
