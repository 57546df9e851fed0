"""Groups of a model's inputs that a recipe can do without."""

from __future__ import annotations

from collections.abc import Sequence

from salesml_assets.config.settings import KEYS

PREFIXES = {
    "calendar_regression": ("f_calendar",),
    "holidays": ("f_holiday_",),
    "year": ("f_year_", "f_has_year", "f_day_of_year", "f_month"),
    "long_means": ("f_mean_91", "f_mean_56", "f_mean_13", "f_ewm_slow"),
    "short_means": ("f_last", "f_mean_7", "f_mean_14", "f_mean_2"),
    "keys": KEYS,
}
GROUP_PLANS = "group_plans"  # means of planned numbers over category and store
GROUPS = (*PREFIXES, GROUP_PLANS)


def inputs_of(groups: Sequence[str], sources: Sequence[str]) -> list[int]:
    """Places of the inputs that belong to some groups.

    Args:
        groups: Some of `GROUPS`.
        sources: Column of the panel behind each input.

    Raises:
        ValueError: There is no such group.

    >>> inputs_of(["keys", "short_means"], ["f_last", "f_mean_28", "product", "f_promo_by_store"])
    [0, 2]
    >>> inputs_of(["group_plans"], ["f_last", "f_promo_by_store"])
    [1]
    """
    if unknown := sorted(set(groups) - set(GROUPS)):
        raise ValueError(f"without: there is no group {unknown[0]!r}; groups: {', '.join(GROUPS)}")
    return [place for place, source in enumerate(sources) if any(_belongs(source, group) for group in groups)]


def _belongs(source: str, group: str) -> bool:
    if group == GROUP_PLANS:
        return any(source.endswith(f"_by_{key}") for key in KEYS)
    exact = group in ("long_means", "short_means", "keys")
    return source in PREFIXES[group] if exact else source.startswith(PREFIXES[group])
