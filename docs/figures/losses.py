"""Draw docs/images/losses.png: `python docs/figures/losses.py`.

A loss with gradient g in the student's log-odds acts on a row as cross-entropy to a target p - g
does. That target is drawn against p = P(label = 1) for several weak labels, with g from autograd of
the loss itself. Off the diagonal the student moves towards the curve.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from w2sprobe.training.losses import DEFAULT_WINDOW, LogConfidence, make_loss
from w2sprobe.training.settings import TrainSettings

LABELS = (0.9, 0.7, 0.3, 0.1)
COLOURS = ("#D55E00", "#E69F00", "#56B4E9", "#0072B2")  # Okabe and Ito's palette
PRIOR = 0.25  # mean of the last labels, where it matters
RADIUS = 0.2


@dataclass(frozen=True)
class Panel:
    """A loss, and what its title says of it."""

    loss: str
    note: str
    settings: dict[str, Any] = field(default_factory=dict)


PANELS = (
    Panel("xent", "the label itself"),
    Panel("logconf", "median prediction 0.5"),
    Panel("logconf_balanced", f"mean label {PRIOR}, even predictions"),
    Panel("window", f"radius {RADIUS}", {"window_radius": RADIUS}),
    Panel("entropy", "alpha 0.5"),
    Panel("entropy_published", "halfway to cross-entropy's"),
    Panel("reverse", "log 0 = -4"),
    Panel("generalised", "q = 0.7"),
)


def target(panel: Panel, p: np.ndarray, label: float) -> np.ndarray:
    """Compute p - dL/dz at z = logit(p), each p on its own."""
    loss = make_loss(TrainSettings(loss=panel.loss, **panel.settings))
    found = []
    for z in torch.logit(torch.from_numpy(p)):
        if isinstance(loss, LogConfidence):  # as if after rows with evenly spread predictions
            # the row itself completes the window; its label must not move the mean
            soft = (PRIOR * DEFAULT_WINDOW - label) / (DEFAULT_WINDOW - 1)
            loss.load_state_dict(
                {
                    "recent": np.linspace(0.01, 0.99, DEFAULT_WINDOW - 1).tolist(),
                    "recent_soft": [soft] * (DEFAULT_WINDOW - 1),
                }
            )
        z = z.clone().requires_grad_()
        loss(torch.stack([-z / 2, z / 2])[None], torch.tensor([label]), 1.0).backward()
        found.append(z.sigmoid().item() - z.grad.item())
    return np.array(found)


def draw(path: Path, n_points: int = 401) -> None:
    """Draw the panels of all losses and write a PNG."""
    p = np.linspace(0.002, 0.998, n_points)
    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    for axis, panel in zip(axes.flat, PANELS, strict=True):
        axis.plot((0, 1), (0, 1), color="#666666", linestyle=":", linewidth=1.2)
        for label, colour in zip(LABELS, COLOURS, strict=True):
            axis.plot(p, target(panel, p, label), color=colour, linewidth=1.8, label=str(label))
        axis.set_title(f"{panel.loss}\n", fontsize=11, family="monospace")
        axis.text(0.5, 1.02, panel.note, transform=axis.transAxes, ha="center", fontsize=9)
        axis.set_xticks((0, 0.5, 1))
        axis.set_yticks((0, 0.5, 1))
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("student's prediction p (dotted: target = p, no pull)", fontsize=10)
    figure.supylabel("target: p - gradient", fontsize=10)
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, title="weak label", loc="outside right center", frameon=False)
    figure.savefig(path, format="png", dpi=110)


if __name__ == "__main__":
    draw(Path(__file__).parents[1] / "images" / "losses.png")
