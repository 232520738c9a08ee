"""Sizes and schedules chosen from the shape of the data."""

import numpy as np

from ..preprocessing import center_on_visible

PRESETS = ("auto", "quick", "paper")


def halving_sizes(first, last):
    """Return dictionary sizes that halve from ``first`` down to ``last``, both included."""
    sizes = [last]
    while sizes[-1] * 2 < first:
        sizes.append(sizes[-1] * 2)
    return [*reversed(sizes)] if sizes[-1] >= first else [first, *reversed(sizes)]


def deep_nrsfm_preset(preset, n_frames):
    """Return first dictionary size, iterations, batch size, learning rate and schedule.

    Parameters
    ----------
    preset : {"auto", "quick", "paper"}
        ``"auto"`` suits the number of frames and ends within minutes on two cores; ``"quick"`` is
        for a first look; ``"paper"`` is the supplement's setting (hours on a GPU).
    n_frames : int
        Frames to fit.

    Returns
    -------
    dict
        ``first_size``, ``max_iter``, ``batch_size``, ``learning_rate``, ``schedule``.
    """
    if preset == "paper":
        return {
            "first_size": 512,
            "max_iter": 400_000,
            "batch_size": 128,
            "learning_rate": 1e-4,
            "schedule": "step",
        }
    max_iter = 1000 if preset == "quick" else 8000
    return {
        "first_size": 256,
        "max_iter": max_iter,
        "batch_size": 128 if n_frames <= 1024 else 256,
        "learning_rate": 2e-3,
        "schedule": "cosine",
    }


# Frames up to which PAUL's networks are small.
_SHORT = 1200
# Median change from one frame to the next, over the size of the object, below which frames are a
# sequence: views from anywhere differ by 1.4.
_SMOOTH = 0.5


def is_sequence(observations):
    """Say whether frames follow each other in time, by how little they change."""
    W, visible = observations.W, observations.visible
    both = visible[1:] & visible[:-1]
    if observations.groups is not None:
        both &= (observations.groups[1:] == observations.groups[:-1])[:, None]
    centered, _ = center_on_visible(W, visible)
    change = np.square(centered[1:] - centered[:-1]).sum(-1)
    size = np.square(centered[1:]).sum(-1)
    enough = both.sum(1) >= 2
    if not enough.any():
        return False
    change, size = (np.where(both, a, 0)[enough].sum(1) for a in (change, size))
    return bool(np.median(np.sqrt(change / np.maximum(size, np.finfo(float).tiny))) < _SMOOTH)


def paul_preset(preset, n_frames, sequence):
    """Return sizes, weights, starts and schedule of PAUL and its baselines.

    Parameters
    ----------
    preset : {"auto", "quick", "paper"}
        As of :func:`deep_nrsfm_preset`.
    n_frames : int
        Frames to fit.
    sequence : bool
        Whether they follow each other in time.

    Returns
    -------
    dict
        ``n_components``, ``widths``, ``encoder_width``, ``rigidity_weight``, ``cycle_weight``,
        ``n_init``, ``max_iter``, ``batch_size``, ``learning_rate``, ``schedule``.
    """
    short = n_frames <= _SHORT
    published = {
        "n_components": 4 if short and sequence else 8,
        "widths": [256, 128, 64, 32, 16],
        "encoder_width": 512,
        "rigidity_weight": 0.0,
        "cycle_weight": 0.0,
        "n_init": 1,
        "max_iter": 100_000,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "schedule": "cosine",
    }
    if preset == "paper":
        return published
    chosen = {
        "n_components": 12 if not short else 4 if sequence else 8,
        # Narrow layers train slowly: three wide ones fit better after as many iterations.
        "widths": [128, 128, 128] if short else [256, 256, 256],
        "encoder_width": 256 if short else 512,
        "rigidity_weight": 0.5 if sequence else 1.0,
        "cycle_weight": 0.0 if sequence else 1.0,
        "n_init": 16 if short and sequence else 4,
        "max_iter": 5000 if sequence and n_frames <= 500 else 8000,
        "batch_size": 100 if short else 256,
        "learning_rate": 2e-3 if short else 1e-3,
    }
    if preset == "quick":
        chosen["max_iter"] = 1000
    return {**published, **chosen}


