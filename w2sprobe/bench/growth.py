"""How time grows as the number of rows doubles."""

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from w2sprobe.atomic import atomic_path
from w2sprobe.bench import peers
from w2sprobe.bench.lines import Line, Size, problem, timed
from w2sprobe.bench.speed import L2S, WARM, each, objective
from w2sprobe.probes import TopoFilter, logistic_path, nearest_neighbors

ROWS = (2500, 5000, 10_000, 20_000, 40_000)
WIDTH, K = 512, 50
DENSE_ROWS = 20_000  # n x n distances of more rows need more than 6 GB


def growth(size: Size) -> Iterator[Line]:
    """Search, logistic path and TopoFilter at 512 columns, peers as far as memory goes."""
    for rows in (round(n * size.share) for n in ROWS):
        X, soft = problem(rows, WIDTH)
        k = min(K, rows // 8)
        nearest_neighbors(X[:WARM], k=3)
        found, ours = timed(partial(nearest_neighbors, X, k=k), 2)
        same, peer = timed(partial(peers.faiss_flat, X, k), 2)
        share = float((np.sort(found.indices, axis=1) == np.sort(same, axis=1)).mean())
        agreement = f"{share:.6f} of neighbours"
        yield Line(
            f"search, n={rows} | FAISS flat, CPU", ours, peer, None, agreement, share > 0.999
        )
        (coef, intercept), ours = timed(partial(logistic_path, X, soft, l2s=L2S), 2)
        fitted, peer = timed(partial(each, peers.lbfgs, X, soft))
        excess = max(
            objective(X, soft, l2, *mine) - objective(X, soft, l2, *theirs)
            for l2, mine, theirs in zip(L2S, zip(coef, intercept, strict=True), fitted, strict=True)
        )
        agreement = f"objective above theirs by at most {excess:.1e}"
        name = f"logistic path, n={rows} | torch L-BFGS"
        yield Line(name, ours, peer, None, agreement, excess <= 1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            kept, ours = timed(partial(TopoFilter(k, k).fit, X, soft), 2)
        peer, differ, agreement = float("nan"), 0, "no peer: n x n is too large"
        if rows <= DENSE_ROWS:
            (_, keep), peer = timed(partial(peers.dense_topofilter, X, soft, k, 0.1))
            differ = int((kept.keep_mask_ != keep).sum())
            agreement = f"{differ} rows differ (float32 ties)"
        agrees = differ <= rows // 500
        yield Line(f"TopoFilter, n={rows} | dense", ours, peer, None, agreement, agrees)


def growth_figure(lines: Sequence[Line], path: Path) -> None:
    """Draw the lines of `growth` on logarithmic axes, and write a PNG atomically.

    Parameters
    ----------
    lines : sequence of Line
        Of `growth`.
    path : Path
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    kinds = list(dict.fromkeys(line.name.split(",")[0] for line in lines))
    for axis, kind in zip(figure.subplots(1, len(kinds), sharey=True), kinds, strict=True):
        some = [line for line in lines if line.name.startswith(kind)]
        rows = [int(line.name.split("n=")[1].split()[0]) for line in some]
        peer = some[0].name.split("| ")[1]
        axis.loglog(rows, [line.ours for line in some], "o-", color="#0072B2", label="w2sprobe")
        axis.loglog(rows, [line.peer for line in some], "s--", color="#D55E00", label=peer)
        axis.set_title(kind, fontsize=10)
        axis.set_xlabel("rows")
        axis.set_xticks(rows, [f"{n:,}" for n in rows], fontsize=8)
        axis.minorticks_off()
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.legend(fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("seconds")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
