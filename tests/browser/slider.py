"""The panel of tutorial 04 in JupyterLab, in a browser, by the keyboard, with a clock. Run by `make
test-browser`.

A plain `pytest` does not collect this file, as its name does not begin with `test_`: it needs a browser,
which ready.py gets. Notebook and tables are copied to a temporary folder, JupyterLab keeps to private
folders, a free port of this machine and a token, and server and browser are ended in every case."""
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median

import pytest
from playwright.sync_api import sync_playwright
from ready import chromium

ROOT = Path(__file__).parents[2]
NOTEBOOK = "nbs/tutorials/04_digits_guided.ipynb"
SETTINGS = {  # no pop-ups that cover the page; and cells stay on the page when they are out of sight
    "apputils-extension/notification": {"fetchNews": "false",
                                        "checkForUpdates": False, "doNotDisturbMode": True},
    "notebook-extension/tracker": {"windowingMode": "none", "recordTiming": False},
    "docmanager-extension/plugin": {"autosave": False},
}
WATCH = """() => {
    const image = document.querySelector('img.widget-image');
    window.loads = [];  window.pressed = [];
    image.addEventListener('load', () => window.loads.push(performance.now()));  // decoded and shown
    window.addEventListener('keydown', () => window.pressed.push(performance.now()), true);
}"""
BYTES = """async () => {
    const answer = await fetch(document.querySelector('img.widget-image').src);
    return Array.from(new Uint8Array(await answer.arrayBuffer())).join();
}"""


def copy_of(tmp):
    "The notebook without outputs, and the tables that it reads, in a folder of their own."
    shutil.copytree(ROOT/"benchmarks/results", tmp/"benchmarks/results")
    nb = json.loads((ROOT/NOTEBOOK).read_text(encoding="utf-8"))
    for cell in nb["cells"]:
        cell.update(dict(outputs=[], execution_count=None) if cell["cell_type"] == "code" else {})
    (tmp/NOTEBOOK).parent.mkdir(parents=True)
    (tmp/NOTEBOOK).write_text(json.dumps(nb), encoding="utf-8")


def private(tmp):
    "The environment of a JupyterLab that neither reads nor writes anybody's settings."
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"): env[f"JUPYTER_{name}"] = str(tmp/".jupyter"/name)
    for name in ("SETTINGS_DIR", "WORKSPACES_DIR"): env[f"JUPYTERLAB_{name}"] = str(tmp/".jupyter"/name)
    for plugin, values in SETTINGS.items():
        path = tmp/".jupyter/SETTINGS_DIR/@jupyterlab"/f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    # long cells shrink, as under `make test` (the panel does not), and the second core is the browser's
    return env | {"IPYTHONDIR": str(tmp/".ipython"), "JUPYTER_NO_CONFIG": "1",
                  "IN_TEST": "1", "OMP_NUM_THREADS": "1"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def end(process):
    "End a server and what it has started."
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired): process.wait(20)
    with contextlib.suppress(ProcessLookupError): os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    "The address of a notebook in a JupyterLab of our own, and the token."
    tmp = tmp_path_factory.mktemp("lab")
    copy_of(tmp)
    port, token = free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser",
               "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0",
               f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp}"]
    with (tmp/"log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp, env=private(tmp),
                                   stdout=log, stderr=log, start_new_session=True)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close(); break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("JupyterLab does not start:\n" + (tmp/"log").read_text()[-2000:], pytrace=False)
            time.sleep(.2)
        yield f"{address}/lab/tree/{NOTEBOOK}?token={token}"
    finally: end(process)


@pytest.fixture(scope="module")
def page(server):
    "The notebook in a browser, after Run All Cells."
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport=dict(width=1300, height=1000))
            page.set_default_timeout(60_000)
            page.goto(server)
            idle(page)
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            page.locator("img.widget-image").first.wait_for()
            idle(page, 120_000)
            page.locator("img.widget-image").first.scroll_into_view_if_needed()
            page.evaluate(WATCH)
            yield page
        finally: browser.close()


