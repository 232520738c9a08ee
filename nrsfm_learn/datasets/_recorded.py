"""Loaders of recorded benchmark sequences from a folder that the user names."""

import os
from pathlib import Path

import numpy as np
import scipy.io
from scipy.spatial.transform import Rotation
from sklearn.utils import Bunch

from nrsfm_learn.datasets._asf_amc import load_asf_amc
from nrsfm_learn.datasets._cameras import quaternions_to_matrices

_CMU = (
    "the CMU Graphics Lab Motion Capture Database (recordings of a subject in ASF/AMC format, one "
    "folder a subject)"
)
_AKHTER = (
    "the authors of Trajectory Space (Akhter, Sheikh, Khan and Kanade, TPAMI 2011), whose "
    "sequences are part of many NRSfM code releases"
)
_JAWS = (
    "the code release em-sfm of Torresani, Hertzmann and Bregler (Nonrigid structure-from-motion, "
    "TPAMI 2008)"
)
_SHORT = ("drink", "pickup", "yoga", "stretch", "dance")
_EVERY = 4
_FPS = 30.0


def get_data_home(data_home=None):
    """Folder in which recorded data are looked for.

    Parameters
    ----------
    data_home : path, optional
        Folder. By default the environment variable ``NRSFM_LEARN_DATA`` or, where it is not set,
        ``nrsfm_learn_data`` in the home directory.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist.
    """
    if data_home is None:
        data_home = os.environ.get("NRSFM_LEARN_DATA") or Path("~", "nrsfm_learn_data")
    return Path(data_home).expanduser()


def load_short_sequence(name, data_home=None):
    r"""Load one of the short sequences on which NRSfM methods have been compared.

    All points are visible in all frames and the camera is orthographic:
    :math:`W_f = (S_f R_f^\top)_{1:2}`.

    Parameters
    ----------
    name : {"drink", "pickup", "yoga", "stretch", "dance", "shark"}
        Sequence. The first four are people with 41 markers and a camera that goes round them by 5
        degrees a frame; in "dance" (75 points) and "shark" (91, synthetic) the camera stands.
    data_home : path, optional
        Folder with ``akhter2011_mocap/<name>.mat`` and ``torresani2008/jaws.mat``; see
        `get_data_home` for the default.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), centred keypoints.
        - visible : ndarray of shape (n_frames, n_points), bool, all True.
        - X : ndarray of shape (n_frames, n_points, 3), centred points in the camera frame.
        - shapes : ndarray of shape (n_frames, n_points, 3), the same in the world frame, on which
          the published errors of trajectory-space methods are measured.
        - rotations (n_frames, 3, 3), translations (zero), scales (one), intrinsics (None).
        - names, edges : edges are empty where the file has none.
        - groups : ndarray of shape (n_frames,), zero: one clip.
        - published_shapes : ndarray of shape (n_frames, n_points, 3), the reconstruction that
          comes with the file (Trajectory Space), world frame; None for "shark".
        - DESCR.

    Raises
    ------
    ValueError
        If there is no sequence of that name.
    FileNotFoundError
        If the file is not in the folder; the message says who publishes it.

    References
    ----------
    I. Akhter, Y. Sheikh, S. Khan and T. Kanade, Trajectory space: a dual representation for
    nonrigid structure from motion, TPAMI 33(7), 2011.
    L. Torresani, A. Hertzmann and C. Bregler, Nonrigid structure-from-motion: estimating shape and
    motion with hierarchical priors, TPAMI 30(5), 2008.
    """
    edges, published = [], None
    if name == "shark":
        data = _load_mat(_find(data_home, "torresani2008/jaws.mat", _JAWS), ["P3_gt"])
        shapes = blocked(data["P3_gt"], 3)
        rotations = np.tile(np.eye(3), (len(shapes), 1, 1))
    elif name in _SHORT:
        path = _find(data_home, f"akhter2011_mocap/{name}.mat", _AKHTER)
        data = _load_mat(path, ["S", "Shat"])  # codespell:ignore
        shapes, published = (interleaved(data[key], 3) for key in ("S", "Shat"))  # codespell:ignore
        edges = [(int(i) - 1, int(j) - 1) for i, j in data.get("list", [])]
        if "Rs" in data:
            rotations = complete_rotations(data["Rs"])
        else:
            # The camera of "dance" stands and sees y and z.
            rotations = np.tile(np.roll(np.eye(3), 1, axis=1), (len(shapes), 1, 1))
    else:
        raise ValueError(f"name must be one of {[*_SHORT, 'shark']}, got {name!r}.")
    return _bunch(
        shapes,
        rotations,
        names=[f"point{i}" for i in range(shapes.shape[1])],
        edges=edges,
        groups=np.zeros(len(shapes), dtype=int),
        published_shapes=published,
        DESCR=f"Short sequence {name!r}, orthographic camera.",
    )


