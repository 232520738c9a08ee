import base64
import hashlib
import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from matplotlib import pyplot as plt
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

import nrsfm_learn
from nrsfm_learn import DeepNRSfMPP, TrajectoryBasis
from nrsfm_learn.base import TooPoorWarning
from nrsfm_learn.datasets import make_articulated_body
from nrsfm_learn.metrics import evaluate, format_report, n_mpjpe
from nrsfm_learn.model_selection import hidden_keypoint_score
from nrsfm_learn.report import _page, _sections, write_report
from nrsfm_learn.report._viewer import asset

VOID = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """Collects what a browser would: tags, attributes, text and table rows; refuses bad nesting."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words, self.rows = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def headings(self):
        return re.findall(r"<h2>(.*?)</h2>", self.rawdata)

    def viewer(self):
        return json.loads(self.rawdata.split('id="viewer-data">')[1].split("</script>")[0])

    def row(self, first):
        (found,) = (row[1:] for row in self.rows if row and row[0] == first)
        return found


def read(path):
    text = path.read_text(encoding="utf-8")
    reader = Reader(text)
    reader.rawdata = text
    return reader


@pytest.fixture(scope="module")
def body():
    body = make_articulated_body(40, motion="walk", clips=2, missing=0.2, random_state=0)
    body.W[7, 2:] = np.nan
    body.visible[7, 2:] = False
    return body


@pytest.fixture(scope="module")
def model(body):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooPoorWarning)
        return DeepNRSfMPP(2, dictionary_sizes=[8, 2], max_iter=5, random_state=11).fit(body.W)


@pytest.fixture(scope="module")
def full(body, model, tmp_path_factory):
    """A report with everything in it, pictures included."""
    path = tmp_path_factory.mktemp("full") / "report.html"
    held_out = make_articulated_body(12, motion="walk", missing=0.1, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooPoorWarning)
        write_report(
            path,
            model,
            body.W,
            X_true=body.X,
            edges=body.edges,
            names=body.names,
            title="Walk",
            held_out={"W": held_out.W, "X_true": held_out.X},
            unit="m",
            fit_seconds=12.3,
        )
    return read(path)


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave the drawing out where a test is not about it."""
    monkeypatch.setattr(_sections, "_png", lambda fig: b"picture")


@pytest.fixture
def few(body):
    """Keypoints without poor frames."""
    return body.W[:6]


def test_report_tells_frames_points_and_what_is_missing(full, body):
    assert (
        "lifted 39 of 40 fitted frames and 12 of 12 held-out frames with 31 keypoints" in full.text
    )
    assert full.row("frames not lifted") == ["1 (7)", "0"]
    assert full.row("missing keypoints")[0] == f"{np.isnan(body.W[..., 0]).mean():.1%}"
    for k, name in enumerate(body.names):
        assert full.row(name)[0] == f"{np.isfinite(body.W[:, k, 0]).mean():.1%}"


@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_report_tells_score_and_errors_as_the_functions_compute_them(full, model, body):
    assert f"{hidden_keypoint_score(model, body.W):.3f} R² on hidden keypoints" in full.text
    results = evaluate(body.X, model.reconstruction_)
    for line, name in zip(format_report(results, unit="m").splitlines(), results, strict=True):
        fitted, held_out = full.row(name)
        assert line.split() == [*name.split(), *fitted.split()]
        assert held_out != fitted
    assert full.row("protocol") == ["fitted frames", "held-out frames"]


def test_report_tells_settings_seed_time_and_versions(full):
    assert full.row("dictionary_sizes") == ["[8, 2]"]
    assert full.row("cycle_weight")
    assert full.row("loss_curve_") == ["array of shape (5,)"]
    assert full.row("seed") == ["11"]
    assert full.row("wall time of the fit") == ["12 s"]
    assert full.row("nrsfm_learn") == [nrsfm_learn.__version__]
    assert full.row("numpy") == [np.__version__]
    assert full.row("scikit-learn") == [sklearn.__version__]
    assert full.row("torch")[0].split("+")[0] == torch.__version__.split("+")[0]
    assert full.row("Python")


def test_report_says_what_is_ambiguous(full):
    assert "one factor for the whole data set" in full.text
    assert "Depth sign" in full.text


def test_report_is_complete_in_itself(full):
    html = full.rawdata
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert not {"link", "iframe", "object", "embed"} & set(full.tags)
    sources = [value for _, name, value in full.attributes if name in ("src", "href", "srcset")]
    assert len(sources) == 2
    for source in sources:
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG\r\n")


