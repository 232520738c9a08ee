"""Estimators in one file of JSON and tensors.

The file is a safetensors file: tensors, and a header of strings that holds the JSON. Reading it
runs no code of the file's: the class comes from the package's own registry, parameters from JSON,
arrays from raw bytes.
"""

import copy
import json

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._version import __version__
from .io._source import as_path, write_whole

FORMAT = "nrsfm_learn estimator"
FORMAT_VERSION = 1
_MODULE = "module_."
# Networks of other starts, numbered: "runners_up_.0.weight".
_RUNNERS_UP = "runners_up_."
# The one private attribute that is kept: methods that lift no other frames know theirs by it.
_DIGEST = "_fit_digest"
# Key under which a dict with keys other than strings lies.
_PAIRS = "__pairs__"
# Entries of a model card that are not the user's.
_OWN_ENTRIES = {
    "method",
    "settings",
    "nrsfm_learn_version",
    "format_version",
    "n_frames",
    "n_points",
}


class PersistenceMixin:
    """Give an estimator ``save``, ``load`` and a pickle that opens on every machine."""

    # Whether a fit may leave networks of other starts.
    _has_starts = True

    def save(self, path, *, card=None):
        """Write the fitted estimator to one file that holds only JSON and tensors.

        Parameters
        ----------
        path : path-like
            File to write; by custom it ends in ``.safetensors``. It is replaced in one step, never
            half-written; missing folders are made.
        card : dict, default=None
            What whoever finds the file should know, such as ``{"names": names, "score": 0.93,
            "data": "mice, camera 2"}``: JSON values under keys of your own. Method, settings,
            version and the size of the data are written in any case.

        Raises
        ------
        ValueError
            If a parameter or an entry of the card cannot be written as JSON (a ``RandomState``,
            say; the message names it), or the path is a folder or leads through a file.

        See Also
        --------
        nrsfm_learn.load : Read it back.
        nrsfm_learn.model_card : Read the card alone.
        """
        check_is_fitted(self)
        save_estimator(self, path, card=card)

    @classmethod
    def load(cls, path):
        """Read an estimator that :meth:`save` wrote. No code of the file is run.

        Parameters
        ----------
        path : path-like
            File to read.

        Returns
        -------
        estimator : object
            Fitted estimator of this class. Parameters that were tuples or arrays are lists now.

        Raises
        ------
        ValueError
            If the file is no estimator file, is damaged, was written by a newer format, or holds
            another class.
        """
        return load_estimator(path, expected=cls)

    def _array_shapes(self):
        """Return the shapes that the arrays of a file must have, by name."""
        X = getattr(self, "reconstruction_", None)
        n_frames = len(X) if isinstance(X, np.ndarray) and X.ndim else None
        P = self.n_points_in_
        return {
            "reconstruction_": (n_frames, P, 3),
            "shapes_": (n_frames, P, 3),
            "rotations_": (n_frames, 3, 3),
            "translations_": (n_frames, 3),
            "scales_": (n_frames,),
        }

    def __getstate__(self):
        state = super().__getstate__()
        for name in ("module_", "runners_up_"):
            if name in state:
                # A pickle made on a GPU machine must open on one without.
                state = {**state, name: copy.deepcopy(state[name]).to("cpu")}
        return state


def save_estimator(estimator, path, *, card=None):
    """Write a fitted estimator; see :meth:`nrsfm_learn.base.BaseNRSfM.save`.

    Parameters
    ----------
    estimator : object
        What to write.
    path : path-like
        File to write.
    card : dict, default=None
        Entries of the model card.
    """
    from safetensors.numpy import save

    params = estimator.get_params(deep=False)
    arrays, values = {}, {}
    for name, value in vars(estimator).items():
        if name in ("module_", "runners_up_"):
            for key, tensor in value.state_dict().items():
                arrays[f"{name}.{key}"] = tensor.detach().cpu().contiguous().numpy()
        elif name in params or not (_is_fitted_attribute(name) or name == _DIGEST):
            continue
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            arrays[name] = np.ascontiguousarray(value)
        else:
            values[name] = value
    header = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "nrsfm_learn_version": __version__,
        "class": type(estimator).__name__,
        "params": _to_json(params, "parameter"),
        "attributes": _to_json(values, "attribute"),
        "card": _to_json(_check_card(card), "entry of the card"),
    }
    # Written here, since safetensors' own writer makes files that only their owner may read.
    write_whole(path, save(arrays, metadata=header))


