"""Proxies and certificates of the environment, and prompts that are cut on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from misbehaving_server import chat, error, free_port, serving

from agents.models.base import Message
from agents.models.openai.prompt_watch import PromptWatch
from agents.models.openai.route import find_route

PROGRAM = """
import asyncio, sys
from agents.models.openai.engine import OpenAIModel
from folkways.errors import UserError
async def main(url):
    model = OpenAIModel("t", "m", url, "k", max_retries=0, timeout_s=20)
    await model.start()
    print("started")
try:
    asyncio.run(main(sys.argv[1]))
except UserError as error:
    print(error)
"""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def said(url: str, **environment: str) -> str:
    """Start a model at `url` in another process with this environment; return its one line."""
    unset = {*PROXIES, *(name.upper() for name in PROXIES), *CERTIFICATES}
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, url],
        env={**clean, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    (line,) = ran.stdout.splitlines()
    return line


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
@pytest.mark.parametrize("value", ["socks5://127.0.0.1:9", "http://127.0.0.1:9", "nonsense://"])
def test_this_machine_is_reached_without_a_proxy(variable: str, value: str) -> None:
    with serving(chat()) as server:
        assert said(server.url, **{variable: value}) == "started"


@pytest.mark.parametrize("host", ["localhost", "127.1.2.3", "[::1]", "0.0.0.0", "a.localhost"])
def test_every_address_of_this_machine_is_its_own(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert find_route(f"http://{host}:8000/v1").proxy is None
    assert find_route("http://h.example:8000/v1").proxy is not None


def test_certificates_that_are_not_needed_are_not_looked_at() -> None:
    with serving(chat()) as server:
        assert said(server.url, SSL_CERT_FILE="/no/such.pem") == "started"


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_certificates_that_are_missing_are_one_line(variable: str) -> None:
    line = said("https://h.example/v1", **{variable: "/no/such.pem"})
    assert f"{variable} names '/no/such.pem', which cannot be used (No such file" in line


def test_certificates_that_are_none_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("none")
    assert "no certificates in it" in said("https://h.example/v1", REQUESTS_CA_BUNDLE=str(file))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTPS_PROXY", "http://me:secret@proxy:port", "'http://proxy:port' that HTTPS_PROXY"),
        ("HTTPS_PROXY", "ftp://proxy:1", "cannot be used; write http://HOST:PORT"),
        ("ALL_PROXY", "socks4://proxy:1", "cannot be used; write http://HOST:PORT"),
        ("HTTPS_PROXY", "http://", "cannot be used"),
        ("HTTPS_PROXY", "http://proxy:99999", "cannot be used"),
        ("HTTPS_PROXY", "http//proxy", "'http://http//proxy' that HTTPS_PROXY names cannot be"),
    ],
)  # fmt: skip
def test_a_malformed_proxy_is_one_line(variable: str, value: str, words: str) -> None:
    line = said("https://h.example/v1", **{variable: value})
    assert words in line
    assert "put h.example into NO_PROXY" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:9", "socks5h://127.0.0.1:9", "socks://127.0.0.1:9/"]
)
def test_a_socks_proxy_works_or_says_what_to_install(value: str) -> None:
    line = said("http://h.example/v1", ALL_PROXY=value)
    if find_spec("socksio") is None:
        assert "pip install 'folkways[socks]'" in line
    else:
        assert "through the proxy socks5" in line


def test_a_proxy_that_refuses_or_is_not_there_is_named() -> None:
    with serving(probe=error(403, "denied")) as proxy:
        address = proxy.url.removesuffix("/v1")
        line = said("http://h.example/v1", HTTP_PROXY=f"http://me:secret@{address[7:]}")
        assert (
            f"http://h.example/v1 through the proxy {address} (HTTP_PROXY) answers HTTP 403" in line
        )
        assert "secret" not in line
        line = said("https://h.example/v1", HTTPS_PROXY=address)
        assert f"the proxy {address} (HTTPS_PROXY) does not let h.example through" in line
    line = said("http://h.example/v1", HTTP_PROXY=f"127.0.0.1:{free_port()}")
    assert "through the proxy http://127.0.0.1" in line
    assert "check the proxy, or put h.example into NO_PROXY" in line


@pytest.mark.parametrize(
    "spared", ["10.0.0.0/8", "10.9.8.7", "*", "h.example,10.9.8.7", "10.9.8.7:8000"]
)
def test_what_no_proxy_lists_is_reached_without_one(
    spared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, spared)
    assert find_route("http://10.9.8.7:8000/v1").proxy is None


# Prompts that are cut ----------


def scene(length: int, name: str = "Ana") -> list[Message]:
    return [{"role": "system", "content": name}, {"role": "user", "content": "x" * length}]


def alarms(*counted: tuple[list[Message] | str, int | None, int | None]) -> list[bool]:
    watch = PromptWatch()
    return [watch.is_cut(*one) for one in counted]


def test_prompts_that_grow_while_their_tokens_stand_still_are_noticed_once() -> None:
    counted = [(scene(9000 + 300 * turn), 2048, None) for turn in range(9)]
    assert alarms(*counted) == [False] * 3 + [True] + [False] * 5


def test_prompts_whose_oldest_messages_are_dropped_are_noticed() -> None:
    told = (900, 1500, 2040, 1990, 2046, 2001, 1980)
    counted = [(scene(3000 + 2000 * turn), tokens, None) for turn, tokens in enumerate(told)]
    assert any(alarms(*counted))


@pytest.mark.parametrize(
    "counted",
    [
        [(scene(9000), 2048, None)] * 9,
        [(scene(9000 + turn), 2048, None) for turn in range(20)],
        [(scene(9000 + 300 * turn), 2000 + 70 * turn, None) for turn in range(20)],
        [(scene(9000 + 300 * turn), None, None) for turn in range(20)],
        [(scene(9000 + 300 * turn), 2048 if turn == 0 else 70, None) for turn in range(20)],
        [(scene(9000 + 300 * turn), 300, 2000 + 70 * turn) for turn in range(20)],
        [(scene(500 + 9 * turn, f"n{turn}"), 400, None) for turn in range(20)],
        [(scene(9000 - 300 * turn), 2048, None) for turn in range(20)],
        [(scene(1000 + 300 * turn), 100, None) for turn in range(20)],
    ],
    ids=["constant", "grow by a letter", "grow", "not told", "cached ones not counted",
         "cached ones apart", "different prompts", "shrink", "too small to be cut"],
)  # fmt: skip
def test_no_false_alarm(counted: list[tuple[list[Message], int | None, int | None]]) -> None:
    assert not any(alarms(*counted))
