import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nrsfm_learn._validation import (
    check_mask,
    check_shapes_3d,
    check_W,
    constant_frames,
    poor_frames,
    split_y,
)


@pytest.fixture
def W():
    return np.random.default_rng(0).normal(size=(6, 5, 2))


# ---------------------------------------------------------------------------------------------
# What is accepted


def test_complete_array_comes_back_as_a_fresh_copy(W):
    checked, visible = check_W(W)
    np.testing.assert_array_equal(checked, W)
    assert visible.all()
    assert visible.shape == (6, 5)
    assert visible.dtype == bool
    assert not np.shares_memory(checked, W)


@pytest.mark.parametrize(
    ("given_dtype", "dtype"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("float16", "float32"),
        ("longdouble", "float64"),
        (">f8", "float64"),
        ("int64", "float64"),
        ("uint8", "float64"),
    ],
)
def test_dtypes(given_dtype, dtype):
    W = np.arange(24).reshape(3, 4, 2).astype(given_dtype)
    checked, _ = check_W(W)
    assert checked.dtype == np.dtype(dtype)
    assert checked.dtype.isnative
    np.testing.assert_array_equal(checked, np.arange(24).reshape(3, 4, 2))


def test_lists_tensors_and_strided_views(W):
    tensor = torch.tensor(W, requires_grad=True)
    strided = np.asfortranarray(W)[::-1]
    for given_W, expected in ((W.tolist(), W), (tensor, W), (strided, W[::-1])):
        checked, _ = check_W(given_W)
        np.testing.assert_array_equal(checked, expected)
        assert checked.flags.c_contiguous
        assert checked.flags.writeable
    checked, _ = check_W(tensor)
    checked[0, 0] = 7.0
    assert tensor[0, 0, 0].item() == W[0, 0, 0]


def test_input_is_never_written(W):
    mask = np.ones((6, 5), dtype=bool)
    mask[2, 3] = False
    before, mask_before = W.copy(), mask.copy()
    W.setflags(write=False)
    mask.setflags(write=False)
    checked, visible = check_W(W, mask)
    visible[:] = False
    checked[:] = 0.0
    np.testing.assert_array_equal(W, before)
    np.testing.assert_array_equal(mask, mask_before)


def test_mask_and_nan_hide_what_either_hides(W):
    mask = np.ones((6, 5), dtype=bool)
    mask[0, 1] = mask[4, 4] = False
    W[0, 1] = np.nan
    W[3, 2] = np.nan
    checked, visible = check_W(W, mask)
    expected = np.ones((6, 5), dtype=bool)
    expected[[0, 4, 3], [1, 4, 2]] = False
    np.testing.assert_array_equal(visible, expected)
    np.testing.assert_array_equal(np.isnan(checked), ~np.repeat(expected[..., None], 2, axis=2))
    np.testing.assert_array_equal(checked[expected], W[expected])


@pytest.mark.parametrize("rubbish", [(np.inf, 0), (np.nan, 1), (1e300, -np.inf), (0, 0)])
def test_hidden_entries_may_hold_anything(W, rubbish):
    W[1, 2] = rubbish
    mask = np.ones((6, 5), dtype=bool)
    mask[1, 2] = False
    checked, visible = check_W(W, mask)
    assert not visible[1, 2]
    assert np.isnan(checked[1, 2]).all()
    assert visible.sum() == 29


@settings(deadline=None, max_examples=50)
@given(
    W=hnp.arrays(np.float64, (4, 3, 2), elements=st.floats(-1e6, 1e6, allow_nan=False, width=64)),
    mask=hnp.arrays(bool, (4, 3)),
)
def test_a_mask_equals_nan(W, mask):
    with_nan = np.where(mask[..., None], W, np.nan)
    from_mask = check_W(W, mask)
    from_nan = check_W(with_nan)
    from_both = check_W(with_nan, mask)
    for other in (from_nan, from_both):
        np.testing.assert_array_equal(from_mask[0], other[0])
        np.testing.assert_array_equal(from_mask[1], other[1])