def load(path):
    """Read an estimator of the library that its ``save`` wrote. No code of the file is run.

    Parameters
    ----------
    path : path-like
        File to read.

    Returns
    -------
    estimator : object
        Fitted estimator, of the class that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no estimator file, is damaged, was written by a newer format, or holds a
        class that this version does not have.

    See Also
    --------
    nrsfm_learn.base.BaseNRSfM.load : For a class of your own, ``YourClass.load(path)``.
    """
    return load_estimator(path)


def model_card(path):
    """Read what a model file says of itself, without building the estimator.

    Parameters
    ----------
    path : path-like
        File that ``save`` wrote.

    Returns
    -------
    dict
        ``method``, ``settings``, ``nrsfm_learn_version``, ``format_version``, ``n_frames`` and
        ``n_points`` of the data it was fitted to, and the entries that ``save(card=...)`` was
        given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no estimator file or is damaged.

    See Also
    --------
    nrsfm_learn.load : Build the estimator.
    """
    path = as_path(path)
    header, arrays = _read(path)
    X = arrays.get("reconstruction_")
    n_frames, n_points = X.shape[:2] if X is not None and X.ndim == 3 else (None, None)
    # Files of before the card have none.
    card = _from_json(header, "card", path) if "card" in header else {}
    return {
        **card,
        "method": header.get("class"),
        "settings": _from_json(header, "params", path),
        "nrsfm_learn_version": header.get("nrsfm_learn_version"),
        "format_version": header.get("format_version"),
        "n_frames": n_frames,
        "n_points": n_points,
    }


def load_estimator(path, expected=None):
    """Read an estimator file.

    Parameters
    ----------
    path : path-like
        File that ``save`` wrote.
    expected : type, optional
        Class that the file must hold, or a base class of it.

    Returns
    -------
    estimator : object
        Fitted estimator on the CPU; its ``device`` parameter is as it was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be used; the message says why.
    """
    path = as_path(path)
    header, arrays = _read(path)
    _check_version(header, path)
    cls = _class_named(header.get("class"), path, expected)
    estimator = _construct(cls, header, path)
    state = {k.removeprefix(_MODULE): a for k, a in arrays.items() if k.startswith(_MODULE)}
    others = {k: a for k, a in arrays.items() if k.startswith(_RUNNERS_UP)}
    plain = {k: a for k, a in arrays.items() if not k.startswith((_MODULE, _RUNNERS_UP))}
    for name, value in (*_from_json(header, "attributes", path).items(), *plain.items()):
        known = _is_fitted_attribute(name) and name not in ("module_", "runners_up_")
        # A file must not shadow a method or property, nor touch what is not its own.
        if not (known or name == _DIGEST) or hasattr(cls, name):
            raise ValueError(f"{path} sets {name!r}, which is no fitted attribute: it is damaged.")
        setattr(estimator, name, value)
    _check_shapes(estimator, path)
    if state:
        estimator.module_ = _load_module(estimator, state, path)
        if estimator._has_starts:
            estimator.runners_up_ = _load_runners_up(estimator, others, path)
    return estimator


def _is_fitted_attribute(name):
    return name.endswith("_") and not name.startswith("_")


