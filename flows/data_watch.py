"""Flow `watch-data`: emits an event when new ink or corrections have arrived."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed

from components.config import load_params
from components.data.change_detection import fingerprint, settled_change, source_folders
from flows.events import INK_ARRIVED, RESOURCE


@flow(name="watch-data", description="Looks for new InkML files and corrections.")
def watch_data() -> State[str]:
    """Emit INK_ARRIVED once after the source folders have changed and no file is being written."""
    params = load_params()
    folders = list(source_folders(params.data, params.retraining.feedback))
    try:
        current = fingerprint(folders)
    except OSError as error:
        return Failed(message=f"can't look for new ink: {error}")
    if not settled_change(current):
        return Completed(message="no new ink")
    emit_event(INK_ARRIVED, RESOURCE)
    return Completed(message=f"new ink in {', '.join(map(str, folders))}")
