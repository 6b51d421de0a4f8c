"""How a scene looks in a terminal while it is played.

Invariant: model and scenario text is shown as text; it cannot carry markup or terminal escapes.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from scenarios.terminal import printable
from simulation.entry import Entry

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")


def entry_text(entry: Entry, names: Mapping[str, str]) -> Text:
    """Return an entry of the log as one coloured line; `names` maps role ids, in cast order."""
    if entry["kind"] != "turn":
        text = f"{names[entry['name']]} comes in" if entry["kind"] == "entrance" else entry["text"]
        return Text(f"    * {printable(text or entry['name'])}", style="dim italic")
    speaker = entry["speaker"]
    line = Text(f"{entry['turn']:>3} ")
    colour = COLOURS[list(names).index(speaker) % len(COLOURS)]
    line.append(printable(names[speaker]), style=f"bold {colour}")
    if entry["addressees"]:
        to = " and ".join(names[role] for role in entry["addressees"])
        line.append(printable(f" {'whispers ' if entry['whisper'] else ''}to {to}"), style="dim")
    words = printable(entry["text"] or "")
    if entry["failure"]:
        line.append(f": [no act: {entry['failure']}]", style="red")
    elif entry["action"] == "speak":
        line.append(f": {words}")
    elif entry["action"] == "leave":
        line.append(f": {words} [leaves]".replace(":  ", ": "), style="italic")
    else:
        line.append(f" [{words or 'says nothing'}]", style="italic")
    return line
