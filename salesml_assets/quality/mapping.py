"""From a source's own columns to the canonical ones: date, store, category, product, order_id and the amounts.

An entry of `sales.columns` is the name of a source column (upper or lower case) or a Spark SQL expression.
"""

from __future__ import annotations

import datetime as dt
import difflib
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from salesml_assets.config.settings import KEYS, ConfigurationError, Settings
from salesml_assets.names import STOCK_OUT
from salesml_assets.quality.amounts import FALSE, TRUE
from salesml_assets.quality.names import HEADER, ZONE, header, quoted
from salesml_assets.quality.reader import CORRUPT, first_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

AMOUNTS = ("quantity", "unit_price", "revenue")
TEXTS = (*KEYS, "order_id")
CANONICAL = ("date", *TEXTS, *AMOUNTS, STOCK_OUT)
MONTH = "_month"
UNDATED = "undated"
REASONS = "_reasons"
# Columns that the evaluation of the rules adds; a planned covariate cannot have one of these names.
ADDED = ("source", "unusable", "copy", "robust_z", "today", "is_return", "flags", "month", MONTH, REASONS)
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
ISO_DATE = r"^\s*\d{4}-\d{1,2}(-\d{1,2}([ T].*)?)?\s*$"
WITH_OFFSET = r"[ T]\d{1,2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)\s*$"
BASIC_DATE = r"^\s*\d{8}\s*$"


def source_column(name: str, columns: Sequence[str]) -> str | None:
    """The source column that a name means, whatever its case; None where there is none.

    >>> source_column("unitprice", ["StockCode", "UnitPrice"])
    'UnitPrice'
    """
    if name in columns:
        return name
    return next((column for column in columns if column.strip().lower() == name.strip().lower()), None)


def column_of(entry: str, schema: T.StructType) -> str | None:
    """The column of a frame that an entry names, as the file or as the frame has it; None where it names none.

    Raises:
        ValueError: Two columns of the file differ from the entry in case alone.
    """
    if entry in schema.names:
        return entry
    exact = [one.name for one in schema if header(one) == entry]
    if len(exact) == 1:
        return exact[0]
    wanted = entry.strip().lower()
    close = [one for one in schema if wanted in (header(one).strip().lower(), one.name.strip().lower())]
    if len(close) > 1 and any(HEADER in (one.metadata or {}) for one in close):
        raise ValueError(f"it may be {' or '.join(repr(one.name) for one in close)}")
    return close[0].name if close else None


def resolve(entry: str, frame: DataFrame) -> tuple[str, T.DataType]:
    """The Spark SQL expression that an entry means on a frame, and its type.

    Raises:
        ValueError: The frame has no such column, and the entry is no expression over its columns; the message
            says why.
    """
    column = column_of(entry, frame.schema)
    expression = entry if column is None else quoted(column)
    try:
        # In a struct with another column neither an aggregate nor a generator of rows can pass.
        fields = frame.select("*", F.struct(F.expr(expression).alias("value")).alias("_entry")).schema
    except (AnalysisException, ParseException) as error:
        raise ValueError(first_sentence(error)) from None
    found = fields["_entry"].dataType
    assert isinstance(found, T.StructType)
    return expression, found["value"].dataType


def resolve_key(key: str, entry: str, frame: DataFrame) -> tuple[str, T.DataType]:
    """As `resolve`, with an error that names the key of the settings and the columns that there are.

    Raises:
        ConfigurationError: The entry does not work on this frame.
    """
    try:
        return resolve(entry, frame)
    except ValueError as error:
        columns = [name for name in frame.columns if name != CORRUPT]
        close = difflib.get_close_matches(entry.lower(), [name.lower() for name in columns], 1)
        hint = f" Did you mean {source_column(close[0], columns)!r}?" if close else ""
        raise ConfigurationError(
            f"{key}: {entry!r} is neither a column of the source nor an SQL expression over its columns "
            f"({error}).{hint} Its columns: {', '.join(columns)}"
        ) from None


def required_columns(settings: Settings) -> list[str]:
    """The canonical columns that must be there: the date, the target and the keys of the series."""
    return ["date", settings.forecast.target, *settings.forecast.series]


