"""Endpoints on 127.0.0.1 that speak OpenAI's protocol and fail on purpose, at a rate and from a
seed.

Every sound answer has a number of its own; GET /journal tells every request with what was sent, so
that a log can be checked word by word. Run it with: python bench/faulty_server.py ENDPOINTS RATE
LATENCY_S SEED SLOTS QUOTA; the first line it prints holds the ports. SLOTS answers are in the
making at once, those that nobody waits for any more too; QUOTA requests are answered until GET
/refill.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.models.base import prompt_hash

DRIP_S = 0.1
"""Seconds between two bytes of a slow drip."""
FAULTS = (
    "429 with Retry-After", "429", "500", "503", "hang", "slow drip", "cut", "wrong JSON",
    "empty body", "empty text", "1 MB answer", "wrong model",
)  # fmt: skip


class Endpoints:
    """All endpoints, with one journal."""

    def __init__(self, rate: float, latency_s: float, seed: int, slots: int, quota: int) -> None:
        self.slots, self.quota = asyncio.Semaphore(slots), quota
        self.rate, self.latency_s, self.seed = rate, latency_s, seed
        self.journal: list[dict[str, Any]] = []

    async def serve(self, name: str) -> asyncio.Server:
        """Open one endpoint on a port of its own."""
        rng = random.Random(f"{self.seed} {name}")

        async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await self._one(name, rng, reader, writer):
                    pass
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        return await asyncio.start_server(visit, "127.0.0.1", 0, limit=2**24)

    async def _one(
        self, name: str, rng: random.Random, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:  # fmt: skip
        """Answer one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n", 1)[0].split()
        length = next((line.split(":")[1] for line in head.lower().split("\r\n")
                       if line.startswith("content-length:")), "0")  # fmt: skip
        body = await reader.readexactly(int(length))
        if method == "GET" and path == "/refill":
            self.quota = sys.maxsize
        if method == "GET":
            listing = {"data": [{"id": "m"}]} if path.endswith("/models") else self.journal
            writer.write(http(200, json.dumps(listing).encode()))
            await writer.drain()
            return True
        asked = json.loads(body)
        if "seed" not in asked:  # the request for one token with which a run starts
            writer.write(answer(None, "."))
            await writer.drain()
            return True
        fault = rng.choice(FAULTS) if rng.random() < self.rate else None
        entry = {
            "endpoint": name, "time_s": time.monotonic(), "fault": fault, "seed": asked["seed"],
            "prompt_hash": prompt_hash(asked["messages"]), "text": None,
        }  # fmt: skip
        self.journal.append(entry)
        number = len(self.journal)
        if number > self.quota:
            told = {"error": {"message": "the tokens of this day are used up"}}
            writer.write(http(429, json.dumps(told).encode(), "Retry-After: 3423\r\n"))
            await writer.drain()
            return True
        async with self.slots:
            await asyncio.sleep(self.latency_s)
        if fault in ("hang", "slow drip"):
            await stall(reader, writer, drips=fault == "slow drip")
            return False
        if fault is None:
            entry["text"] = f"Answer {number} is given."
        writer.write(answer(fault, entry["text"] or f"Broken {number}."))
        await writer.drain()
        return fault != "cut"


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drips: bool) -> None:
    """Send nothing, or a byte now and then, until the client goes away."""
    if drips:
        writer.write(http(200, b"", length=10**6))
    gone = asyncio.create_task(reader.read(1))
    while not gone.done():
        if drips:
            writer.write(b" ")
        await asyncio.wait([gone], timeout=DRIP_S)
    await asyncio.gather(gone, return_exceptions=True)


def answer(fault: str | None, text: str) -> bytes:
    """Return what is sent instead of, or as, an answer that says `text`."""
    if fault in ("429", "429 with Retry-After", "500", "503"):
        wait = "Retry-After: 1\r\n" if "Retry" in fault else ""
        return http(int(fault[:3]), json.dumps({"error": {"message": "not now"}}).encode(), wait)
    if fault == "wrong model":
        error = {"message": "The model `m` does not exist", "code": "model_not_found"}
        return http(404, json.dumps({"error": error}).encode())
    if fault == "1 MB answer":
        text = f"{text} " * (2**20 // (len(text) + 1))
    act = json.dumps({"action": "speak", "to": [], "whisper": False, "text": text})
    body = completion("" if fault == "empty text" else act)
    if fault == "cut":
        return http(200, body[: len(body) // 2], length=len(body))
    if fault == "wrong JSON":
        return http(200, body[: len(body) // 2])
    return http(200, b"" if fault == "empty body" else body)


def completion(content: str) -> bytes:
    """Return the body of a chat completion."""
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 300, "completion_tokens": 20}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def http(status: int, body: bytes, headers: str = "", length: int | None = None) -> bytes:
    """Return an HTTP response; `length` where it is not the body's."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
    return f"{head}{headers}\r\n".encode() + body


async def main(
    count: int, rate: float, latency_s: float, seed: int, slots: int, quota: int
) -> None:
    endpoints = Endpoints(rate, latency_s, seed, slots, quota)
    servers = [await endpoints.serve(f"e{number}") for number in range(count)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(float, sys.argv[2:4]), *map(int, sys.argv[4:7])))
