"""Contract checks of conduct: seeds, score, scikit-learn's machinery, files, callbacks."""

import contextlib
import copy
import io
import pickle
import random
import tempfile
import unittest
from pathlib import Path

import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from ._example import assert_close, example, fitted, quick, recorded, refuses


def check_same_seed(estimator):
    """Check that a seed gives one result; and others another, if the tag says stochastic."""
    first, data = fitted(estimator)
    again, _ = fitted(estimator)
    np.testing.assert_array_equal(first.reconstruction_, again.reconstruction_)
    first.fit(data.hidden, **data.side)
    np.testing.assert_array_equal(
        first.reconstruction_, again.reconstruction_, err_msg="fitting twice is not fitting once"
    )
    if estimator._nrsfm_tags().stochastic:
        other, _ = fitted(estimator, random_state=1)
        assert (other.reconstruction_ != again.reconstruction_).any()
        state, _ = fitted(estimator, random_state=np.random.RandomState(1))
        assert np.isfinite(state.reconstruction_).all()


def check_global_random_state(estimator):
    """Check that the global generators are neither drawn from nor seeded."""
    import torch

    def states():
        numpy_state = repr(np.random.get_state(legacy=False))  # noqa: NPY002
        return random.getstate(), numpy_state, torch.get_rng_state().clone()

    before = states()
    model, data = fitted(estimator)
    model.transform(data.hidden)
    _score(model, data)
    after = states()
    assert before[0] == after[0], "Python's generator was used"
    assert before[1] == after[1], "numpy's generator was used"
    assert torch.equal(before[2], after[2]), "torch's generator was used"
    fitted(estimator, random_state=1)
    assert torch.equal(before[2], torch.get_rng_state())


def _score(model, data):
    """Score a model, unless it takes no missing keypoints and thus has no score."""
    return model.score(data.hidden) if model._nrsfm_tags().missing else None


def check_score(estimator):
    """Check that ``score`` is finite, at most 1, repeatable, and takes what ``fit`` takes."""
    model, data = fitted(estimator)
    W, F = data.hidden, len(data.W)
    if not estimator._nrsfm_tags().missing:
        with refuses("score hides keypoints", "score of a method that takes none missing"):
            model.score(W)
        return
    score = model.score(W)
    assert isinstance(score, float)
    assert np.isfinite(score)
    assert score <= 1
    truth = np.zeros((*data.visible.shape, 3))
    calls = {
        "a second time": ((W,), {}),
        "mask": ((W,), {"mask": data.visible}),
        "a boolean y": ((W, data.visible), {}),
        "a 3-D y": ((W, truth), {}),
        "equal sample_weight": ((W,), {"sample_weight": np.full(F, 2.0)}),
        "keypoints that the mask hides": ((data.W,), {"mask": data.visible}),
    }
    for what, (args, kwargs) in calls.items():
        np.testing.assert_allclose(model.score(*args, **kwargs), score, rtol=1e-9, err_msg=what)
    with refuses("y has dtype", "score with class labels as y"):
        model.score(W, np.zeros(F))


def check_sample_weight(estimator):
    """Check that frames of weight 0 have no influence on the score."""
    tags = estimator._nrsfm_tags()
    if not tags.missing or not tags.inductive or tags.temporal:
        return
    model, data = fitted(estimator)
    weight = np.ones(len(data.W))
    weight[::3] = 0
    other = data.W.copy()
    other[::3] = other[::3, ::-1] * 3
    other[~data.visible] = np.nan
    np.testing.assert_allclose(
        model.score(other, sample_weight=weight),
        model.score(data.hidden, sample_weight=weight),
        rtol=1e-6,
    )


def check_parameters(estimator):
    """Check that ``clone`` and ``set_params`` work, and each parameter is validated."""
    params = estimator.get_params(deep=False)
    assert set(params) == set(estimator._parameter_constraints), (
        "_parameter_constraints and the parameters of __init__ differ"
    )
    model, data = fitted(estimator)
    copied = clone(model)
    assert not hasattr(copied, "reconstruction_")
    assert repr(copied.get_params()) == repr(model.get_params())
    assert copied.set_params(**model.get_params()) is copied
    for name, constraint in estimator._parameter_constraints.items():
        if constraint != "no_validation":
            with refuses(f"'{name}' parameter", f"{name}=object()", ValueError):
                clone(copied).set_params(**{name: object()}).fit(data.W, **data.side)


def check_pickle(estimator):
    """Check that pickles and copies, fitted or not, do what the original does."""
    model, data = fitted(estimator)
    X = model.transform(data.hidden)
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(copied.transform(data.hidden), X)
        assert _score(copied, data) == _score(model, data)
    fresh = pickle.loads(pickle.dumps(quick(estimator))).fit(data.hidden, **data.side)
    np.testing.assert_array_equal(fresh.reconstruction_, model.reconstruction_)


