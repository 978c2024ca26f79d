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
MAX_NEWTON_STEPS = 100
MAX_CG_STEPS = 200  # in one Newton step
CG_STEPS_BEFORE_EIGH = 10  # the eigendecomposition costs as much as some thirty CG steps
FORCING_TERM = 0.05  # residual at which CG stops, as a share of the gradient
ARMIJO_C = 1e-4  # share of the predicted decrease that a step must reach
MIN_STEP_SIZE = 1e-8
FLOAT32_EIGH_ERROR = 2.0**-20  # of the largest eigenvalue
POWER_ITERATIONS = 20  # a rough largest eigenvalue is enough
BLOCK_ROWS = 512  # rows in float64 at a time


@dataclass(frozen=True)
class Minima:
    """Solutions of c problems.

    Parameters
    ----------
    coef : ndarray of float64, shape (c, d)
    intercept : ndarray of float64, shape (c,)
    gradient_norm : ndarray of float64, shape (c,)
        Upper bound of the whole gradient's norm, intercept included.
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
        Not negative; each row adds up to 1.
    l2s : ndarray of float64, shape (c,)
        Above 0.
    vectors : ndarray of int64, shape (c,), optional
        For each column, its row of `soft` and `weight`; by default 0 to c - 1.

    Raises
    ------
    InputError
        Activations whose squares overflow float32.

    Notes
    -----
    Truncated Newton (Nash, J. Comput. Appl. Math. 124, 2000): conjugate gradients solve each Newton
    system to a relative residual of `FORCING_TERM`; a backtracking line search follows (Nocedal &
    Wright, "Numerical Optimization", 2nd ed., algorithms 3.1 and 7.1). The Hessian of w is
    X' D X + 2 l2 I with D = diag(weight p (1 - p)).
    """
    torch_device = resolve_device(device)
    data = to_tensor(X, torch_device)
    mean = to_tensor(X.mean(axis=0, dtype=np.float64), torch_device)
    basis = None
    if data.shape[0] < data.shape[1]:
        # the penalty keeps w in the span of the centred rows (representer theorem), so n
        # coordinates in an orthonormal basis of it are enough, and |w| is the same in them
        basis, triangle = torch.linalg.qr((data.double() - mean).T)
        problem = _Problem(triangle.T.contiguous(), torch.zeros_like(triangle[:, 0]))
    else:
        problem = _Problem(data, mean)
    columns = _Columns(
        to_tensor(soft, torch_device),
        to_tensor(weight, torch_device).expand(soft.shape),
        to_tensor(l2s, torch_device),
        to_tensor(np.arange(len(l2s)) if vectors is None else vectors, torch_device),
    )
    with full_float32():
        theta, norm, n_iter = _newton(problem, columns, float(mean.norm()))
    coef = theta[:, :-1] if basis is None else theta[:, :-1] @ basis.T
    intercept = theta[:, -1] - coef @ mean  # b of the rows as given, from that of centred rows
    return Minima(*(value.cpu().numpy() for value in (coef, intercept, norm, n_iter)))


@dataclass(frozen=True)
class _Columns:
    """Labels, weights (v, n) and penalties (c,) of c problems; `vector` (c,) is a row of the first.

    Rows of `soft` and `weight` are looked up a block at a time: a copy for each column would be
    large beside a layer.
    """

    soft: Tensor
    weight: Tensor
    l2: Tensor
    vector: Tensor

    def __getitem__(self, some: Tensor) -> "_Columns":
        return _Columns(self.soft, self.weight, self.l2[some], self.vector[some])


