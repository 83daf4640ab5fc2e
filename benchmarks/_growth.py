"""How the time of a fit grows with the number of samples: ours, SVC's, and the floor."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def draw(points):
    """A log-log picture of the points (n, ours, theirs, floor)."""
    n, ours, theirs, floor = zip(*sorted(points), strict=True)
    figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
    ax.loglog(n, theirs, "s-", color="C1", label="SVC(C=cost_, cache_size=2000)")
    ax.loglog(n, ours, "o-", color="C0", label="BudgetSVC(C=budget)")
    ax.loglog(n, floor, "--", color="gray", label="floor: the support vectors' kernel columns, once")
    ax.set(xlabel="samples (20 features, rbf, cost 1)", ylabel="seconds")
    ax.grid(which="both", alpha=0.25)
    ax.legend()
    return figure
