"""The engine for OpenAI-compatible endpoints: requests, answers and refusals."""
