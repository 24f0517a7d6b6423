"""What all widgets share: where no kernel runs, a picture and words stand in their place."""

from course_lib.plots import Picture

TEXT_SIZES = ("normal", "large")  # "large" is for a projector


def drawable(text: str) -> str:
    """One line of text, with a box for each character that matplotlib can't draw."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))  # the one that it draws with; it would warn
    return "".join(c if font.get_char_index(ord(c)) else "\u25a1" for c in text)


class Pictured:
    """Mixed into a widget class, before it in the bases, it adds `picture()` to what is stored.

    JupyterLab shows the widget; GitHub, nbconvert and a text terminal show the PNG or the words.
    """

    def picture(self) -> Picture:
        """The widget's state as it is now, drawn and in words."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.picture().words

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        # anywidget returns data and metadata, ipywidgets the data alone
        found = super()._repr_mimebundle_(**kwargs)
        data = found[0] if isinstance(found, tuple) else found
        drawn, metadata = self.picture()._repr_mimebundle_()
        return (data or {}) | drawn, metadata
