"""The settings tree: `salesml.yaml` (or the file named by SALESML_CONFIG), then the environment.

Any key is overridden by `SALESML_<SECTION>__<KEY>`. Relative paths are relative to the folder of
the settings file (without one, to the working directory), so a command means the same wherever
it is started.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import zoneinfo
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

ENV_PREFIX = "SALESML_"
CONFIG_VARIABLE = "SALESML_CONFIG"
# Secrets are no settings: they are read where they are used, and never shown.
SMTP_USER, SMTP_PASSWORD, SLACK_WEBHOOK = "SALESML_SMTP_USER", "SALESML_SMTP_PASSWORD", "SALESML_SLACK_WEBHOOK"
RESERVED_VARIABLES = {CONFIG_VARIABLE, "SALESML_JAVA", SMTP_USER, SMTP_PASSWORD, SLACK_WEBHOOK}
# How long the lake knows the versions of its tables; past forecasts are such versions, and can be read as long.
HISTORY_DAYS = 420
KEYS = ("store", "category", "product")
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class ConfigurationError(ValueError):
    """What the user set cannot work; the message names the key and the mend."""


def known_timezone(value: str) -> str:
    """The name of a time zone.

    Raises:
        ValueError: There is no such zone.
    """
    if value not in zoneinfo.available_timezones():
        raise ValueError(f"{value!r} is not a time zone, such as 'America/Sao_Paulo'")
    return value


class Section(BaseModel):
    """A section of the settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSettings(Section):
    """Where each canonical column comes from: a source column or a Spark SQL expression."""

    date: str = Field("data_venda", description="Day of the sale (date, timestamp or ISO text).")
    product: str | None = Field("produto", description="Product code.")
    category: str | None = Field("categoria_valor", description="Product category.")
    store: str | None = Field(None, description="Store, branch or channel.")
    order_id: str | None = Field(None, description="Order or invoice number.")
    quantity: str | None = Field("quantidade", description="Units sold; negative for returns.")
    unit_price: str | None = Field(None, description="Price of one unit.")
    revenue: str | None = Field("valor_total", description="Value of the row; negative for returns.")


class SalesSettings(Section):
    """The source of the sales."""

    path: str = Field("s3a://processed-data/vendas_detalhadas", description="File, folder or s3a:// address.")
    format: Literal["parquet", "csv", "json", "delta"] = Field("parquet", description="Format of the source.")
    options: dict[str, str] = Field(default_factory=dict, description="Further options of Spark's reader (sep, ...).")
    columns: ColumnSettings = Field(default_factory=ColumnSettings, description="The column mapping.")
    filter: str | None = Field(None, description="SQL condition on the source: rows that do not meet it are left out.")
    timezone: str | None = Field(
        None,
        description="Time zone of the shop, such as America/Sao_Paulo: instants become days in it. Default: the zone "
        "that the file's metadata name, else UTC.",
    )
    gaps: Literal["zero", "unknown"] = Field(
        "zero", description="A day without a row: nothing sold (zero), or not known (neither learned nor scored)."
    )
    returns: Literal["net", "reject"] = Field(
        "net", description="Cancellations and returns reduce the day's sales (net) or go to quarantine (reject)."
    )
    load: Literal["monthly", "full"] = Field(
        "monthly", description="By monthly partitions, or the whole source at once."
    )
    first_month: str = Field(
        "1980-01",
        pattern=r"^\d{4}-(0[1-9]|1[0-2])$",
        description="First monthly partition; earlier dates are rejected.",
    )

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, value: str | None) -> str | None:
        return None if value is None else known_timezone(value)


class RuleSettings(Section):
    """A rule for rows, in SQL over the canonical columns and `source.<column>`."""

    name: Name = Field(description="Name of the rule, as it stands in the reasons.")
    condition: str = Field(description="SQL condition that is true for a bad row.")
    action: Literal["reject", "flag"] = Field("reject", description="Quarantine the row, or keep and flag it.")
    description: str = Field("", description="What the rule means, for the report.")