def test_poor_frames_are_allowed_unless_asked(W):
    W[2, :3] = np.nan
    W[5] = np.nan
    _, visible = check_W(W)
    np.testing.assert_array_equal(poor_frames(visible), [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(poor_frames(visible, min_visible=2), [0, 0, 0, 0, 0, 1])
    with pytest.raises(ValueError, match=r"W has 2 frame\(s\) .* 3 visible .*\[2, 5\].*Drop them"):
        check_W(W, poor_frames="raise")
    check_W(W, poor_frames="raise", min_visible=0)


def test_no_warning_for_nan_and_infinities_that_are_hidden(W):
    W[0] = np.nan
    W[1, 0] = np.inf
    mask = np.ones((6, 5), dtype=bool)
    mask[1, 0] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_W(W, mask, allow_constant=False, allow_unseen_points=False)


# ---------------------------------------------------------------------------------------------
# What is refused, and what the message says


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        (np.zeros((6, 5, 2), dtype=complex), ValueError, r"Complex data .* W has dtype complex128"),
        (np.full((6, 5, 2), "1.0"), TypeError, r"W has dtype <U3; .*np\.asarray\(W, dtype=float"),
        (np.full((6, 5, 2), None), TypeError, r"W has dtype object.*np\.nan, not None"),
        (np.ones((6, 5, 2), dtype=bool), TypeError, r"W has dtype bool.*mask exchanged"),
        (np.ma.masked_invalid(np.zeros((6, 5, 2))), TypeError, r"W\.filled\(np\.nan\)"),
        (scipy.sparse.eye(4), TypeError, r"W is a sparse matrix.*W\.toarray\(\)"),
        ([[[1.0, 2.0]], [[1.0]]], ValueError, r"W is not a regular array.*np\.nan"),
        (torch.zeros(6, 5, 2, dtype=torch.bfloat16), TypeError, r"bfloat16.*W\.float\(\)"),
    ],
)
def test_refuses_what_is_no_real_number(bad, error, match):
    with pytest.raises(error, match=match):
        check_W(bad)


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((6, 10), r"\(n_frames, n_points, 2\), got \(6, 10\).*W\.reshape\(len\(W\), -1, 2\)"),
        ((12, 5), r"W\.reshape\(-1, 2, 5\)\.swapaxes\(1, 2\)"),
        ((6, 2, 5), r"got \(6, 2, 5\).*W\.swapaxes\(1, 2\)"),
        ((2, 6, 5), r"np\.moveaxis\(W, 0, -1\)"),
        ((6, 5, 3), r"looks like 3-D points.*W\[\.\.\., :2\].*mask=W\[\.\.\., 2\] > threshold"),
        ((4, 6, 5, 2), r"W\.reshape\(-1, \*W\.shape\[2:\]\)"),
        ((5, 2), r"single frame, pass W\[None\]"),
        ((5,), r"got \(5,\)"),
        ((), r"got \(\)"),
        ((6, 0, 2), r"W has 0 points"),
        ((0, 5, 2), r"W has 0 frame\(s\) .*minimum of 1"),
    ],
)
def test_refuses_other_shapes(shape, match):
    with pytest.raises(ValueError, match=match):
        check_W(np.zeros(shape))


def test_the_ways_out_of_a_wrong_shape_are_right(W):
    interleaved = W.reshape(6, 10)
    np.testing.assert_array_equal(interleaved.reshape(len(interleaved), -1, 2), W)
    all_x_first = np.concatenate([W[..., 0], W[..., 1]], axis=1)
    np.testing.assert_array_equal(np.stack(np.split(all_x_first, 2, axis=1), axis=-1), W)
    stacked = W.swapaxes(1, 2).reshape(12, 5)
    np.testing.assert_array_equal(stacked.reshape(-1, 2, 5).swapaxes(1, 2), W)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_refuses_infinities(W, value):
    W[4, 3, 1] = value
    W[5, 0, 0] = value
    match = r"W is infinite at frame 4, point 3 \(and 1 more\).*mask\[4, 3\] = False"
    with pytest.raises(ValueError, match=match):
        check_W(W)


@pytest.mark.parametrize(("axis", "letter"), [(0, "x"), (1, "y")])
def test_refuses_half_missing_points(W, axis, letter):
    W[2, 4, axis] = np.nan
    match = rf"W is NaN in {letter} only at frame 2, point 4\..*mask\[2, 4\] = False"
    with pytest.raises(ValueError, match=match):
        check_W(W)


