"""The engine for many endpoints at once: which one takes a call, and how much each may take."""
