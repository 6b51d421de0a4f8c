"""Engines that run a model on this machine: llama.cpp, transformers, vLLM."""