def _read(path):
    """Return the header and the arrays of a file that is of this format."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    way_out = "Estimators are read from files that their save method wrote."
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is no estimator file, or is damaged ({error}). {way_out}"
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} is a safetensors file, but holds no nrsfm_learn estimator. {way_out}"
        )
    return header, arrays


def _construct(cls, header, path):
    """Return an unfitted estimator with the parameters of the file."""
    params = _from_json(header, "params", path)
    unknown = sorted(set(params) - set(cls._get_param_names()))
    if unknown:
        raise ValueError(
            f"{path} sets parameters that {cls.__name__} does not have: {unknown}. It was written "
            f"by nrsfm_learn {header.get('nrsfm_learn_version')}: read it with that version."
        )
    estimator = cls(**params)
    try:
        estimator._validate_params()
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return estimator


def _load_module(estimator, state, path):
    import torch

    try:
        module = estimator._build_module()
        module.load_state_dict({key: torch.from_numpy(a.copy()) for key, a in state.items()})
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: the tensors of the network do not fit {type(estimator).__name__} with the "
            f"parameters of the file: {error}"
        ) from error
    return module


def _load_runners_up(estimator, arrays, path):
    import torch

    states = {}
    for key, array in arrays.items():
        number, _, name = key.removeprefix(_RUNNERS_UP).partition(".")
        states.setdefault(number, {})[name] = array
    return torch.nn.ModuleList(
        _load_module(estimator, states[number], path) for number in sorted(states)
    )


def _check_shapes(estimator, path):
    """Refuse arrays that contradict each other before they surprise somebody in transform."""
    P = getattr(estimator, "n_points_in_", None)
    if type(P) is not int:
        raise ValueError(f"{path} is damaged: n_points_in_ is {P!r}, not an integer.")
    expected = estimator._array_shapes()
    for name, shape in expected.items():
        array = getattr(estimator, name, None)
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind != "f":
            found = (
                f"shape {array.shape} and dtype {array.dtype}"
                if isinstance(array, np.ndarray)
                else f"type {type(array).__name__}"
            )
            raise ValueError(
                f"{path} is damaged: {name} has {found}, but n_points_in_ = {P} and the length of "
                f"reconstruction_ ask for floats of shape {shape}."
            )


def _check_version(header, path):
    try:
        version = int(header.get("format_version", ""))
    except ValueError:
        version = None
    if version is None or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {header.get('format_version')!r}, written by nrsfm_learn "
            f"{header.get('nrsfm_learn_version')}; this version reads 1 to {FORMAT_VERSION}. "
            f"Update nrsfm_learn."
        )


def _class_named(name, path, expected):
    import nrsfm_learn

    exported = ((name, getattr(nrsfm_learn, name)) for name in nrsfm_learn.__all__)
    classes = {
        name: c for name, c in exported if isinstance(c, type) and issubclass(c, PersistenceMixin)
    }
    if expected is not None:
        # A class of the user's own is no member of the registry, but the user named it.
        classes[expected.__name__] = expected
    if name not in classes:
        raise ValueError(
            f"{path} holds a {name!r}, which this version of nrsfm_learn does not have; it has "
            f"{sorted(classes)}. Read a class of your own with YourClass.load(path)."
        )
    if expected is not None and not issubclass(classes[name], expected):
        raise ValueError(f"{path} holds a {name}, not a {expected.__name__}: use {name}.load.")
    return classes[name]


def _check_card(card):
    if card is None:
        return {}
    if not isinstance(card, dict) or not all(isinstance(key, str) for key in card):
        raise ValueError(f"card must be a dict with strings as keys, got {card!r}.")
    taken = sorted(set(card) & _OWN_ENTRIES)
    if taken:
        raise ValueError(
            f"card sets {taken[0]!r}, which the file says of itself: choose another key."
        )
    return card


def _to_json(values, kind):
    text = {}
    for name, value in values.items():
        try:
            text[name] = json.loads(json.dumps(_paired(value), default=_plain))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The {kind} {name}={value!r} cannot be saved: only numbers, strings, None and "
                f"lists of them can. Set it to such a value before saving (random_state to an int, "
                f"say)."
            ) from error
    return json.dumps(text)


def _paired(value):
    """Return a dict with keys other than strings as pairs: JSON would make strings of them."""
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        return {_PAIRS: [[key, entry] for key, entry in value.items()]}
    return value


def _unpaired(value):
    if isinstance(value, dict) and list(value) == [_PAIRS]:
        return dict(value[_PAIRS])
    return value


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value).__module__ == "torch" and type(value).__name__ == "device":
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _from_json(header, key, path):
    try:
        values = json.loads(header[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its {key} cannot be read ({error}).") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: its {key} are no mapping.")
    try:
        return {name: _unpaired(value) for name, value in values.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: its {key} cannot be read ({error}).") from error
