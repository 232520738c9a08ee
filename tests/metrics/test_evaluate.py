import numpy as np
import pytest

from nrsfm_learn.metrics import (
    auc,
    coverage,
    e3d,
    evaluate,
    format_report,
    mpjpe,
    n_mpjpe,
    normalized_error,
    pa_mpjpe,
    pck,
    stress,
)


@pytest.fixture
def shapes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 7, 3))
    return X, X * [1, 1, -1] + 0.3 * rng.normal(size=X.shape)


def test_every_name_holds_the_protocol_that_it_says(shapes):
    X, Y = shapes
    mask = np.random.default_rng(1).random((6, 7)) < 0.8
    results = evaluate(X, Y, mask, threshold=0.5)
    m = {"mask": mask}
    expected = {
        "normalized_error (procrustes)": normalized_error(X, Y, protocol="procrustes", **m),
        "normalized_error (frobenius, no flip)": normalized_error(X, Y, protocol="frobenius", **m),
        "normalized_error (frobenius, depth flip per frame)": normalized_error(
            X, Y, protocol="frobenius", flip="frame", **m
        ),
        "e3d (no alignment, depth flip per sequence)": e3d(
            X, Y, protocol="none", flip="sequence", **m
        ),
        "e3d (one orthogonal matrix per sequence)": e3d(X, Y, protocol="sequence", **m),
        "e3d (one orthogonal matrix per frame)": e3d(X, Y, protocol="frame", **m),
        "mpjpe (mean-centred, no flip)": mpjpe(X, Y, **m),
        "mpjpe (mean-centred, depth flip per sequence)": mpjpe(X, Y, flip="sequence", **m),
        "n_mpjpe (mean-centred, depth flip per frame)": n_mpjpe(X, Y, flip="frame", **m),
        "pa_mpjpe (no flip)": pa_mpjpe(X, Y, **m),
        "pa_mpjpe (depth flip per frame)": pa_mpjpe(X, Y, flip="frame", **m),
        "stress": stress(X, Y, **m),
        "pck (pa_mpjpe, no flip, threshold 0.5)": pck(
            X, Y, threshold=0.5, protocol="pa_mpjpe", **m
        ),
        "auc (mpjpe, no flip, threshold 0.5)": auc(X, Y, threshold=0.5, protocol="mpjpe", **m),
        "coverage": 1.0,
    }
    assert expected.items() <= results.items()
    assert len(results) == 1 + 3 + 3 + 2 + 9 + 1 + 6 + 1
    assert all(type(value) is float for value in results.values())
    assert not any(name.startswith(("pck", "auc")) for name in evaluate(X, Y))


def test_coverage_counts_frames_that_have_ground_truth(shapes):
    X, Y = (A.copy() for A in shapes)
    X[0], Y[1:3] = np.nan, np.nan
    assert coverage(X, Y) == pytest.approx(3 / 5)
    mask = np.ones((6, 7), bool)
    mask[1, 1:] = False
    assert coverage(X, Y, mask=mask) == pytest.approx(3 / 4)
    assert evaluate(X, Y)["coverage"] == pytest.approx(3 / 5)


def test_report_prints_lengths_with_unit_and_ratios_in_percent(shapes):
    results = evaluate(*shapes)
    text = format_report(results, unit="mm")
    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(results)
    ratio = results["normalized_error (procrustes)"]
    assert lines[0].endswith(f"{100 * ratio:.2f} %")
    assert lines[-2].startswith("stress ")
    assert lines[-2].endswith(f"{results['stress']:.4g} mm")
    assert lines[-1].endswith("100.00 %")
    with pytest.raises(ValueError, match="results is empty"):
        format_report({})
