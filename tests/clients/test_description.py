"""The Python client says and expects what the OpenAPI description does: whoever changes one changes both."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import jsonschema
import pytest
from pydantic import TypeAdapter

from handwritten_math_client import (
    Alternative,
    AsyncClient,
    Batch,
    Client,
    ClientError,
    Constraints,
    Correction,
    CreatedKey,
    Health,
    History,
    Key,
    KeyLimitOptions,
    KeyLimits,
    KeyList,
    KeyResult,
    Minute,
    ModelInfo,
    Prediction,
    PredictOptions,
    Problem,
    RateLimit,
    RateLimitStatus,
    Reading,
    Status,
    TokenAlternative,
    TokenBox,
    UsageDay,
    UsageReport,
)
from tests.architecture.imports import imported_by_script, third_party

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients/python/src/handwritten_math_client"

MODELS = {
    "AlternativeResponse": Alternative,
    "BatchResponse": Batch,
    "Constraints": Constraints,
    "CreatedKey": CreatedKey,
    "FeedbackResponse": Correction,
    "Health": Health,
    "History": History,
    "KeyInfo": Key,
    "KeyLimits": KeyLimits,
    "KeyList": KeyList,
    "Minute": Minute,
    "ModelInfo": ModelInfo,
    "PredictResponse": Reading,
    "ProblemDocument": Problem,
    "Status": Status,
    "Tier": RateLimit,
    "TokenAlternative": TokenAlternative,
    "TokenBox": TokenBox,
    "Usage": RateLimitStatus,
    "UsageDay": UsageDay,
    "UsageReport": UsageReport,
}

STROKES = [[(0, 0), (8, 10)], [(8, 0), (0, 10)]]
INK = b'<ink xmlns="http://www.w3.org/2003/InkML"><trace>0 0, 8 10</trace></ink>'
CALLS: dict[str, tuple[Any, ...]] = {
    "predict": (b"a picture",),
    "predict_strokes": (STROKES,),
    "predict_inkml": (INK,),
    "predict_batch": ([b"one", b"two"],),
    "feedback": ("9f86d081884c7d65", r"\frac{1}{2}"),
    "status": (),
    "health": (),
    "history": (),
    "model_info": (),
    "rate_limit_status": (),
    "usage": (),
    "list_keys": (),
    "add_key": ("Ada's tablet", 30),
    "limit_key": ("3f9c2a7b",),
    "revoke_key": ("3f9c2a7b",),
}
WITHOUT_OPTIONS = {"add_key", "limit_key", "revoke_key"}  # of predictions
OPTIONS: dict[str, Any] = {
    "n_best": 2,
    "format": "mathml",
    "explain": True,
    "names": "letters",
    "constraints": Constraints(prefix="x", tokens={3: "2"}, exclude=("y",), vocabulary="algebra"),
}
RESULTS: dict[type, type] = {Prediction: Reading, KeyResult: Key}  # with headers


def sent(method: str, **options: Any) -> httpx.Request:
    """The request that a method of the client sends."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(404)

    with (
        Client("http://service", transport=httpx.MockTransport(answer)) as client,
        pytest.raises(ClientError),
    ):
        getattr(client, method)(*CALLS[method], **options)
    return seen[0]


def operation(description: dict[str, Any], request: httpx.Request) -> dict[str, Any]:
    found: dict[str, Any] = description["paths"][pattern(request)][request.method.lower()]
    return found


def pattern(request: httpx.Request) -> str:
    """The path as the description has it."""
    return request.url.path.replace("3f9c2a7b", "{key_id}")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_fields_and_types_of_its_schema(description: dict[str, Any], name: str) -> None:
    assert shape(client_schema(MODELS[name])) == shape(description["components"]["schemas"][name])


def test_there_is_a_model_for_each_schema(description: dict[str, Any]) -> None:
    assert set(MODELS) == set(description["components"]["schemas"])


def test_there_is_a_method_for_each_operation(description: dict[str, Any]) -> None:
    described = {
        (path, method.upper()) for path, methods in description["paths"].items() for method in methods
    }
    requests = [sent(method) for method in CALLS]
    assert {(pattern(request), request.method) for request in requests} == described


