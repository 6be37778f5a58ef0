"""The routes that show: pages for people, and the files that these are made of. They need no key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from components.serving.page import FILES, POLICY, PageFile, page_file
from components.serving.routes.dependencies import TheApi
from components.serving.schemas.problems import Problem
from components.serving.state import Api

router = APIRouter()


@router.get("/", include_in_schema=False)
async def writing(request: Request, api: TheApi) -> Response:
    """A page to write on."""
    return _answered(request, _writing(api))


@router.get("/dashboard", include_in_schema=False)
async def dashboard(request: Request) -> Response:
    """How the service does, drawn from `/history` and `/status`."""
    return _answered(request, FILES["dashboard.html"])


@router.get("/page/{name}", include_in_schema=False)
async def file(request: Request, name: str) -> Response:
    """A script, a style or an icon of the pages."""
    if name not in FILES or name.endswith(".html"):
        raise Problem(404, "not-found", "The pages have no such file.")
    return _answered(request, FILES[name])


def _writing(api: Api) -> PageFile:
    """The page, told what this service asks for: a key, and corrections."""
    content = FILES["index.html"].content
    for place, value in {
        b"{auth}": api.settings.auth.encode(),
        b"{feedback}": b"off" if api.settings.feedback_folder is None else b"on",
    }.items():
        content = content.replace(place, value)
    return page_file(content, ".html")


def _answered(request: Request, file: PageFile) -> Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
