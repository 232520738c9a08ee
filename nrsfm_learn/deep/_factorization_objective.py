"""The objectives of C3DPO and of the multi-category lifter, called once an iteration."""

import math
from typing import NamedTuple

import torch
from torch import nn

from ..geometry import random_rotations

# Distance at which the loss turns from square to linear, in units of the normalised keypoints.
HUBER_EPS = 0.01

# Frames on which a perspective model is compared with its mirror image.
_MIRROR_FRAMES = 512


class Factorization(NamedTuple):
    """What the network says of some frames.

    Attributes
    ----------
    codes : Tensor of shape (n_frames, n_components)
        Coefficients of the basis.
    shapes : Tensor of shape (n_frames, n_points, 3)
        Canonical shapes, centred over the points of their category, zero elsewhere.
    rotations : Tensor of shape (n_frames, 3, 3)
        ``x_cam = R x``.
    """

    codes: torch.Tensor
    shapes: torch.Tensor
    rotations: torch.Tensor

    @property
    def rotated(self):
        """Shapes turned to the camera."""
        return self.shapes @ self.rotations.mT


def huber(squares, eps=HUBER_EPS):
    r"""Pseudo-Huber loss of squared distances.

    .. math:: \epsilon \left( \sqrt{1 + d^2 / \epsilon^2} - 1 \right)

    Parameters
    ----------
    squares : Tensor
        :math:`d^2`.
    eps : float, default=0.01
        Distance at which it turns from square to linear.

    Returns
    -------
    Tensor
        Of the same shape; about :math:`d - \epsilon` for large distances.
    """
    ratio = squares / eps**2
    # sqrt(1 + r) - 1 without cancellation.
    return eps * ratio / (1 + torch.sqrt(1 + ratio))


def point_huber_loss(residual, weights):
    r"""Mean over frames of the weighted mean over points of :func:`huber`.

    .. math:: \frac1F \sum_f \frac{\sum_p \omega_{fp}\, h(\| e_{fp} \|^2)}{\sum_p \omega_{fp}}

    Parameters
    ----------
    residual : Tensor of shape (n_frames, n_points, n_coordinates)
        Difference at each point.
    weights : Tensor of shape (n_frames, n_points)
        Weight of each point; 0 for those that don't count.

    Returns
    -------
    Tensor
        A scalar.
    """
    losses = huber(residual.square().sum(-1)) * weights
    return (losses.sum(-1) / weights.sum(-1)).mean()


def rotation_huber_loss(predicted, wanted):
    """Return :func:`point_huber_loss` of where two rotations (n_frames, 3, 3) take the axes."""
    residual = (predicted - wanted).mT
    return point_huber_loss(residual, torch.ones_like(residual[..., 0]))


def in_plane_rotations(n, *, generator=None, dtype=None, device=None):
    """Draw rotations (n, 3, 3) about the optical axis, their angles uniform."""
    angles = 2 * math.pi * torch.rand(n, generator=generator, dtype=dtype, device=device)
    c, s = angles.cos(), angles.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack((c, -s, zero, s, c, zero, zero, zero, one), -1).unflatten(-1, (3, 3))


class FactorizationObjective(nn.Module):
    r"""Reprojection error of frames whose code and camera the network tells (eq. 2 and 3 of [2]_).

    .. math:: \frac1F \sum_f \frac{1}{\sum_p m_{fp}} \sum_p m_{fp}\,
              h\bigl( \| \tilde y_{fp} - \Pi R_f \tilde x_{fp} \|^2 \bigr)

    with the visible means subtracted, which is the best translation of squared errors. The
    visibility :math:`m` lies within the selection of the frame's category.

    Parameters
    ----------
    module : FactorizationNetwork
        The network.
    frames : Frames
        All frames, what the network may see of them.
    selection : Tensor of shape (n_frames, n_points)
        1 at the points of each frame's category, else 0.
    order : Tensor of shape (n_drawn,)
        The frame behind each number that training draws: frames of rare categories come more
        often.
    generator : torch.Generator
        Draws rotations and what is hidden.
    targets : Frames, default=None
        The frames as the loss sees them, if that is more than the network may see.
    in_plane : {"equivariance", "augmentation"} or None
        Whether the network sees images turned at random in their plane; with "equivariance" the
        code comes from a copy with another turn than the camera.
    hide_fraction : float
        Fraction of the visible keypoints hidden from the network.
    hold : int
        Iterations in which shapes stay what they are, and cameras are learned.
    mirror_checks : sequence of int
        Iterations at which a perspective model is compared with its mirror image.

    References
    ----------
    .. [1] D. Novotny, N. Ravi, B. Graham, N. Neverova, A. Vedaldi, "C3DPO: canonical 3D pose
       networks for non-rigid structure from motion", ICCV 2019.
    .. [2] Y. B. Can, A. Liniger, D. P. Paudel, L. Van Gool, "End-to-end learning of multi-category
       3D pose and shape estimation", BMVC 2022.
    """

    def __init__(
        self,
        module,
        frames,
        selection,
        order,
        *,
        generator,
        targets=None,
        in_plane="equivariance",
        hide_fraction=0.0,
        hold=0,
        mirror_checks=(),
    ):
        super().__init__()
        self.module = module
        self.frames = frames
        self.targets = frames if targets is None else targets
        self.selection = selection
        self.order = order
        self.generator = generator
        self.in_plane = in_plane
        self.hide_fraction = hide_fraction
        self.hold = hold
        self.mirror_checks = frozenset(mirror_checks) if frames.perspective else frozenset()

    def before_step(self, iteration):
        """Let batch normalisation take its statistics from the batches, and hold what is held."""
        self.module.held = iteration < self.hold
        if iteration in self.mirror_checks:
            self._choose_mirror()
        self.module.train()

    def forward(self, index, iteration):
        """Return the objective of some frames."""
        index = self.order[index]
        frames, selection = self.frames.take(index), self.selection[index]
        found = self.lift(frames.hidden(self.hide_fraction, self.generator), selection)
        loss = self.reprojection_loss(found, self.targets.take(index))
        return loss + self.disentanglement_loss(found, index, iteration)

    def lift(self, frames, selection):
        """Lift frames from images turned in their plane as training has it."""
        n_frames, points, visible = frames.n_frames, frames.normalized(), frames.visible
        if self.in_plane is None:
            features = self.module.features(points, visible)
            codes, rotations = self.module.codes(features), self.module.rotations(features)
            return Factorization(codes, self.module.decode(codes, selection), rotations)
        n_copies = 2 if self.in_plane == "equivariance" else 1
        turns = in_plane_rotations(
            n_copies * n_frames,
            generator=self.generator,
            dtype=points.dtype,
            device=points.device,
        )
        points, visible = points.repeat(n_copies, 1, 1), visible.repeat(n_copies, 1)
        features = self.module.features(points @ turns[:, :2, :2].mT, visible)
        codes = self.module.codes(features[-n_frames:])
        rotations = turns[:n_frames].mT @ self.module.rotations(features[:n_frames])
        return Factorization(codes, self.module.decode(codes, selection), rotations)

    @staticmethod
    def reprojection_loss(found, frames):
        """Return the loss in the image."""
        weights = frames.visible if frames.weights is None else frames.visible * frames.weights
        return point_huber_loss(frames.residual(found.rotated), weights)

    def disentanglement_loss(self, found, index, iteration):
        """Return what keeps shape and pose apart; nothing here."""
        return 0.0

    @torch.no_grad()
    def _choose_mirror(self):
        index = self.order[torch.linspace(0, len(self.order) - 1, _MIRROR_FRAMES).long()]
        frames, selection, module = self.frames.take(index), self.selection[index], self.module
        module.eval()
        features, losses = module.features(frames.normalized(), frames.visible), []
        for _ in range(2):
            shapes = module.decode(module.codes(features), selection)
            found = Factorization(None, shapes, module.rotations(features))
            losses.append(self.reprojection_loss(found, self.targets.take(index)).item())
            module.mirror_()
        if losses[1] < losses[0]:
            module.mirror_()


