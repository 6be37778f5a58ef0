"""The flows, for people: python -m flows COMMAND."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from components.config import ParamsError, load_params

EXAMPLES = """
  python -m flows pipeline                 the stages of dvc.yaml, with retries, time limits and artifacts
  python -m flows retrain                  corrections, pipeline, gate: what the schedule does
  python -m flows promote                  the challenger against the champion
  python -m flows rollback                 the previous champion is champion again
  python -m flows serve                    the schedule, until Ctrl-C; Prefect's page on port 4200
  python -m flows live                     serves the champion, and changes over when there is another
  python -m flows monitor                  what the service read lately, beside the test split

Without PREFECT_API_URL they start a Prefect server of their own for as long as they run.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.getLogger("bentoml").setLevel(logging.WARNING)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except (ParamsError, ValueError, OSError, RuntimeError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1


def _flow(options: argparse.Namespace) -> int:
    """Runs a flow here and says how it ended."""
    try:
        return _ended(options)
    except RuntimeError as error:  # Prefect's, of a server that it can't reach or start
        raise RuntimeError(
            f"{error}; start a server by `prefect server start` and set PREFECT_API_URL to its address, "
            "or unset it"
        ) from None


def _ended(options: argparse.Namespace) -> int:
    state: Any
    if options.command == "pipeline":
        from flows.pipeline import pipeline

        state = pipeline(return_state=True)
    elif options.command == "retrain":
        from flows.retraining import retraining

        state = retraining(return_state=True)
    elif options.command == "promote":
        from flows.promotion import promotion

        state = promotion(options.model, options.again, options.afresh, return_state=True)
    else:
        from flows.monitoring import monitoring

        state = monitoring(return_state=True)
    ended = state.is_completed()
    print(f"{options.command}: {state.message or state.name}", file=sys.stdout if ended else sys.stderr)
    return 0 if ended else 1


def _rollback(options: argparse.Namespace) -> int:
    from flows.promotion import rollback

    done = rollback()
    print(f"rollback: version {done.champion} is champion again ({done.bento}), in place of {done.former}")
    return 0


def _package(options: argparse.Namespace) -> int:
    """Prints the tag of the model, or of the Bento, and nothing else."""
    from components.deployment.packaging import build, store, store_shipped
    from components.registry.model_versions import CHAMPION, Registry

    params = load_params()
    registry = Registry(params.register_.name)
    if options.command == "store" and not options.model and registry.find(CHAMPION) is None:
        tag = store_shipped(registry.name)
        print(f"store: nothing is champion yet; {tag} comes with the repository", file=sys.stderr)
        print(tag)
        return 0
    registered = registry.resolve(options.model)
    tag = store(registered) if options.command == "store" else build(registered, params.evaluate.beam)
    print(f"{options.command}: {registered.address} is {tag}", file=sys.stderr)
    print(tag)
    return 0


def _serve(options: argparse.Namespace) -> int:
    from flows.deployments import serve_flows

    serve_flows(options.port)
    return 0


def _live(options: argparse.Namespace) -> int:
    from components.deployment.blue_green import serve_champion

    return serve_champion(options.port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        return added

    command("pipeline", "run the stages of dvc.yaml that have changed", _flow)
    command("retrain", "collect corrections, run the pipeline, judge the challenger", _flow)
    promote = command("promote", "judge the challenger, and make it champion if it passes", _flow)
    promote.add_argument("--model", metavar="ADDRESS", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    promote.add_argument("--again", action="store_true", help="though it was judged before, or rolled back")
    promote.add_argument("--afresh", action="store_true", help="as a first one, whatever the champion reads")
    command("rollback", "make the previous champion champion again", _rollback)
    command("monitor", "compare what the service read lately with the champion's test split", _flow)
    for name, help in (
        ("store", "put the registered model into BentoML's store; prints its tag"),
        ("build", "build a Bento with the registered model and try it; prints its tag"),
    ):
        command(name, help, _package).add_argument(
            "--model", metavar="ADDRESS", help="models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    serve = command("serve", "retrain and monitor by schedule and on events, until stopped", _serve)
    serve.add_argument("--port", type=int, default=4200, help="of Prefect's server (default: %(default)s)")
    live = command("live", "serve the champion, and change over without a pause when it changes", _live)
    live.add_argument(
        "--port", type=int, default=int(os.environ.get("PORT") or 3000), help="default: PORT, 3000"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
