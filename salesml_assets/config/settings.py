"""The settings tree: sections, keys, defaults, bounds and descriptions. `loading` reads it from file and variables."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ENV_PREFIX = "SALESML_"
# Secrets are not settings: they are read where they are used, and never shown.
SMTP_USER, SMTP_PASSWORD, SLACK_WEBHOOK = "SALESML_SMTP_USER", "SALESML_SMTP_PASSWORD", "SALESML_SLACK_WEBHOOK"
API_KEY = "SALESML_API_KEY"  # the key of the prediction service
# Days for which the lake keeps the log of table versions, and with it past forecasts.
HISTORY_DAYS = 420
ROLLBACK_DAYS = 90
KEYS = ("store", "category", "product")
Language = Literal["en", "pt"]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class ConfigurationError(ValueError):
    """A setting is invalid; the message names the key and says how to fix it."""


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
    stock_out: str | None = Field(
        None,
        description="Whether the product was out of stock (true or 1): what was sold then is no demand, and neither "
        "learned from nor scored.",
    )


class SalesSettings(Section):
    """The source of the sales."""

    path: str = Field("s3a://processed-data/vendas_detalhadas", description="File, folder or s3a:// address.")
    format: Literal["parquet", "csv", "json", "delta"] = Field("parquet", description="Format of the source.")
    options: dict[str, str] = Field(default_factory=dict, description="Further options of Spark's reader (sep, ...).")
    columns: ColumnSettings = Field(default_factory=ColumnSettings, description="The column mapping.")
    filter: str | None = Field(None, description="SQL condition on the source: rows that do not meet it are ignored.")
    timezone: str | None = Field(
        None,
        description="Time zone of the shop, such as America/Sao_Paulo: instants become days in it. Default: the zone "
        "that the file's metadata name, else UTC.",
    )
    gaps: Literal["zero", "unknown"] = Field(
        "zero", description="A day without a row: nothing sold (zero), or unknown (neither trained on nor scored)."
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

    name: Name = Field(description="Name of the rule, as shown in the reasons.")
    condition: str = Field(description="SQL condition that is true for a bad row.")
    action: Literal["reject", "flag"] = Field("reject", description="Quarantine the row, or keep and flag it.")
    description: str = Field("", description="Meaning of the rule, for the report.")


class QualitySettings(Section):
    """Rules for unusable rows."""

    exclude_products: str | None = Field(
        None, description="Regular expression: product codes that match as a whole are not products (POST, fees, ...)."
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


class HolidaySettings(Section):
    """Public holidays of the stores' countries; off without a country."""

    country: str | None = Field(None, description="Country code (ISO 3166), such as DE; default: no holidays.")
    subdivision: str | None = Field(None, description="State or province, such as BY; default: national holidays.")
    stores: dict[str, str] = Field(
        default_factory=dict, description="Stores elsewhere: {store: country or country-subdivision}."
    )

    @model_validator(mode="after")
    def _needs_a_country(self) -> HolidaySettings:
        if self.country is None and (self.subdivision or self.stores):
            raise ValueError("country is missing: set the country of most stores")
        return self

    @model_validator(mode="after")
    def _regions_exist(self) -> HolidaySettings:
        if self.country is None:
            return self
        import holidays

        own = f"{self.country}-{self.subdivision}" if self.subdivision else self.country
        for place, region in {
            "country": own,
            **{f"stores.{store}": region for store, region in self.stores.items()},
        }.items():
            country, _, subdivision = region.partition("-")
            try:
                holidays.country_holidays(country, subdiv=subdivision or None)
            except NotImplementedError as error:
                raise ValueError(
                    f"{place}: {region!r} is not known to the package holidays: {error}. Codes are those of ISO 3166, "
                    "such as DE or DE-BY"
                ) from None
        return self


class HierarchySettings(Section):
    """Totals of the series, with forecasts and intervals of their own."""

    levels: list[list[Literal["store", "category", "product"]]] | None = Field(
        None,
        description="Keys by which series are added up: [] is the sum of all, [category], [store, category]. Default: "
        "overall, by category and by store, where the sales have them. An empty list: no totals.",
    )
    reconciliation: Literal["bottom_up", "mint"] = Field(
        "bottom_up",
        description="Totals are sums of the published forecasts (bottom_up), or series are moved so that their sums "
        "fit what totals forecast by themselves (mint): better totals, and series of their own in "
        "`hierarchy_forecasts`.",
    )

    @field_validator("levels")
    @classmethod
    def _unique(cls, value: list[list[str]] | None) -> list[list[str]] | None:
        levels = value or []
        if any(len(set(level)) != len(level) for level in levels):
            raise ValueError("a key is listed twice in one level")
        if len({frozenset(level) for level in levels}) != len(levels):
            raise ValueError("a level is listed twice")
        return value