def test_policy_forbids_everything_but_the_script_of_the_page(full):
    (policy,) = [v for _, name, v in full.attributes if name == "content" and "default-src" in v]
    (script,) = re.findall("<script>(.*?)</script>", full.rawdata, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]
    # The other script is data, which no browser runs.
    assert full.tags.count("script") == 2
    assert ("script", "type", "application/json") in full.attributes


def test_report_suits_dark_screens_and_phones(full):
    style = full.rawdata.split("<style>")[1].split("</style>")[0]
    assert "@media (prefers-color-scheme: dark)" in style
    assert style.count("{") == style.count("}")
    assert ("meta", "name", "viewport") in full.attributes
    # Each of the two style sheets has its dark rules behind the light ones.
    for sheet in (_page._STYLE, asset("viewer.css")):
        light, dark = sheet.split("@media (prefers-color-scheme: dark)")
        colours = set(re.findall(r"(--[\w-]+): #", light))
        assert colours
        assert set(re.findall(r"(--[\w-]+): #", dark)) == colours
    used = set(re.findall(r"var\((--[\w-]+)\)", style))
    assert used <= set(re.findall(r"(--[\w-]+):", style))


def test_pictures_are_described(full):
    descriptions = [value for tag, name, value in full.attributes if name == "alt"]
    assert len(descriptions) == 2
    assert "held-out frames" in descriptions[0]


def test_report_leaves_no_figure_open(model, few, tmp_path):
    before = plt.get_fignums()
    write_report(tmp_path / "r.html", model, few)
    assert plt.get_fignums() == before


def test_mask_and_nan_give_the_same_report(model, body, tmp_path):
    hidden = np.isnan(body.W[:6, :, 0])
    filled = np.where(hidden[..., None], 0.5, body.W[:6])
    with_nan = write_report(tmp_path / "nan.html", model, body.W[:6])
    with_mask = write_report(tmp_path / "mask.html", model, filled, mask=~hidden)
    assert with_nan.read_bytes() == with_mask.read_bytes()


@pytest.mark.usefixtures("no_pictures")
def test_without_ground_truth_there_are_no_errors(model, few, tmp_path):
    report = read(write_report(tmp_path / "r.html", model, few))
    assert report.headings() == [
        "Reconstruction",
        "Keypoint by keypoint",
        "Training",
        "Data",
        "What these data cannot tell",
        "Settings",
        "How it was made",
    ]
    assert "normalized_error" not in report.text
    assert "fitted frames" not in report.text
    assert report.row("point 30")


@pytest.mark.usefixtures("no_pictures")
def test_ground_truth_of_the_held_out_frames_alone(model, few, body, tmp_path):
    held_out = {"W": few, "X_true": body.X[:6]}
    report = read(write_report(tmp_path / "r.html", model, few, held_out=held_out))
    assert report.row("protocol") == ["held-out frames"]


@pytest.mark.usefixtures("no_pictures")
def test_poor_frames_are_warned_of_once(model, body, tmp_path):
    with pytest.warns(TooPoorWarning) as caught:
        write_report(tmp_path / "r.html", model, body.W)
    assert sum(w.category is TooPoorWarning for w in caught) == 1


@pytest.mark.usefixtures("no_pictures")
def test_everything_that_users_write_is_escaped(model, few, tmp_path):
    bad = "</script><script>alert('1')</script><!-- & \"co\" $x"
    model = DeepNRSfMPP(2, dictionary_sizes=[8, 2], max_iter=1, checkpoint_dir=None).fit(few)
    model.set_params(checkpoint_dir=bad)
    names = [bad, *map(str, range(30))]
    path = write_report(
        tmp_path / "r.html",
        model,
        few,
        title=bad,
        names=names,
        notes=[bad],
        groups=[bad] * 3 + ["b"] * 3,
        unit=bad,
    )
    report = read(path)
    assert report.tags.count("script") == 2
    assert report.words.count(bad) >= 4
    assert report.viewer()["names"][0] == bad
    assert bad in report.viewer()["parts"][0]["clips"]["labels"]
    assert report.viewer()["unit"] == bad
    assert report.row("checkpoint_dir") == [repr(bad)]
    assert report.row("seed") == ["none: another run gives another result"]


