"""How Sphinx makes the site; `python -m tools.build_site` calls it, in a copy of this folder."""

project = "Inside an LLM"
language = "en"

extensions = ["myst_nb"]
nb_execution_mode = "off"  # the notebooks come with their outputs
nb_ipywidgets_js = {}  # these scripts would come from another server
myst_heading_anchors = 3
myst_enable_extensions = ["html_image"]
suppress_warnings = ["myst.header"]  # a page may begin with a smaller heading

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_favicon = "_static/icon.svg"
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_source_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],  # the search stands beside the pages already
    "footer_content_items": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
