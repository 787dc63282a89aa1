"""How Sphinx builds the site: `make docs`, with warnings as errors.

What is made at each build goes into docs/generated, which git ignores: tables of the reference, pages that live
elsewhere in the repository, and the tutorials with what their commands printed.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from generate import docstrings, links, pages, tutorials  # noqa: E402

from mnist_exp import __version__  # noqa: E402

project = "mnist_exp"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "tutorials", "generate", "generated/tables", "generated/tutorials/*.ipynb"]
# The tutorials' settings hold functions, which Sphinx cannot keep between two builds.
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write code as Markdown does, between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "params_style")]

html_theme = "furo"
html_title = "mnist_exp"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False

sphinx_gallery_conf = tutorials.SETTINGS


def setup(app):  # noqa: ANN001, ANN201, D103
    pages.write(HERE / "generated")
    app.connect("source-read", links.rewrite_source)
    app.connect("autodoc-process-docstring", docstrings.split_sections, priority=100)
    app.connect("autodoc-process-signature", docstrings.readable_defaults)