def factorization_preset(preset, n_frames, optimizer=None):
    """Return sizes, starts and schedule of C3DPO and the multi-category lifter.

    Parameters
    ----------
    preset : {"auto", "quick", "paper"}
        As of :func:`deep_nrsfm_preset`; "paper" has the published sizes and batches (hours on a
        GPU).
    n_frames : int
        Frames to fit.
    optimizer : {"adam", "sgd"}, default=None
        The one asked for, which the rate goes with.

    Returns
    -------
    dict
        ``width``, ``n_init``, ``max_iter``, ``batch_size``, ``optimizer``, ``learning_rate``,
        ``schedule`` and, in the paper's, when the rate falls by how much.
    """
    if preset == "paper":
        return {
            "width": 1024,
            "n_init": 1,
            "max_iter": 150_000,
            "batch_size": 256,
            "learning_rate": 1e-3,
            "schedule": "step",
            "step_size": 60_000,
            "step_factor": 0.1,
            "optimizer": "sgd",
        }
    optimizer = optimizer or "sgd"
    return {
        "width": 256,
        "n_init": 4,
        "max_iter": 1000 if preset == "quick" else 4000,
        "batch_size": 128 if n_frames <= 1024 else 256,
        "optimizer": optimizer,
        "learning_rate": 1e-2 if optimizer == "sgd" else 1e-3,
        "schedule": "cosine",
    }


def prn_preset(preset):
    """Return sizes, starts and schedule of Procrustean regression networks.

    Parameters
    ----------
    preset : {"auto", "quick", "paper"}
        As of :func:`deep_nrsfm_preset`; "paper" has the published sizes (hours on a CPU).

    Returns
    -------
    dict
        ``width``, ``n_init``, ``max_iter``, ``batch_size`` (windows), ``learning_rate``,
        ``schedule`` and, in the paper's, when the rate falls by how much.
    """
    if preset == "paper":
        return {
            "width": 1024,
            "n_init": 1,
            "max_iter": 70_000,
            "batch_size": 8,
            "learning_rate": 1e-4,
            "schedule": "step",
            "step_size": 5000,
            "step_factor": 0.8,
        }
    return {
        "width": 256,
        "n_init": 1,
        "max_iter": 1000 if preset == "quick" else 2000,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "schedule": "cosine",
    }


def former_preset(preset, n_windows):
    """Return sizes, weights and schedule of NRSfMFormer.

    Parameters
    ----------
    preset : {"auto", "quick", "paper"}
        As of :func:`deep_nrsfm_preset`; "paper" has the published sizes, 50 epochs of batches of
        128, and no terms but the published.
    n_windows : int
        Windows to draw from.

    Returns
    -------
    dict
        ``width``, ``n_blocks``, ``n_heads``, ``rank_weight``, ``max_iter``, ``batch_size``,
        ``learning_rate``, ``schedule`` and, in the paper's, when the rate falls by how much.
    """
    if preset == "paper":
        epoch = -(-n_windows // 128)
        return {
            "width": 512,
            "n_blocks": 4,
            "n_heads": 8,
            "rank_weight": 0.0,
            "max_iter": 50 * epoch,
            "batch_size": 128,
            "learning_rate": 5e-5,
            "schedule": "step",
            "step_size": epoch,
            "step_factor": 0.99,
        }
    return {
        "width": 64,
        "n_blocks": 1,
        # Attention with fewer than 16 features a head takes most of the time on a CPU.
        "n_heads": 4,
        "rank_weight": 0.1,
        "max_iter": 500 if preset == "quick" else 3000,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "schedule": "cosine",
    }
