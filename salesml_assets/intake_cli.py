"""The commands for a first look at own data: `salesml check` and `salesml init`."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.text import masked

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from salesml_assets.quality.guess import Guess
    from salesml_assets.quality.notes import Note
    from salesml_assets.quality.source import SourceSummary

FAILED = 2
MARKS = {"found": "[dim]·[/dim]", "assumed": "[cyan]?[/cyan]", "suspicious": "[yellow]![/yellow]",
         "wrong": "[red]✗[/red]"}  # fmt: skip
PROJECT_FILES = ("dagster.yaml", "workspace.yaml")


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to the command `salesml`."""
    app.command("check")(check)
    app.command("init")(init)


def check() -> None:
    """Look at the source without running anything: what was found, assumed, and is suspicious."""
    from rich.console import Console
    from rich.markup import escape

    settings, console = load_settings(), Console()
    with console.status("looking at the source ..."):
        notes = look(settings)
    for note in notes:
        text = escape(masked(f"{note.key}: {note.text}"))
        console.print(f"{MARKS[note.kind]} {note.kind:<10} {text}", soft_wrap=True, highlight=False)
    added = list(dict.fromkeys(note.yaml for note in notes if note.yaml))
    if added:
        console.print("\nLines for salesml.yaml, as far as they are right:\n", highlight=False)
        console.print(escape("\n".join(added)), soft_wrap=True, highlight=False)
    wrong = sum(note.kind == "wrong" for note in notes)
    doubts = sum(note.kind == "suspicious" for note in notes)
    console.print(f"\n{wrong} wrong, {doubts} suspicious.", highlight=False)
    if wrong:
        raise typer.Exit(FAILED)


def init(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file or folder of sales.")],
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the project begins.")] = Path(),
) -> None:
    """Write settings for a file of sales, and the files that a project needs, into a folder."""
    from salesml_assets.quality.guess import guess_source

    settings = folder / "salesml.yaml"
    if settings.exists():
        raise ConfigurationError(f"{settings} exists: remove it, or choose another --folder")
    if not source.exists():
        raise ConfigurationError(f"there is nothing at {str(source)!r}")
    guess = guess_source(source)
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(settings_text(guess, source.absolute(), folder.absolute()), encoding="utf-8")
    for name in PROJECT_FILES:
        if not (folder / name).exists():
            with as_file(files("salesml_assets") / "project_files" / name) as template:
                shutil.copy(template, folder / name)
    typer.echo(f"{settings}: read it, then run `salesml check` in {folder.absolute()}")
    for doubt in guess.doubts:
        typer.echo(f"not clear: {doubt}")


def look(settings: Settings) -> list[Note]:
    """All notes about the source of these settings, in the order in which they are read.

    Raises:
        ConfigurationError: Spark cannot be started.
    """
    from salesml_assets.cli import SPARK_LOG, errors_in
    from salesml_assets.quality.notes import Note
    from salesml_assets.quality.source import inspect
    from salesml_assets.quality.store_access import check_store
    from salesml_assets.spark.session import spark_session

    notes: list[Note] = []
    with ExitStack() as stack:
        try:
            check_store(settings, settings.lake.root, "lake.root")
            check_store(settings, settings.sales.path, "sales.path")
            with errors_in(SPARK_LOG):
                spark = stack.enter_context(spark_session(settings))
            found, summary = inspect(spark, settings)
            notes += [*(_facts(spark, settings, summary) if summary else []), *found]
            if summary is not None:
                notes += _rejected(spark, settings)
        except ConfigurationError as error:
            key, _, text = str(error).partition(": ")
            notes.append(Note("wrong", key, text))
    order = {"found": 0, "assumed": 1, "suspicious": 2, "wrong": 3}
    return sorted(notes, key=lambda note: order[note.kind])


