"""Sphinx configuration. The build needs no network, and any warning is an error (see tox.ini)."""

from sklearn.utils._metadata_requests import RequestMethod
from sphinx_gallery.sorting import FileNameSortKey

import nrsfm_learn

project = "nrsfm_learn"
author = "the nrsfm_learn developers"
copyright = f"2026, {author}"
version = release = nrsfm_learn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]  # the gallery's sort key is a class, which cannot be cached

nitpicky = True
# Other projects are named in docstrings but not linked: their inventories would need the network.
nitpick_ignore_regex = [("py:.*", r"(joblib|matplotlib|numpy|scipy|sklearn|torch)\..*")]

html_theme = "pydata_sphinx_theme"
html_title = f"nrsfm_learn {version}"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
html_copy_source = False

# A module's reference page lists its __all__: a new public name needs no edit here.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "api/generated/backreferences",
    "doc_module": "nrsfm_learn",
    "within_subsection_order": FileNameSortKey,
    "download_all_examples": False,
    "remove_config_comments": True,
}


def skip_inherited_machinery(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to every estimator: users find it in scikit-learn."""
    module = getattr(obj, "__module__", None) or ""
    return True if isinstance(obj, RequestMethod) or module.startswith("sklearn.") else None


def setup(app):
    """Connect the hooks of this file."""
    app.connect("autodoc-skip-member", skip_inherited_machinery)
