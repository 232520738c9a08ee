"""Loader of recorded sheets before a calibrated perspective camera."""

import numpy as np
import scipy.io
from sklearn.utils import Bunch

from nrsfm_learn.datasets._recorded import get_data_home

_FILES = {
    "paper": "kinectPaper",
    "shirt": "whiteCartoonTshirt",
    "hulk": "hulk",
    "cushion": "cushion",
}


def load_sheet(name, data_home=None):
    """Load a bending sheet with measured depth, seen by a calibrated perspective camera.

    Parameters
    ----------
    name : {"paper", "shirt", "hulk", "cushion"}
        A sheet of paper (10 frames, 90 points), the front of a T-shirt (10, 85), the cover of a
        comic (10, 73), and a cushion (4, 80). All points are visible in all frames, and frames are
        views without an order.
    data_home : path, optional
        Folder with ``totem2024_isometric/data_<name>.mat`` and ``intrinsics_<name>.txt``; see
        `get_data_home` for the default.

    Returns
    -------
    Bunch
        - W : ndarray of shape (n_frames, n_points, 2), pixels.
        - visible : ndarray of shape (n_frames, n_points), bool, all True.
        - X : ndarray of shape (n_frames, n_points, 3), measured points in the camera frame. The
          frames of "shirt" are not in the same units.
        - intrinsics : ndarray of shape (3, 3).
        - names, DESCR.

    Raises
    ------
    ValueError
        If there is no sheet of that name.
    FileNotFoundError
        If the files are not in the folder.

    References
    ----------
    A. Chhatkuli, D. Pizarro, T. Collins, A. Bartoli, Inextensible non-rigid structure-from-motion
    by second-order cone programming, TPAMI 40(10), 2018, and its sources; as distributed with
    ToTem-NRSfM (A. Sengupta, A. Bartoli, 2024).
    """
    if name not in _FILES:
        raise ValueError(f"name must be one of {list(_FILES)}, got {name!r}.")
    folder = get_data_home(data_home) / "totem2024_isometric"
    paths = folder / f"data_{_FILES[name]}.mat", folder / f"intrinsics_{_FILES[name]}.txt"
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is not there. It is part of the code release ToTem-NRSfM; put it there, "
                f"or pass data_home or set NRSFM_LEARN_DATA to the folder that has it."
            )
    data = scipy.io.loadmat(paths[0], simplify_cells=True)
    X = np.stack([frame["P"] for frame in data["Pgth"]]).swapaxes(1, 2).astype(float)
    pixels = np.stack([frame["p"] for frame in data["p"]]).swapaxes(1, 2).astype(float)
    intrinsics = np.array(paths[1].read_text().replace(",", " ").split(), float).reshape(3, 3)
    W = pixels[..., :2] / pixels[..., 2:]
    return Bunch(
        W=W,
        visible=np.ones(W.shape[:2], dtype=bool),
        X=X,
        intrinsics=intrinsics,
        names=[f"point{i}" for i in range(W.shape[1])],
        DESCR=f"Sheet {name!r}, perspective camera.",
    )
