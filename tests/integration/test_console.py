"""The console and the reference in a real browser, as a person uses them."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.processes import Process
from tests.services.base import cannot
from tests.support import ADMIN, BASE, PASSWORD

ARTIFACTS = Path(__file__).parents[2] / "artifacts"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("console")
    with Process(folder / "log", DATA_DIR=folder / "data") as process:
        yield process


class Browser:
    """Headless Chromium on the service; it remembers everything that pages ask for."""

    def __init__(self, driver: webdriver.Chrome, port: int) -> None:
        self.driver = driver
        self.base = f"http://127.0.0.1:{port}{BASE}"
        self.requests: list[dict[str, Any]] = []

    def open(self, path: str) -> None:
        self.driver.get(self.base + path)

    def wait(self, check: Any) -> Any:
        return WebDriverWait(self.driver, 60, poll_frequency=0.1).until(check)

    def find(self, selector: str, inside: WebElement | None = None) -> WebElement:
        """The first element, once it is there to be seen."""

        def shown(_driver: object) -> WebElement | None:
            found = (inside or self.driver).find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in found if element.is_displayed()), None)

        element: WebElement = self.wait(shown)
        return element

    def click(self, selector: str, inside: WebElement | None = None) -> None:
        element = self.find(selector, inside)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def log_in(self, password: str) -> None:
        for name, text in (("#user", ADMIN), ("#password", password)):
            field = self.find(name)
            field.clear()
            field.send_keys(text)
        self.click("#enter")

    def run(self, operation: str, body: dict[str, Any] | None = None) -> tuple[str, str]:
        """Try an operation as a person does; the status and the body that the page shows."""
        block = self.find(f"[id='{operation}']")
        self.click(".opblock-summary-control", block)
        self.click(".try-out__btn", block)
        if body is not None:
            field = self.find("textarea.body-param__text", block)
            field.clear()
            field.send_keys(json.dumps(body))
        self.click(".execute", block)
        row = self.find(".live-responses-table .response", block)
        status = self.find(".response-col_status", row).text.split()[0]
        return status, self.find(".response-col_description", row).text

    def keep(self, name: str) -> None:
        """The page as a picture, for a person to look at."""
        ARTIFACTS.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(ARTIFACTS / name))

    def sent(self) -> list[dict[str, Any]]:
        """All requests of all pages so far."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"])
        return self.requests

    def complaints(self) -> list[str]:
        """What the browser's own console says went wrong."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


@pytest.fixture
def browser(server: Process, tmp_path: Path) -> Iterator[Browser]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        cannot("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("headless=new", "disable-dev-shm-usage", "window-size=1280,1500"):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to be root with it
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield Browser(found, server.port)
    finally:
        found.quit()


def hosts(requests: list[dict[str, Any]]) -> set[str | None]:
    """Where the requests went; what pages and the browser hold themselves is left out."""
    places = [urlsplit(request["url"]) for request in requests]
    return {place.hostname for place in places if place.scheme in ("http", "https", "ws", "wss")}


def test_a_person_logs_in_and_tries_operations(browser: Browser) -> None:
    browser.open("/ui/")
    browser.find(".opblock-tag")
    browser.log_in("wrong")
    browser.wait(lambda _: browser.find("#message").text.lower() == "wrong user name or password")
    browser.log_in(PASSWORD)
    assert browser.find("#who").text == f"logged in as {ADMIN}"
    browser.keep("console-logged-in.png")

    browser.click("[id='operations-tag-users']")
    new = {"username": "ada", "fullname": "Ada Rossi"}
    assert browser.run("operations-users-create_user", new)[0] == "201"
    status, shown = browser.run("operations-users-list_users_and_sync")
    assert status == "200"
    assert '"username": "ada"' in shown
    browser.keep("console-users.png")
    status, shown = browser.run("operations-users-start_user_sync")
    assert status == "200"
    assert '"result"' in shown

    calls = [r for r in browser.sent() if r["url"].endswith("/users/true")]
    assert calls
    assert all(len(call["headers"]["Secretkey"]) == 40 for call in calls)
    assert all(call["headers"]["User"] == ADMIN for call in calls)
    assert hosts(browser.sent()) == {"127.0.0.1"}

    browser.driver.refresh()
    assert browser.find("#who").text == f"logged in as {ADMIN}"
    browser.click("#leave")
    browser.find("#enter")
    browser.driver.refresh()
    browser.find("#enter")


def test_the_reference_is_read(browser: Browser) -> None:
    browser.open("/reference/")
    section = browser.find("[data-section-id$='operation/list_users_and_sync']")
    assert "List all users and synchronise the directory" in section.text
    assert "/users/true" in section.text
    browser.keep("reference.png")
    assert hosts(browser.sent()) == {"127.0.0.1"}
    assert browser.complaints() == []


@pytest.mark.parametrize("folder", ["ui", "reference"])
def test_pages_are_served_whole_and_to_everybody(server: Process, folder: str) -> None:
    with server.client() as client:
        del client.headers["User"], client.headers["Secretkey"]
        moved = client.get(f"/{folder}")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{folder}/")
        page = client.get(f"/{folder}/")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            found = client.get(f"/{folder}/{name}" if "../" not in name else name[2:])
            assert found.status_code == 200, name
            again = client.get(
                str(found.url.path).removeprefix(BASE),
                headers={"If-None-Match": found.headers["etag"]},
            )
            assert again.status_code == 304
        assert client.get(f"/{folder}/nothing.js").status_code == 404
        assert client.post(f"/{folder}/").status_code == 405
        for form in ("json", "yaml"):
            assert yaml.safe_load(client.get(f"/openapi.{form}").text)["openapi"] == "3.0.3"