def _facts(spark: SparkSession, settings: Settings, summary: SourceSummary) -> list[Note]:
    """What the source holds, and which defaults were taken for it."""
    from salesml_assets.quality.files import list_files, short
    from salesml_assets.quality.notes import Note
    from salesml_assets.quality.reader import mentions

    sales, forecast = settings.sales, settings.forecast
    rows = f"{summary.rows:,} rows" + (f", {summary.left_out:,} left out by sales.filter" if summary.left_out else "")
    notes = [Note("found", "sales.path", f"{rows}, {summary.first_date} to {summary.last_date}")]
    if sales.format != "delta":
        files = list_files(spark, sales.path)
        notes.append(Note("found", "sales.path", f"{len(files.paths):,} files"))
        if files.left_out:
            names = ", ".join(short(file) for file in files.left_out[:10])
            notes.append(Note("assumed", "sales.path", f"no data, left out: {names}"))
    for name, expression in summary.canonical.items():
        explicit = name in sales.columns.model_fields_set
        notes.append(Note("found" if explicit else "assumed", f"sales.columns.{name}", expression))
    unused = [name for name in summary.columns if not any(mentions(e, [name]) for e in summary.canonical.values())]
    if unused:
        notes.append(Note("found", "sales.columns", f"not mapped: {', '.join(unused)}"))
    for section, key, value in (
        (forecast, "target", forecast.target), (forecast, "series", ", ".join(forecast.series)),
        (forecast, "frequency", forecast.frequency), (forecast, "horizon", forecast.horizon),
    ):  # fmt: skip
        kind = "found" if key in section.model_fields_set else "assumed"
        notes.append(Note(kind, f"forecast.{key}", str(value)))  # type: ignore[arg-type]
    if sales.format == "csv":
        for key, default in (("sep", ","), ("encoding", "UTF-8")):
            if key not in sales.options:
                notes.append(Note("assumed", f"sales.options.{key}", repr(default)))
    return notes


def _rejected(spark: SparkSession, settings: Settings) -> list[Note]:
    """How many rows which rule rejects and flags, and what the plan covers."""
    from pyspark.sql import functions as F

    from salesml_assets.quality.mapping import REASONS
    from salesml_assets.quality.notes import Note
    from salesml_assets.quality.remedies import rejected_sentence, remedy
    from salesml_assets.quality.source import read_source
    from salesml_assets.quality.split import judge

    judged = judge(read_source(spark, settings), settings, settings.today).persist()
    names = F.transform(F.col(REASONS), lambda name: F.concat(F.lit("-"), name))
    both = F.concat(names, F.transform("flags", lambda name: F.concat(F.lit("+"), name)))
    counted = judged.groupBy(both.alias("names")).agg(F.count(F.lit(1)).alias("rows")).collect()
    total, rejected = sum(row["rows"] for row in counted), 0
    reasons: dict[str, int] = {}
    flags: dict[str, int] = {}
    for row in counted:
        rejected += row["rows"] if any(name.startswith("-") for name in row["names"]) else 0
        for name in row["names"]:
            into = reasons if name.startswith("-") else flags
            into[name[1:]] = into.get(name[1:], 0) + row["rows"]
    notes = []
    samples = {rule: _samples(judged.where(F.array_contains(REASONS, rule))) for rule in reasons}
    for rule, rows in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        text = f"{rows:,} rows are rejected, such as {'; '.join(samples[rule])}: {remedy(rule)}"
        notes.append(Note("suspicious", f"rule {rule}", text))
    for rule, rows in sorted(flags.items()):
        notes.append(Note("suspicious", f"rule {rule}", f"{rows:,} rows are kept and flagged"))
    if total and rejected / total >= settings.quality.error_share:
        text = rejected_sentence(rejected, total, reasons, samples, settings.quality.error_share)
        yaml = "quality:\n  disable: [exact_duplicate]  # where equal lines are different sales"
        most = max(reasons, key=lambda rule: reasons[rule])
        notes.append(Note("wrong", "quality.error_share", text, yaml if most == "exact_duplicate" else ""))
    notes += _outlier_notes(judged.where(F.size(REASONS) == 0), settings)
    notes += _plan_notes(judged.where(F.size(REASONS) == 0), settings)
    judged.unpersist()
    return notes


def _outlier_notes(accepted: DataFrame, settings: Settings) -> list[Note]:
    """Whether flagged rows carry more of the target than a run goes on with."""
    from pyspark.sql import functions as F

    from salesml_assets.quality.notes import Note
    from salesml_assets.quality.remedies import outlier_sentence

    target, limit = settings.forecast.target, settings.quality.outlier_share
    rule, size = f"outlier_{target}", F.abs(F.col(target).cast("double"))
    flagged = F.array_contains("flags", rule)
    found = accepted.agg(
        F.sum(size).alias("total"), F.sum(F.when(flagged, size)).alias("carried"), F.count_if(flagged).alias("rows")
    ).head()
    assert found is not None
    share = (found["carried"] or 0.0) / found["total"] if found["total"] else 0.0
    if share <= limit:
        return []
    shown = "; ".join(_samples(accepted.where(flagged)))
    text = outlier_sentence(rule, found["rows"], share, target, limit, shown)
    return [Note("wrong", "quality.outlier_share", text, "quality:\n  outlier_action: reject  # where they are wrong")]


def _samples(rows: DataFrame) -> list[str]:
    from pyspark.sql import functions as F

    text = F.concat_ws(" ", *[F.col(f"source.`{name}`").cast("string") for name in _plain(rows)])
    return [row[0][:90] for row in rows.select(text.alias("text")).distinct().orderBy("text").limit(3).collect()]


