"""Every public docstring follows the numpydoc standard."""

import inspect
import pydoc
from dataclasses import is_dataclass

import pytest
from numpydoc.validate import validate

import nrsfm_learn

# What numpydoc calls each failure is in its message. Left out are matters of taste, such as the
# demand for an extended summary and an example everywhere.
CODES = {
    *("GL05", "GL06", "GL07", "GL08", "GL09", "YD01"),
    *("SS01", "SS02", "SS03", "SS06"),
    *("PR01", "PR02", "PR03", "PR05", "PR10", "RT01"),
    *("SA02", "SA04"),
}


def public_objects():
    """Yield the dotted names of public functions, classes and the methods that these define."""
    for submodule in nrsfm_learn.__all__:
        module = getattr(nrsfm_learn, submodule)
        if not inspect.ismodule(module):
            continue
        for name in getattr(module, "__all__", dir(module)):
            value = getattr(module, name)
            if name.startswith("_") or not getattr(value, "__module__", "").startswith(
                "nrsfm_learn."
            ):
                continue
            yield f"{module.__name__}.{name}"
            if inspect.isclass(value):
                for method in vars(value):
                    # scikit-learn adds set_*_request to every class.
                    if not method.startswith(("_", "set_")) and callable(getattr(value, method)):
                        yield f"{module.__name__}.{name}.{method}"


@pytest.mark.parametrize("name", list(public_objects()))
def test_docstring(name):
    value = pydoc.locate(name)
    record = inspect.isclass(value) and (issubclass(value, tuple) or is_dataclass(value))
    # A record's fields are documented once, as attributes, and not again as parameters.
    codes = CODES - {"PR01"} if record else CODES
    errors = [f"{code}: {message}" for code, message in validate(name)["errors"] if code in codes]
    assert not errors, "\n".join(errors)
