import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from nrsfm_learn.plotting import LossCurveDisplay

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


class Fitted:
    loss_curve_ = np.linspace(2, 1, 30)


def test_from_estimator_draws_every_iteration():
    display = LossCurveDisplay.from_estimator(Fitted())
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 31))
    np.testing.assert_array_equal(display.line_.get_ydata(), Fitted.loss_curve_)
    assert display.line_.get_label() == "Fitted"
    assert display.ax_.get_yscale() == "log"
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xlabel() == "iteration"
    assert len(display.ax_.lines) == 1


def test_median_hides_a_spike_that_the_faint_curve_keeps():
    loss = np.ones(200)
    loss[90] = 50
    display = LossCurveDisplay(loss).plot(window=5)
    assert display.line_.get_ydata().max() == 1
    assert display.ax_.lines[1].get_ydata().max() == 50


def test_log_scale():
    assert LossCurveDisplay([3, 1, 0]).plot().ax_.get_yscale() == "linear"
    assert LossCurveDisplay([3, 1]).plot(log_scale=False).ax_.get_yscale() == "linear"
    assert LossCurveDisplay([3, np.nan, 1]).plot(log_scale=True).ax_.get_yscale() == "log"
    with pytest.raises(ValueError, match="needs positive losses, and one is -1"):
        LossCurveDisplay([3, -1]).plot(log_scale=True)


def test_curves_share_axes_and_take_line_options():
    first = LossCurveDisplay([3, 1], name="a").plot()
    second = LossCurveDisplay([4, 2], name="b").plot(ax=first.ax_, color="#D55E00")
    assert second.ax_ is first.ax_
    assert second.line_.get_color() == "#D55E00"
    assert [t.get_text() for t in first.ax_.get_legend().get_texts()] == ["a", "b"]


def test_malformed_input_is_named():
    with pytest.raises(ValueError, match=r"loss_curve has shape \(0,\)"):
        LossCurveDisplay([])
    with pytest.raises(ValueError, match=r"loss_curve has shape \(2, 2\)"):
        LossCurveDisplay(np.ones((2, 2)))
    with pytest.raises(AttributeError, match="object has no loss_curve_"):
        LossCurveDisplay.from_estimator(object())
