"""The documentation site: `make docs` builds it without a network."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# Examples share a module or two with each other.
sys.path.insert(0, str(HERE.parent / "examples"))

project = "sklearn-svmdl"
author = "The sklearn-svmdl developers"
project_copyright = author
version = release = version_of("sklearn-svmdl")

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "README.md"]
templates_path = ["_templates"]
highlight_language = "none"
# Single backticks in docstrings name parameters and objects; what is no object of ours is set as code.
default_role = "py:obj"

# Pages in Markdown, with formulas between dollars and links to headings.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = project
html_favicon = html_logo = "_static/mark.svg"
html_context = {"default_mode": "light"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Only what has pages below it has something to show beside it.
html_sidebars = {"*": [], "lecture/*": ["sidebar-nav-bs"], "lab/*": ["sidebar-nav-bs"], "api/*": ["sidebar-nav-bs"]}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": project},
    "navigation_with_keys": False,
    "header_links_before_dropdown": 4,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
}

sphinx_gallery_conf = {
    "examples_dirs": ["../examples/lecture", "../examples/lab"],
    "gallery_dirs": ["lecture", "lab"],
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"/_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "download_all_examples": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "matplotlib_animations": False,
    "doc_module": ("sklearn_svmdl",),
    "backreferences_dir": "api/examples",
    "inspect_global_variables": False,
    "show_signature": False,
    "reset_modules": ("matplotlib", "examples_setup.strict"),
    "reset_modules_order": "both",
    "image_srcset": ["2x"],
}


def skip_what_scikit_learn_generates(app, what, name, obj, skip, options):
    """`set_fit_request` and its like are documented by scikit-learn, in references to its own guide."""
    generated = name.startswith("set_") and name.endswith("_request")
    return True if generated or name == "get_metadata_routing" else None


def setup(app):
    """Hooks of the build."""
    app.connect("autodoc-skip-member", skip_what_scikit_learn_generates)