def load_cmu_joints(subject, data_home=None, *, views="random", random_state=0):
    r"""Load all clips of a subject of the CMU motion capture database, with synthetic cameras.

    Every fourth frame (30 a second) of 31 joints. The protocol of this project: centre each frame,
    divide all of them by one number such that the mean of :math:`\lVert S_f \rVert_F` is
    :math:`\sqrt{31}`, rotate, keep x and y.

    Parameters
    ----------
    subject : int
        Number of the subject, such as 5.
    data_home : path, optional
        Folder with ``cmu_joints_30hz/SNN.npz`` or, as the database delivers it,
        ``cmu_mocap/NN/NN.asf`` and ``cmu_mocap/NN/NN_*.amc``; see `get_data_home` for the default.
    views : {"random", "smooth"}
        "random": a rotation for each frame, independent and uniform, from normalised Gaussian
        quaternions (w, x, y, z). "smooth": in each clip a random start, then one degree a frame
        about the vertical and a slow nod of 0.2 radians.
    random_state : int or None
        Seed of ``numpy.random.default_rng`` for the cameras; the benchmark takes 0.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, 31, 2), centred keypoints.
        - visible : ndarray of shape (n_frames, 31), bool, all True.
        - X : ndarray of shape (n_frames, 31, 3), centred joints in the camera frame.
        - shapes : ndarray of shape (n_frames, 31, 3), the same in the world frame (y up).
        - rotations (n_frames, 3, 3), translations (zero), scales (one), intrinsics (None).
        - names, edges : joints and bones.
        - groups : ndarray of shape (n_frames,), clip of each frame; clips : names of the clips.
        - metres : float, metres for one unit of `W`, `X` and `shapes`.
        - fps, DESCR.

    Raises
    ------
    ValueError
        If `views` is unknown.
    FileNotFoundError
        If the subject is not in the folder; the message says who publishes it.

    See Also
    --------
    load_asf_amc : One clip at its full rate, in metres.

    References
    ----------
    Carnegie Mellon University Graphics Lab, Motion Capture Database. The database was created with
    funding from NSF EIA-0196217.
    """
    if views not in ("random", "smooth"):
        raise ValueError(f"views must be 'random' or 'smooth', got {views!r}.")
    joints, groups, clips, names, edges = _cmu_subject(int(subject), get_data_home(data_home))
    shapes = joints - joints.mean(1, keepdims=True)
    metres = np.linalg.norm(shapes, axis=(1, 2)).mean() / np.sqrt(shapes.shape[1])
    rng = np.random.default_rng(random_state)
    if views == "random":
        rotations = quaternions_to_matrices(rng.normal(size=(len(shapes), 4)))
    else:
        start = rng.uniform(0, 2 * np.pi, groups.max() + 1)
        time = np.arange(len(groups)) - np.searchsorted(groups, groups)
        angles = np.stack([0.2 * np.sin(time / 40), start[groups] + np.deg2rad(time)], axis=1)
        rotations = Rotation.from_euler("XY", angles).as_matrix()
    return _bunch(
        shapes / metres,
        rotations,
        names=names,
        edges=edges,
        groups=groups,
        clips=clips,
        metres=float(metres),
        fps=_FPS,
        DESCR=f"CMU motion capture, subject {int(subject)}, {views} orthographic cameras.",
    )


