"""Many L2 logistic regressions on the same rows at once, by truncated Newton steps.

Penalties, label vectors and folds are columns of one problem. Every pass over the data serves all
of them: gradients in float64, the inner conjugate gradients in float32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from w2sprobe.devices import full_float32, resolve_device, to_tensor
from w2sprobe.errors import InputError

TOLERANCE = 1e-6  # of the gradient's norm
MAX_STEPS = 100  # of Newton's method
MAX_INNER = 200  # conjugate gradients a step
EASY = 10  # of them without a factorisation, which costs as much as some thirty
FORCING = 0.05  # residual of the inner solve, as a share of the gradient
ENOUGH, SMALLEST = 1e-4, 1e-8  # of the line search (Armijo): share of the promised fall, step
BLUR = 2.0**-20  # of the largest variance, in a float32 eigendecomposition
POWERS = 20  # of the power method that finds the largest variance, roughly
BLOCK_ROWS = 512  # rows that are in float64 at a time


@dataclass(frozen=True)
class Minima:
    """Solutions of c problems.

    Parameters
    ----------
    coef : ndarray of float64, shape (c, d)
    intercept : ndarray of float64, shape (c,)
    gradient_norm : ndarray of float64, shape (c,)
        Of the whole gradient, intercept included.
    n_iter : ndarray of int, shape (c,)
        Newton steps.
    """

    coef: np.ndarray
    intercept: np.ndarray
    gradient_norm: np.ndarray
    n_iter: np.ndarray


def minimise(
    X: np.ndarray,
    soft: np.ndarray,
    weight: np.ndarray,
    l2s: np.ndarray,
    vectors: np.ndarray | None = None,
    *,
    device: str = "auto",
) -> Minima:
    """Minimise sum_i weight_i BCE(sigmoid(x_i w + b), soft_i) + l2 |w|², b free, for every column.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
    soft : ndarray of float64, shape (v, n)
        In [0, 1]; both labels have weight in every column.
    weight : ndarray of float64, shape (v, n) or (1, n)
        Not negative; rows add up to 1.
    l2s : ndarray of float64, shape (c,)
        Above 0.
    vectors : ndarray of int64, shape (c,), optional
        The row of `soft` and `weight` that each column takes; by default, its own.
    device : str, default "auto"

    Returns
    -------
    Minima

    Raises
    ------
    InputError
        Activations whose products overflow float32.

    Notes
    -----
    Truncated Newton (Nash, "A survey of truncated-Newton methods", J. Comput. Appl. Math. 124,
    2000) with an Armijo line search. The Hessian is X' D X + 2 l2 I, D = weight p (1 - p). Its
    preconditioner takes D for its mean, and X' X for its diagonal. Where the inner solve is not
    done in `EASY` passes, one eigendecomposition of the centred X' X takes the diagonal's place and
    serves every penalty, label vector and fold from there on. Where n < d, the weights lie in the
    span of the centred rows, and the problem is solved in the n coordinates of a basis of it.
    """
    place = resolve_device(device)
    data = to_tensor(X, place)
    centre = to_tensor(X.mean(axis=0, dtype=np.float64), place)
    basis = None
    if data.shape[0] < data.shape[1]:
        basis, triangle = torch.linalg.qr((data.double() - centre).T)
        problem = _Problem(triangle.T.contiguous(), torch.zeros_like(triangle[:, 0]))
    else:
        problem = _Problem(data, centre)
    labels, shares, penalties = (to_tensor(a, place) for a in (soft, weight, l2s))
    columns = to_tensor(np.arange(len(l2s)) if vectors is None else vectors, place)
    with full_float32():
        point, norm, n_iter = _newton(
            problem, labels, shares, penalties, columns, float(centre.norm())
        )
    coef = point[:, :-1] if basis is None else point[:, :-1] @ basis.T
    intercept = point[:, -1] - coef @ centre
    return Minima(*(value.cpu().numpy() for value in (coef, intercept, norm, n_iter)))


class _Problem:
    """Rows, seen centred: in float64 where it counts, in float32 where it is repeated."""

    def __init__(self, rows: Tensor, centre: Tensor) -> None:
        self.rows, self.centre = rows, centre
        self.centred = (rows - centre.to(rows.dtype)).float()
        # along the columns, to begin with
        self.spread = torch.linalg.vector_norm(self.centred, dim=0).double() ** 2 / len(rows)
        self.directions: Tensor | None = None
        if not bool(self.spread.isfinite().all()):
            raise InputError(
                f"activations reach {float(rows.abs().max()):.3g}: their squares overflow float32",
                advice="Pass preprocess='standardize'.",
            )

    def factorise(self, least: float) -> None:
        """Turn from columns to principal directions, for penalties from `least` on.

        float32 blurs variances below a millionth of the largest. Where the penalty counts there,
        as with columns hundreds of times as wide as others, the work is done in float64.
        """
        gram = self.centred.T @ self.centred
        gram /= len(self.centred)
        along = gram.sum(dim=0)
        for _ in range(POWERS):
            along = gram @ (along / along.norm())
        if float(along.norm()) * BLUR > least:
            gram = torch.zeros_like(gram, dtype=torch.float64)
            for start in range(0, len(self.centred), BLOCK_ROWS):
                block = self.centred[start : start + BLOCK_ROWS].double()
                gram.addmm_(block.T, block, alpha=1 / len(self.centred))
        spread, directions = torch.linalg.eigh(gram)
        self.spread, self.directions = spread.clamp_min(0).double(), directions.float()

    def evaluate(
        self, point: Tensor, soft: Tensor, weight: Tensor, l2s: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Objective (c,), gradient (c, d + 1), and D (c, n) in float32.

        `columns` are rows of `soft` and `weight`, looked up a block at a time: whole copies, one a
        column, would be large beside a layer.
        """
        coef, intercept = point[:, :-1], point[:, -1:]
        value = l2s * coef.square().sum(dim=1)
        gradient = torch.cat([2 * l2s[:, None] * coef, torch.zeros_like(intercept)], dim=1)
        curvature = torch.empty((len(point), len(self.rows)), device=point.device)
        for start in range(0, len(self.rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            block = self.rows[part].double() - self.centre
            margin = torch.addmm(intercept, coef, block.T)
            p = torch.sigmoid(margin)
            some, known = weight[:, part][columns], soft[:, part][columns]
            loss = torch.nn.functional.softplus(margin) - known * margin
            value += (some * loss).sum(dim=1)
            residual = some * (p - known)
            gradient[:, :-1].addmm_(residual, block)
            gradient[:, -1] += residual.sum(dim=1)
            curvature[:, part] = some * p * (1 - p)
        return value, gradient, curvature

    def curve(self, step: Tensor, curvature: Tensor, l2s: Tensor) -> Tensor:
        """Hessian times `step` (c, d + 1), in float32."""
        # products in this order keep the columns of the problem contiguous: a third less time
        along = torch.addmm(step[:, -1:], step[:, :-1], self.centred.T)
        along *= curvature
        slope = along @ self.centred
        slope += 2 * l2s[:, None] * step[:, :-1]
        return torch.cat([slope, along.sum(dim=1, keepdim=True)], dim=1)

    def inverse(self, curvature: Tensor, l2s: Tensor) -> Tensor:
        """What `precondition` divides by: the Hessian's diagonal (c, d + 1) with D at its mean.

        X'X is taken at its diagonal; after `factorise`, along the principal directions.
        """
        # a fully saturated column has no curvature but the penalty's
        total = curvature.sum(dim=1, dtype=torch.float64).clamp_min(1e-12)[:, None]
        scale = 1 / (total * self.spread + 2 * l2s[:, None])
        return torch.cat([scale.float(), 1 / total.float()], dim=1)

    def precondition(self, gradient: Tensor, inverse: Tensor) -> Tensor:
        """Gradients (c, d + 1) times the inverse of that diagonal Hessian."""
        if self.directions is None:
            return gradient * inverse
        slope, last = gradient[:, :-1], gradient[:, -1:] * inverse[:, -1:]
        turned = slope @ self.directions * inverse[:, :-1]
        return torch.cat([turned @ self.directions.T, last], dim=1)


def _newton(
    problem: _Problem,
    soft: Tensor,
    weight: Tensor,
    l2s: Tensor,
    columns: Tensor,
    centre_norm: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Points (c, d + 1), gradient norms and steps (c,)."""
    n_columns, width = len(l2s), problem.rows.shape[1]
    weight = weight.expand(soft.shape)
    point = torch.zeros((n_columns, width + 1), dtype=torch.float64, device=soft.device)
    value, gradient, curvature = problem.evaluate(point, soft, weight, l2s, columns)
    n_iter = torch.zeros(n_columns, dtype=torch.int64, device=soft.device)
    for _ in range(MAX_STEPS):
        norm = _norm(gradient, centre_norm)
        (open_,) = torch.where(~(norm <= TOLERANCE))  # nan stays open
        if not len(open_):
            break
        some = (soft, weight, l2s[open_], columns[open_])
        step = _solve(problem, gradient[open_], curvature[open_], l2s[open_])
        fall = (gradient[open_] * step).sum(dim=1)
        size = torch.ones_like(fall)
        while True:
            trial = point[open_] - size[:, None] * step
            trial_value, trial_gradient, trial_curvature = problem.evaluate(trial, *some)
            # an objective that differs in its last digits cannot tell a good step from a bad one
            noise = 1e-14 * value[open_].abs()
            short = trial_value > value[open_] - ENOUGH * size * fall + noise
            short &= size > SMALLEST
            if not short.any():
                break
            size = torch.where(short, size / 2, size)
        point[open_], value[open_] = trial, trial_value
        gradient[open_], curvature[open_] = trial_gradient, trial_curvature
        n_iter[open_] += 1
    return point, _norm(gradient, centre_norm), n_iter


def _norm(gradient: Tensor, centre_norm: float) -> Tensor:
    """Norm of the gradient in the coordinates of the rows as given, at most."""
    slope, last = gradient[:, :-1].norm(dim=1), gradient[:, -1].abs()
    return torch.hypot(slope + centre_norm * last, last)


def _solve(problem: _Problem, gradient: Tensor, curvature: Tensor, l2s: Tensor) -> Tensor:
    """Newton step of each column by preconditioned conjugate gradients, up to `FORCING`."""
    size, least = gradient.norm(dim=1, keepdim=True), float(l2s.min())
    newton = torch.zeros_like(gradient, dtype=torch.float32)
    columns = torch.arange(len(gradient), device=gradient.device)  # that are not solved yet
    residual = (gradient / size).float()  # of one scale, for float32
    step = torch.zeros_like(residual)
    inverse = problem.inverse(curvature, l2s)
    direction = problem.precondition(residual, inverse)
    product = (residual * direction).sum(dim=1, keepdim=True)
    for n_done in range(MAX_INNER):
        going = residual.norm(dim=1) > FORCING
        if not going.all():
            newton[columns[~going]] = step[~going]
            columns, residual, step, direction, product, inverse, curvature, l2s = (
                part[going]
                for part in (
                    columns, residual, step, direction, product, inverse, curvature, l2s
                )
            )  # fmt: skip
        if not len(columns):
            break
        if n_done == EASY and problem.directions is None:
            problem.factorise(least=8 * least)  # 2 l2, beside variances times 1/4
            inverse = problem.inverse(curvature, l2s)
            direction = problem.precondition(residual, inverse)
            product = (residual * direction).sum(dim=1, keepdim=True)
        image = problem.curve(direction, curvature, l2s.float())
        length = product / (direction * image).sum(dim=1, keepdim=True)
        step += length * direction
        residual -= length * image
        turned = problem.precondition(residual, inverse)
        next_product = (residual * turned).sum(dim=1, keepdim=True)
        direction = turned + next_product / product * direction
        product = next_product
    newton[columns] = step
    solution: Tensor = newton.double() * size
    return solution