@pytest.mark.usefixtures("no_pictures")
def test_perspective_reads_side_inputs_and_has_notes_of_its_own(tmp_path):
    cars = make_articulated_body(12, camera="perspective", image_size=(640, 480), random_state=0)
    side = {"intrinsics": cars.intrinsics}
    model = DeepNRSfMPP(2, dictionary_sizes=[8, 2], camera="perspective", max_iter=2)
    model.fit(cars.W, **side)
    report = read(write_report(tmp_path / "r.html", model, cars.W, side_inputs=side))
    assert "Depth sign" not in report.text
    assert "under a perspective camera each frame is known up to one factor" in report.text


class Flat(BaseEstimator):
    """An estimator of someone else: the least that a report needs."""

    def fit(self, W, y=None):
        self.depth_ = 0.0
        return self

    def transform(self, W):
        W = np.nan_to_num(W)
        return np.concatenate([W, np.full_like(W[..., :1], self.depth_)], axis=-1)

    def inverse_transform(self, X):
        return X[..., :2]


@pytest.mark.usefixtures("no_pictures")
def test_any_estimator_will_do(few, tmp_path):
    report = read(write_report(tmp_path / "r.html", Flat().fit(few), few))
    assert "Flat lifted 6 of 6 frames" in report.text
    assert "Training" not in report.headings()
    assert report.row("depth_") == ["0.0"]


@pytest.mark.usefixtures("no_pictures")
def test_score_where_nothing_can_be_hidden(model, few, tmp_path):
    W = few.copy()
    order = np.argsort(np.isnan(W[..., 0]), axis=1, kind="stable")
    np.put_along_axis(W, order[:, 3:, None], np.nan, axis=1)
    assert "nothing to hide" in read(write_report(tmp_path / "r.html", model, W)).text


@pytest.mark.usefixtures("no_pictures")
def test_missing_folders_are_made_and_a_string_is_a_path(model, few, tmp_path):
    path = write_report(str(tmp_path / "a" / "b" / "r.html"), model, few)
    assert path == tmp_path / "a" / "b" / "r.html"
    assert path.is_file()


