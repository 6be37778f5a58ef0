"""`python -m components report open`: open a report of evaluation, validation or monitoring."""

from __future__ import annotations

import sys
import webbrowser
from argparse import Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path

from components.cli.base import CommandError, Commands


@dataclass(frozen=True)
class Report:
    """A report page, and the command that creates it."""

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
        help="open a report in the browser",
        description="\n".join(f"{name:10} {report.what}" for name, report in REPORTS.items()),
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verb.add_argument("name", nargs="?", choices=REPORTS, default="worst", help="(default: %(default)s)")
    verb.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print the path of a report and open it in a browser. Raises CommandError if it does not exist."""
    report = REPORTS[options.name]
    if not report.path.exists():
        raise CommandError(f"{report.path}: does not exist yet; `{report.made_by}` creates it")
    print(report.path.resolve())
    if not webbrowser.open(report.path.resolve().as_uri()):
        print("report: no browser found; open that file in one", file=sys.stderr)
    return 0
