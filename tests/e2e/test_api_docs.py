"""The page that renders the contract, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import CHROMIUM, Page, browser
from tests.e2e.conftest import Api

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

LIST_USERS = "#operations-users-listUsers"


def exists(selector: str) -> str:
    """Returns the JavaScript expression for whether an element is on the page."""
    return f"(document.querySelector({selector!r}) !== null)"


@pytest.fixture(scope="module")
def page(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The loaded page."""
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        opened.open(f"{api.url}/docs")
        opened.wait_for("document.querySelectorAll('.opblock').length")
        yield opened


def test_the_page_shows_every_operation(page: Page, api: Api) -> None:
    contract = api.request("GET", "/openapi.json", key="").json()
    operations = sum(len(methods) for methods in contract["paths"].values())
    assert page.evaluate("document.querySelectorAll('.opblock').length") == operations
    assert page.text(".info .title").startswith("orderflow")


def test_the_page_sends_a_request_with_a_key_to_its_own_stage(page: Page, api: Api) -> None:
    page.click(".btn.authorize", until=exists(".auth-container input"))
    page.type(".auth-container input", api.paid_key)
    page.click(".auth-btn-wrapper .authorize", until=f"!{exists('.auth-container input')}")
    page.click(".auth-btn-wrapper .btn-done", until=f"!{exists('.auth-container')}")
    page.click(f"{LIST_USERS} .opblock-summary-control", until=exists(f"{LIST_USERS} .execute"))
    page.click(f"{LIST_USERS} .execute", until=exists(f"{LIST_USERS} .live-responses-table"))
    assert page.text(f"{LIST_USERS} .live-responses-table tbody .response-col_status") == "200"
    assert page.text(f"{LIST_USERS} .request-url pre").startswith(f"{api.url}/users")


def test_the_page_uses_no_other_host_and_logs_no_error(page: Page, api: Api, tmp_path: Path) -> None:
    page.screenshot(tmp_path / "docs.png")
    requested = {url for url in page.requests if not url.startswith("data:")}
    assert requested
    assert not [url for url in requested if not url.startswith(api.url)]
    assert page.errors == []