class QualitySettings(Section):
    """What makes a row unusable."""

    exclude_products: str | None = Field(
        None, description="Regular expression: product codes that match as a whole are no products (POST, fees, ...)."
    )
    outlier_bound: float = Field(
        10.0,
        gt=0,
        description="Robust z-score of an amount's logarithm within its product beyond which it is an outlier.",
    )
    outlier_action: Literal["flag", "reject"] = Field("flag", description="Keep and flag outliers, or reject them.")
    outlier_share: float = Field(
        0.5, gt=0, le=1, description="Share of the target in flagged outliers from which the run stops; 1: never."
    )
    disable: list[str] = Field(default_factory=list, description="Names of default rules that are switched off.")
    rules: list[RuleSettings] = Field(default_factory=list, description="Rules of your own.")
    warn_share: float = Field(0.05, ge=0, le=1, description="Share of quarantined rows from which the check warns.")
    error_share: float = Field(
        0.5, ge=0, le=1, description="Share of quarantined rows from which the run stops; 1: never."
    )


class KnownFutureSettings(Section):
    """Covariates known in advance: promotions, opening days, holidays, planned prices."""

    path: str | None = Field(None, description="File with the planned values: key and date columns as in the sales.")
    format: Literal["parquet", "csv", "json", "delta"] = Field("parquet", description="Format of that file.")
    options: dict[str, str] | None = Field(
        None,
        description="Options of Spark's reader for that file; default: sales.options where the format is the same.",
    )
    columns: list[str] = Field(default_factory=list, description="Columns known in advance, numbers or text.")


class ForecastSettings(Section):
    """What is forecast."""

    target: Literal["revenue", "quantity"] = Field("revenue", description="What is forecast.")
    series: list[Literal["store", "category", "product"]] = Field(
        ["product"], min_length=1, description="Keys that make one series."
    )
    frequency: Literal["D", "W", "W-SUN", "W-MON", "W-TUE", "W-WED", "W-THU", "W-FRI", "W-SAT"] = Field(
        "D", description="Daily, or weekly (W: weeks end as the source's do, else on Sunday)."
    )
    horizon: int = Field(28, ge=1, le=366, description="Steps ahead, in days or weeks.")
    non_negative: bool = Field(True, description="False where returns may outweigh sales.")
    known_future: KnownFutureSettings = Field(default_factory=KnownFutureSettings, description="Planned covariates.")

    @field_validator("series")
    @classmethod
    def _unique(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a key stands twice")
        return value


class TrainingSettings(Section):
    """How the algorithms are tuned, trained and compared."""

    algorithms: list[str] = Field(
        default_factory=lambda: [
            "seasonal_naive", "moving_average", "linear_regression", "random_forest", "gradient_boosting", "xgboost",
        ],
        min_length=1,
        description="Algorithms that take part.",
    )  # fmt: skip
    grids: dict[str, dict[str, list[Any]]] = Field(
        default_factory=dict,
        description="Parameter grids that replace the default ones: {random_forest: {maxDepth: [5]}}.",
    )
    folds: int = Field(3, ge=3, le=12, description="Rolling origins that score.")
    max_rows: int = Field(100_000, ge=1_000, description="Most training rows for one fit; more are sampled down.")
    tree_rows: int = Field(
        30_000, ge=1_000, description="Most training rows for one fit of MLlib's forests and boosted trees."
    )
    max_bias: float = Field(
        0.25,
        gt=0,
        description="An algorithm whose total backtest forecast is off by more than this share is not promoted.",
    )
    seed: int = Field(42, description="Seed of every random step.")


class PromotionSettings(Section):
    """When a challenger replaces the champion."""

    alpha: float = Field(0.05, gt=0, lt=0.5, description="Level of the significance test.")
    least_gain: float = Field(0.005, ge=0, lt=1, description="Least relative reduction of WAPE that is worth a change.")


class CheckSettings(Section):
    """Bounds of the asset checks."""

    max_age_days: int = Field(35, ge=1, description="Age of the newest sale from which the check warns.")
    volume_factor: float = Field(
        2.0, gt=1, description="A month with this many times more or fewer rows makes the check warn."
    )
    coverage_tolerance: float = Field(
        0.1, gt=0, lt=1, description="Allowed distance of interval coverage from nominal."
    )


class LakeSettings(Section):
    """Where the tables live."""

    root: str = Field(".salesml/lake", description="Folder or s3a://bucket/prefix.")
    keep_days: int = Field(
        30,
        ge=7,
        le=HISTORY_DAYS,
        description="Days for which a table's earlier versions can be read; then their files are removed. Those of the "
        f"forecasts are kept for {HISTORY_DAYS} days.",
    )


class S3Settings(Section):
    """The object store behind s3a:// addresses; credentials come from AWS_* variables only."""

    endpoint: str | None = Field(None, description="Address of a store that is not AWS (MinIO): http://host:9000.")
    path_style: bool = Field(True, description="Bucket in the path instead of in the host name.")
    region: str = Field("us-east-1", description="Region.")


class SparkSettings(Section):
    """The Spark session."""

    master: str = Field("local[*]", description="local[*] or spark://host:7077.")
    driver_memory: str = Field("3g", description="Memory of the driver's JVM.")
    shuffle_partitions: int | None = Field(None, ge=1, description="Default: two for each core of the master.")
    config: dict[str, str] = Field(default_factory=dict, description="Any further Spark setting.")


class ClockSettings(Section):
    """The day on which everything is judged."""

    today: dt.date | None = Field(
        None, description="Day that counts as today (replays, old data); default: the real one."
    )


class AutomationSettings(Section):
    """What the platform does by itself, and when."""

    cron: str = Field("0 6 * * 1", description="When the whole job runs (cron).")
    timezone: str = Field("UTC", description="Time zone of `cron`, such as America/Sao_Paulo.")
    retries: int = Field(1, ge=0, le=10, description="How often a failed step is tried again; bad input is not.")
    retry_minutes: float = Field(5.0, ge=0, description="Minutes before a failed step is tried again.")
    max_run_hours: float = Field(12.0, gt=0, description="Hours after which a run counts as stuck and is ended.")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)