@pytest.mark.parametrize(("dtype", "value"), [("float64", -2e150), ("float32", 3e18)])
def test_refuses_values_whose_squares_overflow(W, dtype, value):
    W = W.astype(dtype)
    W[1, 0, 1] = value
    with pytest.raises(ValueError, match=r"too large at frame 1, point 0: .*e\+.*Rescale"):
        check_W(W)
    W[1, 0, 1] = value / 4
    check_W(W)
    assert np.isfinite((W[1, 0, 1] * W[1, 0, 1]) * 8)


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.ones((6, 5), dtype=int), TypeError, r"mask .* dtype int64.*mask\.astype\(bool\)"),
        (np.full((6, 5), 0.7), TypeError, r"mask .* dtype float64.*mask > threshold"),
        (np.full((6, 5), 2), TypeError, r"mask must be boolean, got dtype int64"),
        (np.full((6, 5), "yes"), TypeError, r"mask must be boolean"),
        (np.ones((5, 6), dtype=bool), ValueError, r"\(6, 5\), got \(5, 6\).*pass mask\.T"),
        (np.ones((6, 5, 2), dtype=bool), ValueError, r"mask\.all\(axis=-1\)"),
        (np.ones(5, dtype=bool), ValueError, r"np\.broadcast_to\(mask, \(6, 5\)\)"),
        (np.ones((6, 4), dtype=bool), ValueError, r"\(6, 5\), got \(6, 4\)\.$"),
    ],
)
def test_refuses_other_masks(W, mask, error, match):
    with pytest.raises(error, match=match):
        check_W(W, mask)


def test_mask_may_be_a_list_or_a_tensor(W):
    mask = np.random.default_rng(1).random((6, 5)) > 0.3
    for given_mask in (mask.tolist(), torch.tensor(mask)):
        np.testing.assert_array_equal(check_W(W, given_mask)[1], mask)
        np.testing.assert_array_equal(check_mask(given_mask, (6, 5)), mask)


def test_refuses_too_few_frames(W):
    check_W(W, min_frames=6)
    with pytest.raises(ValueError, match=r"W has 6 frame\(s\) \(n_samples=6.*minimum of 7"):
        check_W(W, min_frames=7)


def test_refuses_another_number_of_points(W):
    check_W(W, n_points=5)
    match = r"keypoints has 5 points, but DeepNRSfMPP is expecting 7 points as input"
    with pytest.raises(ValueError, match=match):
        check_W(W, n_points=7, name="keypoints", estimator_name="DeepNRSfMPP")


def test_refuses_points_never_seen(W):
    W[:, 1] = np.nan
    mask = np.ones((6, 5), dtype=bool)
    mask[:, 3] = False
    check_W(W, mask)
    with pytest.raises(ValueError, match=r"point\(s\) \[1, 3\].*np\.delete\(W, \[1, 3\], axis=1\)"):
        check_W(W, mask, allow_unseen_points=False)


def test_refuses_constant_frames(W):
    W[1] = (3.0, -2.0)
    W[3] = (1e7, 1e7)
    W[3, 0] = np.nan
    W[4] = np.nan
    W[5] = np.nan
    W[5, 0] = 1.0
    check_W(W)
    with pytest.raises(ValueError, match=r"W is constant in 2 frame\(s\): \[1, 3\].*np\.nan"):
        check_W(W, allow_constant=False)


def test_constant_frames_ignores_rounding_and_single_points(W):
    W[0] = 1 / 3
    W[0, 2] *= 1 + 1e-16
    W[1, 1:] = np.nan
    W[2] = 1e3
    W[2, 0, 0] += 1e-9
    W[3] = 0.0
    W[4, :, 0] = 1.0
    np.testing.assert_array_equal(constant_frames(W), [1, 0, 0, 1, 0, 0])


def test_many_bad_places_are_not_all_listed():
    W = np.full((100, 4, 2), np.nan)
    with pytest.raises(ValueError, match=r"100 frame\(s\).*\[0, 1, 2, 3, 4, \.\.\.\]"):
        check_W(W, poor_frames="raise")


