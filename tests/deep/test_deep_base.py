"""What the deep estimators share: the road from parameters to the one loop."""

import copy
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from nrsfm_learn import DeepNRSfMPP, _training
from nrsfm_learn._checkpoint import CheckpointError
from nrsfm_learn._race import TrainingError
from nrsfm_learn.datasets import make_low_rank

SMALL = {"dictionary_sizes": [16, 8, 3], "random_state": 0, "device": "cpu", "batch_size": 16}


def make_model(**settings):
    return DeepNRSfMPP(**{**SMALL, "max_iter": 40, **settings})


@pytest.fixture(scope="module")
def data():
    return make_low_rank(n_frames=40, n_points=10, rank=2, missing=0.1, random_state=0)


@pytest.fixture
def at_iteration(monkeypatch):
    """Do something at one iteration, after the gradient and before the step."""

    def plan(number, act):
        rate = _training.learning_rate_at

        def learning_rate_at(iteration, options):
            if iteration == number:
                act()
            return rate(iteration, options)

        monkeypatch.setattr(_training, "learning_rate_at", learning_rate_at)

    return plan


def press_ctrl_c():
    raise KeyboardInterrupt


def assert_same_fit(first, second):
    np.testing.assert_array_equal(first.loss_curve_, second.loss_curve_)
    np.testing.assert_array_equal(first.reconstruction_, second.reconstruction_)
    for a, b in zip(first.module_.parameters(), second.module_.parameters(), strict=True):
        assert torch.equal(a, b)


# -- seeds


def test_same_seed_same_fit_and_other_seed_another(data):
    first, again, other = (make_model(random_state=s).fit(data.W) for s in (0, 0, 1))
    assert_same_fit(first, again)
    assert not np.array_equal(first.loss_curve_, other.loss_curve_)


def test_a_random_state_instance_moves_on(data):
    rng = np.random.RandomState(0)
    first, second = (make_model(random_state=rng, max_iter=3).fit(data.W) for _ in range(2))
    assert_same_fit(first, make_model(max_iter=3).fit(data.W))
    assert not np.array_equal(first.loss_curve_, second.loss_curve_)


def test_global_generators_are_left_alone(data):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = make_model(max_iter=3).fit(data.W)
    model.score(data.W)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


# -- settings


def captured_options(monkeypatch, **settings):
    """Options that reach the loop, which then stops at once."""

    class Stop(Exception):
        pass

    seen = []

    def train(starts, n_frames, options, **_):
        seen.append(options)
        raise Stop

    monkeypatch.setattr("nrsfm_learn.deep._base.train_starts", train)
    W = make_low_rank(n_frames=40, n_points=10, rank=2, random_state=0).W
    with pytest.raises(Stop):
        DeepNRSfMPP(device="cpu", random_state=0, **settings).fit(W)
    return seen[0]


def test_parameters_win_over_the_preset(monkeypatch):
    options = captured_options(
        monkeypatch,
        preset="paper",
        max_iter=7,
        batch_size=5,
        learning_rate=0.5,
        schedule="constant",
        tol=0.1,
        n_iter_no_change=77,
        checkpoint_every=3,
    )
    assert options.max_iter == 7
    assert options.batch_size == 5
    assert options.learning_rate == 0.5
    assert options.schedule == "constant"
    assert options.tol == 0.1
    assert options.n_iter_no_change == 77
    assert options.checkpoint_every == 3
    assert options.checkpoint_dir is None


@pytest.mark.parametrize("preset", ["auto", "quick", "paper"])
def test_preset_fills_what_is_none(monkeypatch, preset):
    from nrsfm_learn.deep._presets import deep_nrsfm_preset

    options = captured_options(monkeypatch, preset=preset)
    expected = deep_nrsfm_preset(preset, 40)
    del expected["first_size"]
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    "setting",
    [
        {"max_iter": 0},
        {"max_iter": 2.5},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -1e-3},
        {"schedule": "linear"},
        {"tol": -1e-3},
        {"n_iter_no_change": 0},
        {"checkpoint_every": 0},
        {"warm_start": "yes"},
        {"random_state": "seed"},
    ],
)
def test_settings_out_of_range(data, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"'{name}' parameter of DeepNRSfMPP"):
        make_model(**setting).fit(data.W)


def test_device_that_is_none(data):
    with pytest.raises(ValueError, match="device='gpu' is no torch device"):
        make_model(device="gpu").fit(data.W)


# -- ends of training


def test_curve_and_number_of_iterations(data):
    model = make_model().fit(data.W)
    assert model.loss_curve_.shape == (40,)
    assert model.n_iter_ == 40
    assert model.stop_reason_ == "max_iter"
    assert np.isfinite(model.loss_curve_).all()


