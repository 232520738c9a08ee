"""Deep NRSfM."""

from typing import ClassVar

from ._deep_nrsfm_pp import DeepNRSfMPP

# Settings of Deep NRSfM++ that are fixed here.
_NOT_PUBLISHED = ("n_unrolled", "n_completions", "n_solver_steps", "activation", "code_readout")


class DeepNRSfM(DeepNRSfMPP):
    r"""Deep NRSfM: the hierarchical sparse-coding network with ReLU.

    Block soft thresholding is relaxed to ReLU with a bias, and the code is a free linear map of the
    last block codes; there is no cyclic self-supervision unless asked for. The objective is the
    reprojection error of :class:`DeepNRSfMPP`:

    .. math::
        \min \frac1F \sum_f \| M_f \tilde W_f - M_f \tilde D_f (\varphi_f \otimes R_f) \|_F

    Parameters
    ----------
    k_last : int, default=8
        Size of the bottleneck.
    dictionary_sizes, camera
        As in :class:`DeepNRSfMPP`.
    cycle_weight : float, default=0.0
        As in :class:`DeepNRSfMPP`, off as published.
    hide_fraction, temporal_weight, code_l1, symmetry_weight, symmetric_bones
        As in :class:`DeepNRSfMPP`.
    scale_method, scale_correction, bones
        As in :class:`DeepNRSfMPP`.
    n_init, halving_factor, rung_iter, start_criterion
        As in :class:`DeepNRSfMPP`.
    preset, max_iter, batch_size, learning_rate, schedule, tol, n_iter_no_change
        As in :class:`DeepNRSfMPP`.
    warm_start, checkpoint_dir, checkpoint_every, device, random_state, verbose
        As in :class:`DeepNRSfMPP`.

    Attributes
    ----------
    reconstruction_, shapes_, rotations_, translations_, scales_, codes_
        As in :class:`DeepNRSfMPP`.
    inits_, runners_up_, confidence_, length_variation_
        As in :class:`DeepNRSfMPP`.
    dictionary_, dictionary_sizes_, loss_curve_, n_iter_, stop_reason_, module_, n_points_in_
        As in :class:`DeepNRSfMPP`.

    See Also
    --------
    DeepNRSfMPP : Its successor, with lower error.

    References
    ----------
    .. [1] C. Kong, S. Lucey, "Deep non-rigid structure from motion", ICCV 2019.

    Examples
    --------
    >>> from nrsfm_learn import DeepNRSfM
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> DeepNRSfM(k_last=2, max_iter=20, random_state=0).fit_transform(data.W).shape
    (60, 12, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        name: constraint
        for name, constraint in DeepNRSfMPP._parameter_constraints.items()
        if name not in _NOT_PUBLISHED
    }

    def __init__(
        self,
        k_last=8,
        *,
        dictionary_sizes=None,
        camera="orthographic",
        cycle_weight=0.0,
        hide_fraction="auto",
        temporal_weight=0.0,
        code_l1=0.0,
        symmetry_weight=0.0,
        symmetric_bones=None,
        scale_method="box_max",
        scale_correction=0,
        bones=None,
        n_init="auto",
        halving_factor=2,
        rung_iter="auto",
        start_criterion="auto",
        preset="auto",
        max_iter=None,
        batch_size=None,
        learning_rate=None,
        schedule=None,
        tol=0.0,
        n_iter_no_change=1000,
        warm_start=False,
        checkpoint_dir=None,
        checkpoint_every=500,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        super().__init__(
            k_last=k_last,
            dictionary_sizes=dictionary_sizes,
            camera=camera,
            n_unrolled=1,
            n_completions=0,
            n_solver_steps=0,
            activation="relu",
            code_readout="linear",
            cycle_weight=cycle_weight,
            hide_fraction=hide_fraction,
            temporal_weight=temporal_weight,
            code_l1=code_l1,
            symmetry_weight=symmetry_weight,
            symmetric_bones=symmetric_bones,
            scale_method=scale_method,
            scale_correction=scale_correction,
            bones=bones,
            n_init=n_init,
            halving_factor=halving_factor,
            rung_iter=rung_iter,
            start_criterion=start_criterion,
            preset=preset,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=schedule,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
