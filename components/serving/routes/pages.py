"""Routes of the page and the dashboard, and of their files. They need no key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from components.serving.page import FILES, POLICY, PageFile, page_file
from components.serving.routes.dependencies import State
from components.serving.schemas.problems import Problem
from components.serving.state import AppState

router = APIRouter()


@router.get("/", include_in_schema=False)
async def writing(request: Request, state: State) -> Response:
    """The page to write on."""
    return _answered(request, _writing(state))


@router.get("/dashboard", include_in_schema=False)
async def dashboard(request: Request) -> Response:
    """The dashboard, drawn from `/history` and `/status`."""
    return _answered(request, FILES["dashboard.html"])


@router.get("/page/{name}", include_in_schema=False)
async def file(request: Request, name: str) -> Response:
    """A script, stylesheet or icon of the pages."""
    if name not in FILES or name.endswith(".html"):
        raise Problem(404, "not-found", "No such file.")
    return _answered(request, FILES[name])


def _writing(state: AppState) -> PageFile:
    """The page, with whether this service needs keys and accepts corrections."""
    content = FILES["index.html"].content
    for place, value in {
        b"{auth}": state.settings.auth.encode(),
        b"{feedback}": b"off" if state.settings.feedback_folder is None else b"on",
    }.items():
        content = content.replace(place, value)
    return page_file(content, ".html")


def _answered(request: Request, file: PageFile) -> Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
