"""Linear systems of all depths and all distances: an arrow of blocks, one a frame."""

from typing import NamedTuple

import torch


class ArrowSystem(NamedTuple):
    r"""A symmetric positive definite matrix over depths (frames by points) and distances (edges).

    .. math::

        \begin{bmatrix} H_1 & & & C_1 \\ & \ddots & & \vdots \\ & & H_F & C_F \\
        C_1^\top & \cdots & C_F^\top & D \end{bmatrix}

    with a block :math:`H_f` for the depths of each frame, and D diagonal: frames have nothing in
    common but the distances.

    Attributes
    ----------
    edges : Tensor of int of shape (n_edges, 2)
        Points i and j of each edge.
    factors : Tensor of shape (n_frames, n_points, n_points)
        Cholesky factors of the blocks.
    borders : tuple of two Tensor of shape (n_frames, n_edges)
        The entries of :math:`C_f` at points i and j of each edge.
    corner_factor : Tensor of shape (n_edges, n_edges) or None
        Cholesky factor of what is left of D once the depths are eliminated; None for a matrix over
        depths alone.
    regular : Tensor of bool of shape (n_frames,) or (1,)
        Whether the matrix is positive definite in floating point: of each block, or of the whole
        where it has a corner. Solutions mean nothing where it is not.
    """

    edges: torch.Tensor
    factors: torch.Tensor
    borders: tuple
    corner_factor: torch.Tensor | None
    regular: torch.Tensor

    def solve(self, right_depths, right_distances=None):
        """Solve for one right-hand side.

        Parameters
        ----------
        right_depths : Tensor of shape (n_frames, n_points)
        right_distances : Tensor of shape (n_edges,), optional
            Given for a matrix that has a corner.

        Returns
        -------
        depths : Tensor of shape (n_frames, n_points)
        distances : Tensor of shape (n_edges,) or None
        """
        depths = _solve(self.factors, right_depths)
        if self.corner_factor is None:
            return depths, None
        i, j = self.edges.T
        at_i, at_j = self.borders
        known = (at_i * depths[:, i] + at_j * depths[:, j]).sum(0)
        distances = _solve(self.corner_factor, right_distances - known)
        moved = scatter_to_points(right_depths.shape, i, -at_i * distances)
        moved = moved + scatter_to_points(right_depths.shape, j, -at_j * distances)
        return _solve(self.factors, right_depths + moved), distances


def factorize(edges, diagonal, at_ii, at_jj, at_ij, borders=None, corner=None):
    r"""Build the matrix from what each edge adds in each frame, and factorise it.

    Parameters
    ----------
    edges : Tensor of int of shape (n_edges, 2)
        Points i and j of each edge.
    diagonal : Tensor of shape (n_frames, n_points)
        Added to the diagonals of the blocks.
    at_ii, at_jj, at_ij : Tensor of shape (n_frames, n_edges)
        What each edge adds to the block of a frame at (i, i), (j, j), and (i, j) and (j, i).
    borders : tuple of two Tensor of shape (n_frames, n_edges), optional
        Entries between points i and j of each edge and its distance.
    corner : Tensor of shape (n_edges,), optional
        Diagonal of D.

    Returns
    -------
    ArrowSystem

    Notes
    -----
    Eliminating the depths takes :math:`O(F (P^3 + P E^2) + E^3)` operations and the memory of two
    matrices of E by E.
    """
    n_frames, n_points = diagonal.shape
    i, j = edges.T
    blocks = torch.zeros(n_frames, n_points * n_points).to(diagonal)
    blocks.index_add_(1, i * n_points + i, at_ii)
    blocks.index_add_(1, j * n_points + j, at_jj)
    blocks.index_add_(1, i * n_points + j, at_ij)
    blocks.index_add_(1, j * n_points + i, at_ij)
    blocks = blocks.reshape(n_frames, n_points, n_points) + torch.diag_embed(diagonal)
    factors, info = torch.linalg.cholesky_ex(blocks)
    if corner is None:
        return ArrowSystem(edges, factors, (), None, info == 0)
    rest = torch.diag(corner)
    edge = torch.arange(len(edges), device=edges.device)
    for factor, at_i, at_j in zip(factors, *borders, strict=True):
        border = torch.zeros(n_points, len(edges)).to(corner)
        border[i, edge], border[j, edge] = at_i, at_j
        half = torch.linalg.solve_triangular(factor, border, upper=False)
        rest -= half.T @ half
    corner_factor, last_info = torch.linalg.cholesky_ex(rest)
    regular = ((info == 0).all() & (last_info == 0)).reshape(1)
    return ArrowSystem(edges, factors, borders, corner_factor, regular)


def scatter_to_points(shape, index, values):
    """Return a tensor (n_frames, n_points) that holds the sum of the edges' values at a point."""
    return torch.zeros(shape).to(values).index_add_(1, index, values)


def _solve(factor, right):
    return torch.cholesky_solve(right[..., None], factor).squeeze(-1)
