"""Gauss-Newton on the code and the camera of a frame, from where the network left them."""

import torch

from ...geometry import cayley_to_matrix

# Ridges of the normal equations, relative to the mean of their diagonal: of the rotation, where
# points in a row leave one axis unknown, and of the code, where they hold it near the encoder's.
_ROTATION_RIDGE = 1e-3
_CODE_RIDGE = 1e-2
_TINY = 1e-6


def gauss_newton_step(module, frames, lift, dictionary):
    r"""Take one step on the inner problem of the bilevel objective (eq. 16 of [1]_).

    .. math::
        \min_{\varphi, R} \bigl\| M \tilde W - M \tilde D \bigl(\varphi_1(\varphi) \otimes R\bigr)
        \bigr\|_F^2

    over the bottleneck code, through the decoder, and the rotation, both damped and bounded.
    Squared residuals are weighted where the frames have weights.

    Parameters
    ----------
    module : HierarchicalBlockSparseLifter
        Its decoder.
    frames : Frames
        What is seen.
    lift : Lift
        Where to start.
    dictionary : Tensor of shape (3, n_points, K_1)
        Centred shape dictionary.

    Returns
    -------
    Lift
        Differentiable in the parameters and in the start.

    References
    ----------
    .. [1] C. Wang, C.-H. Lin, S. Lucey, "Deep NRSfM++: towards unsupervised 2D-3D lifting in the
       wild", 3DV 2020.
    """
    shapes, by_code = module.decode_with_jacobian(lift.codes, dictionary)
    to_camera = lift.rotations.transpose(-1, -2)
    rotated = shapes @ to_camera
    x, y, z = rotated.unbind(-1)
    zero = torch.zeros_like(x)
    by_rotation = torch.stack(
        (
            torch.stack((zero, -z, y), -1),
            torch.stack((z, zero, -x), -1),
            torch.stack((-y, x, zero), -1),
        ),
        1,
    )
    directions = torch.cat((by_rotation, by_code @ to_camera.unsqueeze(1)), 1)
    jacobian = frames.form(directions).flatten(2)
    weighted = jacobian
    if frames.weights is not None:
        weighted = jacobian * frames.weights.repeat_interleave(2, -1).unsqueeze(1)
    normal = weighted @ jacobian.transpose(1, 2)
    right = weighted @ frames.residual(rotated).flatten(1).unsqueeze(-1)
    diagonal = normal.diagonal(dim1=1, dim2=2)
    ridge = torch.cat(
        (
            (_ROTATION_RIDGE * diagonal[:, :3].mean(1, keepdim=True) + _TINY).expand(-1, 3),
            (_CODE_RIDGE * diagonal[:, 3:].mean(1, keepdim=True) + _TINY).expand_as(lift.codes),
        ),
        1,
    )
    step = torch.linalg.solve(normal + torch.diag_embed(ridge), right).squeeze(-1)
    omega, change = step[:, :3], step[:, 3:]
    omega = omega / (1 + omega.square().sum(-1, keepdim=True)).sqrt()
    # At most as long as the code: a frame that explains little may ask for anything.
    relative = change.square().sum(-1, keepdim=True) / (
        lift.codes.square().sum(-1, keepdim=True) + _TINY
    )
    codes = lift.codes + change / (1 + relative).sqrt()
    shapes, first_codes = module.decode(codes, dictionary)
    return type(lift)(shapes, cayley_to_matrix(omega) @ lift.rotations, codes, first_codes)