def available_columns(settings: Settings, schema: T.StructType) -> dict[str, str]:
    """The canonical columns that a source has, each with its Spark SQL expression, in canonical order.

    An entry that the user did not set and that the source lacks is left out, unless it is required.

    Raises:
        ConfigurationError: An entry that was set, or is required, does not work on the source.
    """
    return {name: expression for name, (expression, _) in resolved_columns(settings, _empty(schema)).items()}


def known_future_columns(settings: Settings, columns: Sequence[str], mapped: Sequence[str] = ()) -> dict[str, str]:
    """The planned covariates that a source has besides the mapped columns: configured name to source column.

    Raises:
        ConfigurationError: A covariate stands neither in the source nor in a file of planned values, or has a
            name that means something else here.
    """
    planned, found = settings.forecast.known_future, {}
    for name in planned.columns:
        if name == "unit_price" and name in mapped:
            continue
        if name.lower() in (*ADDED, *CANONICAL) and name != "unit_price":
            raise ConfigurationError(
                f"forecast.known_future.columns: {name!r} has a meaning of its own here; rename it"
            )
        column = source_column(name, columns)
        if column is not None:
            found[name] = column
        elif planned.path is None:
            shown = ", ".join(column for column in columns if column not in (CORRUPT, MONTH))
            raise ConfigurationError(
                f"forecast.known_future.columns: the source has no column {name!r}. Its columns: {shown}"
            )
    return found


def zone_of(field: T.StructField, settings: Settings) -> str | None:
    """The time zone in which a column of instants becomes days: that of the settings, else that of the file."""
    return settings.sales.timezone or (field.metadata or {}).get(ZONE)


def at_local_time(frame: DataFrame, settings: Settings) -> DataFrame:
    """The frame with its instants as the clock on the shop's wall shows them, for mapping and rules."""
    local = {
        one.name: F.from_utc_timestamp(F.col(quoted(one.name)), zone).cast("timestamp_ntz")
        for one in frame.schema
        if isinstance(one.dataType, T.TimestampType) and (zone := zone_of(one, settings))
    }
    return frame.withColumns(local) if local else frame


def canonical(
    delivered: DataFrame, settings: Settings, *, reference: DataFrame | None = None, keep: Sequence[str] = ()
) -> DataFrame:
    """The delivered rows under canonical names.

    Args:
        delivered: Rows as delivered (`_month` may be among their columns).
        settings: The settings.
        reference: Rows by which it is told whether a text covariate of a CSV source holds numbers; default:
            the delivered ones. A single month gets the whole table here, so that all months agree.
        keep: Helper columns that are carried along and are no part of `source`.

    Returns:
        `date` (null where it is none), the available text columns (null where blank) and amounts (null where
        they are no finite number), `stock_out` (null where it is no truth value), the planned covariates that the
        source has, `unusable` (per amount and of `stock_out`: a value was delivered, but none that can be used),
        `source` (the delivered row), and the kept columns.

    Raises:
        ConfigurationError: The mapping does not work on these columns.
    """
    internal = {MONTH, *keep}
    source = [F.col(quoted(name)) for name in delivered.columns if name not in internal]
    original = delivered.withColumn("_delivered", F.struct(*source))
    delivered = at_local_time(delivered, settings)
    resolved = resolved_columns(settings, delivered)
    local = at_local_time(original, settings)
    columns: list[Column] = []
    unusable: list[Column] = []
    for name, (expression, kind) in resolved.items():
        value = F.expr(expression)
        if name == "date":
            columns.append(day_of(value, kind, settings.sales.timezone).alias(name))
        elif name in TEXTS:
            columns.append(text_of(value, kind).alias(name))
        else:
            found = flag_of(value) if name == STOCK_OUT else number_of(value, kind)
            columns.append(found.alias(name))
            unusable.append((_delivered(value, kind) & found.isNull()).alias(name))
    return local.select(
        *columns,
        *_covariates(delivered, settings, list(resolved), delivered if reference is None else reference),
        F.struct(*unusable).alias("unusable"),
        F.col("_delivered").alias("source"),
        *[F.col(quoted(name)) for name in keep],
    )


def month_of(date: Column, settings: Settings, today: dt.date) -> Column:
    """The month `yyyy-MM` of a day; 'undated' without a day, before `sales.first_month` and after today's month."""
    month = F.date_format(date, "yyyy-MM")
    dated = date.isNotNull() & (date >= F.lit(first_day(settings))) & (date <= F.last_day(F.lit(today)))
    return F.when(dated, month).otherwise(F.lit(UNDATED))


