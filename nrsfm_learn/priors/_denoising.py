"""What the prior is trained on: the error of clean shapes told from noisy ones."""

import torch

from ..geometry import axis_angle_to_matrix, random_rotations
from ._schedules import diffuse

VIEWS = ("given", "vertical", "any")
# Fewest keypoints that training leaves visible.
_MIN_SHOWN = 3


def denoising_error(denoise, shapes, points, visible, signal, generator=None):
    r"""Return the mean squared error of a point, each shape at a random noise level.

    .. math:: \mathbb E_{t, \epsilon} \, \frac{1}{FP} \sum_f
              \bigl\| y_f - g_\omega(y_{f,t}, W_f, t) \bigr\|_F^2

    Parameters
    ----------
    denoise : callable
        ``denoise(noisy, points, visible, level) -> shapes``.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Centred shapes.
    points : Tensor of shape (n_frames, n_points, 2)
        Keypoints minus their visible mean, zero where hidden.
    visible : Tensor of shape (n_frames, n_points)
        1 where visible, else 0.
    signal : Tensor of shape (n_steps + 1,)
        The schedule.
    generator : torch.Generator, optional
        Draws steps and noise.

    Returns
    -------
    Tensor
        A scalar.
    """
    n_steps = len(signal) - 1
    step = torch.randint(1, n_steps + 1, (len(shapes),), generator=generator, device=shapes.device)
    noise = gaussian(shapes.shape, generator, shapes)
    noisy = diffuse(shapes, noise, signal[step])
    clean = denoise(noisy, points, visible, step.to(shapes) / n_steps)
    return (shapes - clean).square().sum(-1).mean()


class DenoisingObjective(torch.nn.Module):
    """Eq. 5 of NRSfMFormer, with views and hidden keypoints drawn for each batch.

    Parameters
    ----------
    module : Denoiser
        The network.
    shapes, points, visible : Tensor
        All shapes of the fit, as :func:`denoising_error` takes them.
    signal : Tensor of shape (n_steps + 1,)
        The schedule.
    generator : torch.Generator
        Draws everything.
    views : {"given", "vertical", "any"}
        How shapes are turned; keypoints are the first two coordinates then.
    hide_fraction : float
        Mean fraction of the keypoints that are hidden.
    """

    def __init__(self, module, shapes, points, visible, signal, *, generator, views, hide_fraction):
        super().__init__()
        self.module = module
        self.shapes, self.points, self.visible = shapes, points, visible
        self.signal, self.generator = signal, generator
        self.views, self.hide_fraction = views, hide_fraction

    def forward(self, index, iteration):
        """Return the objective of some shapes."""
        shapes, points, visible = self.shapes[index], self.points[index], self.visible[index]
        if self.views != "given":
            shapes = shapes @ self._turns(len(shapes)).mT
            points = shapes[..., :2]
        if self.hide_fraction:
            visible = self._hidden(visible)
        points, visible = centered(points, visible)
        return denoising_error(
            self.module, shapes, points, visible, self.signal, generator=self.generator
        )

    def _hidden(self, visible):
        # Frames have from none to twice the fraction hidden: most data are complete.
        part = torch.rand(len(visible), 1, generator=self.generator, device=visible.device)
        draw = torch.rand(visible.shape, generator=self.generator, device=visible.device)
        shown = visible * (draw >= 2 * self.hide_fraction * part)
        enough = shown.sum(-1, keepdim=True) >= _MIN_SHOWN
        return torch.where(enough, shown, visible)

    def _turns(self, n):
        settings = {
            "generator": self.generator,
            "dtype": self.shapes.dtype,
            "device": self.shapes.device,
        }
        if self.views == "any":
            return random_rotations(n, **settings)
        vertical = torch.tensor([0.0, 1.0, 0.0]).to(self.shapes)
        return axis_angle_to_matrix(2 * torch.pi * torch.rand(n, 1, **settings) * vertical)


def gaussian(shape, generator, like):
    """Draw Gaussian noise of a shape, with the dtype and device of a tensor."""
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)


def centered(points, visible):
    """Subtract the visible mean of each frame; zero where hidden. Return points and visibility."""
    weights = visible.unsqueeze(-1)
    points = torch.where(weights > 0, points, torch.zeros_like(points))
    mean = points.sum(-2, keepdim=True) / weights.sum(-2, keepdim=True).clamp_min(1)
    return (points - mean) * weights, visible