def _cmu_subject(subject, home):
    """Joints in metres, clip of each frame, names of clips and joints, edges."""
    packed = home / "cmu_joints_30hz" / f"S{subject:02d}.npz"
    if packed.is_file():
        with np.load(packed, allow_pickle=False) as data:
            edges = [(int(i), int(j)) for i, j in data["edges"]]
            groups, clips = data["clip"].astype(int), data["clips"].tolist()
            return data["X"].astype(float), groups, clips, data["names"].tolist(), edges
    folder = home / "cmu_mocap" / f"{subject:02d}"
    motions = sorted(folder.glob(f"{subject:02d}_*.amc"))
    if not motions:
        raise FileNotFoundError(
            f"neither {packed} nor {folder}/{subject:02d}_*.amc exists. The recordings are "
            f"published by {_CMU}; put them there, or give another data_home."
        )
    parts = [load_asf_amc(folder / f"{subject:02d}.asf", path) for path in motions]
    joints = [part.X[::_EVERY] for part in parts]
    groups = np.repeat(np.arange(len(joints)), [len(j) for j in joints])
    clips = [path.stem for path in motions]
    return np.concatenate(joints), groups, clips, parts[0].names, parts[0].edges


def _find(data_home, relative, source):
    path = get_data_home(data_home) / relative
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. The file is published by {source}; put it there, or give "
            "another data_home."
        )
    return path


def _load_mat(path, keys):
    data = scipy.io.loadmat(path)
    lacking = [key for key in keys if key not in data]
    if lacking:
        raise ValueError(f"{path} has no array {', '.join(lacking)}; it is another file.")
    return data


def interleaved(matrix, n_axes):
    """Unstack rows x1, y1, x2, y2, ... (with z after each y if there are three axes).

    Parameters
    ----------
    matrix : ndarray of shape (n_axes * n_frames, n_points)
        Matrix of a factorisation method.
    n_axes : int
        2 or 3.

    Returns
    -------
    ndarray of shape (n_frames, n_points, n_axes)
        Points as rows.
    """
    return matrix.reshape(len(matrix) // n_axes, n_axes, -1).transpose(0, 2, 1)


def blocked(matrix, n_axes):
    """Unstack rows x1, x2, ..., then y1, y2, ... (then all z if there are three axes).

    Parameters
    ----------
    matrix : ndarray of shape (n_axes * n_frames, n_points)
        Matrix of a factorisation method.
    n_axes : int
        2 or 3.

    Returns
    -------
    ndarray of shape (n_frames, n_points, n_axes)
        Points as rows.
    """
    return matrix.reshape(n_axes, len(matrix) // n_axes, -1).transpose(1, 2, 0)


def complete_rotations(rows):
    """Put the third row to the two of each orthographic camera.

    Parameters
    ----------
    rows : ndarray of shape (2 * n_frames, 3)
        Orthonormal rows of the cameras, one camera after the other.

    Returns
    -------
    ndarray of shape (n_frames, 3, 3)
        Rotations.
    """
    rows = rows.reshape(-1, 2, 3)
    third = np.cross(rows[:, 0], rows[:, 1])
    return np.concatenate([rows, third[:, None]], axis=1)


def _bunch(shapes, rotations, **extra):
    shapes = shapes - shapes.mean(1, keepdims=True)
    X = shapes @ rotations.swapaxes(1, 2)
    X -= X.mean(1, keepdims=True)
    return Bunch(
        W=X[..., :2].copy(),
        visible=np.ones(X.shape[:2], dtype=bool),
        X=X,
        shapes=shapes,
        rotations=rotations,
        translations=np.zeros((len(X), 3)),
        scales=np.ones(len(X)),
        intrinsics=None,
        **extra,
    )