@pytest.mark.usefixtures("no_pictures")
def test_an_old_report_is_replaced_whole_or_not_at_all(model, few, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("old")

    def full_disk(self, target):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        with pytest.raises(OSError, match="no space left"):
            write_report(path, model, few)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    write_report(path, model, few)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.usefixtures("no_pictures")
def test_a_tilde_is_the_home_folder_as_of_the_writers_of_data(model, few, tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert write_report("~/r.html", model, few) == tmp_path / "r.html"


def test_a_folder_as_path_is_refused(model, few, tmp_path):
    with pytest.raises(ValueError, match=r"is a folder: name the file, such as .*report\.html"):
        write_report(tmp_path, model, few)


def test_a_path_through_a_file_is_refused(model, few, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="leads through something that is no folder"):
        write_report(tmp_path / "file" / "r.html", model, few)


def test_unfitted_estimator_is_refused(few, tmp_path):
    with pytest.raises(NotFittedError):
        write_report(tmp_path / "r.html", DeepNRSfMPP(), few)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["a", "b"]}, "names has 2 entries, but W has 31 points"),
        ({"X_true": np.zeros((5, 31, 3))}, "X_true has"),
        ({"held_out": {"X_true": None}}, "held_out must be a dict with W"),
        (
            {"held_out": {"W": np.zeros((2, 31, 2)), "truth": None}},
            r"got the keys \['W', 'truth'\]",
        ),
    ],
)
def test_malformed_arguments_are_named(model, few, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / "r.html", model, few, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"notes": "one"}, TypeError, "notes must be a sequence of str"),
        ({"fps": 0}, ValueError, "fps=0 must be a positive number"),
        ({"fps": "30"}, ValueError, "fps='30' must be a positive number"),
        ({"viewer_frames": 0}, ValueError, "viewer_frames=0 must be at least 1"),
        ({"groups": ["a"]}, ValueError, "groups must have shape"),
        ({"frame_numbers": np.arange(5)}, ValueError, r"frame_numbers must have shape .*\(6,\)"),
        ({"frame_numbers": np.zeros(6)}, TypeError, "they must be integers"),
        ({"confidence": np.ones((6, 30))}, ValueError, "confidence must have shape"),
        ({"confidence": np.full((6, 31), 50.0)}, ValueError, r"is 50 at frame 0, point 0 \(and"),
        ({"confidence": [["a"]]}, TypeError, "it must hold numbers"),
        ({"reconstruction": np.zeros((6, 30, 3))}, ValueError, "reconstruction has"),
        ({"edges": [(0, 31)]}, ValueError, "names a point outside"),
        ({"held_out": {"W": np.zeros((2, 30, 2))}}, ValueError, "30 points"),
    ],
)
def test_malformed_arguments_of_the_view_are_named(model, few, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        write_report(tmp_path / "r.html", model, few, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_pictures")
def test_notes_come_first(model, few, tmp_path):
    notes = ["12 keypoints were hidden.", "Frame 3 < frame 4."]
    report = read(write_report(tmp_path / "r.html", model, few, notes=notes))
    assert report.headings()[0] == "What to know"
    assert all(note in report.words for note in notes)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_frames_go_by_the_numbers_that_the_user_gives_them(model, body, tmp_path):
    numbers = 3 * np.arange(40) + 100
    path = write_report(tmp_path / "r.html", model, body.W, frame_numbers=numbers)
    report = read(path)
    assert report.row("frames not lifted") == ["1 (121)"]
    assert report.viewer()["parts"][0]["frame_numbers"] == numbers.tolist()


def test_picture_names_frames_by_their_numbers(model, few, tmp_path, monkeypatch):
    titles = []

    def keep(fig):
        titles.extend(ax.get_title() for ax in fig.axes if ax.get_title())
        return b"picture"

    monkeypatch.setattr(_sections, "_png", keep)
    write_report(tmp_path / "r.html", model, few, frame_numbers=10 * np.arange(6) + 5)
    assert titles[0] == "frame 5"
    assert titles[3] == "frame 55"


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_given_reconstruction_is_reported_on_without_another_fit(body, tmp_path, monkeypatch):
    estimator = TrajectoryBasis(1, n_init=1, max_iter=2).fit(body.X[8:28, :, :2])
    assert not estimator.__sklearn_tags__().nrsfm_tags.inductive

    def refuse(*args, **kwargs):
        raise AssertionError("asked to lift or to fit")

    monkeypatch.setattr(TrajectoryBasis, "transform", refuse)
    monkeypatch.setattr(TrajectoryBasis, "fit", refuse)
    X = body.X[8:28].copy()
    X[2] = np.nan
    path = write_report(
        tmp_path / "r.html", estimator, body.W[8:28], reconstruction=X, X_true=body.X[8:28]
    )
    report = read(path)
    assert "TrajectoryBasis lifted 19 of 20 frames" in report.text
    assert "not measured" in report.text
    assert report.row("normalized_error (procrustes)") == ["0.00 %"]
    assert report.row("frames not lifted") == ["1 (2)"]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_a_mirrored_reconstruction_is_still_one_of_the_fitted_frames(model, body, tmp_path):
    X = model.reconstruction_ * np.array([1, 1, -1])
    report = read(write_report(tmp_path / "r.html", model, body.W, reconstruction=X))
    assert "39 of 40 fitted frames" in report.text
    assert f"{hidden_keypoint_score(model, body.W):.3f} R²" in report.text


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_confidence_of_the_fit_is_shown_for_its_frames_alone(model, body, tmp_path, monkeypatch):
    confidence = np.full((40, 31), 0.25)
    confidence[:, 3] = 0.75
    monkeypatch.setattr(model, "confidence_", confidence, raising=False)
    report = read(write_report(tmp_path / "a.html", model, body.W))
    assert report.row(f"point {3}")[1] == "75%"
    assert report.row(f"point {4}")[1] == "25%"
    assert report.viewer()["parts"][0]["confidence_means"][3] == 0.75
    others = read(write_report(tmp_path / "b.html", model, body.W[8:20]))
    assert others.viewer()["parts"][0]["confidence"] is None
    given = read(write_report(tmp_path / "c.html", model, body.W, confidence=confidence / 2))
    assert given.viewer()["parts"][0]["confidence_means"][4] == 0.125


@pytest.mark.filterwarnings("ignore::nrsfm_learn.base.TooPoorWarning")
def test_errors_of_the_keypoints_agree_with_the_metric(full, model, body):
    kept = np.isfinite(model.reconstruction_).all((1, 2))
    X, X_true = model.reconstruction_[kept], body.X[kept]
    shown = [float(full.row(name)[2].removesuffix(" m")) for name in body.names]
    assert np.mean(shown) == pytest.approx(n_mpjpe(X_true, X, flip="frame"), rel=1e-3)
    assert full.row("keypoint")[:3] == [
        "visible, fitted frames",
        "visible, held-out frames",
        "error, fitted frames",
    ]


def test_table_without_headings_or_numbers():
    reader = Reader(_page.table([("a<b", "1", "2")]))
    assert reader.rows == [["a<b", "1", "2"]]
    assert "thead" not in reader.tags
