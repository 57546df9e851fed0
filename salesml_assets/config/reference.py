"""The settings as text: those in force, without secrets, and the reference of all keys."""

from __future__ import annotations

import json
import types
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from salesml_assets.config.loading import CONFIG_VARIABLE
from salesml_assets.config.settings import ENV_PREFIX, Settings
from salesml_assets.text import masked_tree

HEAD = f"""# Configuration

Settings come from a YAML file (`salesml.yaml` in the folder you start from, else the project's, or the file that
`{CONFIG_VARIABLE}` names) and from the environment, which wins: `{ENV_PREFIX}<SECTION>__<KEY>`, for instance
`{ENV_PREFIX}FORECAST__HORIZON=14`; lists and mappings are JSON. Relative paths are relative to the settings file. An
unknown key is an error. `salesml config` shows the settings in force. Credentials of an object store are no settings:
they come from the variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if need be, `AWS_SESSION_TOKEN`.

This page is written by `salesml config --reference`.
"""


def effective_yaml(settings: Settings) -> str:
    """All settings in force as YAML, secrets hidden."""
    values = masked_tree(settings.model_dump(mode="json"))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def reference() -> str:
    """The Markdown page of every key: type, default and meaning, from the settings themselves."""
    pages = [HEAD]
    for name, field in Settings.model_fields.items():
        pages.append(f"## `{name}`\n\n{field.description}\n")
        pages.append("| key | type | default | meaning |\n|---|---|---|---|")
        pages.append("\n".join(_rows(f"{name}.", _section(field))) + "\n")
    return "\n".join(pages)


def _rows(prefix: str, section: type[BaseModel]) -> list[str]:
    rows: list[str] = []
    for name, field in section.model_fields.items():
        inner = _section(field)
        if inner:
            rows += _rows(f"{prefix}{name}.", inner)
        else:
            cells = [f"`{prefix}{name}`", _kind(field.annotation), _default(field), _cell(_meaning(field))]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def _section(field: FieldInfo) -> Any:
    """The section behind a field, if it is one."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _meaning(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {value}"
        for rule in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if (value := getattr(rule, name, None)) is not None
    ]
    limits = f" ({', '.join(bounds)})" if bounds else ""
    keys = [
        f"`{name}` ({inner.description})"
        for kind in get_args(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
        for name, inner in kind.model_fields.items()
    ]
    return f"{field.description}{limits}{' Keys: ' if keys else ''}{', '.join(keys)}"


def _kind(annotation: Any) -> str:
    """A type in plain words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(kind) for kind in arguments)
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"mapping of {_kind(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "rules"
    words = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true \\| false",
        "NoneType": "null",
        "Any": "any value",
    }
    name = getattr(annotation, "__name__", "any value")
    return words.get(name, name)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return f"`{_cell(json.dumps(to_jsonable_python(value), ensure_ascii=False))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
