"""The search itself: Optuna asks for recipes, bad ones are given up early, and the budget ends it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salesml_assets.forecasting.algorithms.base import Engines, Parameters
from salesml_assets.forecasting.algorithms.tuned import ALGORITHM
from salesml_assets.forecasting.search.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from salesml_assets.forecasting.search.arena import Arena

PATIENCE = 100  # trials without a better one, after which a search ends
STARTUP_TRIALS = 15  # drawn at random before the model of the sampler counts
JOURNAL = "journal.log"
RECIPE, ERROR, BIAS, STAGES, SECONDS = "recipe", "error", "bias", "stages", "seconds"
COMPLETE, PRUNED, FAILED = "complete", "given up", "interrupted"


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried.

    Attributes:
        number: From 0; 0 is the default recipe.
        state: `complete`, `given up` (worse than others in an early stage) or `interrupted`.
        recipe: Parameters of the algorithm `tuned`.
        value: Error as a share of the default recipe's, with the penalty on bias, in the last stage that it reached.
        error: The error itself there.
        bias: Σ(ŷ - y) / Σ|y| there.
        stages: Values of all stages.
        seconds: How long it took.
    """

    number: int
    state: str
    recipe: Parameters
    value: float | None
    error: float | None
    bias: float | None
    stages: list[float]
    seconds: float


@dataclass(frozen=True)
class Limits:
    """When a search ends.

    Attributes:
        minutes: After so many minutes; the running trial is finished.
        trials: With so many trials in all, those of earlier runs included; None: no such limit.
        patience: After so many trials without a better one.
    """

    minutes: float
    trials: int | None = None
    patience: int = PATIENCE


@dataclass(frozen=True)
class Outcome:
    """The result of a search.

    Attributes:
        study: Name of the study, the same for the same panel and settings.
        trials: All trials of the study.
        reason: Why it ended.
        best: The complete trial with the lowest value; the default recipe where none is better.
    """

    study: str
    trials: list[Trial] = field(default_factory=list)
    reason: str = ""

    @property
    def best(self) -> Trial | None:
        """The complete trial with the lowest value, the first of equals; None where none is complete."""
        complete = [trial for trial in self.trials if trial.state == COMPLETE and trial.value is not None]
        return min(complete, key=lambda trial: (trial.value, trial.number), default=None)


def line_of(trial: Trial, best: Trial | None, left: float) -> str:
    """A trial in one line.

    >>> line_of(Trial(3, COMPLETE, {}, 0.96, 0.5, 0.01, [0.98, 0.97, 0.96], 4.2), None, 5.5)
    "trial 3: complete, 0.980 → 0.970 → 0.960 of the default's error, bias +1.0%, 4.2 s; 5.5 minutes left"
    """
    stages = " → ".join(f"{value:.3f}" for value in trial.stages) or "nothing"
    bias = f", bias {trial.bias:+.1%}" if trial.bias is not None else ""
    so_far = f"; best {best.value:.3f} (trial {best.number})" if best is not None else ""
    text = f"trial {trial.number}: {trial.state}, {stages} of the default's error{bias}, {trial.seconds:.1f} s"
    return f"{text}{so_far}; {left:.1f} minutes left"


Report = Callable[[Trial, "Trial | None", float], None]