def _plain(rows: DataFrame) -> list[str]:
    from pyspark.sql import types as T

    source = rows.schema["source"].dataType
    assert isinstance(source, T.StructType)
    return [one.name.replace("`", "``") for one in source if isinstance(one.dataType, T.AtomicType)]


def _plan_notes(accepted: DataFrame, settings: Settings) -> list[Note]:
    from pyspark.sql import functions as F

    from salesml_assets.forecasting.calendar import business_calendar, series_keys
    from salesml_assets.forecasting.training.planned import plan_coverage, read_planned
    from salesml_assets.forecasting.training.series import daily_rows, unique_id
    from salesml_assets.quality.notes import Note

    if settings.forecast.known_future.path is None or accepted.isEmpty():
        return []
    calendar = business_calendar(daily_rows(accepted, settings.forecast.target), settings.forecast.frequency)
    planned = read_planned(accepted.sparkSession, settings, calendar)
    assert planned is not None
    keys = series_keys(settings)
    about = accepted.select(unique_id(settings).alias("unique_id"), *keys).distinct()
    found = plan_coverage(about.withColumn("ds", F.lit(calendar.last)), settings, calendar, planned)
    text = f"{found.share:.1%} of the {found.cells:,} series and steps ahead are planned"
    kind = "wrong" if found.covered == 0 else "suspicious" if found.covered < found.cells else "found"
    notes = [Note(kind, "forecast.known_future.path", text)]  # type: ignore[arg-type]
    for name, values in found.unseen.items():
        notes.append(
            Note("suspicious", f"forecast.known_future.{name}", f"planned, and never seen before: {', '.join(values)}")
        )
    if found.strangers:
        text = f"{found.strangers:,} keys of the plan are not among the series"
        notes.append(Note("suspicious", "forecast.known_future.path", text))
    return notes


def settings_text(guess: Guess, source: Path, folder: Path) -> str:
    """A commented settings file for a source.

    Args:
        guess: What the source seems to be.
        source: Where it is.
        folder: Where the settings file will be.
    """
    path = source.relative_to(folder) if source.is_relative_to(folder) else source
    target = "revenue" if "revenue" in guess.columns else "quantity"
    keys = [key for key in ("product", "store", "category") if key in guess.columns][:1] or ["product"]
    lines = [
        "# Written by `salesml init`: guesses, to be read. `salesml check` tries them; `salesml config --reference`",
        "# shows every key.",
        "sales:",
        f"  path: {_yaml(str(path))}",
        f"  format: {guess.format}",
    ]
    if guess.options:
        lines.append("  options:")
        lines += [f"    {key}: {_yaml(value)}" for key, value in guess.options.items()]
    if guess.timezone:
        lines.append(f"  timezone: {guess.timezone}  # of the file's instants")
    else:
        lines.append("  # timezone: America/Sao_Paulo  # the shop's, where dates are instants (…Z)")
    if guess.first:
        lines.append(f"  # first_month: {guess.first:%Y-%m}  # earlier rows are rejected")
    lines.append(f"  # The source's columns: {', '.join(guess.names)}")
    lines.append("  columns:  # names, or Spark SQL expressions")
    for name in ("date", "product", "category", "store", "order_id", "quantity", "unit_price", "revenue"):
        if name in guess.columns:
            lines.append(f"    {name}: {_yaml(guess.columns[name])}")
        elif name in ("date", target, *keys):
            lines.append(f"    # {name}: ?  # not found, but needed")
        else:
            lines.append(f"    {name}: null")
    if "stock_out" in guess.columns:
        lines.append(f"    stock_out: {_yaml(guess.columns['stock_out'])}  # these days are no demand of zero")
    lines += [f"# not clear: {doubt}" for doubt in guess.doubts]
    lines += [
        "forecast:",
        f"  target: {target}  # revenue or quantity",
        f"  series: [{', '.join(keys)}]  # one forecast for each; also [store, product], [category]",
        f"  frequency: {guess.frequency}  # D: days, W: weeks",
        f"  horizon: {8 if guess.frequency == 'W' else 28}  # steps ahead",
        "# clock:",
        f"#   today: {guess.last or '2024-06-30'}  # for old data: the day that counts as today",
        "lake:",
        "  root: .salesml/lake",
        "",
    ]
    return "\n".join(lines)


def _yaml(value: Any) -> str:
    """A text as YAML has it: plain where that is safe."""
    text = str(value)
    safe = all(sign.isalnum() or sign in "_./-" for sign in text) and not text.replace(".", "").isdigit()
    return (
        text
        if safe and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off")
        else json.dumps(text, ensure_ascii=False)
    )