def test_one_iteration(data):
    model = make_model(max_iter=1).fit(data.W)
    assert model.n_iter_ == len(model.loss_curve_) == 1
    assert np.isfinite(model.reconstruction_).all()


def test_plateau(data):
    settings = {"learning_rate": 1e-9, "tol": 0.5, "n_iter_no_change": 100}
    model = make_model(max_iter=5000, n_init=1, **settings)
    model.fit(data.W)
    assert model.stop_reason_ == "plateau"
    assert model.n_iter_ == 200


def test_interrupt_leaves_a_usable_estimator(data, at_iteration):
    at_iteration(25, press_ctrl_c)
    with pytest.warns(ConvergenceWarning, match="after 25 of 40 iterations"):
        model = make_model().fit(data.W)
    assert model.stop_reason_ == "interrupted"
    assert model.n_iter_ == len(model.loss_curve_) == 25
    assert np.isfinite(model.reconstruction_).all()
    np.testing.assert_array_equal(model.transform(data.W), model.reconstruction_)
    assert model.score(data.W) <= 1


def test_interrupt_before_the_first_step(data, at_iteration):
    at_iteration(0, press_ctrl_c)
    with pytest.warns(ConvergenceWarning):
        model = make_model().fit(data.W)
    assert model.n_iter_ == len(model.loss_curve_) == 0
    assert np.isfinite(model.transform(data.W)).all()


def test_gradients_that_stay_bad_are_an_error(data, monkeypatch):
    monkeypatch.setattr(
        "nrsfm_learn.deep._frames.Frames.residual",
        lambda self, rotated: rotated[..., :2] * np.nan,
    )
    with pytest.raises(TrainingError, match="lower learning_rate"):
        make_model(max_iter=100).fit(data.W)


def test_verbose(data, capsys):
    make_model(verbose=True).fit(data.W)
    lines = capsys.readouterr().out.splitlines()
    assert 5 <= len(lines) <= 11
    assert all(line.startswith("[DeepNRSfMPP] iteration ") for line in lines)
    assert "40/40" in lines[-1]
    make_model(max_iter=3).fit(data.W)
    assert capsys.readouterr().out == ""


# -- callbacks


class Recorder:
    """A callback of scikit-learn that writes down the names of tasks, and may stop."""

    def __init__(self, stop_after=None):
        self.begun, self.ended, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.begun.append("setup")

    def teardown(self, estimator, context):
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)
        return self.stop_after is not None and self.ended.count("iterations") >= self.stop_after


def test_callbacks_see_the_fit_its_run_and_its_progress(data):
    recorder = Recorder()
    model = make_model().set_callbacks(recorder)
    model.fit(data.W)
    assert recorder.begun[:3] == ["setup", "fit", "training"]
    assert recorder.ended[-3:] == ["training", "fit", "teardown"]
    assert recorder.begun.count("iterations") == recorder.ended.count("iterations") == 40


def test_callbacks_can_stop(data):
    model = make_model().set_callbacks(Recorder(stop_after=10))
    model.fit(data.W)
    assert model.stop_reason_ == "callback"
    assert model.n_iter_ == 10
    assert np.isfinite(model.reconstruction_).all()


def test_callbacks_end_with_an_interrupted_fit(data, at_iteration):
    at_iteration(5, press_ctrl_c)
    recorder = Recorder()
    with pytest.warns(ConvergenceWarning):
        make_model().set_callbacks(recorder).fit(data.W)
    assert recorder.ended[-3:] == ["training", "fit", "teardown"]


# -- warm start


def test_warm_start_goes_on_from_the_present_parameters(data):
    model = make_model(max_iter=80, learning_rate=5e-3, warm_start=True).fit(data.W)
    first = model.loss_curve_
    model.fit(data.W)
    assert model.loss_curve_.shape == (80,)
    assert model.loss_curve_[:10].mean() < 0.6 * first[:10].mean()
    assert model.loss_curve_[-20:].mean() < first[-20:].mean()


def started_module(monkeypatch, model, W):
    """Parameters that the loop starts with; it is then stopped."""

    class Stop(Exception):
        pass

    started = []

    def train(starts, *_, **__):
        started.append(starts[0].module)
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("nrsfm_learn.deep._base.train_starts", train)
        with pytest.raises(Stop):
            model.fit(W)
    return started[0]


@pytest.mark.parametrize("warm", [True, False])
def test_warm_start_trains_a_copy_of_the_present_network(data, monkeypatch, warm):
    model = make_model(max_iter=3, warm_start=warm).fit(data.W)
    present = model.module_
    before = [p.detach().clone() for p in present.parameters()]
    started = started_module(monkeypatch, model, data.W)
    assert started is not present
    same = [torch.equal(a, b) for a, b in zip(started.parameters(), before, strict=True)]
    assert all(same) == warm
    with torch.no_grad():
        for p in started.parameters():
            p += 1
    assert all(torch.equal(a, b) for a, b in zip(present.parameters(), before, strict=True))