class ForecastSettings(Section):
    """Target, series, frequency and horizon of the forecast."""

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
    holidays: HolidaySettings = Field(default_factory=HolidaySettings, description="Public holidays.")
    hierarchy: HierarchySettings = Field(default_factory=HierarchySettings, description="Totals of the series.")
    group_plans: bool = Field(
        True, description="Whether learned models see means of planned numbers over a series' category and store."
    )
    calendar_regression: bool = Field(
        True, description="Whether learned models see the forecasts of the pooled calendar regression."
    )

    @field_validator("series")
    @classmethod
    def _unique(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a key is listed twice")
        return value

    @model_validator(mode="after")
    def _levels_are_above_the_series(self) -> ForecastSettings:
        for level in self.hierarchy.levels or []:
            if set(self.series) <= set(level):
                raise ValueError(f"hierarchy.levels: {level} are the series themselves")
            if others := set(level) - {*self.series, "category"}:
                raise ValueError(
                    f"hierarchy.levels: {level}: {', '.join(sorted(others))} is not a key of the series: add it to "
                    "forecast.series"
                )
        return self


class TrainingSettings(Section):
    """How the algorithms are tuned, trained and compared."""

    algorithms: list[str] = Field(
        default_factory=lambda: [
            "seasonal_naive", "moving_average", "calendar_regression", "linear_regression", "random_forest",
            "gradient_boosting", "xgboost", "ensemble",
        ],
        min_length=1,
        description="Algorithms to train and compare.",
    )  # fmt: skip
    grids: dict[str, dict[str, list[Any]]] = Field(
        default_factory=dict,
        description="Parameter grids that replace the defaults: {random_forest: {maxDepth: [5]}}.",
    )
    folds: int = Field(3, ge=3, le=12, description="Number of rolling origins that are scored.")
    max_rows: int = Field(50_000, ge=1_000, description="Maximum training rows of one fit; larger panels are sampled.")
    tree_rows: int = Field(
        30_000, ge=1_000, description="Maximum training rows of one fit of MLlib's forests and boosted trees."
    )
    max_bias: float = Field(
        0.25,
        gt=0,
        description="An algorithm whose total backtest forecast is off by more than this share is not promoted.",
    )
    seed: int = Field(42, description="Seed of every random step.")


class SearchSettings(Section):
    """The search for a better recipe (`salesml tune`, job `tune`)."""

    minutes: float = Field(10.0, gt=0, le=1440, description="Budget of one search; the running trial is finished.")
    folder: str = Field(".salesml/search", description="Folder of the journal from which a search continues.")


class PromotionSettings(Section):
    """The rule by which a challenger replaces the champion."""

    mode: Literal["backtest", "ab_test"] = Field(
        "backtest",
        description="The backtest's winner becomes the production model (backtest), or is tested against it first on "
        "forecasts of days to come (ab_test).",
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Level of the significance test.")
    min_gain: float = Field(
        0.005, ge=0, lt=1, description="Minimum relative reduction of the error that is worth a change."
    )
    metric: Literal["wape", "rmsse", "cost"] = Field(
        "wape",
        description="Error that decides: WAPE; rmsse (mean squared scaled error, its square); or cost "
        "(orders.cost_under for each unit forecast too few, orders.cost_over for each too many, per unit sold).",
    )


class OrderSettings(Section):
    """What too few and too many units cost, and when orders are placed."""

    cost_under: float | None = Field(
        None,
        gt=0,
        description="Cost of a unit too few (a lost sale) as a share of its price; where no prices are known, per "
        "unit. With cost_over it gives the service level of order_quantity: cost_under / (cost_under + cost_over).",
    )
    cost_over: float | None = Field(
        None, gt=0, description="Cost of a unit too many (waste, capital) as a share of its price, else per unit."
    )
    lead_time: int = Field(
        1, ge=0, le=366, description="Steps from an order to its delivery, for the replay of orders."
    )
    review: int | None = Field(
        None, ge=1, le=366, description="Steps between two orders, for the replay of orders; default: a week."
    )

    @model_validator(mode="after")
    def _both_costs(self) -> OrderSettings:
        if (self.cost_under is None) != (self.cost_over is None):
            raise ValueError(
                "set both cost_under and cost_over, or neither: only together do they say how much to order"
            )
        return self

    @property
    def service_level(self) -> float | None:
        """The newsvendor quantile: the probability with which an order should suffice; None without costs."""
        if self.cost_under is None or self.cost_over is None:
            return None
        return round(self.cost_under / (self.cost_under + self.cost_over), 10)

    @property
    def costs(self) -> tuple[float, float]:
        """Cost of a unit too few and of one too many; its price for each, where no costs are set."""
        return self.cost_under or 1.0, self.cost_over or 1.0


class ABTestSettings(Section):
    """The A/B test of a challenger, where `promotion.mode` is ab_test."""

    share: float = Field(
        0.1, ge=0, le=1, description="Share of the prediction service's series or callers that get the challenger."
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Probability that a test of equal models calls a winner.")
    margin: float = Field(
        0.02, ge=0, lt=1, description="Difference of WAPE, relative to it, within which the models are equivalent."
    )


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
    """Location and retention of the tables."""

    root: str = Field(".salesml/lake", description="Folder or s3a://bucket/prefix.")
    keep_days: int = Field(
        30,
        ge=7,
        le=HISTORY_DAYS,
        description="Days for which earlier versions of a table can be read; then their files are removed. Versions of "
        f"the forecasts are kept for {HISTORY_DAYS} days.",
    )
    rollback_days: int = Field(
        ROLLBACK_DAYS,
        ge=1,
        description="Days for which a replaced production model can be put back. Then its files and its version in the "
        "registry are removed, as are reports and other files of runs of that age; the model in production and the one "
        "before it stay.",
    )


class RegistrySettings(Section):
    """The MLflow registry that mirrors the production models; without a server it is a file of this machine."""

    enabled: bool = Field(True, description="Whether trainings are tracked and production models registered.")
    tracking_uri: str | None = Field(
        None, description="Address of an MLflow server (http://host:5000); default: a SQLite file below `folder`."
    )
    folder: str = Field(".salesml/mlflow", description="Folder of the registry without a server: mlflow.db and files.")
    model_name: str = Field(
        "salesml",
        min_length=1,
        pattern=r"^[^/:%'\"]+$",
        description="Name of the experiment and of the registered model; one of its own for each lake.",
    )
    spark_model: bool = Field(
        False, description="Whether production models of MLlib are logged in MLlib's own form, too (mlflow.spark)."
    )
    timeout_seconds: int = Field(10, ge=1, le=600, description="Seconds after which a server counts as down.")


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
    """The day of reference."""

    today: dt.date | None = Field(
        None, description="Day that counts as today (replays, old data); default: the current day."
    )


class AutomationSettings(Section):
    """Schedule, retries and time limit of runs."""

    cron: str = Field("0 6 * * 1", description="Cron expression of the weekly retrain.")
    timezone: str = Field("UTC", description="Time zone of `cron`, such as America/Sao_Paulo.")
    retries: int = Field(1, ge=0, le=10, description="Retries of a failed step; errors in the input are not retried.")
    retry_minutes: float = Field(5.0, ge=0, description="Minutes before a failed step is retried.")
    max_run_hours: float = Field(12.0, gt=0, description="Hours after which a run counts as stuck and is terminated.")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)


class DriftSettings(Section):
    """Windows and levels of the drift tests, and the retrains that follow."""

    alpha: float = Field(0.01, gt=0, lt=0.5, description="Allowed false discovery rate over all tests.")
    window_weeks: int = Field(2, ge=1, le=13, description="Number of recent weeks.")
    baseline_weeks: int = Field(8, ge=2, le=52, description="Number of baseline weeks, up to the training.")
    cool_down_weeks: int = Field(
        4, ge=0, le=52, description="Weeks of sales after a retrain before the same drift may start another one."
    )
    attempts: int = Field(2, ge=1, le=10, description="Maximum retrains for the same drift if they fail.")
    errors: list[Literal["input", "target", "prediction", "mix", "series", "error"]] = Field(
        default_factory=list, description="Kinds of drift whose check fails with severity ERROR; the others warn."
    )


class FreshnessSettings(Section):
    """Days without a materialization after which an asset counts as stale."""

    table_days: float = Field(8.0, gt=0, description="For tables and the report: a week and a day.")
    model_days: float = Field(15.0, gt=0, description="For the production model: two missed retrains.")


class NotificationSettings(Section):
    """Mail relay, recipients and links; secrets come from the environment only."""

    smtp_host: str | None = Field(None, description="SMTP relay; without one, mails are logged and not sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the relay.")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="Encryption of the connection.")
    smtp_timeout_seconds: float = Field(20.0, gt=0, description="Seconds after which a relay counts as down.")
    sender: str = Field("salesml@localhost", description="Sender of the mails.")
    recipients: list[str] = Field(default_factory=list, description="Recipients of the mails.")
    ui_url: str = Field("http://127.0.0.1:3000", description="Address of the Dagster UI, for links.")


class CatalogSettings(Section):
    """What the UI says about the assets."""

    owners: list[str] = Field(
        default_factory=list, description="Owners of all assets: e-mail addresses, or `team:` and a name."
    )
    repository: str | None = Field(
        None,
        pattern=r"^https?://\S*(github|gitlab)\S*$",
        description="Address of the project's repository on GitHub or GitLab, for links to the assets' code; default: "
        "links to the files on this machine.",
    )
    revision: str = Field("main", min_length=1, description="Branch, tag or commit of the links to the repository.")

    @field_validator("owners")
    @classmethod
    def _known_form(cls, value: list[str]) -> list[str]:
        for owner in value:
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|team:[\w-]+", owner):
                raise ValueError(f"{owner!r} is neither an e-mail address nor `team:` and a name")
        return value


class ReportSettings(Section):
    """The report and the validation notebook."""

    language: Language = Field(
        "en", description="Language of the report, its figures and the notebook: English or Brazilian Portuguese."
    )


class ServingSettings(Section):
    """The prediction service; its API key comes from the environment only."""

    host: str = Field("127.0.0.1", description="Address to listen on; one that others reach needs an API key.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=64, description="Processes that answer requests.")
    max_body_bytes: int = Field(4_000_000, ge=1_000, description="Maximum size of a request's body.")
    max_series: int = Field(100, ge=1, le=10_000, description="Maximum series of one request, and of one page.")
    max_rows: int = Field(50_000, ge=100, description="Maximum steps of history of all series of one request.")
    timeout_seconds: float = Field(10.0, gt=0, description="Seconds after which a request is given up.")
    refresh_seconds: float = Field(2.0, gt=0, description="Seconds between two looks at the lake for a new model.")
    drain_seconds: float = Field(
        2.0, ge=0, description="Seconds between the signal to stop, from which the service is not ready, and the end."
    )
    cache: str = Field(".salesml/serving", description="Folder of the local copy from which the service can start.")


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
    forecast: ForecastSettings = Field(default_factory=ForecastSettings, description="Target, series and horizon.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Tuning and backtests.")
    search: SearchSettings = Field(default_factory=SearchSettings, description="The model search.")
    promotion: PromotionSettings = Field(default_factory=PromotionSettings, description="The promotion rule.")
    orders: OrderSettings = Field(default_factory=OrderSettings, description="Costs and rhythm of orders.")
    ab_test: ABTestSettings = Field(default_factory=ABTestSettings, description="The A/B test of a challenger.")
    checks: CheckSettings = Field(default_factory=CheckSettings, description="Bounds of the asset checks.")
    lake: LakeSettings = Field(default_factory=LakeSettings, description="Location of the tables.")
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description="The MLflow registry.")
    s3: S3Settings = Field(default_factory=S3Settings, description="The object store.")
    spark: SparkSettings = Field(default_factory=SparkSettings, description="The Spark session.")
    clock: ClockSettings = Field(default_factory=ClockSettings, description="The day of reference.")
    automation: AutomationSettings = Field(default_factory=AutomationSettings, description="Schedule and sensors.")
    drift: DriftSettings = Field(default_factory=DriftSettings, description="Drift tests and retrains.")
    freshness: FreshnessSettings = Field(default_factory=FreshnessSettings, description="When an asset is stale.")
    notifications: NotificationSettings = Field(default_factory=NotificationSettings, description="Mails and Slack.")
    report: ReportSettings = Field(default_factory=ReportSettings, description="The report's language.")
    catalog: CatalogSettings = Field(default_factory=CatalogSettings, description="The UI's catalog of assets.")
    serving: ServingSettings = Field(default_factory=ServingSettings, description="The prediction service.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the file."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _cluster_needs_a_shared_lake(self) -> Settings:
        if not self.spark.master.startswith("local") and not re.match(r"(?!file:)\w+://", self.lake.root):
            raise ValueError(
                f"lake.root: {self.lake.root!r} is a local folder, but spark.master is {self.spark.master!r}: the "
                "executors would write to their own disks. Set lake.root to an address that all of them reach (s3a://...)"
            )
        return self

    @model_validator(mode="after")
    def _cost_needs_costs(self) -> Settings:
        if self.promotion.metric == "cost" and self.orders.service_level is None:
            raise ValueError("promotion.metric: cost needs orders.cost_under and orders.cost_over")
        return self

    @property
    def tests_challengers(self) -> bool:
        """Whether an A/B test decides on a challenger, and not its backtest alone."""
        return self.promotion.mode == "ab_test"

    @property
    def has_totals(self) -> bool:
        """Whether totals of the series are forecast."""
        return self.forecast.hierarchy.levels != []

    @property
    def today(self) -> dt.date:
        """The day of reference: `clock.today`, else the current day."""
        return self.clock.today or dt.date.today()