def check_save_and_load(estimator):
    """Check that a saved estimator comes back the same."""
    model, data = fitted(estimator)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        assert [file.name for file in Path(folder).iterdir()] == [path.name]
        loaded = type(model).load(path)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    for name, value in vars(model).items():
        if not name.endswith("_") or name.startswith("_"):
            continue
        if name in ("module_", "runners_up_"):
            tensors, others = value.state_dict(), getattr(loaded, name).state_dict()
            assert list(tensors) == list(others), name
            for key, tensor in tensors.items():
                np.testing.assert_array_equal(others[key].numpy(), tensor.numpy(), err_msg=key)
        else:
            np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    X = model.transform(data.hidden)
    np.testing.assert_array_equal(loaded.transform(data.hidden), X)
    assert _score(loaded, data) == _score(model, data)
    np.testing.assert_array_equal(loaded.inverse_transform(X), model.inverse_transform(X))


def check_set_output(estimator):
    """Check that ``set_output`` is not there: data frames have no third axis."""
    model, data = fitted(estimator)
    assert not hasattr(model, "set_output")
    assert not hasattr(model, "get_feature_names_out")
    with sklearn.config_context(transform_output="pandas"):
        assert type(model.transform(data.hidden)) is np.ndarray
        assert type(quick(estimator).fit_transform(data.W, **data.side)) is np.ndarray


class _Callback:
    """Records the tasks of a fit, as scikit-learn's callback protocol has them."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        """Note that the fit begins."""
        self.events.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        """Note that a task begins."""
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        """Note that a task ends."""
        self.events.append(("end", context.task_name))

    def teardown(self, estimator, context):
        """Note that the fit ends."""
        self.events.append(("teardown", context.task_name))


class _Interrupting(_Callback):
    """Presses Ctrl-C at the end of the second task."""

    def on_fit_task_end(self, estimator, context):
        """Interrupt once."""
        super().on_fit_task_end(estimator, context)
        if sum(event == "end" for event, _ in self.events) == 2:
            raise KeyboardInterrupt


class _Stopping(_Callback):
    """Asks to stop at the end of the second task."""

    def on_fit_task_end(self, estimator, context):
        """Ask for an end of the training."""
        super().on_fit_task_end(estimator, context)
        return sum(event == "end" for event, _ in self.events) == 2


def check_callbacks(estimator):
    """Check that callbacks see every task begin and end, and change nothing."""
    expected, data = fitted(estimator)
    callback = _Callback()
    model = quick(estimator).set_callbacks(callback).fit(data.hidden, **data.side)
    np.testing.assert_array_equal(model.reconstruction_, expected.reconstruction_)
    events = callback.events
    assert events[0] == ("setup", "fit")
    assert events[1] == ("begin", "fit")
    assert events[-2] == ("end", "fit")
    assert events[-1] == ("teardown", "fit")
    running, n_runs = [], 0
    for event, task in events[1:-1]:
        if event == "begin":
            running.append(task)
            n_runs += len(running) == 2
        else:
            assert running.pop() == task, f"{task} ends before what began in it"
    assert not running
    assert n_runs == estimator._n_training_runs()
    callback.events.clear()
    with refuses("W must have shape", "fit of a matrix"):
        model.fit(data.W[0])
    assert callback.events[-1] == ("teardown", "fit"), "an error leaves the callback waiting"
    pickle.dumps(model)


def check_progress_bar(estimator):
    """Check that scikit-learn's progress bar can be set on the estimator."""
    from sklearn.callback import ProgressBar

    try:
        bar = ProgressBar()
    except ImportError as error:
        raise unittest.SkipTest(f"sklearn.callback.ProgressBar: {error}") from error
    data = example(estimator)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        model = quick(estimator).set_callbacks(bar).fit(data.hidden, **data.side)
    assert np.isfinite(model.reconstruction_).all()
    assert type(model).__name__ in shown.getvalue()


def check_interruption(estimator):
    """Check that Ctrl-C, or a callback asking to stop, leaves a usable estimator."""
    if not estimator._n_training_runs():
        return
    data = example(estimator)
    for callback, reason in ((_Interrupting(), "interrupted"), (_Stopping(), "callback")):
        with recorded(ConvergenceWarning) as caught:
            model = quick(estimator).set_callbacks(callback).fit(data.hidden, **data.side)
        if reason == "interrupted":
            assert len(caught) == 1
            assert "interrupted" in str(caught[0].message)
        assert model.stop_reason_ == reason
        assert model.n_iter_ == len(model.loss_curve_) == 2
        assert np.isfinite(model.reconstruction_).all()
        assert_close(model.transform(data.hidden), model.reconstruction_, 1e-5, "transform")
        assert _score(model, data) is None or np.isfinite(_score(model, data))
