"""The documents of the API: the contract, and a page that renders it.

Both are read at the first request for them, so the health route does not pay for them. The page needs no
other host: the Swagger UI that Powertools ships is in the layer already.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import aws_lambda_powertools

# In the repository the contract is docs/openapi.json. Packaging copies it beside this module.
CONTRACT = Path(__file__).with_name("openapi.json")

# Read by path: Powertools' own module for it imports pydantic.
_SWAGGER_UI = Path(aws_lambda_powertools.__file__).parent / "event_handler" / "openapi" / "swagger_ui"

# The contract's URL is relative to the page's, and the routes' to the contract's. So the page calls the
# stage, or the domain, that it came from. Nothing is sent to swagger.io's validator, and no key is stored.
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>orderflow API</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div id="swagger-ui"></div>
<script>{library}</script>
<script>{start}</script>
</body>
</html>
"""

# Only the page's own scripts run, they call only the page's own host, and no other site may frame it.
_POLICY = (
    "default-src 'none'; script-src {library} {start}; style-src {style}; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Document(NamedTuple):
    """A text with its type, its entity tag, and the headers that it needs."""

    text: str
    content_type: str
    etag: str
    headers: dict[str, str]


@cache
def contract() -> Document:
    """Returns the OpenAPI document."""
    return _document(CONTRACT.read_text("utf-8"), "application/json", {})


@cache
def page() -> Document:
    """Returns the page that renders the contract."""
    parts = {
        "style": (_SWAGGER_UI / "swagger-ui.min.css").read_text("utf-8"),
        "library": (_SWAGGER_UI / "swagger-ui-bundle.min.js").read_text("utf-8"),
        "start": _START,
    }
    policy = _POLICY.format(**{name: f"'sha256-{_digest(text)}'" for name, text in parts.items()})
    return _document(_PAGE.format(**parts), "text/html; charset=utf-8", {"Content-Security-Policy": policy})


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _document(text: str, content_type: str, headers: dict[str, str]) -> Document:
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
    # Clients get the documents of a deployment after five minutes.
    kept = {"ETag": etag, "Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
    return Document(text, content_type, etag, kept | headers)