def search(
    arena: Arena,
    space: Space,
    study: str,
    folder: Path,
    limits: Limits,
    engines: Engines,
    first: Sequence[Parameters],
    report: Report = lambda trial, best, left: None,
) -> Outcome:
    """Tries recipes until the budget is used; a study of that name is continued.

    Stages are those of successive halving (Li et al., ASHA 2020): a recipe goes on to more series and origins when it
    is among the best third of those that came as far. With a limit of trials and one seed, a search from its start
    finds the same.

    Args:
        arena: Scores recipes.
        space: The choices.
        study: Name of the study.
        folder: Where its journal is kept.
        limits: When it ends.
        engines: What fits run on.
        first: Recipes that are tried before all others, the default one first.
        report: Takes each trial, the best one so far and the minutes that are left.
    """
    import optuna

    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with _quiet():
        opened = _open(study, folder, arena)
        stale = opened.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for trial in stale:  # of a process that was ended
            opened.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if not opened.trials:
            for recipe in first:
                opened.enqueue_trial(space.as_choices(recipe), skip_if_exists=True)
        reason = None
        while reason is None:
            reason = _reason(_trials(opened), limits, (time.monotonic() - started) / 60)
            if reason is not None:
                break
            try:
                _try(opened, arena, space, engines)
            except KeyboardInterrupt:
                reason = "interrupted; the same command continues"
            made = Outcome(study, _trials(opened))
            left = limits.minutes - (time.monotonic() - started) / 60
            report(made.trials[-1], made.best, max(0.0, left))
        return Outcome(study, _trials(opened), reason)


def _open(study: str, folder: Path, arena: Arena) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    found = optuna.create_study(
        storage=storage,
        study_name=study,
        load_if_exists=True,
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=arena.stages[0].resource, reduction_factor=_reduction(arena), bootstrap_count=0
        ),
    )
    # A continued study must not draw again what it drew before.
    seed = arena.settings.training.seed + len(found.trials)
    found.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP_TRIALS)
    return found


def _reduction(arena: Arena) -> int:
    first, *rest = arena.stages
    return max(2, rest[0].resource // first.resource) if rest else 2


def _try(study: optuna.Study, arena: Arena, space: Space, engines: Engines) -> None:
    """One trial through its stages."""
    import optuna

    state, started = optuna.trial.TrialState, time.monotonic()
    trial = study.ask()
    recipe = space.suggest(trial)
    trial.set_user_attr(RECIPE, recipe)
    values: list[float] = []
    is_last = False
    try:
        for stage in arena.stages:
            score = arena.score(ALGORITHM, recipe, stage, engines)
            values.append(score.value)
            trial.report(score.value, stage.resource)
            for name, value in ((ERROR, score.error), (BIAS, score.bias), (STAGES, values)):
                trial.set_user_attr(name, value)
            is_last = stage == arena.stages[-1]
            # The first one is what all others are compared with.
            if not is_last and trial.number > 0 and trial.should_prune():
                break
    except BaseException:
        trial.set_user_attr(SECONDS, round(time.monotonic() - started, 2))
        study.tell(trial, state=state.FAIL)
        raise
    trial.set_user_attr(SECONDS, round(time.monotonic() - started, 2))
    if is_last:
        study.tell(trial, values[-1])
    else:
        study.tell(trial, state=state.PRUNED)


def _reason(trials: Sequence[Trial], limits: Limits, minutes: float) -> str | None:
    """Why a search ends now; None: it goes on."""
    if limits.trials is not None and len(trials) >= limits.trials:
        return f"{len(trials)} trials are done"
    if minutes >= limits.minutes:
        return f"the budget of {limits.minutes:g} minutes is used"
    best = Outcome("", list(trials)).best
    if best is not None and len(trials) - 1 - best.number >= limits.patience:
        return f"no better recipe in the last {limits.patience} trials"
    return None


def _trials(study: optuna.Study) -> list[Trial]:
    """All trials that have ended."""
    return [_plain(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _plain(trial: FrozenTrial) -> Trial:
    import optuna

    states = {optuna.trial.TrialState.COMPLETE: COMPLETE, optuna.trial.TrialState.PRUNED: PRUNED}
    about: dict[str, Any] = trial.user_attrs
    stages = list(about.get(STAGES, []))
    return Trial(
        number=trial.number,
        state=states.get(trial.state, FAILED),
        recipe=about.get(RECIPE, {}),
        value=stages[-1] if stages else None,
        error=about.get(ERROR),
        bias=about.get(BIAS),
        stages=stages,
        seconds=about.get(SECONDS, 0.0),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Optuna's own lines and its remarks on experimental options."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
