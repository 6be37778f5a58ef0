"""`python -m components report open`: what evaluation, validation and monitoring have found."""

from __future__ import annotations

import sys
import webbrowser
from argparse import Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path

from components.cli.base import CommandError, Commands


@dataclass(frozen=True)
class Report:
    """A page, and what makes it."""

    path: Path
    what: str
    made_by: str


REPORTS = {
    "worst": Report(Path("reports/worst.html"), "pictures of the worst mistakes", "dvc repro evaluate"),
    "data": Report(
        Path("reports/data_docs/index.html"), "what validation found in the data", "dvc repro validate"
    ),
    "drift": Report(
        Path("reports/drift/drift.html"), "what is read now beside the test split", "python -m flows monitor"
    ),
}
_EXAMPLES = """examples:
  python -m components report open           the worst mistakes
  python -m components report open drift"""


def add(commands: Commands) -> None:
    command = commands.add_parser("report", help="look at reports", epilog=_EXAMPLES,
                                  formatter_class=RawDescriptionHelpFormatter)  # fmt: skip
    verbs = command.add_subparsers(required=True, metavar="open")
    verb = verbs.add_parser(
        "open",
        help="open one in the browser",
        description="\n".join(f"{name:10} {report.what}" for name, report in REPORTS.items()),
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verb.add_argument("name", nargs="?", choices=REPORTS, default="worst", help="(default: %(default)s)")
    verb.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Prints where it is, and opens it where there is a browser. Raises CommandError where there is none."""
    report = REPORTS[options.name]
    if not report.path.exists():
        raise CommandError(f"{report.path}: not there yet; `{report.made_by}` makes it")
    print(report.path.resolve())
    if not webbrowser.open(report.path.resolve().as_uri()):
        print("report: no browser here; open that file in one", file=sys.stderr)
    return 0
