"""Parse LaTeX with KaTeX, which npm installs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

KATEX = "katex@0.16.22"
_PARSE = """
const katex = require("katex");
const labels = JSON.parse(require("fs").readFileSync(0, "utf8"));
const refused = labels.filter((label) => {
  try { katex.renderToString(label, {displayMode: true, strict: "ignore"}); return false; }
  catch (error) { return true; }
});
process.stdout.write(JSON.stringify(refused));
"""


def install_katex(folder: Path) -> None:
    """Install KaTeX from npm. Raises OSError or subprocess.SubprocessError where that can't be done."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise FileNotFoundError("node and npm are not installed")
    subprocess.run(
        [
            npm,
            "install",
            "--prefix",
            str(folder),
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            KATEX,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def katex_refusals(labels: Sequence[str], folder: Path) -> list[str]:
    """Which labels KaTeX, installed in the folder, does not parse."""
    parsed = subprocess.run(
        ["node", "-e", _PARSE],
        cwd=folder,
        input=json.dumps(labels),
        capture_output=True,
        text=True,
        check=True,
    )
    refused: list[str] = json.loads(parsed.stdout)
    return refused
