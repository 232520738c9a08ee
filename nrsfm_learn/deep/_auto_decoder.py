"""The auto-decoder baseline of PAUL."""

from numbers import Real

from sklearn.utils._param_validation import Interval

from ._paul import PAUL


class AutoDecoderLifter(PAUL):
    r"""Auto-decoder lifter (ADL), with or without a low rank.

    What PAUL is compared with in its paper: the decoder alone has to explain the frames, and
    nothing asks for a continuous way back from shapes to codes.

    .. math::
        \min_{h, f_d} \frac1F \sum_f \min_{R_f, z_f}
        \bigl\| f_d(\varphi_f) - R_f^\top [W_f; z_f] \bigr\|_F
        + \alpha \| \varphi_f \|^2 + \beta \| \theta_d \|^2
        + \frac{\lambda}{\sqrt B} \bigl\| [\mathrm{vec}\, f_d(\varphi_f)]_f \bigr\|_*

    with :math:`B` the frames of a batch.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Length of a code.
    low_rank_weight : float, default=0.0
        :math:`\lambda`; 0.01 is "ADL + low rank".
    codes, encoder, encoder_width, widths, camera, code_weight, decay_weight
        As in :class:`PAUL`.
    rigidity_weight, cycle_weight : float or "auto", default=0.0
        As in :class:`PAUL`, off as published.
    hide_fraction, temporal_weight, keep_observed, n_refine_steps, scale_method
        As in :class:`PAUL`.
    n_init, halving_factor, rung_iter, start_criterion
        As in :class:`PAUL`.
    preset, max_iter, batch_size, learning_rate, schedule, tol, n_iter_no_change
        As in :class:`PAUL`.
    warm_start, checkpoint_dir, checkpoint_every, device, random_state, verbose
        As in :class:`PAUL`.

    Attributes
    ----------
    reconstruction_, shapes_, rotations_, translations_, scales_, codes_
        As in :class:`PAUL`.
    n_components_, inits_, runners_up_, confidence_
        As in :class:`PAUL`.
    length_variation_, loss_curve_, n_iter_, stop_reason_
        As in :class:`PAUL`.
    module_, n_points_in_
        As in :class:`PAUL`.

    See Also
    --------
    PAUL : With an auto-encoder, and lower error.

    References
    ----------
    .. [1] C. Wang, "Towards reconstructing non-rigidity from single camera", thesis, The Robotics
       Institute, Carnegie Mellon University, 2022, section 2.5.2.

    Examples
    --------
    >>> from nrsfm_learn import AutoDecoderLifter
    >>> from nrsfm_learn.datasets import make_low_rank
    >>> data = make_low_rank(n_frames=60, n_points=12, rank=2, random_state=0)
    >>> model = AutoDecoderLifter(2, low_rank_weight=0.01, max_iter=20, random_state=0)
    >>> model.fit_transform(data.W).shape
    (60, 12, 3)
    """

    _parameter_constraints = {  # noqa: RUF012
        **PAUL._parameter_constraints,
        "low_rank_weight": [Interval(Real, 0, None, closed="left")],
    }

    _autoencode = False

    def __init__(
        self,
        n_components="auto",
        *,
        low_rank_weight=0.0,
        codes="encoder",
        encoder="mlp",
        encoder_width=None,
        widths=None,
        camera="orthographic",
        code_weight=0.01,
        decay_weight=1e-4,
        rigidity_weight=0.0,
        cycle_weight=0.0,
        hide_fraction="auto",
        temporal_weight=0.0,
        keep_observed=True,
        n_refine_steps=3,
        scale_method="box_max",
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
        self.low_rank_weight = low_rank_weight
        super().__init__(
            n_components,
            codes=codes,
            encoder=encoder,
            encoder_width=encoder_width,
            widths=widths,
            camera=camera,
            code_weight=code_weight,
            decay_weight=decay_weight,
            rigidity_weight=rigidity_weight,
            cycle_weight=cycle_weight,
            hide_fraction=hide_fraction,
            temporal_weight=temporal_weight,
            keep_observed=keep_observed,
            n_refine_steps=n_refine_steps,
            scale_method=scale_method,
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

    @property
    def _nuclear_weight(self):
        return self.low_rank_weight

    @property
    def _trains_together(self):
        # The nuclear norm's batched SVD is no faster, and its vmap rule falls back to a loop.
        return super()._trains_together and self.low_rank_weight == 0
