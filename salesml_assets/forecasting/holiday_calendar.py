"""Public holidays of the countries of the stores, as plain dates: a fitted model needs no package to know them."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from salesml_assets.config.settings import HolidaySettings, Settings

FIRST_YEAR = 1990
YEARS_AHEAD = 2  # a model is used for longer than a year at most
Holiday = tuple[str, str, str]  # region, ISO date, name


def region_name(region: HolidaySettings) -> str:
    """The name of a region in tables: the country, and the subdivision where one is set.

    >>> from salesml_assets.config.settings import HolidaySettings
    >>> region_name(HolidaySettings(country="DE", subdivision="BY"))
    'DE-BY'
    """
    return f"{region.country}-{region.subdivision}" if region.subdivision else str(region.country)


def holidays_of(settings: Settings) -> tuple[tuple[Holiday, ...], tuple[tuple[str, str], ...], str]:
    """The holidays of all regions in the settings.

    Returns:
        Holidays (sorted), the region of each store that is named, and the region of all other stores; all empty where
        no country is set.
    """
    main = settings.forecast.holidays
    if main.country is None:
        return (), (), ""
    first = max(FIRST_YEAR, int(settings.sales.first_month[:4]))
    years = (first, settings.today.year + YEARS_AHEAD)
    regions = {region_name(main): _dates(main.country, main.subdivision, *years)}
    stores = []
    for store, (country, _, subdivision) in ((key, value.partition("-")) for key, value in main.stores.items()):
        name = f"{country}-{subdivision}" if subdivision else country
        regions.setdefault(name, _dates(country, subdivision or None, *years))
        stores.append((store, name))
    found = [(region, day, name) for region, days in regions.items() for day, name in days]
    return tuple(sorted(found)), tuple(sorted(stores)), region_name(main)


@lru_cache(maxsize=64)
def _dates(country: str, subdivision: str | None, first: int, last: int) -> tuple[tuple[str, str], ...]:
    import holidays

    found = holidays.country_holidays(country, subdiv=subdivision, years=range(first, last + 1), language="en_US")
    return tuple((day.isoformat(), name) for day, name in sorted(found.items()))


def ordinals(days: tuple[Holiday, ...], region: str) -> tuple[list[int], list[str]]:
    """The days of a region as proleptic Gregorian ordinals, ascending, and their names."""
    own = [(dt.date.fromisoformat(day).toordinal(), name) for place, day, name in days if place == region]
    return [day for day, _ in own], [name for _, name in own]
