"""The page's side of a widget as text: what all widgets share, then what this one adds.

anywidget hands a widget's script to the page as one string, which can import no file beside it; nor
can a page that is opened by a double click. So all that a script imports is joined here, without a
bundler.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]*)";$', re.M)
EXPORT = re.compile(r"^export (?=(?:const|let|class|(?:async )?function\*?) (\w+))", re.M)


def page(file: str) -> str:
    """The text of `page.js` or `page.css`, then that of `file`, which has the same ending.

    A script that says itself what it imports is joined with just that, and exports its `render`.
    """
    own = FOLDER / file
    if own.suffix == ".js" and IMPORT.search(own.read_text(encoding="utf-8")):
        return f"{joined(own)}export default {{ render: {_name(own)}.render }};\n"
    return "\n".join(path.read_text(encoding="utf-8") for path in (own.with_stem("page"), own))


def joined(entry: Path) -> str:
    """One script for what an ES module does and all those that it imports, each of them once.

    Each becomes a constant that holds what it exports, `module_a` for a.js; the rest of its names
    stay its own.
    """
    written: dict[Path, str] = {}

    def write(path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        for _, other in IMPORT.findall(source):
            if (other := (path.parent / other).resolve()) not in written:
                write(other)
        body = IMPORT.sub(_taken, EXPORT.sub("", source))
        if left := re.search(r"^(import|export)\b.*|</script.*", body, re.M):
            raise ValueError(
                f"{path.name} can't stand in a page because of {left[0]!r}: import and export by "
                'name, as in `import { a } from "./b.js";` and `export function a`'
            )
        exported = ", ".join(EXPORT.findall(source))
        body = f"{body}return {{ {exported} }};\n"
        written[path] = f"const {_name(path)} = (() => {{\n{body}}})();\n"

    write(entry.resolve())
    return "".join(written.values())


def _name(path: Path) -> str:
    return f"module_{path.stem}"


def _taken(found: re.Match) -> str:
    return f"const {{{found[1].replace(' as ', ': ')}}} = {_name(Path(found[2]))};"
