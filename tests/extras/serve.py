"The extra `serve`: a page that draws, over a socket of this machine."
import socket
import threading
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import uvicorn
from ddpm_edu import load
from ddpm_edu.using import serve_app


@pytest.fixture(scope="module")
def url():
    server = uvicorn.Server(uvicorn.Config(serve_app(load("digits", device="cpu")), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        while not server.started: time.sleep(.01)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def status(url, **headers):
    try:
        with urlopen(Request(url, headers=headers), timeout=60) as answer: return answer.status, answer.read()
    except HTTPError as e: return e.code, e.read()


def test_a_page_and_a_picture(url):
    assert b"<form>" in status(url)[1]
    assert status(url + "?steps=2&n=1")[1].startswith(b"\x89PNG")


def test_what_is_wrong_is_refused(url):
    assert status(url + "?steps=0")[0] == 400 and b"from 1 to 1000" in status(url + "?steps=0")[1]
    assert status(url, Host="evil.example")[0] == 400
