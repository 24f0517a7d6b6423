"""Inside an LLM: the package behind the seven notebooks.

Each folder is a room, and the rooms follow the way of a text: `world` writes it, `text` cuts it
into tokens, `model` predicts them, `train` and `align` teach the model, `files` puts it on the
disk, and `measure` says how good it is. The README's "The code" has the whole map, and eight files
to read first. Start with `text/tokenizer.py`.

Importing the package prints nothing, seeds nothing, picks no device and downloads nothing.
"""

__version__ = "0.1.0"