class DriftSettings(Section):
    """What counts as drift."""

    alpha: float = Field(0.01, gt=0, lt=0.5, description="False discovery rate that is allowed over all tests.")
    window_weeks: int = Field(2, ge=1, le=13, description="Weeks that count as recent.")
    baseline_weeks: int = Field(8, ge=2, le=52, description="Weeks up to the training with which they are compared.")
    cool_down_weeks: int = Field(
        4, ge=0, le=52, description="Weeks of sales after a retrain before the same drift may start another one."
    )
    attempts: int = Field(2, ge=1, le=10, description="How often the same drift may start a retrain that fails.")
    errors: list[Literal["input", "target", "prediction", "mix", "series", "error"]] = Field(
        default_factory=list, description="Kinds of drift whose check fails with severity ERROR; the others warn."
    )


class FreshnessSettings(Section):
    """When something counts as stale: it has not been made anew for so many days."""

    table_days: float = Field(8.0, gt=0, description="For tables and the report: a week and a day.")
    model_days: float = Field(15.0, gt=0, description="For the production model: two missed retrains.")


class NotificationSettings(Section):
    """Who is told what happened, and how; secrets come from the environment only."""

    smtp_host: str | None = Field(None, description="SMTP relay; none: mails are logged and not sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the relay.")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="How the connection is secured.")
    smtp_timeout_seconds: float = Field(20.0, gt=0, description="Seconds after which a relay counts as down.")
    sender: str = Field("salesml@localhost", description="Sender of the mails.")
    recipients: list[str] = Field(default_factory=list, description="Who gets the mails.")
    ui_url: str = Field("http://127.0.0.1:3000", description="Address of the Dagster UI, for links.")