class CanonicalizationObjective(FactorizationObjective):
    r"""The objective of C3DPO: a second network must undo random rotations of the shapes.

    .. math:: \frac{\lambda}{FV} \sum_{fv} \frac{1}{\sum_p \zeta_{fp}} \sum_p \zeta_{fp}\,
              h\bigl( \| \Psi(Q_{fv} X_f)_p - x_{fp} \|^2 \bigr),
              \qquad Q_{fv} \sim \mathrm{Haar}(SO(3))

    Parameters
    ----------
    *args, **kwargs
        As of :class:`FactorizationObjective`.
    n_views : int
        Random rotations :math:`V` of each shape.
    weight : float
        :math:`\lambda`.
    """

    def __init__(self, *args, n_views=4, weight=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.n_views = n_views
        self.weight = weight

    def disentanglement_loss(self, found, index, iteration):
        """Return the canonicalisation loss; its gradient flows to the shapes from both sides."""
        if not self.weight:
            return 0.0
        shapes = found.shapes.repeat_interleave(self.n_views, 0)
        selection = self.selection[index].repeat_interleave(self.n_views, 0)
        views = random_rotations(
            len(shapes), generator=self.generator, dtype=shapes.dtype, device=shapes.device
        )
        codes = self.module.canonical_codes(shapes @ views.mT)
        again = self.module.decode(codes, selection)
        return self.weight * point_huber_loss(again - shapes, selection)


class CyclicObjective(FactorizationObjective):
    r"""The objective of the multi-category lifter: a shape seen from elsewhere is lifted to itself.

    .. math:: \mathcal L_c = \mathcal L(Q_f,\, R(\Pi Q_f X_f \circ \zeta_f)), \qquad
              \mathcal L_s = \mathcal L(f(\Pi Q_f X_f \circ \zeta_f) \circ \zeta_f,\,
              X_f \circ \zeta_f)

    Parameters
    ----------
    *args, **kwargs
        As of :class:`FactorizationObjective`.
    weight : float
        Weight of :math:`\mathcal L_c + \mathcal L_s`.
    start : int
        Iteration from which on they count, with batch normalisation frozen.
    """

    def __init__(self, *args, weight=1.0, start=0, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight = weight
        self.start = start

    def before_step(self, iteration):
        """Freeze batch normalisation once the cycle counts: its views are no frames of the data."""
        super().before_step(iteration)
        self.module.train(not self.weight or iteration < self.start)

    def disentanglement_loss(self, found, index, iteration):
        """Return camera loss and shape loss of section 3.4."""
        if not self.weight or iteration < self.start:
            return 0.0
        # The view is held fixed: shapes that adapt to how they are seen become flat. The shape that
        # the view is lifted to is compared with is not: its depth would be free to run away.
        shapes, selection = found.shapes.detach(), self.selection[index]
        views = random_rotations(
            len(shapes), generator=self.generator, dtype=shapes.dtype, device=shapes.device
        )
        # What a frame hides its other views hide too: complete ones are nothing like the data.
        frames = self.frames.take(index)
        frames = frames.view_of(shapes @ views.mT).masked(frames.visible)
        features = self.module.features(frames.normalized(), frames.visible)
        again = self.module.decode(self.module.codes(features), selection)
        camera = rotation_huber_loss(self.module.rotations(features), views)
        return self.weight * (camera + point_huber_loss(again - found.shapes, selection))
