"""Makes the API's contract, docs/openapi.json (OpenAPI 3.1), from the functions' routes and types.

`python -m tools.openapi` writes it; with `--check` it fails when the file is stale. The functions do not
import this module.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args, get_type_hints

import msgspec

from components.api_responses import PROBLEMS
from components.packaging import function_names
from functions.shared.domain.products import BatchProduct, Category
from functions.shared.domain.users import Email
from local.environment import project_version
from tools.openapi_examples import ANSWERS, BODIES, DETAILS, QUOTES, REQUEST_ID, WRONG_FIELDS

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "openapi.json"

# The first functions of the document. Others follow by name.
_FIRST: Final = ("users_api", "products_api", "orders_api")
# Its routes need no key. It is the last function of the document.
OPEN_FUNCTION: Final = "service_api"
FUNCTIONS: Final = sorted(
    (name for name in function_names() if name.endswith("_api")),
    key=lambda name: (name == OPEN_FUNCTION, _FIRST.index(name) if name in _FIRST else len(_FIRST), name),
)

# The routes whose response is a file, and its media type.
TEXTS: Final = {"/openapi.json": "application/json", "/docs": "text/html"}

# Responses of a POST that stores nothing.
_COMPUTED: Final = frozenset({"Quote"})
# Responses of a POST that may be a repeat of an earlier one.
_REPEATABLE: Final = frozenset({"OrderView"})

# Responses with an ETag: records with a version.
_VERSIONED: Final = frozenset({"User", "Product", "BasketView"})
# Methods that take `If-Match`.
_CONDITIONAL: Final = frozenset({"PUT", "PATCH", "DELETE"})

_SUCCESSES: Final = {
    HTTPStatus.OK: "OK.",
    HTTPStatus.CREATED: "Created.",
    HTTPStatus.ACCEPTED: "Asked for: the fulfillment system decides.",
    HTTPStatus.MULTI_STATUS: "A result for each product, in the order of the request.",
    HTTPStatus.NO_CONTENT: "Deleted.",
    HTTPStatus.NOT_MODIFIED: "The document has not changed.",
}

_DESCRIPTION: Final = """\
Creates users, products and orders, and returns the status of orders.

- **Keys**: the header `x-api-key` identifies and meters a trusted client. It is not a login of a user.
- **Money** is a whole number in minor units of an ISO 4217 currency: `1999` is 19.99 EUR, 1999 JPY or 1.999
  KWD. A number with a fraction, such as `19.0`, is refused: it may mean 19.00 EUR.
- **Times** are UTC, ISO 8601, with milliseconds.
- **Errors** are problem documents (RFC 9457). `code` is for programs, `detail` and `errors` are for people.
  Give the `requestId` to support.
- **Retries**: repeated requests with the same `Idempotency-Key` take effect once.
- **Additions**: a later release of v1 may add fields to a response, and values to a list such as `status` or
  `code`. Ignore unknown fields, and have a branch for unknown values.

