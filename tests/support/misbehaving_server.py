"""An HTTP server on 127.0.0.1 that plays a script of OpenAI-style answers, good and bad.

Invariant: each POST takes the next answer of the script, the last one again and again, and
leaves a record of what was asked and when.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the script."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    wait_s: float = 0
    """Seconds of silence before the answer."""
    cut: bool = False
    """Close the connection in the middle of the body."""
    blanks: bool = False
    """Send a blank now and then instead of the body, without an end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    path: str
    time_s: float
    """On the monotonic clock."""
    authorization: str | None
    body: Any


@dataclass(slots=True)
class Server:
    """The running server, as the test sees it."""

    url: str
    """Base URL for a client."""
    asked: list[Asked] = field(default_factory=list)
    """The POST requests so far."""
    in_flight: int = 0
    most_in_flight: int = 0


def chat(content: str | None = "Good morning.", **changes: Any) -> Answer:
    """Return a chat completion; `changes` are fields of the message, the choice or the body."""
    message = {"role": "assistant", "content": content, "refusal": changes.pop("refusal", None)}
    reason = changes.pop("finish_reason", "stop")
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return _reply("chat.completion", choice, changes)


def continuation(text: str, **changes: Any) -> Answer:
    """Return a text completion; `changes` are fields of the choice or the body."""
    reason = changes.pop("finish_reason", "stop")
    return _reply("text_completion", {"index": 0, "text": text, "finish_reason": reason}, changes)


def _reply(kind: str, choice: Mapping[str, Any], changes: Mapping[str, Any]) -> Answer:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    body = {"id": "1", "object": kind, "model": "m", "choices": [choice], "usage": usage}
    return Answer(json.dumps({**body, **changes}).encode())


def error(
    status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Answer:
    """Return an error in OpenAI's form; `more` holds `code` and `param`."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": None, **more}}
    return Answer(json.dumps(body).encode(), status, {**JSON, **(headers or {})})


def models(*ids: str) -> Answer:
    """Return a list of models."""
    data = [{"id": id_, "object": "model"} for id_ in ids]
    return Answer(json.dumps({"object": "list", "data": data}).encode())


PROBES = ([{"role": "user", "content": "."}], ".")
"""What a model asks for one token of when it starts, as a chat and as a text."""


@contextmanager
def serving(
    *script: Answer, listing: Answer | None = None,
    probe: Answer | Iterable[Answer] | None = None, text_probe: Answer | None = None,
    reply: Callable[[Any, int], Answer] | None = None, slots: int = 1000,
    busy: Answer | None = None,
) -> Iterator[Server]:  # fmt: skip
    """Run the server; `listing` answers GET /models, which is a 404 without it.

    `probe` answers the requests for one token with which a model starts, as chats and, without
    `text_probe`, as texts; several answers are given in turn. They are no part of the script or of
    the record. `reply` gives the answer to a body and its number, from 1, instead of a script. So
    many answers as `slots` are in the making at once, abandoned ones too; for others there is
    `busy`, or they wait.
    """
    probes = iter([probe] if isinstance(probe, Answer) else probe or [chat()])
    last_probe = chat()
    places = threading.Semaphore(slots)
    over = threading.Event()
    lock = threading.Lock()
    answers = iter(script)
    last = error(500, "the script is empty")

    def next_answer() -> Answer:
        nonlocal last
        last = next(answers, last)
        return last

    def next_probe() -> Answer:
        nonlocal last_probe
        last_probe = next(probes, last_probe)
        return last_probe

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = listing if self.path.endswith("/models") else None
            play(self, found or error(404, "not found"), over)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers.get("Authorization")
            if body.get("messages", body.get("prompt")) in PROBES:
                is_text = text_probe if "prompt" in body else None
                return play(self, is_text or next_probe(), over)
            with lock:
                server.asked.append(Asked(self.path, time.monotonic(), key, body))
                server.in_flight += 1
                server.most_in_flight = max(server.most_in_flight, server.in_flight)
                number = len(server.asked)
                answer = reply(body, number) if reply else next_answer()
            has_place = places.acquire(blocking=busy is None)
            try:
                play(self, answer if has_place or busy is None else busy, over)
            finally:
                if has_place:
                    places.release()
                with lock:
                    server.in_flight -= 1

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server = Server(f"http://127.0.0.1:{http.server_port}/v1")
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            over.set()
            http.shutdown()


def play(request: BaseHTTPRequestHandler, answer: Answer, over: threading.Event) -> None:
    """Send one answer, or as much of it as the script says."""
    over.wait(answer.wait_s)
    try:
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.body) + answer.blanks * 1_000_000))
        request.end_headers()
        while answer.blanks and not over.wait(0.05):
            request.wfile.write(b" ")
        request.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
    except OSError:
        request.close_connection = True
    if answer.cut:
        request.close_connection = True


def free_port() -> int:
    """Return the number of a port on 127.0.0.1 where nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        return http.server_port


def echoes(*parts: Sequence[tuple[str, float | None]]) -> Answer:
    """Return echoed log-probabilities: for each text its tokens, each with its own."""
    choices = [
        {
            "index": index,
            "text": "".join(token for token, _ in part),
            "finish_reason": "length",
            "logprobs": {
                "tokens": [token for token, _ in part],
                "token_logprobs": [value for _, value in part],
                "text_offset": [0] * len(part),
            },
        }
        for index, part in enumerate(parts)
    ]
    return Answer(json.dumps({"choices": choices[::-1], "usage": None}).encode())
