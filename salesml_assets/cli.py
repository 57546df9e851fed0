"""The command `salesml`: runs, exports, settings, versions of the model, metrics, the service, the Dagster UI."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salesml_assets.config.loading import load_settings, overlay_settings
from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.intake_cli import add_commands
from salesml_assets.names import RAW_SALES
from salesml_assets.release import code_version
from salesml_assets.runs.project import WORKSPACE, BusyError, enter_project, run_lock
from salesml_assets.text import masked

if TYPE_CHECKING:
    from rich.console import Console

    from salesml_assets.forecasting.versions import Version
    from salesml_assets.runs.progress import Progress
    from salesml_assets.simulation.plan import Simulation

FAILED, USAGE_ERROR, INTERRUPTED = 1, 2, 130
ERROR_LOG = Path(".salesml") / "error.log"
SPARK_LOG = Path(".salesml") / "spark.log"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
export_app = typer.Typer(no_args_is_help=True, help="Export results from the lake.")
models_app = typer.Typer(no_args_is_help=True, help="Versions of the production model.")
app.add_typer(export_app, name="export")
app.add_typer(models_app, name="models")
add_commands(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"salesml {code_version()}, Python {sys.version.split()[0]}")
        raise typer.Exit


@app.callback(help="Sales forecasting.")
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def run(
    select: Annotated[
        str | None,
        typer.Option(
            help="Assets to materialize: 'sales,features', '*panel' (and all upstream), 'panel*' (and all downstream)."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Load this and later months; default: the whole source.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the times of all assets to this file.")
    ] = None,
) -> None:
    """Materialize all assets, or a selection, and show the results."""
    target = summary.absolute() if summary else None
    home = enter_project()
    settings = load_settings()
    with ExitStack() as stack:
        stack.enter_context(run_lock(home))
        raise typer.Exit(_run(stack, home, settings, select, since, target))


@export_app.command("forecasts")
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT.parquet|.csv", help="The file to write.")],
    level: Annotated[
        str | None, typer.Option(help="A level of totals instead: 'total', 'category', 'store/category'.")
    ] = None,
) -> None:
    """Write the forecasts of all series, or of the totals of a level, to a file."""
    from salesml_assets.lake.export import export_forecasts

    file = out.absolute()
    enter_project()
    rows = export_forecasts(load_settings(), file, level)
    typer.echo(f"{rows:,} forecasts in {out}")


Reason = Annotated[str, typer.Option(help="Why; kept with the new version.")]


@models_app.command("list")
def list_models() -> None:
    """Show the versions of the production model, newest first, and the challengers of A/B tests."""
    from salesml_assets.forecasting import challenger, versions
    from salesml_assets.lake.export import lake_of

    enter_project()
    lake = lake_of(load_settings())
    typer.echo(masked(versions.listing(lake)))
    if challengers := challenger.listing(lake):
        typer.echo(f"\n{masked(challengers)}")


@models_app.command("promote")
def promote_model(
    version: Annotated[int, typer.Argument(help="Number of an earlier version.")], reason: Reason
) -> None:
    """Put an earlier version into production, as a new version."""
    from salesml_assets.forecasting.versions import promote

    _choose_model(lambda *place, **who: promote(*place, version=version, reason=reason, **who))


@models_app.command("rollback")
def roll_back_model(reason: Reason) -> None:
    """Put the version into production that served before the present one."""
    from salesml_assets.forecasting.versions import roll_back

    _choose_model(lambda *place, **who: roll_back(*place, reason=reason, **who))


@app.command()
def config(
    reference: Annotated[bool, typer.Option("--reference", help="Show the reference of all keys as Markdown.")] = False,
) -> None:
    """Show the effective settings as YAML; secrets are masked."""
    from salesml_assets.config.reference import effective_yaml
    from salesml_assets.config.reference import reference as all_keys

    if reference:
        typer.echo(all_keys(), nl=False)
        return
    enter_project()
    typer.echo(effective_yaml(load_settings()), nl=False)


@app.command()
def explain(
    series: Annotated[str, typer.Argument(help="Name of the series: its keys joined by `/`.")],
    day: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The step; default: the one with the highest forecast."),
    ] = None,
) -> None:
    """Show why a forecast is what it is: what each group of features adds, up to the forecast."""
    from salesml_assets.forecasting.explanations.gather import explain_series
    from salesml_assets.forecasting.versions import latest_version, read_version
    from salesml_assets.lake.export import lake_of
    from salesml_assets.lake.files import Files
    from salesml_assets.lake.store import LakeError
    from salesml_assets.reporting.explained import waterfall_text

    enter_project()
    settings = load_settings()
    lake = lake_of(settings)
    newest = latest_version(lake)
    if newest is None:
        raise LakeError("There is no production model yet: run `salesml run` first.")
    bundle = read_version(Files(settings.lake.root, settings.s3), newest)
    typer.echo(waterfall_text(explain_series(lake, bundle, series), day))


@app.command()
def notebook(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the executed notebook and its page.")] = Path(
        ".salesml/notebook"
    ),
) -> None:
    """Run the validation notebook on the current results, without Spark."""
    from salesml_assets.names import NOTEBOOK_FILES
    from salesml_assets.reporting.notebook import execute_notebook

    folder = out.absolute()
    enter_project()
    made = execute_notebook(load_settings())
    folder.mkdir(parents=True, exist_ok=True)
    for content, name in zip((made.html, made.notebook), NOTEBOOK_FILES, strict=True):
        (folder / name).write_text(content, encoding="utf-8")
        typer.echo(folder / name)


@app.command()
def tune(
    minutes: Annotated[
        float | None, typer.Option(min=0.01, max=1440, help="Budget of time; default: search.minutes.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="End with so many trials, those of earlier runs included.")
    ] = None,
) -> None:
    """Search for a better recipe on the current panel, without Spark; the same command continues a search."""
    from salesml_assets.forecasting.algorithms.tuned import ALGORITHM
    from salesml_assets.forecasting.search.found import as_settings, found_trial
    from salesml_assets.forecasting.search.lake import search_lake
    from salesml_assets.forecasting.search.study import Limits, line_of
    from salesml_assets.lake.export import lake_of
    from salesml_assets.registry.search_log import log_trials
    from salesml_assets.spark.session import cores_here

    enter_project()
    settings = load_settings()
    limits = Limits(settings.search.minutes if minutes is None else minutes, trials)
    outcome = search_lake(
        lake_of(settings),
        settings,
        limits,
        cores_here(settings.spark.master),
        lambda *about: typer.echo(line_of(*about)),
    )
    typer.echo(f"Ended: {outcome.reason}. {len(outcome.trials)} trials.")
    problem = log_trials(outcome, settings.registry) if settings.registry.enabled else None
    if problem:
        _print_error(f"trials are not logged: {problem}")
    found = found_trial(outcome, settings)
    if found is None or found.value is None:
        typer.echo("No recipe was better than the default one: there is nothing to change.")
        return
    typer.echo(f"Found: trial {found.number} has {found.value:.1%} of the default recipe's error.")
    if ALGORITHM.name in settings.training.algorithms:
        typer.echo("The next `salesml run` backtests it as `tuned`, and promotes it if it is better there, too.")
    else:
        typer.echo("Add `tuned` to training.algorithms: the next run backtests it, and promotes it if it is better.")
    typer.echo(f"To keep this recipe whatever later searches find:\n\n{as_settings(found.recipe)}", nl=False)


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 3000) -> None:
    """Open the Dagster UI on the state of this project; ends with Ctrl-C."""
    import dagster as dg

    from salesml_assets.runs.execution import close_dead_runs, close_lost_runs

    home = enter_project()
    load_settings()
    with dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        try:
            with run_lock(home):
                close_lost_runs(instance)
        except BusyError:
            pass  # a run is in progress: the UI shows it
    typer.echo(f"Dagster UI: http://127.0.0.1:{port}", err=True)
    # Dagster stops its processes by SIGINT, which processes started in the background of a script ignore.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "dagster", "dev", "-w", WORKSPACE, "-h", "127.0.0.1", "-p", str(port)]
    os.execv(command[0], command)


@app.command()
def metrics(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on; the metrics have no key.")] = "127.0.0.1",
) -> None:
    """Serve metrics for Prometheus; ends with SIGTERM or Ctrl-C."""
    from salesml_assets.exporter.server import main as serve_metrics

    serve_metrics(host, port)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; default: serving.port.")] = None,
) -> None:
    """Serve forecasts, predictions and explanations over HTTP; ends with SIGTERM or Ctrl-C."""
    from salesml_assets.serving.process import serve as serve_forecasts

    enter_project()
    if port is not None:
        os.environ["SALESML_SERVING__PORT"] = str(port)
    serve_forecasts(load_settings())


@app.command()
def simulate(
    plan: Annotated[Path, typer.Argument(metavar="SIMULATION.yaml", help="The simulation file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the simulation; the same command resumes it.")],
) -> None:
    """Replay past sales week by week through sensors, checks and jobs, and report drift, retrains and errors."""
    from salesml_assets.simulation.plan import load_simulation

    file, root = plan.absolute(), out.absolute()
    home = enter_project()
    simulation = load_simulation(file)
    settings = overlay_settings(load_settings(), simulation.settings, file.parent)
    with ExitStack() as stack:
        stack.enter_context(run_lock(root))
        _simulate(stack, home, simulation, settings, root)


def main() -> None:
    """Runs the command. A usage error is one line; other failures name the failed step."""
    from salesml_assets.lake.store import LakeError

    try:
        app()
    except ConfigurationError as error:
        _print_error(str(error))
        sys.exit(USAGE_ERROR)
    except (LakeError, BusyError) as error:
        _print_error(str(error))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        _print_error("interrupted")
        sys.exit(INTERRUPTED)
    except Exception as error:  # of Spark, the object store, or a bug: kept in a file for diagnosis
        ERROR_LOG.parent.mkdir(parents=True, exist_ok=True)
        java = SPARK_LOG.read_text(encoding="utf-8", errors="replace") if SPARK_LOG.is_file() else ""
        ERROR_LOG.write_text(masked(f"{traceback.format_exc()}\n{java}".rstrip() + "\n"), encoding="utf-8")
        reason = str(error).strip().partition("\n")[0]
        _print_error(f"{type(error).__name__}: {reason} (details: {ERROR_LOG.absolute()})")
        sys.exit(FAILED)


def _choose_model(choose: Callable[..., Version]) -> None:
    """The body of `salesml models promote` and `rollback`: the new version, then the registry's alias."""
    import datetime as dt

    from salesml_assets.forecasting.model.bundle import BundleError
    from salesml_assets.forecasting.versions import VersionError
    from salesml_assets.lake.export import lake_of
    from salesml_assets.lake.files import Files

    enter_project()
    settings = load_settings()
    lake, files = lake_of(settings), Files(settings.lake.root, settings.s3)
    try:
        made = choose(lake, files, settings, by=_user(), now=dt.datetime.now(dt.UTC))
    except (VersionError, BundleError) as error:
        _print_error(str(error))
        raise typer.Exit(FAILED) from None
    typer.echo(f"Version {made.version} is in production: {made.algorithm}, {made.origin}")
    if settings.registry.enabled:
        from salesml_assets.forecasting.challenger import running_test
        from salesml_assets.registry.mirror import mirror

        test = running_test(lake) if settings.tests_challengers else None
        found = mirror(
            lake, files, settings.registry, test.challenger if test else None, rollback_days=settings.lake.rollback_days
        )
        if found.problem:
            _print_error(found.caught_up_later)


