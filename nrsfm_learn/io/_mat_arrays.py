"""What of the reader of MATLAB files runs in a child process; it imports little, to start fast."""

import numpy as np
import scipy.io

from ._errors import FileFormatError


def load_arrays(path):
    """Load the numeric arrays of a MATLAB file.

    Parameters
    ----------
    path : str
        File.

    Returns
    -------
    dict
        "listed": what the file holds, as list of str; the arrays, with "_" before each name.

    Raises
    ------
    FileFormatError
        If scipy cannot read it.
    """
    try:
        data = scipy.io.loadmat(path)
    except Exception as error:
        # scipy raises many types on damaged bytes.
        raise FileFormatError(
            path,
            f"a damaged MATLAB file ({type(error).__name__}: {str(error)[:200]})",
            way_out="Save it again in MATLAB with save(name, '-v7').",
        ) from error
    arrays = {n: a for n, a in data.items() if isinstance(a, np.ndarray) and n[:2] != "__"}
    numbers = {f"_{n}": a for n, a in arrays.items() if a.dtype.kind in "fiu"}
    listed = [f"{n} {a.shape}" for n, a in arrays.items()]
    return {"listed": listed[:30], **numbers}
