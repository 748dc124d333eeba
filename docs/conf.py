"""Sphinx configuration. `make docs` builds the site into out/docs, offline and with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

from punctum.runtime import __version__  # noqa: E402 - after the path of the extensions

project = "punctum"
author = "The punctum authors"
copyright = "2026, the punctum authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "punctum_reference"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext", "requirements.txt", "**/README.md"]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes that a class describes are a list, not objects beside those of the fields

default_role = "code"
nitpicky = True
smartquotes = False  # it would join the two dashes of options

html_theme = "furo"
html_title = f"punctum {__version__}"
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