class _Problem:
    """Centred rows: in float64 for the objective, in float32 for conjugate gradients.

    On centred rows the intercept is nearly uncorrelated with the weights, which makes the Hessian
    much better conditioned and its preconditioner separate.
    """

    def __init__(self, rows: Tensor, mean: Tensor) -> None:
        self.rows, self.mean = rows, mean
        self.centred = (rows - mean.to(rows.dtype)).float()
        # of X'X / n: its diagonal, until `factorise` replaces it by the eigenvalues
        self.variances = torch.linalg.vector_norm(self.centred, dim=0).double() ** 2 / len(rows)
        self.eigenvectors: Tensor | None = None
        if not bool(self.variances.isfinite().all()):
            raise InputError(
                f"activations reach {float(rows.abs().max()):.3g}: their squares overflow float32",
                advice="Pass preprocess='standardize'.",
            )

    def factorise(self, smallest: float) -> None:
        """Decompose X'X / n, precisely enough for penalties that weigh as much as `smallest`.

        An eigendecomposition in float32 loses eigenvalues below a millionth of the largest. Where
        these are not hidden by the penalty, as with columns hundreds of times as wide as others, it
        is done in float64.
        """
        gram = self.centred.T @ self.centred
        gram /= len(self.centred)
        # power iteration for the largest eigenvalue (Golub & Van Loan, section 7.3.1)
        image = gram.sum(dim=0)
        for _ in range(POWER_ITERATIONS):
            image = gram @ (image / image.norm())
        if float(image.norm()) * FLOAT32_EIGH_ERROR > smallest:
            gram = torch.zeros_like(gram, dtype=torch.float64)
            for start in range(0, len(self.centred), BLOCK_ROWS):
                block = self.centred[start : start + BLOCK_ROWS].double()
                gram.addmm_(block.T, block, alpha=1 / len(self.centred))
        eigenvalues, eigenvectors = torch.linalg.eigh(gram)
        # rounding may leave small negative eigenvalues of a matrix that has none
        self.variances = eigenvalues.clamp_min(0).double()
        self.eigenvectors = eigenvectors.float()

    def evaluate(self, theta: Tensor, columns: _Columns) -> tuple[Tensor, Tensor, Tensor]:
        """Objective (c,) and gradient (c, d + 1) in float64, and D's diagonal (c, n) in float32."""
        coef, intercept = theta[:, :-1], theta[:, -1:]
        l2 = columns.l2
        value = l2 * coef.square().sum(dim=1)
        gradient = torch.cat([2 * l2[:, None] * coef, torch.zeros_like(intercept)], dim=1)
        curvature = torch.empty((len(theta), len(self.rows)), device=theta.device)
        for start in range(0, len(self.rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            block = self.rows[part].double() - self.mean
            margin = torch.addmm(intercept, coef, block.T)
            p = torch.sigmoid(margin)
            weight = columns.weight[:, part][columns.vector]
            soft = columns.soft[:, part][columns.vector]
            # BCE from the margin: finite where p rounds to 0 or 1
            loss = torch.nn.functional.softplus(margin) - soft * margin
            value += (weight * loss).sum(dim=1)
            residual = weight * (p - soft)
            gradient[:, :-1].addmm_(residual, block)
            gradient[:, -1] += residual.sum(dim=1)
            curvature[:, part] = weight * p * (1 - p)
        return value, gradient, curvature

    def hvp(self, step: Tensor, curvature: Tensor, l2: Tensor) -> Tensor:
        """Hessian-vector products with `step` (c, d + 1), in float32."""
        # products in this order keep the columns of the problem contiguous: a third less time
        along = torch.addmm(step[:, -1:], step[:, :-1], self.centred.T)
        along *= curvature
        image = along @ self.centred
        image += 2 * l2[:, None] * step[:, :-1]
        return torch.cat([image, along.sum(dim=1, keepdim=True)], dim=1)

    def inverse_diagonal(self, curvature: Tensor, l2: Tensor) -> Tensor:
        """Inverse eigenvalues (c, d + 1) of the preconditioner.

        That is the Hessian with D replaced by its mean, tr(D) X'X / n + 2 l2 I. Before `factorise`
        only the diagonal of X'X counts.
        """
        # where every p is 0 or 1, the penalty alone has curvature
        trace = curvature.sum(dim=1, dtype=torch.float64).clamp_min(1e-12)[:, None]
        inverse = 1 / (trace * self.variances + 2 * l2[:, None])
        return torch.cat([inverse.float(), 1 / trace.float()], dim=1)

    def precondition(self, residual: Tensor, inverse: Tensor) -> Tensor:
        """Preconditioner's inverse times residuals (c, d + 1)."""
        if self.eigenvectors is None:
            return residual * inverse
        slope, last = residual[:, :-1], residual[:, -1:] * inverse[:, -1:]
        scaled = slope @ self.eigenvectors * inverse[:, :-1]
        return torch.cat([scaled @ self.eigenvectors.T, last], dim=1)


def _newton(
    problem: _Problem, columns: _Columns, mean_norm: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimisers theta = (w, b) of centred rows (c, d + 1), gradient norms and steps (c,)."""
    n_columns, width, device = len(columns.l2), problem.rows.shape[1], columns.l2.device
    theta = torch.zeros((n_columns, width + 1), dtype=torch.float64, device=device)
    value, gradient, curvature = problem.evaluate(theta, columns)
    n_iter = torch.zeros(n_columns, dtype=torch.int64, device=device)
    for _ in range(MAX_NEWTON_STEPS):
        norm = _gradient_norm(gradient, mean_norm)
        (active,) = torch.where(~(norm <= TOLERANCE))  # nan stays active
        if not len(active):
            break
        some = columns[active]
        step = _newton_step(problem, gradient[active], curvature[active], some.l2)
        trial, *evaluated = _line_search(
            problem, some, theta[active], value[active], gradient[active], step
        )
        theta[active] = trial
        value[active], gradient[active], curvature[active] = evaluated
        n_iter[active] += 1
    return theta, _gradient_norm(gradient, mean_norm), n_iter


def _gradient_norm(gradient: Tensor, mean_norm: float) -> Tensor:
    """Upper bound of the gradient's norm for the rows as given.

    With g_w and g_b for centred rows, the gradient for the rows as given is (g_w + g_b mean, g_b).
    """
    slope, last = gradient[:, :-1].norm(dim=1), gradient[:, -1].abs()
    return torch.hypot(slope + mean_norm * last, last)


def _line_search(
    problem: _Problem,
    columns: _Columns,
    theta: Tensor,
    value: Tensor,
    gradient: Tensor,
    step: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halve each column's step until the objective decreases enough; evaluate there."""
    decrease = (gradient * step).sum(dim=1)  # that a full step promises, to first order
    size = torch.ones_like(decrease)
    # near the minimum, objectives differ by rounding alone and cannot reject a step
    rounding = 1e-14 * value.abs()
    while True:
        trial = theta - size[:, None] * step
        trial_value, trial_gradient, trial_curvature = problem.evaluate(trial, columns)
        rejected = trial_value > value - ARMIJO_C * size * decrease + rounding
        rejected &= size > MIN_STEP_SIZE
        if not rejected.any():
            return trial, trial_value, trial_gradient, trial_curvature
        size = torch.where(rejected, size / 2, size)


def _newton_step(problem: _Problem, gradient: Tensor, curvature: Tensor, l2: Tensor) -> Tensor:
    """Hessian's inverse times gradient, by preconditioned conjugate gradients.

    Letters of Nocedal & Wright, algorithm 5.3: residual r, preconditioned residual z, direction p,
    step length alpha. Columns whose residual is small enough are taken out, as further steps of a
    column that is solved exactly would divide 0 by 0.
    """
    # residuals of norm 1 at the start: gradients of 1e-6 would lose digits in float32
    size, smallest_l2 = gradient.norm(dim=1, keepdim=True), float(l2.min())
    solution = torch.zeros_like(gradient, dtype=torch.float32)
    columns = torch.arange(len(gradient), device=gradient.device)  # that are not solved yet
    r = (gradient / size).float()
    step = torch.zeros_like(r)
    inverse = problem.inverse_diagonal(curvature, l2)
    p = problem.precondition(r, inverse)
    rz = (r * p).sum(dim=1, keepdim=True)
    for n_steps in range(MAX_CG_STEPS):
        unsolved = r.norm(dim=1) > FORCING_TERM
        if not unsolved.all():
            solution[columns[~unsolved]] = step[~unsolved]
            columns, r, step, p, rz, inverse, curvature, l2 = (
                values[unsolved] for values in (columns, r, step, p, rz, inverse, curvature, l2)
            )
        if not len(columns):
            break
        if n_steps == CG_STEPS_BEFORE_EIGH and problem.eigenvectors is None:
            # the mean of p (1 - p) is at most 1/4: eigenvalues / 4 compare with 2 l2
            problem.factorise(smallest=8 * smallest_l2)
            # another preconditioner: start again from the steepest direction
            inverse = problem.inverse_diagonal(curvature, l2)
            p = problem.precondition(r, inverse)
            rz = (r * p).sum(dim=1, keepdim=True)
        image = problem.hvp(p, curvature, l2.float())
        alpha = rz / (p * image).sum(dim=1, keepdim=True)
        step += alpha * p
        r -= alpha * image
        z = problem.precondition(r, inverse)
        next_rz = (r * z).sum(dim=1, keepdim=True)
        p = z + next_rz / rz * p
        rz = next_rz
    solution[columns] = step
    newton_step: Tensor = solution.double() * size
    return newton_step
