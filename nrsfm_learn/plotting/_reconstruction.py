"""A few frames of a reconstruction: the keypoints, and the shape from two other sides."""

import numpy as np

from .._validation import check_shapes_3d, check_W
from ..metrics import normalized_error
from ._draw import (
    BLUE,
    FAINT,
    GREY,
    INK,
    VERMILION,
    draw_axes_cross,
    draw_shape,
    square,
    view_name,
    view_rotation,
)
from ._prepare import check_edges, check_frames, fit_square, reproject, superpose


class ReconstructionDisplay:
    """Picture of a reconstruction: one column a frame, the keypoints and the shape from two sides.

    The first row shows the 2-D input with y down, as in images; a keypoint that was hidden is a
    hollow marker where the reconstruction projects it. The rows below show the shape in
    orthographic views from beside and above the camera. With ground truth, it is drawn in grey, and
    lines join each point to its true place.

    Use :meth:`from_estimator` or :meth:`from_arrays` to make one.

    Parameters
    ----------
    W : array-like of shape (n_frames, n_points, 2)
        Keypoints, NaN where hidden.
    X : array-like of shape (n_frames, n_points, 3)
        Reconstruction in the camera frame (x right, y down, z away); frames that were not lifted
        are NaN.
    visible : array-like of bool, shape (n_frames, n_points), default=None
        Keypoints that were seen; those that are not NaN if None.
    X_true : array-like of shape (n_frames, n_points, 3), default=None
        Ground truth in the camera frame, NaN where unknown.
    edges : array-like of int, shape (n_edges, 2), default=None
        Pairs of points to join, counted from 0.
    frames : sequence of int, default=None
        Frames to show; four spread over the data if None.
    align : bool, default=True
        With ground truth, fit a scale and an orthogonal matrix (reflections allowed) to each frame
        before drawing, as ``normalized_error(protocol="procrustes")`` does. False draws the camera
        frame as it is.
    reprojection : array-like of shape (n_frames, n_points, 2), default=None
        Where the reconstruction projects to in the image. None takes the first two coordinates of
        ``X``, scaled and shifted in each frame to fit the visible keypoints.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of matplotlib Axes, shape (1 + n_views, n_shown)
        First row the input, then one row a view; one column a frame.
    errors_ : ndarray of shape (n_shown,) or None
        Error of each frame shown, under the protocol that the figure names; None without ground
        truth.

    See Also
    --------
    nrsfm_learn.metrics.evaluate : Errors under all protocols.
    LossCurveDisplay : How training went.
    """

    def __init__(
        self,
        W,
        X,
        *,
        visible=None,
        X_true=None,
        edges=None,
        frames=None,
        align=True,
        reprojection=None,
    ):
        self.W, self.visible = check_W(W, visible)
        shape = self.W.shape[:2]
        self.X = check_shapes_3d(X, "X", shape)
        self.X_true = None if X_true is None else check_shapes_3d(X_true, "X_true", shape)
        self.edges = check_edges(edges, shape[1])
        self.frames = check_frames(frames, np.isfinite(self.X).all(2).any(1))
        self.align = align
        if reprojection is None:
            reprojection = reproject(self.W, self.X)
        elif np.shape(reprojection) != self.W.shape:
            raise ValueError(
                f"reprojection has shape {np.shape(reprojection)}; it must be that of W, "
                f"{self.W.shape}."
            )
        self.reprojection = np.asarray(reprojection, dtype=float)

    @classmethod
    def from_arrays(
        cls,
        W,
        X,
        *,
        visible=None,
        X_true=None,
        edges=None,
        frames=None,
        align=True,
        reprojection=None,
        **plot_options,
    ):
        """Draw a reconstruction that is at hand.

        Parameters
        ----------
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where hidden.
        X : array-like of shape (n_frames, n_points, 3)
            Reconstruction in the camera frame.
        visible : array-like of bool, shape (n_frames, n_points), default=None
            Keypoints that were seen; those that are not NaN if None.
        X_true : array-like of shape (n_frames, n_points, 3), default=None
            Ground truth in the camera frame, NaN where unknown.
        edges : array-like of int, shape (n_edges, 2), default=None
            Pairs of points to join.
        frames : sequence of int, default=None
            Frames to show; four spread over the data if None.
        align : bool, default=True
            With ground truth, fit each frame to it before drawing.
        reprojection : array-like of shape (n_frames, n_points, 2), default=None
            Where the reconstruction projects to in the image.
        **plot_options
            For :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        TypeError, ValueError
            Malformed input; the message says which and where.
        """
        display = cls(
            W,
            X,
            visible=visible,
            X_true=X_true,
            edges=edges,
            frames=frames,
            align=align,
            reprojection=reprojection,
        )
        return display.plot(**plot_options)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        W,
        *,
        mask=None,
        X_true=None,
        edges=None,
        frames=None,
        align=True,
        side_inputs=None,
        **plot_options,
    ):
        """Lift keypoints with a fitted estimator and draw the result.

        Parameters
        ----------
        estimator : object
            Fitted, with ``transform``; its ``inverse_transform``, where it has one, gives the
            reprojection.
        W : array-like of shape (n_frames, n_points, 2)
            Keypoints, NaN where hidden.
        mask : array-like of bool, shape (n_frames, n_points), default=None
            Keypoints that the estimator may see.
        X_true : array-like of shape (n_frames, n_points, 3), default=None
            Ground truth in the camera frame, NaN where unknown.
        edges : array-like of int, shape (n_edges, 2), default=None
            Pairs of points to join.
        frames : sequence of int, default=None
            Frames to show; four spread over the data if None. All frames are lifted, since a method
            may look at their neighbours.
        align : bool, default=True
            With ground truth, fit each frame to it before drawing.
        side_inputs : dict, default=None
            Further arguments of ``transform``, such as ``{"intrinsics": K}``.
        **plot_options
            For :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        TypeError, ValueError
            Malformed input; the message says which and where.
        """
        side_inputs = dict(side_inputs or {})
        W, visible = check_W(W, mask)
        X = np.asarray(estimator.transform(W, **side_inputs))
        reprojection = None
        if hasattr(estimator, "inverse_transform"):
            camera = {k: v for k, v in side_inputs.items() if k == "intrinsics"}
            reprojection = estimator.inverse_transform(X, **camera)
        return cls.from_arrays(
            W,
            X,
            visible=visible,
            X_true=X_true,
            edges=edges,
            frames=frames,
            align=align,
            reprojection=reprojection,
            **plot_options,
        )

    def plot(self, fig=None, *, views=((40, 20), (90, 0)), point_size=None, bone_width=2.0):
        """Draw.

        Parameters
        ----------
        fig : matplotlib Figure or SubFigure, default=None
            Empty figure to draw into; a new one of fitting size if None.
        views : sequence of (azimuth, elevation), default=((40, 20), (90, 0))
            Viewpoints in degrees to the right of and above the camera that took the images.
        point_size : float, default=None
            Area of the markers in square points; smaller for many points if None.
        bone_width : float, default=2.0
            Width of the bones in points.

        Returns
        -------
        ReconstructionDisplay
            The display itself, with ``figure_``, ``axes_`` and ``errors_``.
        """
        views = [tuple(view) for view in views]
        if any(len(view) != 2 for view in views):
            raise ValueError(f"views={views} must be pairs (azimuth, elevation) in degrees.")
        shape = (1 + len(views), len(self.frames))
        entries = self._legend_entries()
        columns = len(entries) if shape[1] > 3 else shape[1]
        if fig is None:
            from matplotlib import pyplot as plt

            legend_height = 0.22 * (np.ceil(len(entries) / columns) + (self.X_true is not None))
            fig = plt.figure(
                figsize=(2.25 * shape[1] + 0.4, 2.25 * shape[0] + 0.45 + legend_height),
                layout="constrained",
                facecolor="white",
            )
        self.figure_ = fig
        self.axes_ = fig.subplots(*shape, squeeze=False)
        if point_size is None:
            point_size = float(np.clip(1000 / self.W.shape[1], 8, 22))
        style = {"size": point_size, "width": bone_width}

        self._measure()
        self._plot_input(style)
        shapes = [self._shapes_of(frame) for frame in self.frames]
        for row, view in zip(self.axes_[1:], views, strict=True):
            R = view_rotation(*view)
            seen = [(X @ R.T, X_true @ R.T) for X, X_true in shapes]
            centres, half = fit_square(np.stack([np.concatenate(pair)[:, :2] for pair in seen]))
            for ax, centre, pair in zip(row, centres, seen, strict=True):
                square(ax, centre, half)
                self._plot_view(ax, *pair, style)
            draw_axes_cross(row[0], R)
            row[0].set_ylabel(f"3-D from {view_name(*view)}", fontsize=9, color=INK)
        self._legend(entries, columns)
        return self

    def _shapes_of(self, frame):
        """Return (X, X_true) of one frame as they are drawn."""
        X = self.X[frame]
        if not np.isfinite(X).any():
            return X, np.full_like(X, np.nan)
        if self.X_true is None:
            return X - np.nanmean(X, axis=0), np.full_like(X, np.nan)
        return superpose(X, self.X_true[frame], self.align)

    def _measure(self):
        self.errors_ = None
        if self.X_true is None:
            return
        protocol = "procrustes" if self.align else "frobenius"
        pair = self.X_true[self.frames], self.X[self.frames]
        common = np.isfinite(pair[0]).all(2) & np.isfinite(pair[1]).all(2)
        if not (common.sum(1) >= 2).any():
            self.errors_ = np.full(len(self.frames), np.nan)
            return
        self.errors_ = normalized_error(*pair, protocol=protocol, mask=common, reduction="none")

    def _plot_input(self, style):
        from matplotlib.collections import LineCollection

        W, visible = self.W[self.frames], self.visible[self.frames]
        places = np.where(visible[:, :, None], W, self.reprojection[self.frames])
        centres, half = fit_square(places)
        for k, ax in enumerate(self.axes_[0]):
            seen = visible[k]
            ends = seen[self.edges]
            drawn = np.isfinite(places[k][self.edges]).all((1, 2))
            for subset, dash in ((ends.all(1), "solid"), (~ends.all(1), (0, (2, 2)))):
                ax.add_collection(
                    LineCollection(
                        places[k][self.edges[subset & drawn]],
                        colors=FAINT if dash == "solid" else GREY,
                        linewidths=0.8 * style["width"] if dash == "solid" else 0.8,
                        linestyles=[dash],
                        zorder=1,
                    )
                )
            ax.scatter(*places[k, seen].T, s=style["size"], c=INK, lw=0, zorder=3)
            ax.scatter(
                *places[k, ~seen].T,
                s=style["size"],
                facecolors="white",
                edgecolors=BLUE,
                linewidths=1.1,
                zorder=2,
            )
            square(ax, centres[k], half)
            title = f"frame {self.frames[k]}"
            if self.errors_ is not None and np.isfinite(self.errors_[k]):
                title += f"   error {100 * self.errors_[k]:.1f} %"
            ax.set_title(title, fontsize=10, color=INK)
        self.axes_[0, 0].set_ylabel("2-D input", fontsize=9, color=INK)

    def _plot_view(self, ax, X, X_true, style):
        if not np.isfinite(X).any():
            ax.text(0.5, 0.5, "not lifted", transform=ax.transAxes, ha="center", color=GREY)
            return
        if np.isfinite(X_true).any():
            from matplotlib.collections import LineCollection

            truth = {"size": 0.6 * style["size"], "width": 0.8 * style["width"]}
            draw_shape(ax, X_true, self.edges, GREY, zorder=1, fade=0.3, **truth)
            gaps = np.stack([X[:, :2], X_true[:, :2]], axis=1)
            gaps = gaps[np.isfinite(gaps).all((1, 2))]
            ax.add_collection(LineCollection(gaps, colors=VERMILION, linewidths=1.1, zorder=4))
        draw_shape(ax, X, self.edges, BLUE, zorder=2, **style)

    def _legend_entries(self):
        """Return the line style of each thing that the figure shows."""
        bone = {"lw": 2 if len(self.edges) else 0, "marker": "o", "ms": 5, "mec": "white"}
        entries = {"keypoint": {"color": INK, "marker": "o", "ms": 4.5, "lw": 0}}
        hidden = ~self.visible[self.frames] & np.isfinite(self.reprojection[self.frames]).all(2)
        if hidden.any():
            hollow = {"color": BLUE, "marker": "o", "mfc": "white", "ms": 5, "lw": 0}
            entries["hidden keypoint, reprojected"] = hollow
        entries["reconstruction"] = {"color": BLUE, **bone}
        if self.X_true is not None:
            entries["ground truth"] = {"color": GREY, **bone}
            entries["distance between them"] = {"color": VERMILION, "lw": 1.2}
        return entries

    def _legend(self, entries, columns):
        from matplotlib.legend_handler import HandlerLine2D
        from matplotlib.lines import Line2D

        title = None
        if self.X_true is not None:
            protocol = "procrustes" if self.align else "frobenius, no flip"
            title = f"error: normalized_error ({protocol})"
        handles = [Line2D([], [], **style) for style in entries.values()]
        bones = [h for h in handles if h.get_marker() == "o" and h.get_linewidth() > 0]
        self.figure_.legend(
            handles,
            entries,
            handler_map={handle: HandlerLine2D(numpoints=2) for handle in bones},
            title=title,
            loc="outside lower center" if self.figure_.get_layout_engine() else "lower center",
            ncols=columns,
            frameon=False,
            fontsize=9,
            title_fontsize=9,
            labelcolor=INK,
            columnspacing=1.4,
        )
