"""Compiles inside.c, and run.c with it, to WebAssembly: python -m tools.build_wasm [FOLDER]

The compiler is the `ziglang` wheel, whose first build takes most of a minute. A browser runs the
result as it is, and so do node and wasmtime: it asks for WASI, to print errors and to end.
"""

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "course_lib" / "files" / "inside.c"
# A reactor is a library: it has no main(). 128 bits are as wide as WebAssembly's vectors get.
FLAGS = ("-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-O3", "-s")


def build(folder: Path) -> Path:
    """The module `inside.wasm`, written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    module = folder / "inside.wasm"
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(module), str(SOURCE), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)
    if done.returncode:
        raise ValueError(f"zig can't compile {SOURCE.name}:\n{done.stderr.strip()[-2000:]}")
    return module


if __name__ == "__main__":
    path = build(Path(sys.argv[1] if len(sys.argv) > 1 else "build/wasm"))
    print(f"{path}: {path.stat().st_size:,} bytes")
