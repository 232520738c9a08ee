import numpy as np
import pytest
import torch

from nrsfm_learn._validation import (
    check_boxes,
    check_groups,
    check_intrinsics,
    check_visible_weights,
)

K = np.array([[1000.0, 0.5, 320.0], [0.0, 900.0, 240.0], [0.0, 0.0, 1.0]])


def test_weights():
    weights = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    checked = check_visible_weights(weights, (6, 5))
    assert checked.dtype == np.float64
    assert not np.shares_memory(checked, weights)
    np.testing.assert_array_equal(checked, weights)
    checked = check_visible_weights([0, 1, 2, 3, 4], (6, 5))
    np.testing.assert_array_equal(checked, np.tile(np.arange(5.0), (6, 1)))
    assert checked.flags.writeable
    visible = np.ones((6, 5), dtype=bool)
    visible[2, 3] = False
    weights[2, 3] = np.nan
    checked = check_visible_weights(weights, (6, 5), visible)
    assert checked[2, 3] == 0.0
    np.testing.assert_array_equal(checked[visible], weights[visible])


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_weights_refuses_values(value):
    weights = np.ones((6, 5))
    weights[4, 1] = value
    with pytest.raises(ValueError, match=r"weights must be finite .* at frame 4, point 1\. .*mask"):
        check_visible_weights(weights, (6, 5))


def test_weights_refuses_shapes_and_zeros():
    with pytest.raises(ValueError, match=r"weights .*\(6, 5\).*got \(5, 6\).*weights\.T"):
        check_visible_weights(np.ones((5, 6)), (6, 5))
    with pytest.raises(ValueError, match=r"weights .*got \(6,\)"):
        check_visible_weights(np.ones(6), (6, 5))
    with pytest.raises(ValueError, match=r"weights are all 0.*None"):
        check_visible_weights(np.zeros((6, 5)), (6, 5))


def test_intrinsics():
    checked = check_intrinsics(K.tolist(), 6)
    np.testing.assert_array_equal(checked, K)
    assert checked.dtype == np.float64
    each = np.tile(K, (6, 1, 1))
    np.testing.assert_array_equal(check_intrinsics(torch.tensor(each), 6), each)
    assert check_intrinsics(each[:1], 1).shape == (1, 3, 3)


@pytest.mark.parametrize(
    ("index", "value", "match"),
    [
        ((2, 2), 2.0, r"last row \(0, 0, 1\)"),
        ((2, 0), 1.0, r"last row \(0, 0, 1\)"),
        ((1, 0), 1.0, r"upper triangular"),
        ((0, 0), 0.0, r"positive focal lengths"),
        ((1, 1), -900.0, r"positive focal lengths"),
        ((0, 2), np.nan, r"not finite"),
        ((0, 2), np.inf, r"not finite"),
    ],
)
def test_intrinsics_refuses_matrices(index, value, match):
    bad = K.copy()
    bad[index] = value
    with pytest.raises(ValueError, match=r"intrinsics.*" + match):
        check_intrinsics(bad, 6)
    each = np.tile(K, (6, 1, 1))
    each[3] = bad
    with pytest.raises(ValueError, match=match + r".* in frame 3"):
        check_intrinsics(each, 6)


def test_intrinsics_refuses_transposed_and_other_shapes():
    with pytest.raises(ValueError, match=r"seem transposed.*intrinsics\.swapaxes"):
        check_intrinsics(K.T, 6)
    for bad in (np.tile(K, (5, 1, 1)), K[:2], [1000, 900, 320, 240]):
        with pytest.raises(ValueError, match=r"intrinsics must have shape .*\(6, 3, 3\), got"):
            check_intrinsics(bad, 6)


def test_groups():
    np.testing.assert_array_equal(check_groups([0, 0, 1], 3), [0, 0, 1])
    np.testing.assert_array_equal(check_groups(["a", "b", "a"], 3), ["a", "b", "a"])
    with pytest.raises(ValueError, match=r"groups must have shape .*\(4,\).*np\.repeat"):
        check_groups([0, 0, 1], 4)
    with pytest.raises(ValueError, match="groups has no label at frame 1"):
        check_groups([0, np.nan, 1], 3)
    with pytest.raises(ValueError, match="groups has no label at frame 2"):
        check_groups(np.array(["a", "b", None], dtype=object), 3)


def test_boxes():
    boxes = [[0, 0, 2, 3], [-1, -2, 0, 1]]
    np.testing.assert_array_equal(check_boxes(boxes, 2), boxes)
    with pytest.raises(ValueError, match=r"x1 > x0 .* at frame 1 .*np\.c_\["):
        check_boxes([[0, 0, 2, 3], [10, 20, 4, 5]], 2)
    with pytest.raises(ValueError, match=r"not finite at frame 0.*boxes=None"):
        check_boxes([[0, 0, np.nan, 3], [0, 0, 4, 5]], 2)
    with pytest.raises(ValueError, match=r"\(6, 4\).*got \(4, 6\).*boxes\.T"):
        check_boxes(np.zeros((4, 6)), 6)
