"""How long a text is in tokens, with a tokenizer or by a stated rule without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from folkways.errors import UserError

BYTES_PER_TOKEN = 4
"""Without a tokenizer: four UTF-8 bytes a token, so four characters of English; characters of other
scripts count for more, as they do in most vocabularies."""


def load_length(tokenizer: str | None) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text.

    The tokens that a chat template adds are not counted. Raises UserError where there is no such
    tokenizer.
    """
    if tokenizer is None:
        return estimated_length
    if not Path(tokenizer).is_dir():
        raise UserError(f"there is no tokenizer folder '{tokenizer}'")
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise UserError(
            "a tokenizer needs the package transformers: pip install 'folkways[train]', or leave "
            "out --tokenizer"
        ) from error
    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    except Exception as error:  # a foreign folder can be wrong in any way
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"cannot load a tokenizer from '{tokenizer}': {type(error).__name__}: {reason}"
        ) from error
    return lambda text: len(loaded(text, add_special_tokens=False)["input_ids"])


def estimated_length(text: str) -> int:
    """Return a quarter of the UTF-8 bytes, rounded up."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