def with_month(delivered: DataFrame, settings: Settings, today: dt.date) -> DataFrame:
    """The delivered rows with `_month`, the monthly partition to which each belongs ('undated' where to none)."""
    local = at_local_time(delivered, settings)
    expression, kind = resolved_columns(settings, local)["date"]
    if local is delivered:
        return delivered.withColumn(
            MONTH, month_of(day_of(F.expr(expression), kind, settings.sales.timezone), settings, today)
        )
    # Instants keep their values in the table: only the day is that of the shop.
    original = delivered.withColumn("_delivered", F.struct(*[F.col(quoted(name)) for name in delivered.columns]))
    day = day_of(F.expr(expression), kind, settings.sales.timezone)
    dated = at_local_time(original, settings).withColumn(MONTH, month_of(day, settings, today))
    return dated.select("_delivered.*", MONTH)


def first_day(settings: Settings) -> dt.date:
    """The first day of `sales.first_month`."""
    return dt.date.fromisoformat(f"{settings.sales.first_month}-01")


def day_of(value: Column, kind: T.DataType, zone: str | None = None) -> Column:
    """A day from a date, a timestamp, or text and whole numbers as ISO 8601 has them (2011-12-09, 20111209).

    A timestamp is taken at its own clock; so is text with an offset, unless a zone is given. Text that holds less than
    a month, and numbers such as Excel's or Unix time, are no dates: which they are cannot be told from the value.

    Args:
        value: The value.
        kind: Its type.
        zone: The time zone in which text with an offset (2011-12-09T22:30:00Z) becomes a day.
    """
    if isinstance(kind, T.DateType | T.TimestampType | T.TimestampNTZType):
        return value.cast("date")
    text = text_of(value, kind)
    own = text.try_cast("timestamp_ntz")
    if zone is not None:
        instant = F.from_utc_timestamp(text.try_cast("timestamp"), zone).cast("timestamp_ntz")
        own = F.when(text.rlike(WITH_OFFSET), instant).otherwise(own)
    iso = F.when(text.rlike(ISO_DATE), own.cast("date"))
    basic = F.when(text.rlike(BASIC_DATE), F.try_to_date(F.trim(text), "yyyyMMdd"))
    return F.coalesce(iso, basic)


def text_of(value: Column, kind: T.DataType) -> Column:
    """A code as text: blank is null, and a whole number in a floating-point column has no `.0`."""
    if isinstance(kind, T.FloatType | T.DoubleType):
        whole = (value == F.floor(value)) & (F.abs(value) < F.lit(2.0**53))
        return F.when(whole, value.cast("bigint").cast("string")).when(~F.isnan(value), value.cast("string"))
    text = value.cast("string")
    if isinstance(kind, T.DecimalType):
        return F.regexp_replace(text, r"\.0+$", "")
    return F.when(F.trim(text) != "", text) if isinstance(kind, T.StringType) else text


def number_of(value: Column, kind: T.DataType) -> Column:
    """A finite number, or null.

    Text is held to a pattern first: Java, and with it Spark, also takes `12d` and `0x1p3` for numbers.
    """
    if isinstance(kind, T.StringType):
        value = F.when(value.rlike(NUMBER), value)
    number = value.try_cast("double")
    return F.when(F.abs(number) < F.lit(float("inf")), number)


def flag_of(value: Column) -> Column:
    """A truth value, or null: true and false, 1 and 0, also as text, yes and no."""
    text = F.lower(F.trim(value.cast("string")))
    return F.when(text.isin(*TRUE), True).when(text.isin(*FALSE), False)


def _delivered(value: Column, kind: T.DataType) -> Column:
    return value.isNotNull() & (F.trim(value) != "") if isinstance(kind, T.StringType) else value.isNotNull()


def resolved_columns(settings: Settings, frame: DataFrame) -> dict[str, tuple[str, T.DataType]]:
    """As `available_columns`, with the type of each expression on a frame."""
    entries, wanted = settings.sales.columns, {}
    required = required_columns(settings)
    for name in CANONICAL:
        entry: str | None = getattr(entries, name)
        if entry is None:
            if name in required:
                raise ConfigurationError(f"sales.columns.{name}: {_why_required(name, settings)}, but it is not set")
            continue
        optional = name not in entries.model_fields_set and name not in required
        if not optional or source_column(entry, frame.columns) is not None:
            wanted[name] = entry
    found = _all_at_once(wanted, frame)
    if found is None:  # one at a time, for the message
        found = {name: resolve_key(f"sales.columns.{name}", entry, frame) for name, entry in wanted.items()}
    for name, (_, kind) in found.items():
        _check_type(name, wanted[name], kind)
    return found


