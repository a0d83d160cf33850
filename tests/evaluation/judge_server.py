"""A real HTTP server in a thread that answers as an OpenAI-compatible endpoint does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = str | tuple[int, str] | tuple[int, str, dict[str, str]] | None
"""A reply's text; a status with a body, and headers; or None: the connection is dropped."""


class JudgeServer(ThreadingHTTPServer):
    """``answer`` gets the number of the request, from 0, and its content; ``requests`` are all contents so far."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[int, dict[str, Any]], Answer], model: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.model = answer, model
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(content)
            self.server.keys.add(self.headers["Authorization"])
        answer = self.server.answer(number, content)
        if self.path != "/v1/chat/completions":
            answer = (404, f"no such path: {self.path}")
        if answer is None:
            self.close_connection = True
            return
        headers = {"Content-Type": "application/json"}
        if isinstance(answer, str):
            message = {"role": "assistant", "content": answer}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            status, body = (
                200,
                json.dumps({"object": "chat.completion", "model": self.server.model, "choices": choices}),
            )
        else:
            status, body, *more = answer
            headers |= more[0] if more else {}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def judge_server(answer: Callable[[int, dict[str, Any]], Answer], model: str = "judge-2026") -> Iterator[JudgeServer]:
    with JudgeServer(answer, model) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