`HEAD` answers where `GET` does. The URLs of the routes are relative to the URL of this document.
"""

_MAY_GROW: Final = "A later release of v1 may add values."
# Errors with their own description and the code of `InvalidInput`.
_SPECIAL_INPUTS: Final = frozenset({"InvalidLimit", "UnknownParameter"})

_HEADERS: Final = {
    "ETag": {
        "description": "The version: of a record for `If-Match`, of a document for `If-None-Match`.",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]+"$'},
        "example": '"3"',
    },
    "Location": {
        "description": "The path of the new record, from the host's root.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/v1/orders/5f0c6a3e-9a64-5e0e-8d3e-1d6b1a0f7c11",
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
}

_PARAMETERS: Final = {
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "Changes or deletes the record only if it has this version, the `ETag` of a response. "
        "Several are separated by commas; `*` matches every version.",
        "schema": {
            "type": "string",
            "pattern": r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,49})$',
        },
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Returns 304 without a body if the record or document still has this `ETag`.",
        "schema": {"type": "string"},
    },
    "OnlyCreate": {
        "name": "If-None-Match",
        "in": "header",
        "description": "`*` creates the record only if there is none under this id.",
        "schema": {"type": "string", "enum": ["*"]},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The client's name for this request, kept for at least 24 hours. A repeat with the "
        "same body takes effect once and gets the first answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    "Category": {
        "name": "category",
        "in": "query",
        "description": "Lists only the products of this category, sorted by id.",
        "schema": msgspec.json.schema(Category),
    },
    "Email": {
        "name": "email",
        "in": "query",
        "description": "Lists only the user with this e-mail address, without regard to case.",
        "schema": msgspec.json.schema(Email),
    },
    "IncludeArchived": {
        "name": "includeArchived",
        "in": "query",
        "description": "Lists archived products too.",
        "schema": {"type": "boolean", "default": False},
    },
    "From": {
        "name": "from",
        "in": "query",
        "description": "The first day of `createdAt`, in UTC. It may not be in the future.",
        "schema": {"type": "string", "format": "date"},
        "example": "2026-01-01",
    },
    "To": {
        "name": "to",
        "in": "query",
        "description": "The last day of `createdAt`, in UTC. It may not be in the future, nor before `from`.",
        "schema": {"type": "string", "format": "date"},
        "example": "2026-01-31",
    },
    "NextToken": {
        "name": "nextToken",
        "in": "query",
        "description": "The `nextToken` of the previous page, unchanged.",
        "schema": {"type": "string"},
    },
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error that a route may return: its code, when it occurs, and an example."""

    status: int
    code: str
    description: str
    example: dict[str, Any]