class Settings(BaseSettings):
    """All settings of the platform."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    sales: SalesSettings = Field(default_factory=SalesSettings, description="The source.")
    quality: QualitySettings = Field(default_factory=QualitySettings, description="Rules for rows.")
    forecast: ForecastSettings = Field(default_factory=ForecastSettings, description="What is forecast.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Tuning and backtests.")
    promotion: PromotionSettings = Field(default_factory=PromotionSettings, description="The promotion rule.")
    checks: CheckSettings = Field(default_factory=CheckSettings, description="Bounds of the asset checks.")
    lake: LakeSettings = Field(default_factory=LakeSettings, description="Where tables live.")
    s3: S3Settings = Field(default_factory=S3Settings, description="The object store.")
    spark: SparkSettings = Field(default_factory=SparkSettings, description="The Spark session.")
    clock: ClockSettings = Field(default_factory=ClockSettings, description="The day of reference.")
    automation: AutomationSettings = Field(default_factory=AutomationSettings, description="Schedule and sensors.")
    drift: DriftSettings = Field(default_factory=DriftSettings, description="What counts as drift.")
    freshness: FreshnessSettings = Field(default_factory=FreshnessSettings, description="When something is stale.")
    notifications: NotificationSettings = Field(default_factory=NotificationSettings, description="Mails and Slack.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _cluster_needs_a_shared_lake(self) -> Settings:
        if not self.spark.master.startswith("local") and not re.match(r"(?!file:)\w+://", self.lake.root):
            raise ValueError(
                f"lake.root: {self.lake.root!r} is a local folder, but spark.master is {self.spark.master!r}: the "
                "executors would write to their own disks. Set lake.root to an address that all of them reach (s3a://...)"
            )
        return self

    @property
    def today(self) -> dt.date:
        """The day of reference: `clock.today`, else the real one."""
        return self.clock.today or dt.date.today()


def load_settings(path: Path | str | None = None) -> Settings:
    """Reads the settings: defaults, then the YAML file, then the environment.

    Args:
        path: The settings file; default: SALESML_CONFIG, else `salesml.yaml` in the working directory,
            else none.

    Raises:
        ConfigurationError: A key is unknown, or a value cannot work; the message names the key.
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
        raise ConfigurationError(explain(error)) from None
    except SettingsError as error:
        raise ConfigurationError(_explain_variable(error)) from None
    return _with_absolute_paths(settings, file.absolute().parent if file.is_file() else Path.cwd())


def overlaid(settings: Settings, values: dict[str, Any], folder: Path) -> Settings:
    """Settings with other values laid over them, key by key; the environment wins here, too.

    Args:
        settings: The settings below.
        values: Sections as a settings file has them.
        folder: Where their relative paths begin.

    Raises:
        ConfigurationError: A key is unknown, or a value cannot work.
    """
    try:
        made = Settings(**_merged(settings.model_dump(mode="json", exclude_unset=True), values))
    except ValidationError as error:
        raise ConfigurationError(explain(error)) from None
    return _with_absolute_paths(made, folder)


def _merged(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _merged(below.get(key), value) for key, value in above.items()}


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigurationError: It is no YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file.name} is not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{file.name} has to hold sections (sales:, forecast:, ...), not a {type(values).__name__}"
        )
    return values


def _reject_unknown_variables() -> None:
    """Environment variables with our prefix that no section knows are mistakes, too."""
    for variable in sorted(setting_variables()):
        section = variable.upper().removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in Settings.model_fields:
            raise ConfigurationError(
                f"{variable}: there is no section {section!r}; sections: {', '.join(Settings.model_fields)}"
            )


def setting_variables() -> list[str]:
    """The environment variables that are settings, in whichever case they are written."""
    return [name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name not in RESERVED_VARIABLES]


def _explain_variable(error: SettingsError) -> str:
    """The variable that stands for a list or a mapping, and is not JSON."""
    section = re.search(r'field "(\w+)"', str(error))
    prefix = f"{ENV_PREFIX}{section.group(1) if section else ''}".upper()
    names = sorted(name for name in setting_variables() if name.upper().startswith(prefix))
    return f"{', '.join(names)}: lists and mappings are JSON, as in {ENV_PREFIX}FORECAST__SERIES='[\"product\"]'"


def explain(error: ValidationError) -> str:
    """What is wrong with which keys, in one line."""
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
        raise ConfigurationError(f"lake.root: tables cannot lie below {root!r}, a name with # or ?: set another folder")
    return settings.model_copy(
        update={
            "sales": settings.sales.model_copy(update={"path": absolute(settings.sales.path)}),
            "forecast": settings.forecast.model_copy(update={"known_future": planned}),
            "lake": settings.lake.model_copy(update={"root": root}),
        }
    )
