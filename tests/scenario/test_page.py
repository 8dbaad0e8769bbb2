"""The status page in a real browser: headless Chromium."""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

import support
from support import entry, extism_guest, publish_code, wait_for, write_guest

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()


@pytest.fixture
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="otr-chromium-") as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        driver.set_page_load_timeout(60)
        yield driver
        driver.quit()


@pytest.fixture
def agent(folder, nginx, agents):
    guest = write_guest(
        folder,
        "speaker",
        extism_guest(
            process="(call $say)",
            functions=publish_code("test.markup", '{"text":"<b>bold</b><img src=x onerror=alert(1)>"}'),
            topics=("nginx.metrics.sampled",),
        ),
    )
    made = agents(plugins=[entry(guest, grants={"publish": ["test.*"]})])
    made.wait_event("test.markup")
    return made


def text_of(browser, element):
    return browser.find_element(By.ID, element).text


def errors(browser):
    """Console errors, but for the requests that fail while the agent is away."""
    return [e for e in browser.get_log("browser") if e["level"] == "SEVERE" and e["source"] != "network"]


def show(browser, agent, width, height):
    browser.set_window_size(width, height)
    browser.get(f"http://127.0.0.1:{agent.port}/")
    wait_for(lambda: "speaker" in text_of(browser, "plugins"), "the plugin is on the page")


def test_it_shows_the_live_instance_plugins_and_events(browser, agent, nginx):
    show(browser, agent, 1280, 900)
    wait_for(lambda: str(nginx.pid()) in text_of(browser, "instances"), "the instance is on the page")
    assert "1." in text_of(browser, "instances")
    wait_for(lambda: "test.markup" in text_of(browser, "events"), "events arrive")
    before = text_of(browser, "event-count")
    wait_for(lambda: text_of(browser, "event-count") != before, "it is live")
    assert errors(browser) == []


def test_foreign_text_stays_text(browser, agent):
    show(browser, agent, 1280, 900)
    wait_for(lambda: "<b>bold</b>" in browser.find_element(By.ID, "events").get_attribute("textContent"), "shown as text")
    assert browser.find_elements(By.CSS_SELECTOR, "#events img, #events b") == []
    assert errors(browser) == []


def test_it_says_what_does_not_work_and_where_figures_come_from(browser, agent, nginx):
    show(browser, agent, 1280, 900)
    wait_for(lambda: "healthy" in text_of(browser, "instances"), "the instance is healthy")
    wait_for(lambda: f"stub_status: http://127.0.0.1:{nginx.status_port}/status" in text_of(browser, "instances"), "its source")
    assert str(nginx.access_log) in text_of(browser, "instances")
    workers = agent.instances()[0]["workers"]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        wait_for(lambda: "2 of 2 worker processes are stopped" in text_of(browser, "reasons"), "the reason is shown")
        assert text_of(browser, "state") == "degraded"
        wait_for(lambda: "unhealthy" in text_of(browser, "instances"), "the instance is unhealthy")
        wait_for(lambda: "There are no rates to show: stub_status was asked at http" in text_of(browser, "instances"), "no rates")
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    wait_for(lambda: "are stopped" not in browser.find_element(By.ID, "reasons").get_attribute("textContent"), "it is over")
    assert errors(browser) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_width(browser, agent, nginx, width):
    show(browser, agent, width, 800)
    wait_for(lambda: str(nginx.pid()) in text_of(browser, "instances"), "the instance is on the page")
    # Headless Chromium has a least window width of its own: what counts is that nothing sticks out.
    overflow = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    picture = pathlib.Path(support.BUILD) / f"status-page-{width}.png"
    browser.save_screenshot(str(picture))
    assert picture.stat().st_size > 10000


def test_it_survives_a_restart_of_the_agent(browser, agent):
    show(browser, agent, 1280, 900)
    old = agent.process.pid
    assert agent.stop()[0] == 0
    wait_for(lambda: browser.find_element(By.ID, "away").is_displayed(), "the page says that the agent is away")
    agent.log_path.unlink()
    agent.start()
    assert agent.process.pid != old
    wait_for(lambda: not browser.find_element(By.ID, "away").is_displayed(), "the page is back", 40)
    before = text_of(browser, "event-count")
    wait_for(lambda: text_of(browser, "event-count") != before, "it is live again")
    assert errors(browser) == []


def part(browser, selector):
    """At one instant: the page may draw an element anew between two questions."""
    return browser.execute_script("const e = document.querySelector(arguments[0]); return e ? e.textContent : ''", f"#configs {selector}")


def overflow(browser):
    return browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def config_agent(agents, **status):
    """With a history of its own."""
    agent = agents(start=False)
    (agent.home / "lib").mkdir()
    agent.settings["lib_dir"] = str(agent.home / "lib")
    agent.settings["outrider"]["status"].update(status)
    agent.write_config()
    agent.start()
    return agent


def show_config(browser, agent, width):
    browser.set_window_size(width, 900)
    browser.get(f"http://127.0.0.1:{agent.port}/")
    wait_for(lambda: "as it should be" in part(browser, ".pill"), "the configuration is on the page")


