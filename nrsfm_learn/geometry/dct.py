"""Discrete cosine basis of smooth trajectories."""

import math

import torch


def dct_basis(n_frames, n_bases, *, dtype=None, device=None):
    r"""First functions of the orthonormal discrete cosine basis (DCT-II).

    .. math::
        \Theta_{fk} = \sigma_k \cos\!\Big( \frac{\pi (2 f + 1) k}{2 F} \Big), \qquad
        \sigma_0 = \sqrt{1/F}, \quad \sigma_k = \sqrt{2/F}.

    Parameters
    ----------
    n_frames : int
        F, the length of a trajectory.
    n_bases : int
        How many functions, lowest frequency first; at most `n_frames`.
    dtype : torch.dtype, optional
        Torch's default dtype by default.
    device : torch.device, optional
        Torch's default device by default.

    Returns
    -------
    torch.Tensor, shape (n_frames, n_bases)
        Orthonormal columns.

    Raises
    ------
    ValueError
        If `n_bases` is not between 1 and `n_frames`.

    References
    ----------
    .. [1] I. Akhter, Y. Sheikh, S. Khan, T. Kanade, "Nonrigid structure from motion in trajectory
       space", NeurIPS 2008.
    """
    if not 1 <= n_bases <= n_frames:
        raise ValueError(
            f"n_bases must be between 1 and n_frames = {n_frames}, got {n_bases}; "
            "ask for fewer basis functions."
        )
    f = torch.arange(n_frames)[:, None]
    # The phase is reduced to one turn in integers: of n_bases / 2 turns little is left in float32.
    phase = (2 * f + 1) * torch.arange(n_bases) % (4 * n_frames)
    basis = torch.cos(math.pi / (2 * n_frames) * phase.double()) * math.sqrt(2 / n_frames)
    basis[:, 0] = math.sqrt(1 / n_frames)
    return basis.to(dtype=dtype or torch.get_default_dtype(), device=device)
