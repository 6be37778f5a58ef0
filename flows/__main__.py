"""Command line of the flows: python -m flows COMMAND."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from components.config import ParamsError, load_params
from flows import START_SERVER

EXAMPLES = """examples:
  python -m flows pipeline          run the stages of dvc.yaml with retries, time limits and artifacts
  python -m flows retrain           import corrections, run the pipeline, judge the challenger
  python -m flows promote           judge the challenger against the champion
  python -m flows rollback          make the previous champion champion again
  python -m flows monitor           compare recent predictions with the test split
  python -m flows schedule          run all of this on schedule and on events; Prefect's UI on port 4200
  python -m flows clean --dry-run   list what the settings of `retention` no longer keep
  python -m flows serve-champion    serve the champion; switch versions without downtime

Without PREFECT_API_URL, a flow starts a Prefect server of its own for its duration.
"""

_MODEL = "models:/NAME@ALIAS or models:/NAME/VERSION (default: %s)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
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
    """Run a flow in this process and print its final state."""
    try:
        state = _run_flow(options)
    except RuntimeError as error:  # Prefect cannot reach or start its server
        raise RuntimeError(
            f"{error}; run `{START_SERVER}` and set PREFECT_API_URL to its address, or unset it"
        ) from None
    completed = bool(state.is_completed())
    print(f"{options.command}: {state.message or state.name}", file=sys.stdout if completed else sys.stderr)
    return 0 if completed else 1


def _run_flow(options: argparse.Namespace) -> Any:
    if options.command == "pipeline":
        from flows.pipeline import run_pipeline

        return run_pipeline(return_state=True)
    if options.command == "retrain":
        from flows.retraining import retrain

        return retrain(return_state=True)
    if options.command == "promote":
        from flows.promotion import promote

        return promote(options.model, options.force, options.ignore_champion, return_state=True)
    from flows.monitoring import monitor_drift

    return monitor_drift(return_state=True)


def _rollback(options: argparse.Namespace) -> int:
    from components.promotion.rollback import rollback
    from components.registry.model_versions import Registry

    params = load_params()
    done = rollback(Registry(params.register_.name), params.deployment.store)
    print(
        f"rollback: version {done.champion} is champion ({done.bento}), it replaces version {done.replaced}"
    )
    return 0


def _package(options: argparse.Namespace) -> int:
    """Print the tag of the stored model or of the Bento to stdout, and nothing else."""
    from components.deployment.model_store import store_bundled_model
    from components.deployment.packaging import build_bento, store_model
    from components.registry.model_versions import CHAMPION, Registry

    registry = Registry(load_params().register_.name)
    if options.command == "store" and not options.model and registry.find(CHAMPION) is None:
        tag = store_bundled_model(registry.name)
        print(f"store: there is no champion yet; {tag} is the bundled model", file=sys.stderr)
        print(tag)
        return 0
    version = registry.resolve(options.model)
    tag = store_model(version) if options.command == "store" else build_bento(version)
    print(f"{options.command}: {version.uri} is {tag}", file=sys.stderr)
    print(tag)
    return 0


def _pull(options: argparse.Namespace) -> int:
    """Print the tag of a version's Bento, which is then on this machine, and nothing else."""
    from components.deployment.packaging import ensure_bento
    from components.registry.model_versions import Registry

    params = load_params()
    registry = Registry(params.register_.name)
    version = registry.resolve(options.model)
    tag = ensure_bento(registry, version, params.deployment.store)
    print(f"pull: {version.uri} is {tag}", file=sys.stderr)
    print(tag)
    return 0


def _clean(options: argparse.Namespace) -> int:
    """Remove what the settings no longer keep, or only list it."""
    from components.registry.model_versions import Registry
    from components.retention.plan import removals
    from components.retention.removal import readable, total
    from flows.locks import folder_lock

    params = load_params()
    with folder_lock():
        found = removals(params, Registry(params.register_.name))
        for removal in found:
            print(removal)
            if not options.dry_run:
                removal.run()
    done = "would go" if options.dry_run else "removed"
    print(f"clean: {done}: {len(found)}, {readable(total(found))}", file=sys.stderr)
    return 0


def _schedule(options: argparse.Namespace) -> int:
    from flows.deployments import serve_schedule

    serve_schedule(options.port)
    return 0


def _serve_champion(options: argparse.Namespace) -> int:
    from components.deployment.blue_green import serve_champion

    return serve_champion(options.port, options.host)


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
    command("retrain", "import corrections, run the pipeline, judge the challenger", _flow)
    promote = command("promote", "judge the challenger, and promote it if it passes the gate", _flow)
    promote.add_argument("--model", metavar="URI", help=_MODEL % "challenger")
    promote.add_argument(
        "--force", action="store_true", help="judge again a version that was rejected or rolled back"
    )
    promote.add_argument(
        "--ignore-champion", action="store_true", help="judge as a first version, without a comparison"
    )
    command("rollback", "make the previous champion champion again", _rollback)
    command("monitor", "compare recent predictions with the champion's on the test split", _flow)
    store = command("store", "put a version into BentoML's model store and print its tag", _package)
    store.add_argument("--model", metavar="URI", help=_MODEL % "champion, else the bundled model")
    build = command("build", "build and smoke-test a Bento of a version and print its tag", _package)
    build.add_argument("--model", metavar="URI", help=_MODEL % "champion, else challenger")
    pull = command("pull", "get a version's Bento from the store, or build it, and print its tag", _pull)
    pull.add_argument("--model", metavar="URI", help=_MODEL % "champion, else challenger")
    clean = command("clean", "remove what `retention` in params.yaml no longer keeps", _clean)
    clean.add_argument("--dry-run", action="store_true", help="list what would go, and remove nothing")
    schedule = command("schedule", "retrain and monitor on schedule and on events, until stopped", _schedule)
    schedule.add_argument("--port", type=int, default=4200, help="of Prefect's server (default: %(default)s)")
    serve = command("serve-champion", "serve the champion, and switch when it changes", _serve_champion)
    serve.add_argument(
        "--port", type=int, default=int(os.environ.get("PORT") or 3000), help="(default: PORT, else 3000)"
    )
    serve.add_argument("--host", help="(default: 0.0.0.0; with AUTH=off 127.0.0.1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
