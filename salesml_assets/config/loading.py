"""Reads the settings: `salesml.yaml` (or the file that SALESML_CONFIG names), then the environment.

Any key is overridden by `SALESML_<SECTION>__<KEY>`. Relative paths are relative to the folder of the settings file
(without one, to the working directory), so a command has the same effect wherever it is started.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError

from salesml_assets.config.settings import (
    API_KEY,
    ENV_PREFIX,
    SLACK_WEBHOOK,
    SMTP_PASSWORD,
    SMTP_USER,
    ConfigurationError,
    Settings,
)

CONFIG_VARIABLE = "SALESML_CONFIG"
# Variables with the prefix of the settings that are not settings.
RESERVED_VARIABLES = {CONFIG_VARIABLE, "SALESML_JAVA", API_KEY, SMTP_USER, SMTP_PASSWORD, SLACK_WEBHOOK}


def load_settings(path: Path | str | None = None) -> Settings:
    """Reads the settings: defaults, then the YAML file, then the environment.

    Args:
        path: The settings file; default: SALESML_CONFIG, else `salesml.yaml` in the working directory,
            else none.

    Raises:
        ConfigurationError: A key is unknown, or a value is invalid; the message names the key.
    """
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else Path("salesml.yaml")
    if named and not file.is_file():
        raise ConfigurationError(f"{'' if path else f'{CONFIG_VARIABLE}: '}there is no settings file {str(file)!r}")
    _reject_unknown_variables()
    values = read_yaml(file) if file.is_file() else {}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(explain_validation_error(error)) from None
    except SettingsError as error:
        raise ConfigurationError(_explain_variable(error)) from None
    return _with_absolute_paths(settings, file.absolute().parent if file.is_file() else Path.cwd())


def overlay_settings(settings: Settings, values: dict[str, Any], folder: Path) -> Settings:
    """Settings with some values overridden, key by key; the environment takes precedence here, too.

    Args:
        settings: The base settings.
        values: Overriding sections, as in a settings file.
        folder: Base folder of relative paths in `values`.

    Raises:
        ConfigurationError: A key is unknown, or a value is invalid.
    """
    try:
        made = Settings(**_merge(settings.model_dump(mode="json", exclude_unset=True), values))
    except ValidationError as error:
        raise ConfigurationError(explain_validation_error(error)) from None
    return _with_absolute_paths(made, folder)


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _merge(below.get(key), value) for key, value in above.items()}


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigurationError: The file is not valid YAML, or not a mapping.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file.name} is not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{file.name} has to contain sections (sales:, forecast:, ...), not a {type(values).__name__}"
        )
    return values


def _reject_unknown_variables() -> None:
    """Raises a ConfigurationError for environment variables with the prefix of the settings but no such section."""
    for variable in sorted(setting_variables()):
        section = variable.upper().removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in Settings.model_fields:
            raise ConfigurationError(
                f"{variable}: there is no section {section!r}; sections: {', '.join(Settings.model_fields)}"
            )


def setting_variables() -> list[str]:
    """The environment variables that are settings, in any case."""
    return [name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name not in RESERVED_VARIABLES]


def _explain_variable(error: SettingsError) -> str:
    """Message for a list or mapping in an environment variable that is not JSON."""
    section = re.search(r'field "(\w+)"', str(error))
    prefix = f"{ENV_PREFIX}{section.group(1) if section else ''}".upper()
    names = sorted(name for name in setting_variables() if name.upper().startswith(prefix))
    return f"{', '.join(names)}: lists and mappings are JSON, as in {ENV_PREFIX}FORECAST__SERIES='[\"product\"]'"


def explain_validation_error(error: ValidationError) -> str:
    """One line that names each invalid key and its problem."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        message = (
            "there is no such key"
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{key}: {message}" if key else message)
    return "; ".join(lines)


def _with_absolute_paths(settings: Settings, base: Path) -> Settings:
    def absolute(path: str) -> str:
        path = re.sub(r"^file:(//)?(?=/)", "", path)
        return path if "://" in path else str((base / Path(path).expanduser()).resolve())

    known_future = settings.forecast.known_future
    planned = known_future.model_copy(update={"path": absolute(known_future.path)} if known_future.path else {})
    root = absolute(settings.lake.root)
    if re.search("[#?]", root):
        raise ConfigurationError(
            f"lake.root: tables cannot be stored below {root!r} (a name with # or ?): set another folder"
        )
    return settings.model_copy(
        update={
            "sales": settings.sales.model_copy(update={"path": absolute(settings.sales.path)}),
            "forecast": settings.forecast.model_copy(update={"known_future": planned}),
            "lake": settings.lake.model_copy(update={"root": root}),
            "registry": settings.registry.model_copy(update={"folder": absolute(settings.registry.folder)}),
            "search": settings.search.model_copy(update={"folder": absolute(settings.search.folder)}),
            "serving": settings.serving.model_copy(update={"cache": absolute(settings.serving.cache)}),
        }
    )
