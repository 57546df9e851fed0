"""Rules for rows, as data: a name, an SQL condition that is true for a bad row, what to do, what it means.

The conditions are written over the canonical columns and what the evaluation adds: `source` (the delivered row),
`unusable` (per amount: no finite number was delivered), `copy` (1 for the first of equal rows), `robust_z` (per
amount) and `today`. A condition that gives null is not broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from salesml_assets.config.settings import KEYS, ConfigurationError, Settings
from salesml_assets.names import STOCK_OUT
from salesml_assets.quality.mapping import AMOUNTS, first_day
from salesml_assets.quality.reader import CORRUPT

if TYPE_CHECKING:
    from collections.abc import Collection

Action = Literal["reject", "flag"]
DEFAULT_NAMES = (
    "unreadable_row",
    "invalid_date",
    "date_in_future",
    "date_before_first_month",
    *(f"missing_{key}" for key in KEYS),
    *(f"invalid_{amount}" for amount in AMOUNTS),
    f"invalid_{STOCK_OUT}",
    "non_positive_price",
    "exact_duplicate",
    "not_a_product",
    "return",
    *(f"outlier_{amount}" for amount in AMOUNTS),
)


@dataclass(frozen=True)
class Rule:
    """A rule for rows.

    Attributes:
        name: Name, as it stands in the reasons and flags.
        condition: SQL condition that is true for a row that breaks the rule.
        action: `reject` sends the row to quarantine, `flag` keeps and marks it.
        description: What the rule means, for the report.
    """

    name: str
    condition: str
    action: Action
    description: str


def rules_for(settings: Settings, columns: Collection[str], source_columns: Collection[str] = ()) -> list[Rule]:
    """The rules that hold for a source: the default ones that are not switched off, then the user's own.

    Args:
        settings: The settings.
        columns: The canonical columns that the source has.
        source_columns: The source's own columns; `unreadable_row` exists where `_corrupt_record` is among them.

    Raises:
        ConfigurationError: `quality.disable` names no default rule, two rules have one name, or
            `quality.exclude_products` is set without a product column.
    """
    unknown = [name for name in settings.quality.disable if name not in DEFAULT_NAMES]
    if unknown:
        raise ConfigurationError(
            f"quality.disable: there is no default rule {', '.join(unknown)}; there are {', '.join(DEFAULT_NAMES)}"
        )
    defaults = [
        *_row_rules(columns, source_columns),
        *_date_rules(settings),
        *_key_rules(settings),
        *_amount_rules(settings, columns),
        *_product_rules(settings, columns),
        *_outlier_rules(settings, columns),
    ]
    kept = [rule for rule in defaults if rule.name not in settings.quality.disable]
    own = [Rule(rule.name, rule.condition, rule.action, rule.description) for rule in settings.quality.rules]
    names = {rule.name for rule in kept}
    for rule in own:
        if rule.name in names:
            raise ConfigurationError(
                f"quality.rules.{rule.name}: there is a rule of this name already; choose another name"
                + (", or switch the default one off in quality.disable" if rule.name in DEFAULT_NAMES else "")
            )
        names.add(rule.name)
    return kept + own


def _row_rules(columns: Collection[str], source_columns: Collection[str]) -> list[Rule]:
    rules = [Rule("exact_duplicate", "copy > 1", "reject", "Equal to another row in every column; the first is kept.")]
    if CORRUPT in source_columns:
        condition = f"source.{CORRUPT} is not null"
        rules.insert(0, Rule("unreadable_row", condition, "reject", "The line does not have the form of the others."))
    return rules


def _date_rules(settings: Settings) -> list[Rule]:
    first = first_day(settings)
    return [
        Rule("invalid_date", "date is null", "reject", "No date, or none that can be read."),
        Rule("date_in_future", "date > today", "reject", "A sale after today."),
        Rule("date_before_first_month", f"date < date'{first}'", "reject", f"A sale before {first:%Y-%m}."),
    ]


def _key_rules(settings: Settings) -> list[Rule]:
    return [
        Rule(f"missing_{key}", f"{key} is null", "reject", f"No {key}: the row belongs to no series.")
        for key in settings.forecast.series
    ]


def _amount_rules(settings: Settings, columns: Collection[str]) -> list[Rule]:
    rules = []
    for amount in [name for name in AMOUNTS if name in columns]:
        name = amount.replace("_", " ")
        if amount == settings.forecast.target:
            # Where the product was out of stock, what was sold is not used and need not be there.
            missing = f"{amount} is null"
            if STOCK_OUT in columns:
                missing += f" and (unusable.{amount} or not coalesce({STOCK_OUT}, false))"
            rules.append(Rule(f"invalid_{amount}", missing, "reject", f"No {name}, or one that is no finite number."))
        else:
            rules.append(
                Rule(f"invalid_{amount}", f"unusable.{amount}", "reject", f"A {name} that is no finite number.")
            )
    if STOCK_OUT in columns:
        condition = f"unusable.{STOCK_OUT}"
        rules.append(Rule(f"invalid_{STOCK_OUT}", condition, "reject", "A stock-out that is neither true nor false."))
    both = "quantity" in columns and "revenue" in columns
    # A table of daily totals has rows without a sale; they have no price, and say that nothing was sold.
    no_sale = " and ".join(f"{name} = 0" for name in ("quantity", "revenue") if name in columns)
    if "unit_price" in columns:
        free = "unit_price = 0" + (f" and not coalesce({no_sale}, false)" if "quantity" in columns else "")
        rules.append(Rule("non_positive_price", f"unit_price < 0 or ({free})", "reject", "A price of zero or below."))
    elif both:
        condition = "quantity <> 0 and revenue / quantity <= 0"
        rules.append(Rule("non_positive_price", condition, "reject", "A price (revenue / quantity) of zero or below."))
    if settings.sales.returns == "reject":
        rules.append(Rule("return", return_condition(columns), "reject", "A cancellation or return."))
    return rules


def return_condition(columns: Collection[str]) -> str:
    """SQL condition of a cancellation or return: a quantity or revenue below zero."""
    amounts = [name for name in ("quantity", "revenue") if name in columns]
    return " or ".join(f"{name} < 0" for name in amounts)


def _product_rules(settings: Settings, columns: Collection[str]) -> list[Rule]:
    pattern = settings.quality.exclude_products
    if pattern is None:
        return []
    if "product" not in columns:
        raise ConfigurationError("quality.exclude_products: the source has no product column (sales.columns.product)")
    text = r"\A(?:" + pattern + r")\z"
    literal = text.replace("\\", "\\\\").replace("'", "\\'")
    return [Rule("not_a_product", f"product rlike '{literal}'", "reject", "A fee, a voucher or the like.")]


def _outlier_rules(settings: Settings, columns: Collection[str]) -> list[Rule]:
    bound, action = (f"{settings.quality.outlier_bound!r}D", settings.quality.outlier_action)
    rules = []
    for amount in [name for name in AMOUNTS if name in columns]:
        score, name = f"robust_z.{amount}", amount.replace("_", " ")
        # One piece of what is mostly sold by the hundred is a small sale; a hundredth of the price is a slip.
        if amount == "unit_price":
            condition, meaning = (f"abs({score}) > {bound}", f"A {name} far from what is usual for the product.")
        else:
            condition, meaning = (f"{score} > {bound}", f"A {name} far above what is usual for the product.")
        rules.append(Rule(f"outlier_{amount}", condition, action, meaning))
    return rules
