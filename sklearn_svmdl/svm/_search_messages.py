"""What a search tells about its fits on folds: one warning of a kind, whatever their number."""

from sklearn.exceptions import ConvergenceWarning, FitFailedWarning

from ..dual.problem import BEYOND_REACH, Status
from ._messages import BudgetWarning, IndefiniteKernelWarning
from ._units import Cost
from ._warn import warn

# Reasons listed in a message before it says how many more there are.
_MOST_REASONS = 3


def tell(outcomes, search):
    """Warn about the fits on folds.

    Parameters
    ----------
    outcomes : list of (Fold, Outcomes)
    search : BudgetSearch

    Raises
    ------
    ValueError : all fits failed
    """
    n_fits = sum(len(outcome.scores) for _, outcome in outcomes)
    _tell_failures(outcomes, n_fits, search.error_score)
    _tell_indefinite([outcome for _, outcome in outcomes if outcome.indefinite], n_fits)
    # Budgets and gaps follow from convexity: where that fails, only a refusal is worth telling.
    convex = [status for _, outcome in outcomes if not outcome.indefinite for status in outcome.statuses]
    every = [status for _, outcome in outcomes for status in outcome.statuses]
    strict = search.infeasible == "raise"
    _tell_infeasible(every if strict else convex, n_fits, strict, search.error_score)
    _tell_trivial(convex, n_fits, search)
    _tell_unfinished(convex, n_fits, search)


def _tell_failures(outcomes, n_fits, error_score):
    failed = [(fold, outcome) for fold, outcome in outcomes if outcome.fit_error is not None]
    if failed:
        count = sum(len(outcome.scores) for _, outcome in failed)
        reasons = _listed([f"{fold.name}: {outcome.fit_error}" for fold, outcome in failed])
        if count == n_fits:
            raise ValueError(f"All the {n_fits} fits failed. {reasons} error_score='raise' shows where.")
        warn(
            f"{count} fits failed out of a total of {n_fits}, and their scores are {error_score}. {reasons} "
            f"error_score='raise' shows where.",
            FitFailedWarning,
        )
    failures = [error for _, outcome in outcomes for error in outcome.score_errors]
    if failures:
        warn(
            f"Scoring failed for {len(failures)} fits on folds, and their scores are {error_score}. "
            f"{_listed(failures)} error_score='raise' shows where.",
            UserWarning,
        )


def _listed(reasons):
    """Different reasons, the first few of them."""
    distinct = list(dict.fromkeys(reasons))
    more = f" (and {len(distinct) - _MOST_REASONS} more)" if len(distinct) > _MOST_REASONS else ""
    return "; ".join(distinct[:_MOST_REASONS]) + more + "."


def _tell_indefinite(bent, n_fits):
    if bent:
        warn(
            f"In {sum(len(outcome.scores) for outcome in bent)} of {n_fits} fits on folds the kernel is not positive "
            f"semi-definite on the training samples (its smallest eigenvalue is down to "
            f"{-max(outcome.indefinite for outcome in bent):.3g} of its largest): it is no inner product. Choose "
            f"another kernel, or other values of gamma and coef0.",
            IndefiniteKernelWarning,
        )


def _tell_infeasible(statuses, n_fits, strict, error_score):
    short = sum(status in BEYOND_REACH for status in statuses)
    if short:
        outcome = f"scored {error_score}" if strict else "fitted with the hardest margin within reach"
        warn(
            f"In {short} of {n_fits} fits on folds the budget was infeasible: no hyperplane within reach has as "
            f"little total slack. They were {outcome}; cv_results_['feasible'] tells which candidates are feasible in "
            f"every fold. Leave out the smallest of Cs, choose a more flexible kernel, or unit='cost', where every C "
            f"is feasible.",
            BudgetWarning,
        )


def _tell_trivial(statuses, n_fits, search):
    trivial = statuses.count(Status.UNBOUNDED_MARGIN)
    # At a cost a constant is what fits best.
    if trivial and search.unit != Cost.name:
        warn(
            f"In {trivial} of {n_fits} fits on folds the budget pays for {search._constant_pays}. Leave out "
            f"the largest of Cs, or choose unit='relative' with Cs in [0, 1).",
            BudgetWarning,
        )


def _tell_unfinished(statuses, n_fits, search):
    unfinished = statuses.count(Status.MAX_ITER)
    if unfinished:
        warn(
            f"In {unfinished} of {n_fits} fits on folds the solver stopped (max_iter={search.max_iter}) "
            f"without reaching tol={search.tol:g}. Scale the data, for example with "
            f"sklearn.preprocessing.StandardScaler, or leave out the hardest of Cs.",
            ConvergenceWarning,
        )