# ---------------------------------------------------------------------------------------------
# y and 3-D shapes


def test_split_y(W):
    M = np.random.default_rng(1).random((6, 5)) > 0.3
    other = np.random.default_rng(2).random((6, 5)) > 0.3
    X = np.zeros((6, 5, 3), dtype=np.float32)
    assert split_y(None, None) == (None, None)
    assert split_y(None, M)[1] is M
    y, mask = split_y(M, None)
    assert y is None
    np.testing.assert_array_equal(mask, M)
    np.testing.assert_array_equal(split_y(M.tolist())[1], M)
    np.testing.assert_array_equal(split_y(torch.tensor(M))[1], M)
    np.testing.assert_array_equal(split_y(M, other)[1], M & other)
    y, mask = split_y(X, M)
    assert y is X
    assert mask is M
    assert split_y(X.astype(int))[0].dtype == np.float64


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.ones((6, 5), dtype=int), r"y has dtype int64.*y\.astype\(bool\)"),
        (np.zeros((6, 5, 2)), r"shape \(6, 5, 2\).*\(n_frames, n_points, 3\)"),
        (np.arange(6), r"shape \(6,\)"),
        (np.ones((6, 5, 3), dtype=bool), r"dtype bool and shape \(6, 5, 3\)"),
        (["a"] * 6, r"dtype <U1"),
    ],
)
def test_split_y_refuses_anything_else(y, match):
    with pytest.raises(TypeError, match=match):
        split_y(y, None)


def test_split_y_refuses_two_masks_that_differ_in_shape():
    with pytest.raises(ValueError, match=r"mask must have shape .*\(6, 5\), got \(6, 4\)"):
        split_y(np.ones((6, 5), dtype=bool), np.ones((6, 4), dtype=bool))


def test_shapes_3d():
    X = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    X[1, 2] = np.nan
    checked = check_shapes_3d(X, "X_true", (6, 5))
    np.testing.assert_array_equal(checked, X)
    assert checked.dtype == np.float32
    assert not np.shares_memory(checked, X)
    check_shapes_3d(X, "X_true", X.shape)
    with pytest.raises(ValueError, match=r"X_true has .*\(6, 5\), but \(6, 4\) is expected"):
        check_shapes_3d(X, "X_true", (6, 4))
    with pytest.raises(ValueError, match=r"X_true must have .*\(n_frames, n_points, 3\), got"):
        check_shapes_3d(X[..., :2], "X_true")
    with pytest.raises(ValueError, match=r"X\[None\]"):
        check_shapes_3d(X[0])
    with pytest.raises(ValueError, match=r"X\.swapaxes\(1, 2\)"):
        check_shapes_3d(X.swapaxes(1, 2))
    with pytest.raises(ValueError, match=r"X is empty"):
        check_shapes_3d(X[:0])
    X[3, 4, 2] = np.nan
    with pytest.raises(ValueError, match="X is NaN in z only at frame 3, point 4"):
        check_shapes_3d(X)
    X[3, 4, 2] = np.inf
    with pytest.raises(ValueError, match="X is infinite at frame 3, point 4"):
        check_shapes_3d(X)


# ---------------------------------------------------------------------------------------------
# What it costs


def test_memory_stays_under_two_copies():
    W = np.random.default_rng(0).normal(size=(20_000, 31, 2))
    mask = np.random.default_rng(1).random((20_000, 31)) > 0.2
    tracemalloc.start()
    check_W(W, mask, allow_constant=False, allow_unseen_points=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * W.nbytes


def test_the_checks_need_only_numpy():
    # Loaded without the package's own __init__, which is free to import more.
    code = (
        "import importlib.util, sys; import numpy; before = set(sys.modules);"
        "spec = importlib.util.find_spec('nrsfm_learn');"
        "path = spec.submodule_search_locations[0] + '/_validation/__init__.py';"
        "spec = importlib.util.spec_from_file_location('checks', path);"
        "module = importlib.util.module_from_spec(spec); sys.modules['checks'] = module;"
        "spec.loader.exec_module(module);"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "assert not new & {'torch', 'sklearn', 'scipy'}, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
