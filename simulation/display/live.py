"""How a scene looks in a terminal while it is played.

Invariant: model and scenario text is shown as text; it cannot carry markup or terminal escapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.text import Text

from folkways.text import printable
from simulation.episode.entry import Entry

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")


def heard_by_some(entries: Iterable[Entry], present: Iterable[str]) -> dict[int, list[str]]:
    """Return who heard an act, by its turn, where not everyone there did; `present` at the start.

    Whispers that their addressees heard are left out: the word says it.
    """
    here, found = {*present}, {}
    for entry in entries:
        if entry["kind"] == "entrance":
            here.add(entry["name"])
        elif entry["kind"] == "turn" and not entry["failure"]:
            told = {*entry["audience"]}
            whispered = entry["whisper"] and told == {*entry["addressees"]}
            if not whispered and not here <= {entry["speaker"], *told}:
                found[entry["turn"]] = entry["audience"]
            if entry["action"] == "leave":
                here.discard(entry["speaker"])
        elif entry["kind"] == "return":
            here.add(entry["name"])
        elif entry["kind"] == "removal":
            here.discard(entry["name"])
    return found


def heard_text(heard: Sequence[str], names: Mapping[str, str]) -> str:
    """Return in words who heard an act."""
    return f"heard by {' and '.join(names[role] for role in heard) or 'nobody'}"


def why_refused(entry: Entry) -> str:
    """Return in words why an act of the world is not allowed; nothing of other acts."""
    reason = entry["act"]["reason"] if "act" in entry else None
    return f"not allowed: {reason}" if reason else ""


def entry_text(
    entry: Entry, names: Mapping[str, str], heard: Mapping[int, Sequence[str]] | None = None
) -> Text:
    """Return an entry of the log as one coloured line; `names` maps role ids, in cast order, and
    `heard` turns to those who heard them, as `heard_by_some` says.
    """
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
    if heard and entry["turn"] in heard:
        line.append(printable(f" ({heard_text(heard[entry['turn']], names)})"), style="dim")
    words = printable(entry["text"] or "")
    if entry["failure"]:
        why = why_refused(entry) or entry["failure"]
        line.append(f": [no act: {printable(why)}]", style="red")
    elif entry["action"] == "speak":
        line.append(f": {words}")
    elif entry["action"] == "leave":
        line.append(f": {words} [leaves]".replace(":  ", ": "), style="italic")
    else:
        line.append(f" [{words or 'says nothing'}]", style="italic")
        line.append(f" {printable(why_refused(entry))}".rstrip(), style="red")
    return line
