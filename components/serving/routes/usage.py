"""The route of usage by key and day: callers see their own, admin keys everybody's."""

from __future__ import annotations

import csv
import io
import logging
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from components.serving.observability.request_context import context_of
from components.serving.observability.usage import NO_KEY, Row
from components.serving.routes.dependencies import State, identified
from components.serving.schemas.openapi import problems
from components.serving.schemas.problems import Problem, busy
from components.serving.schemas.responses import UsageDay, UsageReport

router = APIRouter()

logger = logging.getLogger(__name__)

_CSV = "text/csv; charset=utf-8"


@router.get(
    "/usage",
    summary="Usage by key and day",
    response_model=UsageReport,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **problems(401, 403, 422, 503),
    },
)
async def usage(
    request: Request,
    state: State,
    key: Annotated[
        str | None, Query(description="ID of a key; an admin key's default: all", pattern=r"^[0-9a-f]{8}$")
    ] = None,
    days: Annotated[int, Query(ge=1, le=3660, description="days to report, today (UTC) included")] = 30,
    format: Annotated[Literal["json", "csv"], Query(description="`csv`: for spreadsheets")] = "json",
) -> Response | UsageReport:
    """The caller's own usage, without content. With an admin key that of all keys, or of one. Does not count.

    Without `USAGE_FOLDER` it is what this replica has counted since it started.
    """
    caller = identified(request, state)
    own = caller.key_id or NO_KEY
    if not caller.admin and key not in (None, own):
        raise Problem(403, "admin-needed", "Usage of other keys needs an admin key.")
    try:
        wanted = key if caller.admin else own
        rows = await anyio.to_thread.run_sync(state.usage.report, days, wanted)
    except OSError as error:
        logger.error("usage can't be read (%s): %s", context_of(request.scope).request_id, error)
        raise busy("Usage can't be read at the moment; retry later.", 30) from None
    names = {entry.id: entry.name for entry in state.keys.entries()}
    report = [_day(row, names.get(row.key)) for row in rows]
    if format == "csv":
        headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        return Response(_csv(report), media_type=_CSV, headers=headers)
    return UsageReport(scope="all replicas" if state.usage.shared else "this replica", days=report)


def _day(row: Row, name: str | None) -> UsageDay:
    return UsageDay(**vars(row) | {"key": row.key or None, "name": name})


def _csv(days: list[UsageDay]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(UsageDay.model_fields)
    for day in days:
        writer.writerow(_cell(value) for value in day.model_dump().values())
    return text.getvalue()


def _cell(value: object) -> object:
    """The value of a cell; a spreadsheet would run a name that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
