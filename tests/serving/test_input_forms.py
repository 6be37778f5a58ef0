"""What clients send: strokes, base64, compressed bodies, forms, methods and addresses in all their forms."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from components.serving.access.addresses import canonical, network
from components.serving.access.proxies import trust_proxies
from components.serving.schemas.problems import Problem
from components.serving.schemas.requests import from_base64
from components.serving.schemas.strokes import parse_strokes
from tests.serving.conftest import Service, png, serving

LONG = [[[k, k * k % 7] for k in range(12)], [[30 + k, 5] for k in range(10)]]
SHORT = [[[0, 0], [8, 10]], [[8, 0], [0, 10]]]


def columns(ink: list[list[list[float]]]) -> dict[str, Any]:
    return {name: [[p[axis] for p in stroke] for stroke in ink] for axis, name in enumerate("xy")}


def separate(ink: list[list[list[float]]]) -> list[dict[str, Any]]:
    return [
        {"x": [p[0] for p in stroke], "y": [p[1] for p in stroke], "t": [1] * len(stroke)} for stroke in ink
    ]


@asynccontextmanager
async def live(service: Service) -> AsyncIterator[str]:
    """The service behind uvicorn; yields its address."""
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield "http://127.0.0.1:{1}".format(*server.servers[0].sockets[0].getsockname())
    server.should_exit = True
    await serving


FORMS: dict[str, Callable[[Any], Any]] = {
    "points": lambda ink: {"strokes": ink},
    "a bare list": lambda ink: ink,
    "four values": lambda ink: {"strokes": [[[*p, 0.5, 7] for p in stroke] for stroke in ink]},
    "objects": lambda ink: {"strokes": [[{"x": p[0], "y": p[1], "p": 1} for p in stroke] for stroke in ink]},
    "objects in capitals": lambda ink: {"strokes": [[{"X": p[0], "Y": p[1]} for p in s] for s in ink]},
    "objects below points": lambda ink: [{"points": [{"x": p[0], "y": p[1]} for p in s]} for s in ink],
    "columns of strokes": columns,
    "Mathpix": lambda ink: {"strokes": {"strokes": columns(ink)}},
    "columns below strokes": lambda ink: {"strokes": columns(ink)},
    "columns a stroke": lambda ink: {"strokes": separate(ink)},
    "MyScript": lambda ink: {"strokeGroups": [{"strokes": [stroke]} for stroke in separate(ink)]},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("ink", [LONG, SHORT], ids=["long", "short"])
def test_every_form_of_strokes_is_the_same_ink(form: Callable[[Any], Any], ink: Any) -> None:
    parsed = parse_strokes(json.dumps(form(ink)).encode())
    assert [stroke.tolist() for stroke in parsed] == ink


@pytest.mark.parametrize("time", [True, False])
def test_rows_that_can_only_be_columns_are_columns(time: bool) -> None:
    rows = [[[p[0] for p in s], [p[1] for p in s], *([[0] * len(s)] if time else [])] for s in LONG]
    assert [stroke.tolist() for stroke in parse_strokes(json.dumps(rows).encode())] == LONG


def test_one_stroke_needs_no_list_around_it() -> None:
    for content in (LONG[0], {"strokes": LONG[0]}, separate(LONG)[0], {"x": [1, 2], "y": [3, 4]}):
        assert len(parse_strokes(json.dumps(content).encode())) == 1


def test_empty_strokes_are_left_out() -> None:
    assert [s.tolist() for s in parse_strokes(b'{"strokes": [[], [[1, 2]], []]}')] == [[[1, 2]]]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "the body"),
        ("nonsense", "the body"),
        ("{}", "strokes"),
        ('{"strokes": null}', "strokes"),
        ('{"strokes": [[[1, null]]]}', "strokes.0.0"),
        ('{"strokes": [[[1, 2]], [[1, 2], [true, 2]]]}', "strokes.1.1"),
        ('{"strokes": [[[1, 2], [1]]]}', "strokes.0.1"),
        ('{"strokes": [[[1, "2"]]]}', "strokes.0.0"),
        ('{"strokes": [{"x": [1, 2], "y": [1]}]}', "strokes.0"),
        ('{"x": [[1], [2]], "y": [[1]]}', "strokes"),
        ('{"strokes": [[{"x": 1}]]}', "strokes.0.0"),
        ('{"strokes": "M0 0L8 10"}', "strokes"),
        ('{"strokes": [[[1, NaN]]]}', "the body"),
    ],
)
def test_a_fault_in_strokes_is_named_with_the_right_form(content: str, place: str) -> None:
    with pytest.raises(Problem) as raised:
        parse_strokes(content.encode())
    assert (raised.value.status, raised.value.kind) == (422, "invalid-body")
    assert raised.value.detail.startswith(f"{place}: ") and "[[[x, y]" in raised.value.detail


PLAIN = base64.b64encode(png()).decode()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN + "\n",
        "\r\n".join(PLAIN[i : i + 76] for i in range(0, len(PLAIN), 76)),
        base64.urlsafe_b64encode(png()).decode(),
        PLAIN.rstrip("="),
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/PNG;charset=utf-8;BASE64, {PLAIN}",
        f"data:image/png;base64,{quote(PLAIN, safe='')}",
    ],
    ids=["plain", "newline", "wrapped", "URL-safe", "unpadded", "data URL", "in capitals", "percent-encoded"],
)
def test_base64_in_every_allowed_form_is_the_same_picture(text: str) -> None:
    assert from_base64(text, 1 << 20) == png()


@pytest.mark.parametrize("text", ["!!", "A", "AAAAA", "data:image/png,AAAA", "http://example.org/a.png"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(Problem) as raised:
        from_base64(text, 1 << 20)
    assert raised.value.kind == "invalid-base64"


@pytest.mark.parametrize(
    ("given", "address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7", "192.0.2.7"),
        ("64:ff9b::192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2002:c000:0207::1", "192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("unknown", "unknown", "unknown"),
    ],
)
def test_an_address_has_one_form(given: str, address: str, counted: str) -> None:
    assert canonical(given) == address
    assert network(given) == counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("::ffff:10.0.0.9", "198.51.100.4", "198.51.100.4"),
        ("10.0.0.9", "::ffff:198.51.100.4", "198.51.100.4"),
        ("::ffff:10.0.0.9", "198.51.100.4, ::ffff:10.0.0.8", "198.51.100.4"),
        ("::ffff:192.0.2.7", "198.51.100.4", "192.0.2.7"),
    ],
)
async def test_a_mapped_proxy_is_trusted_as_itself(peer: str, forwarded: str, client: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    await trust_proxies(app, ["10.0.0.0/8"])(scope, None, None)  # type: ignore[arg-type]
    assert seen == [client]


async def test_a_compressed_body_is_read_and_bounded() -> None:
    async with serving(max_bytes=1 << 16) as service:
        headers = {"content-type": "image/png", "content-encoding": "gzip"}
        answers = [
            await service.client.post("/predict", content=content, headers=headers)
            for content in (
                gzip.compress(png()),
                gzip.compress(bytes(1 << 24)),
                b"no gzip",
                gzip.compress(png())[:-9],
                gzip.compress(png()[:99]) + gzip.compress(png()[99:]),
                gzip.compress(b"") * 1000 + gzip.compress(png()),
            )
        ]
        assert [a.status_code for a in answers] == [200, 413, 400, 400, 200, 400]
        headers["content-encoding"] = "identity, gzip"
        listed = await service.client.post("/predict", content=gzip.compress(png()), headers=headers)
        assert listed.is_success
        other = await service.client.post(
            "/predict", content=b"x", headers=headers | {"content-encoding": "br"}
        )
        assert other.status_code == 415 and "gzip" in other.headers["accept-encoding"]


async def test_options_in_a_form_count_as_in_the_query() -> None:
    async with serving() as service:
        files = {"file": ("a.png", png(), "image/png")}
        answer = await service.client.post("/predict", files=files, data={"n_best": "3", "format": "mathml"})
        assert len(answer.json()["alternatives"]) == 2 and "mathml" in answer.json()
        wrong = await service.client.post("/predict", files=files, data={"n_best": "9"})
        assert wrong.status_code == 422 and "n_best" in wrong.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps({"image": PLAIN}).encode(), "application/json"),
        (json.dumps({"strokes": SHORT}).encode(), "application/json"),
        (b"<ink><trace>0 0, 8 10</trace></ink>", "application/inkml+xml"),
        (b"<ink><trace>0 0, 8 10</trace></ink>", "text/xml; charset=utf-8"),
        (b"<ink><trace>0 0, 8 10</trace></ink>", "application/octet-stream"),
        ("<ink><trace>0 0, 8 10</trace></ink>".encode("utf-16"), ""),
        (b"<ink><trace>0 0, 8 10</trace></ink>", "application/json"),
        (json.dumps({"strokes": SHORT}).encode(), "application/octet-stream"),
        (json.dumps(SHORT).encode("utf-8-sig"), "application/json"),
        (json.dumps({"strokes": SHORT}).encode("utf-16"), "application/vnd.ink+json; charset=utf-16"),
        (png(), ""),
    ],
)
async def test_one_address_reads_pictures_and_ink(content: bytes, kind: str) -> None:
    async with serving() as service:
        answer = await service.client.post("/predict", content=content, headers={"content-type": kind})
        assert answer.status_code == 200, answer.text
        if kind.startswith("application/") and not kind.endswith("stream"):
            typed = await service.client.post(
                "/predict/strokes", content=content, headers={"content-type": kind}
            )
            assert typed.json()["formula"] == answer.json()["formula"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.inkml", b"<ink><trace>0 0, 8 10</trace></ink>"), ("a.json", json.dumps(SHORT).encode())],
)
async def test_a_form_s_file_may_be_ink(name: str, content: bytes) -> None:
    async with serving(max_ink_bytes=1 << 12) as service:
        answer = await service.client.post("/predict", files={"file": (name, content)}, data={"n_best": "2"})
        assert answer.status_code == 200 and len(answer.json()["alternatives"]) == 1
        large = await service.client.post("/predict", files={"file": (name, content[:1] + b" " * (1 << 12))})
        assert large.status_code in (413, 422)


@pytest.mark.parametrize("path", ["/status", "/health", "/model/info", "/", "/metrics", "/docs.json"])
async def test_head_answers_as_get_without_a_body(path: str) -> None:
    async with serving() as service:
        full, head = await service.client.get(path), await service.client.head(path)
        assert head.status_code == full.status_code == 200 and head.content == b""
        assert head.headers["content-type"] == full.headers["content-type"]


async def test_head_leaves_a_connection_open() -> None:
    async with serving() as service, live(service) as address, httpx.AsyncClient(base_url=address) as client:
        for path in ("/status", "/nowhere"):
            head, full = await client.head(path), await client.get(path)
            assert head.status_code == full.status_code and head.content == b""
            assert "content-length" in head.headers and "connection" not in head.headers


async def test_a_trailing_slash_is_no_redirect() -> None:
    async with serving() as service:
        answer = await service.client.post(
            "/predict/", content=png(), headers={"content-type": "image/png"}, follow_redirects=False
        )
        assert answer.status_code == 200


async def test_a_trace_context_passes_cors() -> None:
    async with serving(cors_origins="https://a.example") as service:
        answer = await service.client.options(
            "/predict",
            headers={
                "Origin": "https://a.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "traceparent,tracestate,baggage,x-api-key",
            },
        )
        assert answer.status_code == 200 and "traceparent" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(("auth", "alternatives"), [("required", 2), ("off", 3)])
async def test_the_description_names_the_key_s_headers(auth: str, alternatives: int) -> None:
    async with serving(auth=auth) as service:
        description = (await service.client.get("/docs.json")).json()
        assert set(description["components"]["securitySchemes"]) == {"apiKey", "bearer"}
        assert len(description["paths"]["/predict"]["post"]["security"]) == alternatives
        assert "security" not in description["paths"]["/status"]["get"]


def encoded(format: str) -> bytes:
    buffer = BytesIO()
    Image.open(BytesIO(png())).convert("RGB").save(buffer, format)
    return buffer.getvalue()


async def test_avif_is_read() -> None:
    async with serving() as service:
        answer = await service.client.post(
            "/predict", content=encoded("AVIF"), headers={"content-type": "image/avif"}
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7\n...", "PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
)
async def test_formats_that_are_not_read_are_refused_by_name(content: bytes, name: str) -> None:
    async with serving() as service:
        answer = await service.client.post(
            "/predict", content=content, headers={"content-type": "application/octet-stream"}
        )
        assert answer.status_code == 415 and name in answer.json()["detail"]


def test_many_points_are_parsed_quickly_enough_to_be_bounded_by_the_body() -> None:
    ink = np.random.default_rng(1).random((100, 1000, 2)).round(3).tolist()
    assert sum(map(len, parse_strokes(json.dumps(ink).encode()))) == 100_000
