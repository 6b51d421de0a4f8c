"""One episode: the LangGraph graph of a scene, its state, turn policies, events and stop rules."""
