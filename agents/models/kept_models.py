"""The GGUF files that other programs keep on this machine: Ollama, LM Studio, the Hugging Face
cache and llama.cpp.

Invariant: files are listed and their headers read, nothing else; nothing outside a program's own
folder is opened, whatever links and manifests say, and what they say wrongly costs that file alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field

from agents.models.local.gguf_file import PART
from folkways.errors import UserError
from folkways.files import inside, read_json

_MOST_FILES = 10_000
"""Files of one folder that are looked at."""
_LARGEST_MANIFEST = 2**20
"""Bytes; Ollama's have about one thousand."""
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
MODEL, ADAPTER = "application/vnd.ollama.image.model", "application/vnd.ollama.image.adapter"
_OWN = (("registry.ollama.ai", "library"), ("registry.ollama.ai",))
"""What Ollama leaves out at the beginning of a name."""


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A GGUF file, or the first of a model in parts."""

    name: str
    """As its program calls it, such as llama3.2:3b."""
    program: str
    path: Path
    adapter: Path | None = None
    """What the program applies to it, where it does."""


class Place(NamedTuple):
    """A folder in which a program keeps models."""

    program: str
    folder: Path


class _Layer(BaseModel):
    media_type: str = Field(alias="mediaType")
    digest: str


class _Manifest(BaseModel):
    layers: list[_Layer]


def usual_places(home: Path, environ: Mapping[str, str]) -> list[Place]:
    """Return where models are kept, as the programs' own variables say or by default."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    hub = Path(environ.get("HF_HOME") or cache / "huggingface") / "hub"
    places = (
        Place("Ollama", Path(environ.get("OLLAMA_MODELS") or home / ".ollama" / "models")),
        Place("Ollama", Path("/usr/share/ollama/.ollama/models")),
        Place("LM Studio", home / ".lmstudio" / "models"),
        Place("LM Studio", home / ".cache" / "lm-studio" / "models"),
        Place("Hugging Face", Path(environ.get("HF_HUB_CACHE") or hub)),
        Place("llama.cpp", Path(environ.get("LLAMA_CACHE") or cache / "llama.cpp")),
    )
    return list(dict.fromkeys(places))


def kept_models(place: Place) -> list[KeptModel]:
    """Return the models in a folder, each file once, by name; none where there is no folder.

    Files whose names have characters that cannot be shown are left out.
    """
    found = _of_ollama(place) if place.program == "Ollama" else _of_folder(place)
    by_file: dict[tuple[Path, Path | None], list[KeptModel]] = {}
    for one in found:
        if f"{one.name}{one.path}{one.adapter}".isprintable():
            by_file.setdefault((one.path.resolve(), one.adapter), []).append(one)
    merged = [
        replace(same[0], name=", ".join(dict.fromkeys(one.name for one in same)))
        for same in by_file.values()
    ]
    return sorted(merged, key=lambda one: one.name)


def _of_ollama(place: Place) -> Iterator[KeptModel]:
    """Yield what manifests name: `manifests/REGISTRY/NAMESPACE/MODEL/TAG` names blobs."""
    manifests = place.folder / "manifests"
    for file in _files(place.folder, manifests):
        parts = file.relative_to(manifests).parts
        if len(parts) < 3:
            continue
        try:
            if file.stat().st_size > _LARGEST_MANIFEST:
                continue
            layers = read_json(file, _Manifest).layers
        except (UserError, OSError):
            continue
        models = _blobs(place.folder, layers, MODEL)
        adapters = _blobs(place.folder, layers, ADAPTER)
        if len(models) == 1 and len(adapters) < 2:
            own = next((own for own in _OWN if parts[: len(own)] == own), ())
            *spoken, tag = parts[len(own) :]
            name = f"{'/'.join(spoken)}:{tag}"
            yield KeptModel(name, place.program, models[0], next(iter(adapters), None))


def _blobs(root: Path, layers: list[_Layer], kind: str) -> list[Path]:
    digests = [_DIGEST.fullmatch(one.digest) for one in layers if one.media_type == kind]
    paths = [root / "blobs" / f"sha256-{digest[1]}" for digest in digests if digest]
    return [path for path in paths if _is_own_file(root, path)]


def _of_folder(place: Place) -> Iterator[KeptModel]:
    """Yield the GGUF files below a folder, of a model in parts the first."""
    for file in _files(place.folder, place.folder):
        if file.suffix.lower() != ".gguf":
            continue
        part = PART.match(file.name)
        if part and int(part[2]) != 1:
            continue
        parts = list(file.relative_to(place.folder).with_suffix("").parts)
        if parts[0].startswith("models--"):  # models--ORG--NAME/snapshots/REVISION/FILE
            parts = [*parts[0].removeprefix("models--").split("--"), *parts[3:]]
        yield KeptModel("/".join(parts), place.program, file)


def _files(root: Path, folder: Path) -> list[Path]:
    """Return the ordinary files below a folder, by name; links to folders are not followed."""
    walk = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    return sorted(file for file in islice(walk, _MOST_FILES) if _is_own_file(root, file))


def _is_own_file(root: Path, file: Path) -> bool:
    try:
        return inside(root, file).is_file()
    except (UserError, OSError):
        return False
