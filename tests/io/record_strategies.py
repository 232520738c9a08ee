"""Records with everything that can be in them, for round trips."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nrsfm_learn.io import Keypoints, Points3D

# Whatever text is: separators, quotes, line ends, control characters, right-to-left marks.
TEXT = st.text(
    st.one_of(
        st.sampled_from(list(",;\t\"'#:_. xyz\n\r\\é")),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=6,
)
COORDINATES = st.floats(-1e100, 1e100, allow_nan=False)
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def positions(draw, n_frames, n_points, n_axes):
    X = draw(hnp.arrays(np.float64, (n_frames, n_points, n_axes), elements=COORDINATES))
    X[draw(hnp.arrays(bool, (n_frames, n_points)))] = np.nan
    return X


@st.composite
def common(draw):
    n_frames, n_points = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    point = st.integers(0, n_points - 1)
    scores = st.one_of(st.just(np.nan), COORDINATES)
    individuals = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    who = st.integers(0, len(individuals) - 1)
    return (n_frames, n_points), {
        "names": draw(st.lists(TEXT, min_size=n_points, max_size=n_points, unique=True)),
        "edges": draw(st.lists(st.tuples(point, point), max_size=3)),
        "fps": draw(st.none() | st.floats(1e-3, 1e6)),
        "individuals": individuals,
        "individual": draw(hnp.arrays(np.int64, n_frames, elements=who)),
        "clips": draw(hnp.arrays(np.int64, n_frames, elements=INT64)),
        "frames": draw(hnp.arrays(np.int64, n_frames, elements=INT64)),
        "confidence": draw(
            st.none() | hnp.arrays(np.float64, (n_frames, n_points), elements=scores)
        ),
    }


@st.composite
def keypoints(draw, with_truth=True):
    (n_frames, n_points), others = draw(common())
    return Keypoints(
        draw(positions(n_frames, n_points, 2)),
        X=draw(positions(n_frames, n_points, 3)) if with_truth and draw(st.booleans()) else None,
        **others,
    )


@st.composite
def points_3d(draw):
    (n_frames, n_points), others = draw(common())
    X = draw(positions(n_frames, n_points, 3))
    return Points3D(X, unit=draw(TEXT), axes=draw(TEXT), **others)
