"""node, which runs the page's scripts: the one that Playwright brings along, so no test skips."""

import base64
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import playwright

NODE = Path(playwright.__file__).parent / "driver" / ("node.exe" if os.name == "nt" else "node")


def run_node(script: Path, data: object) -> object:
    """What `script` prints as JSON after it has read `data` as JSON from its standard input."""
    done = subprocess.run(
        [NODE, script], input=json.dumps(data).encode(), capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return json.loads(done.stdout, object_hook=_numbers)


def _numbers(found: dict) -> object:
    """A Float32Array, which `shown` of drive.mjs packs; anything else as it is."""
    if found.keys() == {"float32"}:
        return np.frombuffer(base64.b64decode(found["float32"]), np.float32)
    return found
