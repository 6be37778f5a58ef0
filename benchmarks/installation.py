"""What an installation for reading costs: size on the disk, seconds to install, seconds to a first answer.

python -m benchmarks.installation [--python python3.12]

Builds the wheel, and installs it into an empty environment in a temporary folder. The first answer is that of
a new process; the very first one also compiles the bytecode.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
UV = ROOT / ".uv/bin/uv"
SAMPLE = ROOT / "docs/sample.png"
MAX_MEGABYTES, MAX_SECONDS = 450, 2.0


def main() -> int:
    """Returns 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="(default: this one)")
    parser.add_argument("--repeats", type=int, default=9, help="processes timed (default: %(default)s)")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = install(Path(folder), options.python)
        print(f"install    {time.perf_counter() - start:6.1f} s   with packages of uv's cache")
        size = megabytes(Path(folder) / "venv")
        print(f"size       {size:6.0f} MB")
        first = seconds(command)
        print(f"very first {first:6.2f} s   compiles bytecode")
        size = megabytes(Path(folder) / "venv")
        print(f"size       {size:6.0f} MB  with bytecode")
        times = [seconds(command) for _ in range(options.repeats)]
        median = statistics.median(times)
        print(f"first      {median:6.2f} s   median of {len(times)} processes, fastest {min(times):.2f} s")
        before = processor_seconds()
        seconds(command)
        print(f"processor  {processor_seconds() - before:6.2f} s   of one of them, whatever else runs here")
    return int(size > MAX_MEGABYTES or median > MAX_SECONDS)


def install(folder: Path, python: str) -> Path:
    """Build the wheel and install it into `folder`/venv; returns the command."""
    run(UV, "build", "--quiet", "--wheel", "--out-dir", folder / "dist", ROOT)
    [wheel] = (folder / "dist").glob("*.whl")
    run(UV, "venv", "--quiet", "--python", python, folder / "venv")
    run(UV, "pip", "install", "--quiet", "--python", folder / "venv/bin/python", wheel)
    return folder / "venv/bin/handwritten-math"


def seconds(command: Path) -> float:
    """From the start of a process to its answer."""
    start = time.perf_counter()
    run(command, "predict", SAMPLE)
    return time.perf_counter() - start


def processor_seconds() -> float:
    """Of all child processes so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def run(*words: Path | str) -> None:
    """Raises CalledProcessError; what the program says goes to stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [str(word) for word in words], check=True, stdout=subprocess.DEVNULL, cwd="/", env=environment
    )


if __name__ == "__main__":
    sys.exit(main())