def test_warm_start_of_an_unfitted_estimator_is_a_start(data):
    cold, warm = (make_model(max_iter=3, warm_start=w).fit(data.W) for w in (False, True))
    assert_same_fit(cold, warm)


@pytest.mark.parametrize(
    "setting",
    [
        {"dictionary_sizes": [16, 8, 4]},
        {"dictionary_sizes": [16, 3]},
        {"code_readout": "linear"},
        {"n_unrolled": 2},
    ],
)
def test_warm_start_refuses_other_settings(data, setting):
    model = make_model(max_iter=3, warm_start=True).fit(data.W)
    X, module = model.transform(data.W), model.module_
    given = {name: getattr(model, name) for name in setting}
    with pytest.raises(ValueError, match=r"(?s)other points, sizes or settings.*warm_start=False"):
        model.set_params(**setting).fit(data.W)
    assert model.module_ is module
    np.testing.assert_array_equal(model.transform(data.W), X)
    model.set_params(**given).fit(data.W)
    assert model.loss_curve_.shape == (3,)
    # Without a warm start the other settings are no trouble.
    assert np.isfinite(model.set_params(warm_start=False, **setting).fit_transform(data.W)).all()


def test_without_warm_start_a_second_fit_starts_anew(data):
    model = make_model().fit(data.W)
    first = model.loss_curve_
    np.testing.assert_array_equal(model.fit(data.W).loss_curve_, first)


# -- checkpoints

