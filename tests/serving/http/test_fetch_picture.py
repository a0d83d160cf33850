"""Pictures by URL: from named hosts at public addresses, and from nowhere else."""

import io
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest
from conftest import KEYS, running  # the one beside
from PIL import Image

from minigemini.serving.http import fetch_picture as fetching
from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK
from minigemini.serving.http.fetch_picture import fetch_picture, is_public
from minigemini.serving.http.served import Served

FILE = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(FILE, format="PNG")
FILE = FILE.getvalue()


class Pictures(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]] = []

    def do_GET(self):
        self.asked.append((self.path, self.headers["Host"]))
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
        elif self.path in ("/red.png", "/short.png"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(FILE) + (self.path == "/short.png")))
            self.end_headers()
            self.wfile.write(FILE)
        elif self.path in ("/endless.png", "/slow.png"):
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"\0" * (2**20 if self.path == "/endless.png" else 1))
                    time.sleep(0 if self.path == "/endless.png" else 0.1)
            except OSError:
                pass
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def there(monkeypatch):
    """A server at port 80 of pictures.example, as far as this process knows, which is on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        threading.Thread(target=server.serve_forever).start()
        real = socket.getaddrinfo

        def known(host, port, *args, **kwargs):
            if host in ("pictures.example", "127.0.0.1") and port == 80:
                return real("127.0.0.1", server.server_port, *args, **kwargs)
            return real(host, port, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", known)
        Pictures.asked = []
        yield
        server.shutdown()


def anywhere(address):
    return True


def fetch(url, public=anywhere):
    return fetch_picture(url, ["pictures.example"], "here", public)


def test_a_picture_comes_from_a_named_host(there):
    assert fetch("http://pictures.example/red.png") == FILE
    assert fetch("http://pictures.example/to?/red.png") == FILE
    assert fetch("http://pictures.example/to?http://pictures.example/red.png#part") == FILE
    assert Pictures.asked[0] == ("/red.png", "pictures.example")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://elsewhere.example/red.png", "fetches no pictures from 'elsewhere.example'"),
        ("http://sub.pictures.example/red.png", "fetches no pictures from"),
        ("http://pictures.example@elsewhere.example/", "without a name"),
        ("http://elsewhere.example\\@pictures.example/", "without a name"),
        ("http://127.0.0.1/red.png", "fetches no pictures from"),
        ("file:///etc/passwd", "expected http"),
        ("ftp://pictures.example/red.png", "expected http"),
        ("http://pictures.example:22/", "only 80 and 443"),
        ("http://pictures.example:x/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://pictures.example/to?http://127.0.0.1/red.png", "fetches no pictures from '127.0.0.1'"),
        ("http://pictures.example/to?file:///etc/passwd", "expected http"),
        ("http://pictures.example/to?/to?/to?/to?/red.png", "more than 3 redirects"),
        ("http://pictures.example/none.png", "answered 404"),
        ("http://pictures.example/short.png", "sent"),
        ("http://pictures.example/endless.png", "larger than"),
        ("http://pictures.example/slow.png", "sent no picture"),
        ("http://pictures.example/a b\r\nHost: x", "expected|answered|sent no"),
    ],
)
def test_everything_else_is_refused(there, url, words, monkeypatch):
    if "slow" in url:
        monkeypatch.setattr(fetching, "SECONDS", 0.5)
    with pytest.raises(Exception, match=words) as caught:
        fetch(url)
    assert caught.value.status_code == 400
    assert str(caught.value.detail).startswith("here: ")


def test_a_host_whose_address_is_not_public_is_not_asked(there):
    with pytest.raises(Exception, match="not a public one"):
        fetch("http://pictures.example/red.png", is_public)
    assert Pictures.asked == []


def test_the_address_that_was_looked_at_is_the_one_that_is_gone_to(there, monkeypatch):
    """A name that gives another address when it is asked again (rebinding)."""
    known, looked = socket.getaddrinfo, []

    def twice(host, port, *args, **kwargs):
        looked.append(host)
        return known(host, port, *args, **kwargs) if looked.count(host) == 1 else known("192.0.2.1", port)

    monkeypatch.setattr(socket, "getaddrinfo", twice)
    assert fetch("http://pictures.example/red.png") == FILE
    assert looked.count("pictures.example") == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((one, True) for one in ("93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e")),
        *((one, False) for one in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0")),
        *((one, False) for one in ("100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "fe80::1%eth0")),
        *(
            (one, False)
            for one in (
                "fd00::1",
                "::ffff:127.0.0.1",
                "2002:7f00:1::",
                "64:ff9b:1::1",
                "64:ff9b::7f00:1",
                "ff02::1",
                "::",
            )
        ),
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) == public


def test_a_server_fetches_from_its_hosts_alone(served, generator):
    for hosts, words in (((), "fetches no pictures; send it as data:"), (("localhost",), "not a public one")):
        here = Served("nano", served.engine, generator, served.feed, picture_hosts=hosts)
        with (
            running(new_app(here, KEYS, LOOPBACK)) as address,
            openai.OpenAI(base_url=f"{address}/v1", api_key=KEYS[0], max_retries=0) as client,
        ):
            shown = {"type": "image_url", "image_url": {"url": "http://localhost/red.png"}}
            with pytest.raises(openai.BadRequestError, match=words) as caught:
                client.chat.completions.create(model="nano", messages=[{"role": "user", "content": [shown]}])
            assert caught.value.param == "messages[0].content[0].image_url.url"
            item = {"role": "user", "content": [{"type": "input_image", "image_url": "http://localhost/red.png"}]}
            with pytest.raises(openai.BadRequestError, match=words):
                client.responses.create(model="nano", input=[item])
