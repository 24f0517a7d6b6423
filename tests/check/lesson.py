"""What a notebook prints as the solution of a part, and what it hands out to be written."""

import html
import re

from nbformat import NotebookNode


def written(notebook: NotebookNode, name: str) -> str:
    """The printed solution of a part."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    printed = re.findall(r"<pre>(.*?)</pre>", "\n".join(texts), flags=re.DOTALL)
    (source,) = [each for each in printed if each.strip().startswith(f"def {name}(")]
    return html.unescape(source).strip()


def handed_out(notebook: NotebookNode, name: str) -> str:
    """The cell in which a learner writes a part, without its last line, which uses it."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    (source,) = [each for each in code if each.startswith(f"def {name}(")]
    assert source.splitlines()[-1] == f"{name} = use({name})"
    return source.rpartition("\n")[0]
