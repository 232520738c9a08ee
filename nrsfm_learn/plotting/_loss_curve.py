"""The training loss over iterations."""

import numpy as np

from ._draw import BLUE, FAINT, INK


class LossCurveDisplay:
    """Picture of the training loss: every iteration faintly, its running median on top.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    loss_curve : array-like of shape (n_iter,)
        Loss of each iteration.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    line_ : matplotlib Line2D
        The running median.

    See Also
    --------
    ReconstructionDisplay : What came out of it.
    """

    def __init__(self, loss_curve, *, name=None):
        self.loss_curve = np.asarray(loss_curve, dtype=float)
        if self.loss_curve.ndim != 1 or len(self.loss_curve) == 0:
            raise ValueError(
                f"loss_curve has shape {self.loss_curve.shape}; it must be (n_iter,), n_iter >= 1."
            )
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, **plot_options):
        """Draw the loss of a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted, with ``loss_curve_``.
        name : str, default=None
            Name of the curve; that of the estimator's class if None.
        **plot_options
            For :meth:`plot`.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.

        Raises
        ------
        AttributeError
            The estimator has no ``loss_curve_``.
        """
        kind = type(estimator).__name__
        if not hasattr(estimator, "loss_curve_"):
            raise AttributeError(
                f"{kind} has no loss_curve_: it is not fitted, or it is a method without one."
            )
        display = cls(estimator.loss_curve_, name=kind if name is None else name)
        return display.plot(**plot_options)

    def plot(self, ax=None, *, log_scale="auto", window=None, **line_options):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into, so that several curves can be compared; new ones if None.
        log_scale : bool or "auto", default="auto"
            Logarithmic loss axis; "auto" where every loss is positive.
        window : int, default=None
            Iterations in the running median; a fiftieth of all if None, 1 for none.
        **line_options
            For :meth:`matplotlib.axes.Axes.plot`, such as ``color``.

        Returns
        -------
        LossCurveDisplay
            The display itself, with ``ax_``, ``figure_`` and ``line_``.

        Raises
        ------
        ValueError
            A logarithmic axis is asked for and a loss is not positive.
        """
        from scipy.ndimage import median_filter

        loss = self.loss_curve
        finite = loss[np.isfinite(loss)]
        positive = bool((finite > 0).all())
        if log_scale is True and not positive:
            raise ValueError(
                "log_scale=True needs positive losses, and one is "
                f"{finite.min():.3g}; pass log_scale=False."
            )
        if ax is None:
            from matplotlib import pyplot as plt

            _, ax = plt.subplots(figsize=(5.2, 3.2), layout="constrained", facecolor="white")
            ax.set_facecolor("white")
        options = {"color": BLUE, "linewidth": 1.8, "label": self.name} | line_options
        window = max(1, len(loss) // 50) if window is None else window
        iterations = np.arange(1, len(loss) + 1)
        (self.line_,) = ax.plot(
            iterations, median_filter(loss, window, mode="nearest"), zorder=3, **options
        )
        if window > 1:
            ax.plot(
                iterations, loss, color=self.line_.get_color(), linewidth=0.6, alpha=0.3, zorder=2
            )
        if log_scale is True or (log_scale == "auto" and positive):
            ax.set_yscale("log")
        ax.set_xlabel("iteration", color=INK)
        ax.set_ylabel("training loss", color=INK)
        ax.margins(x=0.02)
        ax.grid(color=FAINT, linewidth=0.6, alpha=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        if options["label"] is not None:
            ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
