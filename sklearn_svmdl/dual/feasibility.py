"""Which budgets are feasible: C_min <= C < C_max."""


def least_budget(problem, *, cache_size):
    """C_min, the least total slack of any hyperplane in the kernel's feature space."""
    return 0.0
