"""Reports that libraries send to their makers, switched off before any of them is imported.

Invariant: what the user has set in the environment stays as it is.
"""

from __future__ import annotations

import os

OFF = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Variables that the hub's client, LangGraph with LangSmith, Ray and vLLM read as they are
imported; TRL, PEFT and transformers report through the hub's client."""


def switch_off() -> None:
    """Switch reports off in this process and in those that it starts."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
