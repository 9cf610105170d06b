"""An Ollama server with any OpenAI-compatible backend behind it."""

from importlib.metadata import version

__version__ = version("ollama-openai-proxy")
