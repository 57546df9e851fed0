"""What can be fitted again: an algorithm and its parameters."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """An algorithm and its parameters."""

    model_config = ConfigDict(frozen=True)

    algorithm: str
    parameters: dict[str, Any] = Field(default_factory=dict)