class Contract:
    """Collects the routes of all functions into one document."""

    def __init__(self) -> None:
        _set_environment()
        self._http = importlib.import_module("functions.shared.http")
        self._errors = importlib.import_module("functions.shared.domain.errors")
        self._orders = importlib.import_module("functions.shared.domain.orders")
        self._pages = importlib.import_module("functions.shared.persistence.pages")
        self._functions = {name: importlib.import_module(f"functions.{name}.handler") for name in FUNCTIONS}
        self._responses: dict[str, Any] = {}
        self._failures = {**dict(self._own_failures()), **dict(_gateway_failures())}

    def document(self) -> dict[str, Any]:
        """Returns the whole document."""
        paths: dict[str, dict[str, Any]] = {}
        for name, function in self._functions.items():
            for route in function.api.routes:
                path = _public_path(route.path)
                paths.setdefault(path, {})[route.method.lower()] = self._operation(name, route)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "orderflow",
                "version": project_version(),
                "description": _DESCRIPTION,
            },
            "servers": [{"url": ".", "description": "The URL of this document"}],
            "security": [{"apiKey": []}],
            "tags": [
                {"name": _tag(name), "description": _package_description(function)}
                for name, function in self._functions.items()
            ],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "apiKey": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "x-api-key",
                        "description": "Identifies and meters a client. Every key belongs to a usage plan.",
                    }
                },
                "parameters": tidy(_PARAMETERS)
                | {"Limit": self._limit(), "Status": self._status(), "Reference": self._reference()},
                "headers": _HEADERS,
                "responses": dict(sorted(self._responses.items())),
                "schemas": self._schemas(),
                "examples": {
                    _camel(name): {"summary": failure.code, "value": failure.example}
                    for name, failure in self._failures.items()
                },
            },
        }

    # --- one route ----------------------------------------------------------------------------------------

    def _operation(self, function: str, route: Any) -> dict[str, Any]:
        summary, _, description = (route.handler.__doc__ or "").partition("\n\n")
        operation: dict[str, Any] = {
            "operationId": _camel(route.handler.__name__),
            "tags": [_tag(function)],
            "summary": " ".join(summary.split()),
        }
        if description:
            operation["description"] = " ".join(description.split())
        if function == OPEN_FUNCTION:
            operation["security"] = []
        parameters = [*self._path_parameters(route), *self._other_parameters(route)]
        if parameters:
            operation["parameters"] = parameters
        if route.takes is not None:
            operation["requestBody"] = {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": _schema_ref(_public_name(route.takes.__name__)),
                        "examples": BODIES[route.takes.__name__],
                    }
                },
            }
        operation["responses"] = {
            **{str(status.value): self._success(route, status) for status in self._successes(route)},
            **self._failed_responses(function, route),
        }
        return operation

    def _path_parameters(self, route: Any) -> list[dict[str, Any]]:
        schema = msgspec.json.schema(self._orders.Identifier)
        return [
            {
                "name": _camel(name),
                "in": "path",
                "required": True,
                "description": f"The id of the {name.removesuffix('_id')}.",
                "schema": tidy({key: value for key, value in schema.items() if key != "description"}),
            }
            for name in re.findall(r"<(\w+)>", route.path)
        ]

    def _other_parameters(self, route: Any) -> list[dict[str, str]]:
        names = []
        if self._is_page(route):
            names += [name[:1].upper() + name[1:] for name in route.query]
        if self._takes_if_match(route):
            names.append("IfMatch")
        if self._replaces(route):
            names.append("OnlyCreate")
        if route.idempotent or self._errors.IdempotencyKeyReused in route.raises:
            names.append("IdempotencyKey")
        if self._has_etag(route):
            names.append("IfNoneMatch")
        return [{"$ref": f"#/components/parameters/{name}"} for name in names]

    def _takes_if_match(self, route: Any) -> bool:
        return route.method in _CONDITIONAL or self._errors.VersionMismatch in route.raises

    def _limit(self) -> dict[str, Any]:
        return {
            "name": "limit",
            "in": "query",
            "description": "The maximum number of entries on the page.",
            "schema": {
                "type": "integer",
                "minimum": 1,
                "maximum": self._pages.MAX_LIMIT,
                "default": self._pages.DEFAULT_LIMIT,
            },
        }

    def _status(self) -> dict[str, Any]:
        return {
            "name": "status",
            "in": "query",
            "description": "Only orders with this status.",
            "schema": _schema_ref("OrderStatus"),
        }

    def _reference(self) -> dict[str, Any]:
        return {
            "name": "reference",
            "in": "query",
            "description": "Only orders with this `reference`.",
            "schema": tidy(msgspec.json.schema(self._orders.Reference)),
        }

    def _successes(self, route: Any) -> list[HTTPStatus]:
        if _answer_of(route) is type(None):
            return [HTTPStatus.NO_CONTENT]
        if self._has_etag(route):
            return [HTTPStatus.OK, HTTPStatus.NOT_MODIFIED]
        if getattr(_answer_of(route), "__name__", "") == "BatchResults":
            return [HTTPStatus.MULTI_STATUS]
        if self._creates(route):
            repeatable = getattr(_answer_of(route), "__name__", "") in _REPEATABLE
            return [*([HTTPStatus.OK] if repeatable else []), HTTPStatus.CREATED]
        if self._replaces(route) or self._reports(route):
            return [HTTPStatus.OK, HTTPStatus.CREATED]
        if self._errors.TooLateToCancel in route.raises:
            return [HTTPStatus.OK, HTTPStatus.ACCEPTED]
        return [HTTPStatus.OK]

    def _success(self, route: Any, status: HTTPStatus) -> dict[str, Any]:
        description = _SUCCESSES[status]
        if status is HTTPStatus.OK and HTTPStatus.CREATED in self._successes(route):
            description = "A repeated request. Returns the first order."
            if self._replaces(route):
                description = "Replaced."
            elif self._reports(route):
                description = "A repeat, or a change of what was reported before."
        response: dict[str, Any] = {"description": description}
        headers = list(self._headers(route, status))
        if headers:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
        if status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            response["content"] = self._content(route)
        return response

    def _headers(self, route: Any, status: HTTPStatus) -> Iterator[str]:
        if self._has_etag(route) or getattr(_answer_of(route), "__name__", "") in _VERSIONED:
            yield "ETag"
        if self._creates(route) or (self._replaces(route) and status is HTTPStatus.CREATED):
            yield "Location"

    def _creates(self, route: Any) -> bool:
        """Returns whether a POST stores a new record. A checkout stores an order."""
        is_checkout = self._errors.BasketEmpty in route.raises
        return is_checkout or (
            route.method == "POST"
            and route.handler.__name__.startswith("create_")
            and getattr(_answer_of(route), "__name__", "") not in _COMPUTED
        )

    def _replaces(self, route: Any) -> bool:
        """Returns whether a PUT creates or replaces a record with a version."""
        return route.method == "PUT" and self._errors.AlreadyExists in route.raises

    def _reports(self, route: Any) -> bool:
        """Returns whether a PUT reports a fact about an order, for the first time or again."""
        return self._errors.ReportRefused in route.raises

    def _has_etag(self, route: Any) -> bool:
        """Returns whether a GET has an ETag, so that it can return 304: records and documents, not pages."""
        return self._is_tagged(route) and route.revalidates

    def _is_tagged(self, route: Any) -> bool:
        return route.method == "GET" and (
            route.path in TEXTS or getattr(_answer_of(route), "__name__", "") in {*_VERSIONED, "OrderView"}
        )

    def _content(self, route: Any) -> dict[str, Any]:
        if route.path in TEXTS:
            media_type = TEXTS[route.path]
            return {media_type: {"schema": {"type": "string" if media_type == "text/html" else "object"}}}
        schema = _schema_ref(_public_name(_schema_name(_answer_of(route))))
        return {"application/json": {"schema": schema, "example": ANSWERS[route.handler.__name__]}}

    # --- the errors of a route ----------------------------------------------------------------------------

    def _failed_responses(self, function: str, route: Any) -> dict[str, Any]:
        by_status: dict[int, list[str]] = {}
        for name in self._failure_names(function, route):
            by_status.setdefault(self._failures[name].status, []).append(name)
        return {str(status): self._failed_response(by_status[status]) for status in sorted(by_status)}

    def _failed_response(self, names: list[str]) -> dict[str, str]:
        """Returns a reference to the response with these errors, which routes share."""
        shared = "Or".join(names)
        self._responses[shared] = self._describe(names)
        return {"$ref": f"#/components/responses/{shared}"}

    def _describe(self, names: list[str]) -> dict[str, Any]:
        response: dict[str, Any] = {
            "description": " ".join(self._failures[name].description for name in names),
            "content": {
                "application/problem+json": {
                    "schema": _schema_ref("Problem"),
                    "examples": {
                        _camel(name): {"$ref": f"#/components/examples/{_camel(name)}"} for name in names
                    },
                }
            },
        }
        if {"Unavailable", "Throttled", "QuotaExceeded"} & set(names):
            response["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
        return response

    def _failure_names(self, function: str, route: Any) -> Iterator[str]:
        """Yields the errors that a route may return, derived from its body, response, path and method."""
        if route.takes is not None:
            yield from ("MalformedBody", "BodyTooLarge", "UnsupportedMediaType", "InvalidInput")
        if self._is_page(route):
            yield from ("InvalidPageToken", "InvalidLimit")
        if "from" in route.query:
            yield "InvalidOrderQuery"
        yield "UnknownParameter"
        if "<" in route.path:
            yield "NotFound"
        if self._replaces(route):
            yield "MalformedIfNoneMatch"
        if self._takes_if_match(route):
            yield from ("MalformedIfMatch", "VersionMismatch")
        yield from self._raised_names(route)
        if route.idempotent:
            yield "IdempotencyKeyReused"
        if function != OPEN_FUNCTION:
            yield from ("InvalidApiKey", "QuotaExceeded", "Unavailable")
        yield from ("Throttled", "InternalError", "IntegrationFailure", "IntegrationTimeout")

    def _raised_names(self, route: Any) -> Iterator[str]:
        is_checkout = self._errors.PriceChanged in route.raises
        for error in route.raises:
            if error is self._errors.InsufficientStock and is_checkout:
                yield "ShortBasket"
            elif error is not self._errors.VersionMismatch:
                yield error.__name__

    def _own_failures(self) -> Iterator[tuple[str, Failure]]:
        for error, status in self._http.STATUS.items():
            name = error.__name__
            if name == "InvalidBody":  # clients get InvalidInput
                continue
            fields = WRONG_FIELDS if name == "InvalidInput" else None
            detail = self._http.summary(fields) if fields else DETAILS[name]
            yield (
                name,
                self._failure(
                    status,
                    self._http.code(error),
                    sentence((error.__doc__ or "").partition("\n\n")[0]),
                    detail,
                    fields,
                    QUOTES.get(name),
                ),
            )
        limit = [msgspec.structs.replace(WRONG_FIELDS[0], field="limit", message=DETAILS["InvalidLimit"])]
        yield (
            "InvalidLimit",
            self._failure(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid_input",
                "The `limit` is out of range.",
                self._http.summary(limit),
                limit,
            ),
        )
        yield (
            "ShortBasket",
            self._failure(
                HTTPStatus.CONFLICT,
                "insufficient_stock",
                "Too little of a product in the basket is in stock.",
                DETAILS["ShortBasket"],
                quote=QUOTES["ShortBasket"],
            ),
        )
        future = [
            msgspec.structs.replace(WRONG_FIELDS[0], field="from", message=DETAILS["InvalidOrderQuery"])
        ]
        yield (
            "InvalidOrderQuery",
            self._failure(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid_input",
                "The status is unknown, the reference is no text, a day is no date or in the future, or "
                "`from` is after `to`.",
                self._http.summary(future),
                future,
            ),
        )
        unknown = [
            msgspec.structs.replace(WRONG_FIELDS[0], field="emial", message=DETAILS["UnknownParameter"])
        ]
        yield (
            "UnknownParameter",
            self._failure(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid_input",
                "A query parameter is unknown, or given more than once.",
                self._http.summary(unknown),
                unknown,
            ),
        )
        status, code, detail = self._http.UNAVAILABLE
        yield (
            "Unavailable",
            self._failure(status, code, "A service that the API uses is busy. Try again.", detail),
        )
        status, code, detail = self._http.INTERNAL_ERROR
        yield "InternalError", self._failure(status, code, "An internal error.", detail)

    def _failure(
        self,
        status: HTTPStatus,
        code: str,
        description: str,
        detail: str,
        fields: Any = None,
        quote: Any = None,
    ) -> Failure:
        document = self._http.problem(status, code, detail, REQUEST_ID, fields, quote=quote)
        return Failure(
            status=status.value, code=code, description=description, example=msgspec.to_builtins(document)
        )

    def _is_page(self, route: Any) -> bool:
        return getattr(_answer_of(route), "__origin__", None) is self._pages.Page

    # --- the types ----------------------------------------------------------------------------------------

    def _schemas(self) -> dict[str, Any]:
        routes = [route for function in self._functions.values() for route in function.api.routes]
        bodies = {route.takes for route in routes if route.takes is not None} | {BatchProduct}
        answers = [_answer_of(route) for route in routes if _answer_of(route) not in {str, type(None)}]
        _, requests = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
        _, responses = msgspec.json.schema_components(
            [*answers, self._http.Problem], ref_template="#/components/schemas/{name}"
        )
        for route in routes:
            if route.method == "PATCH":
                requests[route.takes.__name__]["minProperties"] = 1
        schemas = {_public_name(name): tidy(schema) for name, schema in _strict(requests, responses).items()}
        for name, schema in responses.items():
            schemas[_public_name(name)] = tidy(_never_null(_open(schema)))
        schemas["Problem"]["properties"]["code"] = _schema_ref("ProblemCode")
        schemas["ProblemCode"] = _open_enum("The error, for programs.", self._problem_codes())
        schemas["RejectionCode"] = _open_enum(
            "Why an order is REJECTED, for programs. `statusReason` is for people.",
            {code.value: code.meaning for code in self._errors.RejectionCode},
        )
        return dict(sorted(schemas.items()))

    def _problem_codes(self) -> dict[str, str]:
        """Returns the meaning of each `code`, of the functions' errors and then of the gateway's."""
        meanings: dict[str, str] = {}
        for name, failure in self._failures.items():
            if name not in _SPECIAL_INPUTS:
                meanings.setdefault(failure.code, failure.description)
        for problem in PROBLEMS.values():
            meanings.setdefault(problem.code, problem.detail)
        return meanings


# --- sources ------------------------------------------------------------------------------------------------


def _set_environment() -> None:
    """Sets the variables that the functions read when they are imported. None is in the document."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "orderflow")
    os.environ.setdefault("STALLED_AFTER_MINUTES", "10")
    for name in (
        *("USERS_TABLE", "PRODUCTS_TABLE", "ORDERS_TABLE", "ORDERS_QUEUE_URL", "EVENT_BUS_NAME"),
        *(
            "BASKETS_TABLE",
            "REQUESTS_TABLE",
            "EMAILS_TABLE",
            "CORS_ORIGINS",
            "DEFAULT_CURRENCY",
            "STACK_NAME",
            "SERVICE_VERSION",
        ),
    ):
        os.environ.setdefault(name, "none")
    os.environ.setdefault("BASKET_DAYS", "30")


def _package_description(function: ModuleType) -> str:
    """Returns the docstring of a function's package, such as `Place, read and list orders.`."""
    package = importlib.import_module(function.__name__.rpartition(".")[0])
    return sentence((package.__doc__ or "").removeprefix("HTTP: "))


def _gateway_failures() -> Iterator[tuple[str, Failure]]:
    """Yields the errors that API Gateway returns, as the Pulumi program declares them."""
    described = {
        "INVALID_API_KEY": "The API key is missing or invalid.",
        "THROTTLED": "Too many requests at once.",
        "QUOTA_EXCEEDED": "The key has used up its quota.",
        "INTEGRATION_FAILURE": "The service could not be reached.",
        "INTEGRATION_TIMEOUT": "The service took too long.",
    }
    for response_type, description in described.items():
        problem = PROBLEMS[response_type]
        example = {
            "type": "about:blank",
            "title": problem.title,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
            "requestId": REQUEST_ID,
        }
        name = "".join(word.capitalize() for word in response_type.split("_"))
        yield (
            name,
            Failure(status=problem.status, code=problem.code, description=description, example=example),
        )


def _answer_of(route: Any) -> Any:
    """Returns the type T of a handler that returns `Answer[T]`."""
    return get_args(get_type_hints(route.handler)["return"])[0]


# --- names and schemas --------------------------------------------------------------------------------------


def _camel(name: str) -> str:
    """Returns `createUser` for `create_user` and `CreateUser`."""
    head, *others = name.split("_")
    return head[:1].lower() + head[1:] + "".join(word.capitalize() for word in others)


def _tag(function: str) -> str:
    return function.removesuffix("_api")


def _public_path(path: str) -> str:
    """Returns `/users/{userId}` for `/users/<user_id>`."""
    return re.sub(r"<(\w+)>", lambda found: f"{{{_camel(found[1])}}}", path)


def _schema_name(kind: Any) -> str:
    """Returns the name that msgspec gives a type's schema."""
    return (
        "_".join([kind.__origin__.__name__, get_args(kind)[0].__name__, ""])
        if get_args(kind)
        else str(kind.__name__)
    )


def _public_name(name: str) -> str:
    """Returns the name of a schema for clients: `OrderPage` for msgspec's `Page_OrderView_`.

    `NewOrder` becomes `OrderRequest`: in Go, `NewOrder` is the constructor of `Order`.
    """
    name = re.sub(r"^Page_(\w+)_$", r"\1Page", re.sub(r"View(?=_|$)", "", name))
    return re.sub(r"^New(\w+)$", r"\1Request", name)


def _open_enum(description: str, meanings: Mapping[str, str]) -> dict[str, Any]:
    """Returns the schema of a list of values to which a later version may add."""
    values = sorted(meanings)
    listed = "\n".join(f"- `{value}`: {meanings[value]}" for value in values)
    return {
        "type": "string",
        "description": f"{description} {_MAY_GROW}\n\n{listed}",
        "x-extensible-enum": values,
    }


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a response to which a later version may add: fields of an object, or values.

    Generated clients refuse a value that an `enum` does not list, and some refuse unknown fields by default.
    """
    if "enum" in schema:
        values = schema.pop("enum")
        description = f"{schema['description']} {_MAY_GROW}"
        return schema | {"type": "string", "description": description, "x-extensible-enum": values}
    return schema | {"additionalProperties": True} if schema.get("type") == "object" else schema


def _strict(requests: dict[str, Any], responses: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schemas of requests. A type that responses have too gets another name."""
    text = json.dumps(requests)
    for name in set(requests) & set(responses):
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{name}Request"')
    renamed: dict[str, Any] = json.loads(text)
    return {f"{name}Request" if name in responses else name: schema for name, schema in renamed.items()}


def _schema_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def sentence(text: str | None) -> str:
    """Returns the text on one line, with a capital letter."""
    words = " ".join((text or "").split())
    return words[:1].upper() + words[1:]


def tidy(value: Any, name: str = "") -> Any:
    """Returns a schema without repeated names and Python's parts, and with the formats of times and money.

    Generators fail at a default of null, make a field with another default mandatory, and read money as 32
    bits without `int64`.
    """
    if isinstance(value, list):
        return [tidy(element) for element in value]
    if not isinstance(value, dict):
        return value
    schema = {key: tidy(part, key) for key, part in value.items() if key != "title" or isinstance(part, dict)}
    if isinstance(schema.get("description"), str):
        schema["description"] = sentence(schema["description"])
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = schema["pattern"].replace(r"(?!\n)", "")  # needed in Python only
    if isinstance(schema.get("$ref"), str):
        schema["$ref"] = "#/components/schemas/" + _public_name(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        schema["type"] = "string"
    if schema.get("required") == []:
        del schema["required"]
    if "default" in schema:
        default = schema.pop("default")
        if default is not None:
            text = f"Default: `{json.dumps(default)}`."
            schema["description"] = f"{schema['description']}. {text}" if "description" in schema else text
    return schema | _format_of(name, schema)


def _format_of(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name in {"createdAt", "updatedAt", "at"}:
        return {"format": "date-time"}
    if name in {"price", "unitPrice", "total", "amount"}:
        return {"format": "int64", "maximum": schema.get("maximum", 2**53 - 1)}
    return {}


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Removes null from a response's schema: the functions omit such fields."""
    for name, field in schema.get("properties", {}).items():
        options = [option for option in field.get("anyOf", ()) if option != {"type": "null"}]
        if len(options) == 1:
            schema["properties"][name] = options[0]
        else:
            field.pop("default", None)
    return schema


def render() -> str:
    """Returns the text of docs/openapi.json."""
    return json.dumps(Contract().document(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Iterable[str]) -> int:
    """Writes the document; with `--check`, compares it instead. Returns the exit code."""
    text = render()
    if "--check" in arguments:
        if DOCUMENT.is_file() and DOCUMENT.read_text("utf-8") == text:
            return 0
        print("docs/openapi.json is stale: run `python -m tools.openapi`.", file=sys.stderr)
        return 1
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