def _all_at_once(wanted: dict[str, str], frame: DataFrame) -> dict[str, tuple[str, T.DataType]] | None:
    """As `resolve` for several entries in one question to Spark; None where one of them does not work."""
    try:
        columns = {name: column_of(entry, frame.schema) for name, entry in wanted.items()}
        expressions = {
            name: entry if columns[name] is None else quoted(str(columns[name])) for name, entry in wanted.items()
        }
        entry = F.struct(*[F.expr(expression).alias(name) for name, expression in expressions.items()])
        kinds = frame.select("*", entry.alias("_entry")).schema["_entry"].dataType
    except (AnalysisException, ParseException, ValueError):
        return None
    assert isinstance(kinds, T.StructType)
    return {name: (expression, kinds[name].dataType) for name, expression in expressions.items()}


def _why_required(name: str, settings: Settings) -> str:
    if name == "date":
        return "the date is required"
    return f"{name!r} is {'the target' if name == settings.forecast.target else 'a key of the series'}"


def _check_type(name: str, entry: str, kind: T.DataType) -> None:
    wrong = not isinstance(kind, T.AtomicType | T.NullType)
    if name in AMOUNTS:
        wrong = not isinstance(kind, T.NumericType | T.StringType | T.NullType)
    elif name == "date":
        wrong = wrong or isinstance(kind, T.BooleanType | T.BinaryType)
    if wrong:
        wanted = {"date": "a date"}.get(name, "a number" if name in AMOUNTS else "text")
        raise ConfigurationError(f"sales.columns.{name}: {entry!r} gives {kind.simpleString()}, not {wanted}")


def _covariates(delivered: DataFrame, settings: Settings, mapped: Sequence[str], reference: DataFrame) -> list[Column]:
    found = known_future_columns(settings, [name for name in delivered.columns if name != MONTH], mapped)
    return covariate_columns(delivered, found, settings.sales.format, reference)


def covariate_columns(
    frame: DataFrame, found: dict[str, str], source_format: str, reference: DataFrame | None = None
) -> list[Column]:
    """Covariates as numbers or text, of the sales and of a file of planned values alike.

    Truth values are numbers, and so is text of CSV of which every value is one (`1`, `0.5`, `true`).

    Args:
        frame: Rows as delivered.
        found: Name of each covariate to its column.
        source_format: Format of the file that they come from.
        reference: Rows by which it is told whether text holds numbers; default: the frame's.
    """
    kinds = {name: frame.schema[column].dataType for name, column in found.items()}
    texts = {name: found[name] for name, kind in kinds.items() if isinstance(kind, T.StringType)}
    numeric = set()
    if source_format == "csv" and texts:
        numeric = _numeric_texts(frame if reference is None else reference, texts)
    columns = []
    for name, column in found.items():
        value, kind = F.col(quoted(column)), kinds[name]
        if name in numeric:
            truth = F.lower(F.trim(value))
            columns.append(
                F.when(truth == "true", 1.0).when(truth == "false", 0.0).otherwise(number_of(value, kind)).alias(name)
            )
        elif isinstance(kind, T.NumericType):
            columns.append(number_of(value, kind).alias(name))
        elif isinstance(kind, T.BooleanType):
            columns.append(value.cast("double").alias(name))
        else:
            columns.append(text_of(value, kind).alias(name))
    return columns


def _numeric_texts(frame: DataFrame, texts: dict[str, str]) -> set[str]:
    """Text columns of which every value that is not blank is a number."""
    checks = []
    for name, column in texts.items():
        value = text_of(F.col(quoted(column)), T.StringType())
        checks.append(
            F.bool_and(
                F.when(value.isNotNull(), value.rlike(NUMBER) | F.lower(F.trim(value)).isin("true", "false"))
            ).alias(name)
        )
    row = frame.agg(*checks).first()
    return {name for name in texts if row is not None and row[name]}


def _empty(schema: T.StructType) -> DataFrame:
    return SparkSession.active().createDataFrame([], schema)
