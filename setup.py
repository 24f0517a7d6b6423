"""All settings stand in pyproject.toml; this mends one thing that they can't say.

`pip install -e` asks for `has_data` before it installs `data-files`, and setuptools names the
method otherwise: without this line learners would go without the settings of JupyterLab there.
"""

from setuptools import Distribution, setup

Distribution.has_data = Distribution.has_data_files
setup()
