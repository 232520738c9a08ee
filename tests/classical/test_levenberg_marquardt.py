"""Levenberg-Marquardt against SciPy, on many problems at once."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrsfm_learn.classical._levenberg_marquardt import levenberg_marquardt

T = np.linspace(0, 2, 15)


def decay(targets):
    """Residuals a exp(-b t) + c - y of several curves."""
    t, y = torch.from_numpy(T), torch.as_tensor(targets)

    def linearize(x):
        a, b, c = (x[:, i, None] for i in range(3))
        e = torch.exp(-b * t)
        r = a * e + c - y
        return r, torch.stack([e.expand_as(r), -a * t * e, torch.ones_like(r)], dim=2)

    return linearize


def curves(n_problems=6, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(1, 3, (3, n_problems, 1))
    return a * np.exp(-b * T) + c + noise * rng.normal(size=(n_problems, len(T)))


def rosenbrock(x):
    r = torch.stack([10 * (x[:, 1] - x[:, 0] ** 2), 1 - x[:, 0]], dim=1)
    J = torch.zeros(len(x), 2, 2, dtype=x.dtype)
    J[:, 0, 0], J[:, 0, 1], J[:, 1, 0] = -20 * x[:, 0], 10.0, -1.0
    return r, J


def ones(*shape):
    return torch.ones(shape, dtype=torch.float64)


def test_agrees_with_scipy_on_every_problem():
    y = curves()
    fit = levenberg_marquardt(decay(y), ones(len(y), 3))
    assert fit.converged.all()
    for i in range(len(y)):
        scipy_fit = scipy.optimize.least_squares(
            lambda x, i=i: x[0] * np.exp(-x[1] * T) + x[2] - y[i],
            np.ones(3),
            xtol=1e-14,
            ftol=1e-14,
        )
        assert fit.cost[i] == pytest.approx(2 * scipy_fit.cost, rel=1e-8)
        np.testing.assert_allclose(fit.solution[i], scipy_fit.x, rtol=1e-3)
        a, b, c = fit.solution[i].numpy()
        residual = a * np.exp(-b * T) + c - y[i]
        assert fit.cost[i] == pytest.approx(float((residual**2).sum()), rel=1e-10)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=12))
@settings(deadline=None, max_examples=25)
def test_the_curved_valley(starts):
    start = torch.tensor(starts[: len(starts) // 2 * 2], dtype=torch.float64).reshape(-1, 2)
    fit = levenberg_marquardt(rosenbrock, start)
    assert fit.converged.all()
    np.testing.assert_allclose(fit.solution, np.ones((len(start), 2)), atol=1e-6)


def test_a_linear_problem_is_solved_as_numpy_solves_it():
    rng = np.random.default_rng(3)
    A, b = rng.normal(size=(4, 9, 5)), rng.normal(size=(4, 9))

    def linearize(x):
        J = torch.from_numpy(A)
        return (J @ x[..., None]).squeeze(-1) - torch.from_numpy(b), J

    fit = levenberg_marquardt(linearize, torch.zeros(4, 5, dtype=torch.float64))
    for i in range(4):
        expected = np.linalg.lstsq(A[i], b[i], rcond=None)[0]
        np.testing.assert_allclose(fit.solution[i], expected, atol=1e-5)
    assert fit.converged.all()


def test_problems_do_not_influence_each_other():
    # One is solved at the start, one is hopeless, one takes a step too long at first.
    y = curves(5)
    y[1] = 2 * np.exp(-T) + 1
    y[3] = 1e6 * np.cos(20 * T)
    start = ones(5, 3)
    start[1, 0] = 2.0
    start[4] = torch.tensor([1.0, -4.0, 0.0])
    together = levenberg_marquardt(decay(y), start)
    for i in range(5):
        alone = levenberg_marquardt(decay(y[i : i + 1]), start[i : i + 1])
        torch.testing.assert_close(together.solution[i], alone.solution[0], rtol=1e-8, atol=1e-8)
        assert together.converged[i] == alone.converged[0]


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_the_cost_never_rises(seed):
    y = curves(3, noise=0.5, seed=seed)
    start = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(3, 3)))
    linearize = decay(y)
    costs = [linearize(start)[0].square().sum(1)]
    costs += [levenberg_marquardt(linearize, start, max_iter=n).cost for n in range(1, 12)]
    assert (torch.stack(costs).diff(dim=0) <= 0).all()


def test_max_iter_counts_steps_and_leaves_the_flags_down():
    fit = levenberg_marquardt(rosenbrock, torch.tensor([[-1.2, 1.0]], dtype=torch.float64))
    assert fit.n_iter < 200
    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    short = levenberg_marquardt(rosenbrock, start, max_iter=3)
    assert short.n_iter == 3
    assert not short.converged.any()
    none = levenberg_marquardt(rosenbrock, start, max_iter=0)
    assert torch.equal(none.solution, start)


def test_a_solution_stays():
    fit = levenberg_marquardt(rosenbrock, ones(2, 2))
    assert torch.equal(fit.solution, ones(2, 2))
    assert fit.converged.all()
    assert (fit.cost == 0).all()


def test_an_exact_fit_is_noticed():
    # Residuals of many unknowns never come to rest at the level of rounding.
    rng = np.random.default_rng(0)
    A = torch.from_numpy(rng.normal(size=(40, 8)))
    truth = torch.from_numpy(rng.normal(size=(3, 8)))

    def linearize(x):
        u, v = x @ A.T, truth @ A.T
        return u**3 - v**3, 3 * (u**2)[..., None] * A

    fit = levenberg_marquardt(linearize, truth + 0.1)
    assert fit.converged.all()
    assert fit.n_iter < 50
    torch.testing.assert_close(fit.solution, truth, rtol=0, atol=1e-10)


def test_unknowns_that_nothing_depends_on_stay():
    y = curves(2)
    inner = decay(y)

    def linearize(x):
        r, J = inner(x[:, :3])
        return r, torch.cat([J, torch.zeros_like(J[..., :2])], dim=2)

    start = torch.cat([ones(2, 3), torch.tensor([[7.0, -8], [9, 1]], dtype=torch.float64)], dim=1)
    fit = levenberg_marquardt(linearize, start)
    assert torch.equal(fit.solution[:, 3:], start[:, 3:])
    torch.testing.assert_close(fit.cost, levenberg_marquardt(inner, ones(2, 3)).cost)


def test_unknowns_that_cannot_be_told_apart():
    # Only the sum and the difference of the last two are determined.
    def linearize(x):
        r = torch.stack([x[:, 0] + x[:, 1] - 3, x[:, 2] - 1, x[:, 0] + x[:, 1] - 3], dim=1)
        J = torch.tensor([[1.0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=x.dtype).expand(len(x), 3, 3)
        return r, J

    fit = levenberg_marquardt(linearize, torch.zeros(2, 3, dtype=torch.float64))
    assert fit.solution.isfinite().all()
    assert (fit.cost < 1e-12).all()


def test_steps_into_undefined_ground_are_not_taken():
    # The logarithm of a negative number is NaN, and the first steps overshoot.
    def linearize(x):
        return torch.log(x) + 6, 1 / x[..., None]

    fit = levenberg_marquardt(linearize, torch.tensor([[5.0], [1e3]], dtype=torch.float64))
    np.testing.assert_allclose(fit.solution, np.full((2, 1), np.exp(-6)), rtol=1e-6)
