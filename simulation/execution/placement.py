"""Where work is done: here, or by the workers of a Ray cluster.

Invariant: nothing heavy is imported, and Ray not at all.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from folkways.errors import UserError
from folkways.files import write_whole

if TYPE_CHECKING:
    from simulation.store.writer import Store

ADDRESS = re.compile(r"auto|local|ray://\S+|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")
"""What may follow `--ray` and is meant by it."""
_OWN = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What Ray reads as it is imported, for a cluster of this machine's own: it asks whoever calls it
for a token, and takes the loopback address for this machine's, as it does on macOS and Windows
anyway. On Linux it would put the address of a network interface in place of 127.0.0.1."""
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables that say the token, or its file; without them it is in TOKEN_FILE."""
_TOKEN_FILE = Path(".ray", "auth_token")
"""From the user's home: where Ray keeps its token."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster that does a task, and how."""

    address: str = "local"
    """local: a cluster of this machine's own, for the time of the work; auto: the one that runs
    here or that RAY_ADDRESS names; or HOST:PORT or ray://HOST:PORT."""
    workers: int | None = None
    """Worker processes, each with engines of its own; null: one a GPU for local models, one a node
    for local models without GPUs, one a CPU for others."""
    shards: str | None = None
    """Folder or URL that all nodes can write to; null: in the run's folder."""
    keep: bool = False
    """Whether shards stay where they are once they are merged."""


def cluster_of(
    ray: str | None, workers: int | None, shards: str | None, keep: bool
) -> Cluster | None:
    """Return the cluster that is asked for. Raises UserError for options that mean nothing."""
    if ray is None:
        named = {"--workers": workers, "--shards": shards, "--keep-shards": keep}
        if idle := [option for option, value in named.items() if value]:
            raise UserError(f"{' and '.join(idle)} says how --ray does it; add --ray")
        return None
    if not ADDRESS.fullmatch(ray):
        raise UserError(f"--ray: '{ray}' is no address; write auto, HOST:PORT or ray://HOST:PORT")
    return Cluster(ray, workers, shards, keep)


def recover_shards(store: Store, cluster: Cluster | None, now: datetime) -> int:
    """Merge what workers of earlier launches left, and return how many shards that were; see
    `simulation.store.shards.recover`."""
    from simulation.store.shards import recover

    place = cluster or Cluster()
    return recover(store, now, elsewhere=place.shards, keep=place.keep)


def prepare_ray(cluster: Cluster) -> None:
    """Set up Ray for a cluster of this machine's own, before it is imported: on the loopback
    address, with a token that nobody else can read.

    Nothing that the environment says is changed, and nothing is for another cluster. Raises
    UserError where the token cannot be kept.
    """
    if cluster.address != "local":
        return
    if "ray" not in sys.modules:  # by now it has read them; it asks for a token by itself
        for name, value in _OWN.items():
            os.environ.setdefault(name, value)
    wanted = os.environ.get("RAY_AUTH_MODE", "token") == "token"
    if wanted and not any(os.environ.get(name) for name in _TOKENS):
        _keep_token(Path.home() / _TOKEN_FILE)


def _keep_token(file: Path) -> None:
    """Make the file of Ray's token, or see to it that only its owner can read it."""
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if file.exists():
            file.chmod(0o600)
        else:
            write_whole(file.parent, file, secrets.token_hex(32), private=True)
    except OSError as error:
        raise UserError(
            f"cannot keep Ray's token in '{file}': {error.strerror}; name another file in "
            "RAY_AUTH_TOKEN_PATH"
        ) from error
