"""`python -m ollama_openai_proxy` is the `ollama-openai-proxy` command."""

import sys

from ollama_openai_proxy.cli import main

if __name__ == "__main__":
    sys.exit(main())