@pytest.mark.parametrize("method", CALLS)
def test_a_result_is_what_the_operation_answers(description: dict[str, Any], method: str) -> None:
    kind = inspect.signature(getattr(Client, method), eval_str=True).return_annotation
    responses = operation(description, sent(method))["responses"]
    [success] = [response for status, response in responses.items() if status.startswith("2")]
    name = success["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    assert MODELS[name] is RESULTS.get(kind, kind)


@pytest.mark.parametrize("method", [m for m in CALLS if CALLS[m] and m != "revoke_key"])
def test_a_body_is_as_described(description: dict[str, Any], method: str) -> None:
    request = sent(method)
    kind = request.headers["Content-Type"].partition(";")[0]
    content = operation(description, request)["requestBody"]["content"]
    assert kind in content
    if kind == "application/json":
        schema = content[kind]["schema"] | {"components": description["components"]}  # what `$ref` refers to
        jsonschema.Draft202012Validator(schema).validate(json.loads(request.content))
    elif kind == "multipart/form-data":
        [field] = content[kind]["schema"]["required"]
        assert f'name="{field}"'.encode() in request.content


@pytest.mark.parametrize("method", [m for m in CALLS if CALLS[m] and m not in WITHOUT_OPTIONS])
def test_options_are_the_parameters(description: dict[str, Any], method: str) -> None:
    described = {
        parameter["name"]: shape(value_schema(description, parameter["schema"]))
        for parameter in operation(description, sent(method))["parameters"]
        if parameter["in"] == "query"
    }
    hints = get_type_hints(PredictOptions)
    if method == "feedback":
        hints = {"format": hints["format"]}
    assert {name: shape(client_schema(kind)) for name, kind in hints.items()} == described
    sent_values = sent(method, **{name: OPTIONS[name] for name in described}).url.params
    assert set(sent_values) == set(described)
    if "constraints" in described:
        constraints = json.loads(sent_values["constraints"])
        schema = description["components"]["schemas"]["Constraints"]
        jsonschema.Draft202012Validator(schema).validate(constraints)
        assert constraints["prefix"] == "x"


def test_limits_of_keys_are_those_of_the_description(description: dict[str, Any]) -> None:
    limits = {"minute": 1, "hour": 2, "day": 3, "at_once": 4}
    assert set(get_type_hints(KeyLimitOptions)) == set(limits)
    assert set(description["components"]["schemas"]["KeyLimits"]["properties"]) == set(limits)
    assert json.loads(sent("limit_key", **limits).content) == limits
    assert json.loads(sent("add_key", **limits).content)["limits"] == limits


def test_the_key_goes_where_the_description_says(description: dict[str, Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        scheme = description["components"]["securitySchemes"]["apiKey"]
        assert scheme["in"] == "header" and request.headers[scheme["name"]] == "hm_1"
        return httpx.Response(404)

    with (
        Client("http://service", "hm_1", transport=httpx.MockTransport(answer)) as client,
        pytest.raises(ClientError),
    ):
        client.status()


def test_both_clients_have_the_same_methods() -> None:
    for method in CALLS:
        sync, other = (
            inspect.signature(getattr(kind, method), eval_str=True) for kind in (Client, AsyncClient)
        )
        assert sync == other
        assert inspect.iscoroutinefunction(getattr(AsyncClient, method))


def test_the_client_needs_httpx_anyio_and_pydantic_alone() -> None:
    imported = {name for file in PACKAGE.glob("*.py") for name in imported_by_script(file)}
    assert imported and not any(name.startswith("components") for name in imported)
    assert third_party(imported) - {"handwritten_math_client"} == {"httpx", "anyio", "pydantic"}


def value_schema(description: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter's value, also if it is sent as JSON."""
    for option in parameter.get("anyOf", ()):
        if "contentSchema" in option:
            assert option["contentMediaType"] == "application/json"
            name = option["contentSchema"]["$ref"].rsplit("/", 1)[-1]
            found: dict[str, Any] = description["components"]["schemas"][name]
            return found
    return parameter


def client_schema(kind: Any) -> dict[str, Any]:
    """What the client reads, as JSON Schema, with the names of the description's schemas."""
    names = {model.__name__: name for name, model in MODELS.items()}
    schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    text = json.dumps(schema)
    for model, name in names.items():
        text = text.replace(f'"#/components/schemas/{model}"', f'"#/components/schemas/{name}"')
    found: dict[str, Any] = json.loads(text)
    found.get("properties", {}).pop("headers", None)
    if "required" in found:
        found["required"] = [name for name in found["required"] if name != "headers"]
    return found


# What a client need not know: texts, what the service checks, and what stands for a field left out.
_LEFT_OUT = {
    "title",
    "description",
    "examples",
    "default",
    "minimum",
    "maximum",
    "pattern",
    "maxLength",
    "maxItems",
    "maxProperties",
}


def shape(schema: Any) -> Any:
    """The fields and types of a JSON schema, in an order of its own."""
    if isinstance(schema, list):
        return sorted((shape(part) for part in schema), key=json.dumps)
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: shape(part) for name, part in value.items()} if key == "properties" else shape(value)
        for key, value in sorted(schema.items())
        if key not in _LEFT_OUT and (key, value) != ("additionalProperties", False)
    }
