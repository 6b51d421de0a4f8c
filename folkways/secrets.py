"""Keys and passwords that stand where they would be stored or shown.

Invariant: no configuration with a key in it is accepted, and no error shows one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from folkways.errors import UserError

_NAME = re.compile(
    r"(?i)(^|[_.-])((api|access|auth|secret|private|subscription)[_-]?key|key|token|secret|"
    r"password|passwd|pwd|authorization|bearer|credentials?)$"
)
"""Names of settings that hold a key; `max_tokens` is none of them."""
_ADDRESS = re.compile(
    r"(?i)(?P<before>[a-z][a-z0-9+.-]*://)[^/\s?#]*@"
    r"|(?P<name>[?&;](api[_-]?key|key|(access_?|auth_?)?token|secret|password|sig|signature|code)=)"
    r"[^&\s#'\"]+"
)
"""Credentials within an address: `https://user:word@host`, `?api_key=word`."""
_VALUE = re.compile(
    r"\b(sk|pk|rk|gsk|xai|hf|r8|pplx|nvapi|ghp|gho|github_pat|glpat|xox[abp])[-_]"
    r"(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{16,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}|\bAKIA[A-Z0-9]{16}\b|(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{16,}=*"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"
)
"""Keys in the forms that providers give them."""
_HIDDEN = "***"


def redacted(text: str) -> str:
    """Return the text with everything that looks like a key replaced by `***`.

    >>> redacted("https://ann:word@example.org/v1?key=abc")
    'https://***@example.org/v1?key=***'
    """
    text = _ADDRESS.sub(
        lambda m: f"{m['before']}{_HIDDEN}@" if m["before"] else m["name"] + _HIDDEN, text
    )
    return _VALUE.sub(_HIDDEN, text)


def refuse_secrets(data: Any, where: str) -> None:
    """Raise UserError for the first setting that looks like a key, naming it and not its value."""
    for path, name, value in _settings(data, ()):
        named = isinstance(value, str) and value.strip() and _NAME.search(name)
        if named or (isinstance(value, str) and redacted(value) != value):
            at = ".".join(map(str, path))
            raise UserError(
                f"{where}{': ' if where and at else ''}{at}: this looks like a key or a password, "
                "and settings are stored and shown; put it into the environment: OPENAI_API_KEY, "
                "or in a pool the variable that api_key_env names"
            )


def _settings(
    data: Any, path: tuple[str | int, ...], name: str = ""
) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """Yield path, name and value of everything that is neither a mapping nor a list."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _settings(value, (*path, str(key)), str(key))
    elif isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        for at, value in enumerate(data):
            yield from _settings(value, (*path, at), name)
    else:
        yield path, name, data