SCRIPT = textwrap.dedent(
    """
    import os, signal
    import torch
    torch.set_num_threads(1)
    from nrsfm_learn import DeepNRSfMPP, _training
    from nrsfm_learn.datasets import make_low_rank

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    rate = _training.learning_rate_at
    _training.learning_rate_at = lambda i, options: die() if i == 27 else rate(i, options)
    data = make_low_rank(n_frames=40, n_points=10, rank=2, missing=0.1, random_state=0)
    model = DeepNRSfMPP(max_iter=40, checkpoint_every=10, **{small!r})
    model.set_params(checkpoint_dir={folder!r}).fit(data.W)
    """
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_fit_is_taken_up_again_and_ends_bit_for_bit_the_same(data, tmp_path, monkeypatch):
    script = SCRIPT.format(folder=str(tmp_path), small=SMALL)
    root = os.path.dirname(os.path.dirname(_training.__file__))
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    killed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    seen = []
    rate = _training.learning_rate_at
    monkeypatch.setattr(
        _training, "learning_rate_at", lambda i, options: seen.append(i) or rate(i, options)
    )
    resumed = make_model(checkpoint_dir=str(tmp_path), checkpoint_every=10).fit(data.W)
    assert seen == list(range(20, 40))
    assert_same_fit(resumed, make_model().fit(data.W))


def iterations_of(monkeypatch, fit):
    """Numbers of the iterations that a fit does."""
    seen = []
    with monkeypatch.context() as patch:
        rate = _training.learning_rate_at
        patch.setattr(
            _training, "learning_rate_at", lambda i, options: seen.append(i) or rate(i, options)
        )
        model = fit()
    return seen, model


def interrupted(monkeypatch, number, fit):
    """Interrupt a fit at an iteration."""
    rate = _training.learning_rate_at

    def learning_rate_at(i, options):
        return press_ctrl_c() if i == number else rate(i, options)

    with monkeypatch.context() as patch:
        patch.setattr(_training, "learning_rate_at", learning_rate_at)
        with pytest.warns(ConvergenceWarning):
            fit()


def test_interrupted_fit_is_taken_up_again(data, tmp_path, monkeypatch):
    settings = {"checkpoint_dir": str(tmp_path), "checkpoint_every": 10}
    expected = make_model().fit(data.W)
    interrupted(monkeypatch, 33, lambda: make_model(**settings).fit(data.W))
    assert_same_fit(make_model(**settings).fit(data.W), expected)


def test_folder_may_be_a_path(data, tmp_path, monkeypatch):
    folder = tmp_path / "not" / "there"
    first = make_model(checkpoint_dir=folder).fit(data.W)
    assert [file.relative_to(folder).as_posix() for file in folder.rglob("*.*")] == [
        "training/training.pt"
    ]
    again = make_model(checkpoint_dir=str(folder))
    seen, _ = iterations_of(monkeypatch, lambda: again.fit(data.W))
    assert seen == []
    assert_same_fit(again, first)
    assert_same_fit(first, make_model().fit(data.W))


def test_fit_of_a_random_state_instance_is_taken_up_again(data, tmp_path, monkeypatch):
    settings = {"checkpoint_dir": tmp_path, "checkpoint_every": 10}
    expected = make_model(random_state=np.random.RandomState(3)).fit(data.W)
    first = make_model(random_state=np.random.RandomState(3), **settings)
    interrupted(monkeypatch, 33, lambda: first.fit(data.W))
    resumed = make_model(random_state=np.random.RandomState(3), **settings)
    seen, _ = iterations_of(monkeypatch, lambda: resumed.fit(data.W))
    assert seen == list(range(30, 40))
    assert_same_fit(resumed, expected)
    # The instance that a fit drew from is at another place, and so is another seed.
    with pytest.raises(CheckpointError, match="other data or settings"):
        resumed.fit(data.W)


def test_warm_fit_is_taken_up_again_from_its_own_start_only(data, tmp_path, monkeypatch):
    settings = {"checkpoint_dir": tmp_path, "checkpoint_every": 10, "warm_start": True}
    start = make_model(random_state=1, max_iter=20).fit(data.W)
    expected = copy.deepcopy(start).set_params(**SMALL, max_iter=40, warm_start=True).fit(data.W)
    settings = {**SMALL, "max_iter": 40, **settings}
    first = copy.deepcopy(start).set_params(**settings)
    interrupted(monkeypatch, 33, lambda: first.fit(data.W))
    resumed = copy.deepcopy(start).set_params(**settings)
    seen, _ = iterations_of(monkeypatch, lambda: resumed.fit(data.W))
    assert seen == list(range(30, 40))
    assert_same_fit(resumed, expected)
    # Its result is another start: taking up the finished fit would train nothing.
    with pytest.raises(CheckpointError, match="other data or settings"):
        resumed.fit(data.W)


def test_where_and_how_loudly_to_run_are_no_settings_of_a_checkpoint(data, tmp_path, capsys):
    first = make_model(checkpoint_dir=str(tmp_path)).fit(data.W)
    again = make_model(
        checkpoint_dir=str(tmp_path), checkpoint_every=7, verbose=True, device="auto"
    )
    assert_same_fit(again.fit(data.W), first)


@pytest.mark.parametrize(
    "setting",
    [{"learning_rate": 0.1}, {"cycle_weight": 0.0}, {"random_state": 1}, {"max_iter": 50}],
)
def test_checkpoint_of_other_settings_is_refused(data, tmp_path, setting):
    make_model(checkpoint_dir=str(tmp_path)).fit(data.W)
    with pytest.raises(CheckpointError, match="other data or settings"):
        make_model(checkpoint_dir=str(tmp_path), **setting).fit(data.W)


def test_checkpoint_of_other_data_is_refused(data, tmp_path):
    make_model(checkpoint_dir=str(tmp_path)).fit(data.W)
    W = data.W.copy()
    W[3, np.flatnonzero(data.visible[3])[0], 0] += 1e-6
    hidden = data.visible.copy()
    hidden[3, np.flatnonzero(data.visible[3])[0]] = False
    weights = np.where(data.visible, 0.5, 1.0)
    for args, kwargs in (
        ((W,), {}),
        ((data.W[:-1],), {}),
        ((data.W,), {"mask": hidden}),
        ((data.W,), {"weights": weights}),
    ):
        with pytest.raises(CheckpointError, match="other data or settings"):
            make_model(checkpoint_dir=str(tmp_path)).fit(*args, **kwargs)


def test_checkpoint_of_other_cameras_or_boxes_is_refused(tmp_path):
    data = make_low_rank(
        40, 10, rank=2, camera="perspective", image_size=(640, 480), random_state=0
    )
    settings = {"camera": "perspective", "checkpoint_dir": str(tmp_path), "max_iter": 5}
    make_model(**settings).fit(data.W, intrinsics=data.intrinsics)
    boxes = np.hstack([data.W.min(1) - 3, data.W.max(1) + 5])
    for side in (
        {"intrinsics": data.intrinsics * [[1.1], [1.1], [1]]},
        {"intrinsics": data.intrinsics, "boxes": boxes},
    ):
        with pytest.raises(CheckpointError, match="other data or settings"):
            make_model(**settings).fit(data.W, **side)


def test_truncated_checkpoint_is_refused(data, tmp_path):
    make_model(checkpoint_dir=str(tmp_path)).fit(data.W)
    (path,) = tmp_path.rglob("*.pt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"could not be read as a checkpoint"):
        make_model(checkpoint_dir=str(tmp_path)).fit(data.W)


def test_a_fit_refused_half_way_leaves_the_fitted_estimator_alone():
    W = np.random.default_rng(0).normal(size=(30, 8, 2))
    model = DeepNRSfMPP(k_last=2, max_iter=3, random_state=0).fit(W)
    X = model.transform(W)
    with pytest.raises(ValueError, match="bones"):
        model.set_params(bones=[(0, 7)]).fit(W[:, :6])
    model.set_params(bones=None)
    assert model.n_points_in_ == 8
    np.testing.assert_array_equal(model.transform(W), X)
