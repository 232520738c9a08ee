"""How much signal is left after how many steps of noise, and one step back."""

import math
from numbers import Integral

import torch

# Largest part of the signal's variance that one step of the cosine schedule may take (ref. 1).
_LARGEST_STEP = 0.999
# Of the linear schedule, for 1,000 steps; other numbers of steps take as much noise in all.
_LINEAR_FIRST, _LINEAR_LAST = 1e-4, 0.02


def cosine_schedule(n_steps, *, dtype=None, device=None):
    r"""Signal left after each step of the cosine schedule.

    .. math:: \bar\alpha_t = \prod_{s \le t} (1 - \beta_s), \qquad
              \beta_t = \min\Bigl( 1 - \frac{f(t)}{f(t - 1)},\, 0.999 \Bigr), \qquad
              f(t) = \cos^2 \Bigl( \frac{t/T + 0.008}{1.008} \cdot \frac\pi2 \Bigr)

    Parameters
    ----------
    n_steps : int
        Steps :math:`T`.
    dtype : torch.dtype, optional
        Torch's default by default.
    device : torch.device, optional
        Where.

    Returns
    -------
    Tensor of shape (n_steps + 1,)
        :math:`\bar\alpha_0 = 1` to :math:`\bar\alpha_T`, falling.

    Raises
    ------
    ValueError
        If ``n_steps`` is no positive integer.

    References
    ----------
    .. [1] A. Nichol, P. Dhariwal, "Improved denoising diffusion probabilistic models", ICML 2021,
       equation 17.
    """
    _check_steps(n_steps)
    t = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
    signal = torch.cos((t + 0.008) / 1.008 * math.pi / 2).square()
    betas = (1 - signal[1:] / signal[:-1]).clamp_max(_LARGEST_STEP)
    return _signal(betas, dtype, device)


def linear_schedule(n_steps, *, dtype=None, device=None):
    r"""Signal left after each step of the linear schedule.

    .. math:: \bar\alpha_t = \prod_{s \le t} (1 - \beta_s), \qquad
              \beta_t = \frac{1000}{T} \Bigl( 10^{-4} + \frac{t - 1}{T - 1}
              (0.02 - 10^{-4}) \Bigr)

    Parameters
    ----------
    n_steps : int
        Steps :math:`T`.
    dtype : torch.dtype, optional
        Torch's default by default.
    device : torch.device, optional
        Where.

    Returns
    -------
    Tensor of shape (n_steps + 1,)
        :math:`\bar\alpha_0 = 1` to :math:`\bar\alpha_T`, falling.

    Raises
    ------
    ValueError
        If ``n_steps`` is no positive integer.

    References
    ----------
    .. [1] J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020,
       section 4.
    """
    _check_steps(n_steps)
    betas = torch.linspace(_LINEAR_FIRST, _LINEAR_LAST, n_steps, dtype=torch.float64)
    betas = (betas * (1000 / n_steps)).clamp_max(_LARGEST_STEP)
    return _signal(betas, dtype, device)


SCHEDULES = {"cosine": cosine_schedule, "linear": linear_schedule}


def diffuse(x, noise, signal):
    r"""Add the noise of some steps at once.

    .. math:: y_t = \sqrt{\bar\alpha_t}\, y_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon

    Parameters
    ----------
    x : Tensor of shape (..., n_points, 3)
        Shapes :math:`y_0`.
    noise : Tensor of shape (..., n_points, 3)
        Gaussian noise :math:`\epsilon` of variance 1.
    signal : Tensor of shape (...)
        :math:`\bar\alpha_t` of each shape.

    Returns
    -------
    Tensor of shape (..., n_points, 3)

    References
    ----------
    .. [1] J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020,
       equation 4.
    """
    signal = signal[..., None, None]
    return signal.sqrt() * x + (1 - signal).sqrt() * noise


def reverse_step(noisy, clean, signal, next_signal, *, noise=None):
    r"""Go from one noise level to a lower one, given a guess of the clean shape.

    .. math:: y_s = \sqrt{\bar\alpha_s}\, \hat y_0
              + \sqrt{1 - \bar\alpha_s - \sigma^2}\, \hat\epsilon + \sigma z, \qquad
              \hat\epsilon = \frac{y_t - \sqrt{\bar\alpha_t}\, \hat y_0}
              {\sqrt{1 - \bar\alpha_t}}

    with :math:`\sigma^2 = \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t}
    \bigl( 1 - \frac{\bar\alpha_t}{\bar\alpha_s} \bigr)` if noise is given (for neighbouring
    steps the posterior of [1]_), else 0 (the deterministic sampler of [2]_).

    Parameters
    ----------
    noisy, clean : Tensor of shape (..., n_points, 3)
        :math:`y_t` and the guess :math:`\hat y_0`.
    signal, next_signal : Tensor
        :math:`\bar\alpha_t < \bar\alpha_s`, scalars.
    noise : Tensor of shape (..., n_points, 3), optional
        Gaussian noise :math:`z` of variance 1.

    Returns
    -------
    Tensor of shape (..., n_points, 3)
        :math:`y_s`; the guess itself where :math:`\bar\alpha_s = 1`.

    References
    ----------
    .. [1] J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020,
       equation 7.
    .. [2] J. Song, C. Meng, S. Ermon, "Denoising diffusion implicit models", ICLR 2021,
       equations 12 and 16.
    """
    direction = (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()
    if noise is None:
        return next_signal.sqrt() * clean + (1 - next_signal).sqrt() * direction
    variance = (1 - next_signal) / (1 - signal) * (1 - signal / next_signal)
    kept = (1 - next_signal - variance).clamp_min(0).sqrt()
    return next_signal.sqrt() * clean + kept * direction + variance.sqrt() * noise


def _check_steps(n_steps):
    if not isinstance(n_steps, Integral) or isinstance(n_steps, bool) or n_steps < 1:
        raise ValueError(f"n_steps must be a positive integer, got {n_steps!r}.")


def _signal(betas, dtype, device):
    signal = torch.cumprod(1 - betas, 0)
    signal = torch.cat((torch.ones(1, dtype=signal.dtype), signal))
    return signal.to(dtype=dtype or torch.get_default_dtype(), device=device)