def _user() -> str:
    """Who runs the command; a container's user may have no name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _run(
    stack: ExitStack, home: Path, settings: Settings, select: str | None, since: str | None, summary: Path | None
) -> int:
    """The body of `salesml run`; the exit code."""
    import dagster as dg

    from salesml_assets.runs.execution import RetrainRun, close_lost_runs, quiet_logs
    from salesml_assets.runs.progress import Progress, print_models, write_summary

    started = time.monotonic()
    quiet_logs()
    console = stack.enter_context(_own_console())
    progress = Progress(console)
    with _spinner(console) as show:
        instance = stack.enter_context(dg.DagsterInstance.get())
        close_lost_runs(instance)
        request = RetrainRun(home, select)
        first = None
        if RAW_SALES in request.names and since is None:
            show("checking the source ...")
            first = _first_month(stack, settings)
        months = request.months(since, first)
        for event in request.execute(instance, months, full=since is None):
            if isinstance(event, dg.DagsterEvent):
                progress.follow(event, time.monotonic())
                show(progress.current)
            else:
                run = event
    seconds = time.monotonic() - started
    if summary:
        write_summary(summary, progress, run.run_id, seconds, run.is_success)
    if not run.is_success:
        return _print_failures(progress)
    print_models(console, progress)
    console.print(f"Done in {seconds:.0f} s.", highlight=False)
    return 0


def _simulate(stack: ExitStack, home: Path, simulation: Simulation, settings: Settings, root: Path) -> None:
    """The body of `salesml simulate`."""
    from salesml_assets.runs.execution import quiet_logs

    quiet_logs()
    from salesml_assets.simulation.replay import Replay, ReplayError
    from salesml_assets.simulation.report import print_week, print_weeks, write_report
    from salesml_assets.spark.session import spark_session

    console = stack.enter_context(_own_console())
    with _spinner(console) as show:
        replay = Replay(simulation, settings, root, home, show)
        with errors_in(SPARK_LOG):
            session = stack.enter_context(spark_session(settings))
        try:
            for state in replay.run(session):
                print_week(console, simulation, state)
                page = write_report(root, simulation, state, settings)
        except ReplayError as error:
            _print_error(str(error))
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            _print_error("interrupted; the same command resumes with the interrupted week")
            raise typer.Exit(INTERRUPTED) from None
    print_weeks(console, simulation, state)
    console.print(f"[bold]Report:[/bold] {page}", soft_wrap=True, highlight=False)


def _first_month(stack: ExitStack, settings: Settings) -> str:
    """The source's first month, 'yyyy-MM', after a check that the settings fit the source.

    The run continues with the Spark session that is started here.
    """
    from salesml_assets.quality.source import preflight
    from salesml_assets.quality.store_access import check_store
    from salesml_assets.spark.session import spark_session

    # Seconds before Java starts, where Java would take minutes to give up.
    check_store(settings, settings.lake.root, "lake.root")
    check_store(settings, settings.sales.path, "sales.path")
    with errors_in(SPARK_LOG):
        session = stack.enter_context(spark_session(settings))
    return preflight(session, settings).first_month


def _print_failures(progress: Progress) -> int:
    """Prints to standard error why the run failed; returns the exit code."""
    from salesml_assets.runs.progress import CHECK_FAILED

    if progress.interrupted:
        _print_error("interrupted")
        return INTERRUPTED
    for failure in progress.failures:
        says_it_all = failure.kind in (ConfigurationError.__name__, CHECK_FAILED)
        _print_error(failure.message if says_it_all else f"{failure.step} failed: {failure.kind}: {failure.message}")
    kinds = {failure.kind for failure in progress.failures}
    return USAGE_ERROR if kinds == {ConfigurationError.__name__} else FAILED


@contextmanager
def _own_console() -> Iterator[Console]:
    """A console on the terminal itself: during a run Dagster redirects the process's output to its own files."""
    from rich.console import Console

    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as stream:
        yield Console(file=stream)


@contextmanager
def errors_in(file: Path) -> Iterator[None]:
    """Redirects standard error to a file for processes started inside: Java and its Python workers are verbose."""
    file.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    try:
        with file.open("w", encoding="utf-8") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _spinner(console: Console) -> Iterator[Callable[[str], None]]:
    """Shows the current activity in the terminal's last line; nothing without a terminal."""
    from rich.live import Live
    from rich.spinner import Spinner

    spinner = Spinner("dots", "starting ...")
    # Output of assets belongs in Dagster's logs, not in this console.
    with Live(spinner, console=console, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield lambda text: spinner.update(text=text)


def _print_error(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(masked(text), style="red"), soft_wrap=True)
