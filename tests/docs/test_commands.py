"""Every command in README, docs/ and deploy/ exists: module, subcommand, options, Make target, route."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import httpx
import pytest

from components.serving.app import build_app
from components.serving.settings import Settings
from components.serving.state import AppState

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
]
# Routes that the description leaves out: of BentoML, of Prometheus, of FastAPI.
UNDESCRIBED = {"/livez", "/readyz", "/metrics", "/docs.json"}
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:make|python -m|handwritten-math) [^`]+)`")
ASSIGNMENT = re.compile(r"[A-Z_]+=")
# Programs of others, whose options are not ours to test.
OTHERS = frozenset(
    [
        "git",
        "cd",
        ".",
        "tr",
        "base64",
        "npm",
        "export",
        "curl",
        "docker",
        "gcloud",
        "openssl",
        "printf",
        "pip",
        "dvc",
        "prefect",
        "mlflow",
        "bentoml",
        "for",
        "do",
        "done",
        "helm",
        "kubectl",
        "dask",
        "aws",
        "pg_dump",
        "pg_restore",
    ]
)


def commands(page: Path) -> Iterator[str]:
    """The commands of a page: prompts of console blocks, and what stands in backticks."""
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        joined = re.sub(r"\\\n\s*", " ", block)
        yield from (line[2:] for line in joined.splitlines() if line.startswith("$ "))
    yield from INLINE.findall(BLOCK.sub("", text).replace("\n", " "))


def simple(command: str) -> Iterator[list[str]]:
    """The parts of a command line that run one program each, without assignments."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;()")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("|&;()"):
            words.append(word)
            continue
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        if words:
            yield words
        words = []


EXAMPLES = sorted(
    {
        (page.relative_to(ROOT).as_posix(), shlex.join(words))
        for page in PAGES
        for command in commands(page)
        for words in simple(command)
    }
)


def test_pages_have_commands() -> None:
    assert len(EXAMPLES) > 60 and {page for page, _ in EXAMPLES} >= {"README.md", "deploy/README.md"}


@pytest.mark.parametrize(("page", "command"), EXAMPLES)
def test_a_command_exists(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    program, arguments = words[0], words[1:]
    if program == "make":
        assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    elif program == "python":
        assert arguments[0] == "-m"
        monkeypatch.chdir(ROOT)
        _check(arguments[1], arguments[2:])
    elif program == "handwritten-math":
        _check("components", arguments)
    elif "/" in program:
        assert (ROOT / program).is_file()
    else:
        assert program in OTHERS


def _check(module: str, arguments: list[str]) -> None:
    """A subcommand is asked for its help, which has to name the options."""
    prefix: list[str] = []
    text = _help(module, ())
    for argument in arguments:
        if argument.startswith("-"):
            break
        if re.search(rf"^    {re.escape(argument)}\b|[{{,]{re.escape(argument)}[,}}]", text, re.MULTILINE):
            prefix.append(argument)
            text = _help(module, tuple(prefix))
        elif not prefix and module in ("components", "flows"):
            pytest.fail(f"{module} has no command {argument}")
    for option in (argument.split("=")[0] for argument in arguments if argument.startswith("--")):
        assert option in text, f"{module} {' '.join(prefix)} has no option {option}"


@cache
def _help(module: str, prefix: tuple[str, ...]) -> str:
    """What `python -m MODULE PREFIX --help` prints; a stage has no options, and no help."""
    if module.startswith("components.stages.") and module != "components.stages.evaluate":
        return ""
    with (
        mock.patch("sys.argv", [module, *prefix, "--help"]),
        contextlib.redirect_stdout(io.StringIO()) as shown,
        pytest.raises(SystemExit) as done,
    ):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert done.value.code in (0, None)
    return shown.getvalue()


async def test_every_address_of_curl_is_a_route_and_every_route_has_an_example() -> None:
    app = build_app(AppState(Settings(auth="off"), "test"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        routes = (await client.get("/docs.json")).json()["paths"]
    used = {path for page in PAGES for path in _addresses(page)}
    assert used and used <= routes.keys() | UNDESCRIBED
    assert _addresses(ROOT / "docs" / "curl.md") == routes.keys() | UNDESCRIBED


def _addresses(page: Path) -> set[str]:
    """The paths of the service that a page names, as the description has them."""
    found = re.findall(r"localhost:3000(/[\w/.-]+)", page.read_text(encoding="utf-8"))
    return {path.replace("3f9c2a7b", "{key_id}") for path in found}
