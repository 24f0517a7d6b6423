"""What all widgets share: a picture and words where no kernel runs, and one look."""

import anywidget
import traitlets

from course_lib.plots import Picture
from course_lib.widgets.page import page

TEXT_SIZES = ("normal", "large")  # "large" is for a projector


def drawable(text: str) -> str:
    """One line of text, with a box for each character that matplotlib can't draw."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))  # the one that it draws with; it would warn
    return "".join(c if font.get_char_index(ord(c)) else "\u25a1" for c in text)


class Still:
    """Mixed into a widget class, before it in the bases, it adds `still()` to what is stored.

    JupyterLab shows the widget; GitHub, nbconvert and a text terminal show what else there is.
    """

    def still(self) -> tuple[dict, dict]:
        """What is seen without a kernel, by MIME type, and its metadata; `text/plain` among it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.still()[0]["text/plain"]

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        # anywidget returns data and metadata, ipywidgets the data alone
        found = super()._repr_mimebundle_(**kwargs)
        data = found[0] if isinstance(found, tuple) else found
        still, metadata = self.still()
        return (data or {}) | still, metadata


class Pictured(Still):
    """A widget that leaves a PNG and its words: `picture()` draws its state."""

    def picture(self) -> Picture:
        """The widget's state as it is now, drawn and in words."""
        raise NotImplementedError

    def still(self) -> tuple[dict, dict]:
        return self.picture()._repr_mimebundle_()

    def __repr__(self) -> str:
        return self.picture().words  # without drawing it


class Look(anywidget.AnyWidget):
    """An invisible first child, which gives a box of stock ipywidgets the look of all others.

    `look("teach.css")` beside the box's class `course-quiet`. It shows the box from its top, and
    gives sliders the names that stock ones lack.
    """

    _esm = page("stock.js")
    _css = traitlets.Unicode("").tag(sync=True)


def look(file: str) -> Look:
    """The `Look` with this style sheet."""
    return Look(_css=page(file), layout={"display": "none"})
