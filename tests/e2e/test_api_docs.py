"""The page that renders the contract, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import CHROMIUM, Page, browser
from tests.e2e.conftest import Api

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

LIST_USERS = "#operations-users-listUsers"


def there(selector: str) -> str:
    """The expression that an element is on the page."""
    return f"(document.querySelector({selector!r}) !== null)"


@pytest.fixture(scope="module")
def page(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, loaded."""
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        opened.open(f"{api.url}/docs")
        opened.wait_for("document.querySelectorAll('.opblock').length")
        yield opened


def test_the_page_shows_every_operation(page: Page, api: Api) -> None:
    contract = api.request("GET", "/openapi.json", key="").json()
    operations = sum(len(methods) for methods in contract["paths"].values())
    assert page.evaluate("document.querySelectorAll('.opblock').length") == operations
    assert page.text(".info .title").startswith("orderflow")


def test_a_request_is_tried_with_a_key_on_the_stage_that_the_page_came_from(page: Page, api: Api) -> None:
    page.click(".btn.authorize", until=there(".auth-container input"))
    page.type(".auth-container input", api.paid_key)
    page.click(".auth-btn-wrapper .authorize", until=f"!{there('.auth-container input')}")
    page.click(".auth-btn-wrapper .btn-done", until=f"!{there('.auth-container')}")
    page.click(f"{LIST_USERS} .opblock-summary-control", until=there(f"{LIST_USERS} .execute"))
    page.click(f"{LIST_USERS} .execute", until=there(f"{LIST_USERS} .live-responses-table"))
    assert page.text(f"{LIST_USERS} .live-responses-table tbody .response-col_status") == "200"
    assert page.text(f"{LIST_USERS} .request-url pre").startswith(f"{api.url}/users")


def test_the_page_needs_no_other_host_and_breaks_no_policy(page: Page, api: Api, tmp_path: Path) -> None:
    page.screenshot(tmp_path / "docs.png")
    asked = {url for url in page.requests if not url.startswith("data:")}
    assert asked
    assert not [url for url in asked if not url.startswith(api.url)]
    assert page.complaints == []
