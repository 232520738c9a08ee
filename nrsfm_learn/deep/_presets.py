"""Sizes and schedules chosen from the shape of the data."""

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