def idle(page, timeout=60_000):
    "Wait for the kernel to have nothing to do, for half a second on end."
    for _ in range(2):
        page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle")).wait_for(timeout=timeout)
        page.wait_for_timeout(500)


def knob(page, name):
    "The part of a slider that takes keys, by the slider's description."
    return page.locator(".widget-slider", has=page.get_by_text(name, exact=True)).get_by_role("slider").first


def answer(page, keys):
    "Press keys, and wait for a new picture: seconds from the last key until it is on the page."
    before = page.evaluate("[window.loads.length, window.pressed.length]")
    for key in keys: page.keyboard.press(key)
    page.wait_for_function("n => window.loads.length > n", arg=before[0], polling=10)
    return page.evaluate("n => (window.loads[n] - window.pressed.at(-1)) / 1000", before[0])


def say(capsys, what, seconds):
    with capsys.disabled():
        print(f"\n{what}: {median(seconds):.3f} s (median of {len(seconds)}; at most {max(seconds):.3f} s)",
              end="")


def test_all_cells_have_run_without_an_error(page):
    errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert errors.count() == 0, errors.first.inner_text()
    assert page.locator(".jp-OutputArea-output img").count() > 3
    assert page.get_by_text(re.compile(r"step 20 of 20: the state at σ = 0")).count() == 1


def test_the_guidance_slider_changes_the_digit(page, capsys):
    slider, seen, seconds = knob(page, "guidance"), [page.evaluate(BYTES)], []
    slider.focus()
    assert slider.get_attribute("aria-valuenow") == "2.0"
    for _ in range(8):
        seconds.append(answer(page, ["ArrowRight"]))
        page.wait_for_timeout(100)
        seen.append(page.evaluate(BYTES))
    # a small step may leave a digit as it was
    assert float(slider.get_attribute("aria-valuenow")) == 4 and len(set(seen)) > 6
    say(capsys, "a new guided digit", seconds)
    assert min(seconds) < 2  # other work on the machine may slow the rest


def until(page, condition):
    "Wait for the picture to be as one wants it; the picture."
    for _ in range(600):
        if condition(now := page.evaluate(BYTES)): return now
        page.wait_for_timeout(100)
    raise AssertionError("the picture has not become what it should within a minute")


def test_many_keys_at_once_end_at_the_last(page):
    slider, before = knob(page, "guidance"), page.evaluate(BYTES)
    slider.focus()
    for _ in range(10): page.keyboard.press("ArrowRight")
    until(page, lambda now: now != before)
    for _ in range(10): page.keyboard.press("ArrowLeft")
    until(page, lambda now: now == before)
    page.wait_for_timeout(1000)  # nothing stale comes after it
    assert page.evaluate(BYTES) == before and float(slider.get_attribute("aria-valuenow")) == 4


def test_the_step_slider_scrubs(page, capsys):
    slider, seen, seconds = knob(page, "at step"), [page.evaluate(BYTES)], []
    slider.focus()
    for _ in range(15):
        seconds.append(answer(page, ["ArrowLeft"]))
        seen.append(page.evaluate(BYTES))
    assert page.get_by_text(re.compile(r"step 5 of 20")).count() == 1 and len(set(seen)) == 16
    say(capsys, "scrubbing", seconds)
    assert min(seconds) < .3


def test_every_control_has_a_name_and_works_by_the_keyboard(page):
    for name in ("label", "guidance", "steps", "at step"):
        assert knob(page, name).get_attribute("tabindex") == "0", name
    seen = [page.evaluate(BYTES)]
    knob(page, "label").focus()
    answer(page, ["ArrowLeft"]); seen.append(page.evaluate(BYTES))
    page.get_by_label("seed", exact=True).focus()
    answer(page, ["ArrowUp"]); seen.append(page.evaluate(BYTES))
    page.get_by_label("sampler", exact=True).focus()
    answer(page, ["Space", "ArrowDown", "Enter"]); seen.append(page.evaluate(BYTES))  # a list opens
    assert page.get_by_label("sampler", exact=True).input_value() == "dpmpp_3m_sde" and len(set(seen)) == 4