@pytest.mark.parametrize("width", [360, 1280])
def test_drift_and_the_history_of_a_configuration_are_shown(browser, agents, nginx, width):
    agent = config_agent(agents)
    show_config(browser, agent, width)
    assert str(nginx.conf) in part(browser, "h3")
    line = "# <b>" + "a-long-line-without-a-blank-" * 20
    nginx.conf.write_text(nginx.conf.read_text() + line + "\n")
    wait_for(lambda: "1 file drifted" in part(browser, ".pill"), "the drift is on the page")
    assert str(nginx.conf) in part(browser, ".drift li") and "changed" in part(browser, ".drift li")
    browser.find_element(By.XPATH, "//button[.='What differs on disk']").click()
    # Contents may hold secrets, and everybody on the machine may open the page.
    wait_for(lambda: "outrider.status.diffs" in part(browser, ".config"), "it says why there are no contents")
    assert part(browser, ".diff") == ""
    adopt = [support.BINARY, "config", "adopt", "--message", "by <b>hand</b>", "--socket", agent.socket]
    assert subprocess.run(adopt, capture_output=True, check=True)
    wait_for(lambda: "as it should be" in part(browser, ".pill"), "adopted")
    wait_for(lambda: "Last change: applied" in part(browser, ".last"), "the change is on the page")
    wait_for(lambda: "#1" in part(browser, ".changes summary"), "and in the history")
    assert "by <b>hand</b>" in part(browser, ".changes summary")
    assert " (drift)" in part(browser, ".last")
    said = {"verdict": "allow", "answers": [{"plugin": "judge", "verdict": "allow", "message": "<b>fine</b>", "findings": []}]}
    with contextlib.closing(sqlite3.connect(agent.home / "lib/history.db")) as db, db:
        db.execute("UPDATE txn SET verdicts = ? WHERE number = 1", (json.dumps(said),))
    browser.find_element(By.CSS_SELECTOR, "#configs .changes summary").click()
    # What plugins said may quote contents, too.
    wait_for(lambda: "outrider.status.diffs" in part(browser, ".changes .body"), "it says what is left out")
    assert "judge" not in part(browser, ".changes .body")
    wait_for(lambda: f"update {nginx.conf}" in part(browser, ".changes .body"), "its files")
    assert browser.find_elements(By.CSS_SELECTOR, "#configs b") == []
    assert overflow(browser) <= 0
    browser.save_screenshot(str(pathlib.Path(support.BUILD) / f"status-page-config-{width}.png"))
    assert errors(browser) == []


def test_what_is_not_watched_is_not_said_to_be_fine(browser, agents, nginx):
    agent = agents(start=False)
    agent.settings["outrider"]["drift"] = {"watches": 0}
    agent.write_config()
    agent.start()
    browser.set_window_size(1280, 900)
    browser.get(f"http://127.0.0.1:{agent.port}/")
    wait_for(lambda: "no drift seen" in part(browser, ".pill"), "it says that nothing was seen, and no more")
    assert "not watched" in part(browser, ".remark") and errors(browser) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_differences_are_shown_where_the_key_allows_it(browser, agents, nginx, width):
    agent = config_agent(agents, diffs=True)
    show_config(browser, agent, width)
    line = "# <b>" + "a-long-line-without-a-blank-" * 20
    nginx.conf.write_text(nginx.conf.read_text().replace("worker_processes 2;", "worker_processes 3;") + line + "\n")
    wait_for(lambda: "1 file drifted" in part(browser, ".pill"), "the drift is on the page")
    browser.find_element(By.XPATH, "//button[.='What differs on disk']").click()
    wait_for(lambda: "+worker_processes 3;" in part(browser, ".diff .add"), "an added line")
    assert "-worker_processes 2;" in part(browser, ".diff .del") and line in part(browser, ".diff")
    assert browser.find_elements(By.CSS_SELECTOR, "#configs b") == []
    colours = {browser.find_element(By.CSS_SELECTOR, f"#configs .diff .{k}").value_of_css_property("color") for k in ("add", "del")}
    assert len(colours) == 2
    assert overflow(browser) <= 0
    browser.find_element(By.CSS_SELECTOR, "#configs .diff").location_once_scrolled_into_view
    browser.save_screenshot(str(pathlib.Path(support.BUILD) / f"status-page-diff-{width}.png"))
    adopt = [support.BINARY, "config", "adopt", "--message", "by hand", "--socket", agent.socket]
    assert subprocess.run(adopt, capture_output=True, check=True)
    wait_for(lambda: "#1" in part(browser, ".changes summary"), "it is in the history")
    said = {"verdict": "allow", "answers": [{"plugin": "judge", "verdict": "allow", "message": "<b>fine</b>", "findings": []}]}
    with contextlib.closing(sqlite3.connect(agent.home / "lib/history.db")) as db, db:
        db.execute("UPDATE txn SET verdicts = ? WHERE number = 1", (json.dumps(said),))
    browser.find_element(By.CSS_SELECTOR, "#configs .changes summary").click()
    wait_for(lambda: "plugin judge: allow, <b>fine</b>" in part(browser, ".changes .body"), "what plugins said")
    assert browser.find_elements(By.CSS_SELECTOR, "#configs b") == []
    assert errors(browser) == []


def test_what_an_entry_maps_is_shown(browser, folder, nginx, agents):
    guest = write_guest(folder, "foreign", extism_guest(process="", topics=("nginx.metrics.sampled",)))
    made = agents(plugins=[entry(guest, name="speaker", operations={"process": "process"}, input="data")])
    show(browser, made, 1280, 900)
    wait_for(lambda: "mapping: process → process, input: data" in text_of(browser, "plugins"), "the mapping is shown")
    assert errors(browser) == []
