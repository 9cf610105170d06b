"""Peers in Python. Each runs in an environment of its own, under the uvicorn that it brings, with one worker.

What is fair, and what is not, was tried by hand against the scripted upstream, with one request of each kind.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench.peers_base import HOST, MODEL, Command, Peer, pip_install, python

_LITELLM, _PLUS, _OAI = "1.106.2", "0.1.0", "1.2.8.4"
_LISTED = 500 - 38  # ollama-proxy-plus adds so many names of its own to the list of models
_QUIET = ["--no-access-log", "--log-level", "warning"]
_ALONE = {"PYTHON_DOTENV_DISABLED": "1", "DO_NOT_TRACK": "1"}  # no .env of the machine's own, no telemetry

# Without these settings it would retry, and leave a deployment alone for some seconds after one 404. The prices of
# models are those that it brings, for it would ask the network for newer ones.
_CONFIGURATION = """model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "http://{host}:{upstream}/v1", api_key: none}}
litellm_settings: {{num_retries: 0, request_timeout: 600, telemetry: false, set_verbose: false}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
general_settings: {{disable_spend_logs: true}}
"""


def _start_litellm(folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    file = scratch / "litellm.yaml"
    file.write_text(_CONFIGURATION.format(model=MODEL, host=HOST, upstream=upstream), encoding="utf-8")
    argv = [str(folder / "litellm" / "bin" / "litellm"), "--config", str(file), "--host", HOST, "--port", str(port)]
    env = {
        "HOME": str(scratch),
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # clients need no key, as with the others
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
    }
    return Command([*argv, "--num_workers", "1"], {**_ALONE, **env}, scratch)


# The SDK below is held at the major version that its release was made with: the next one logs a line for each request,
# which the authors had silenced in the one that they knew. It retries twice what fails, hidden from its user: nothing
# fails here.
def _start_plus(folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    env = {
        "PROVIDERS_LOCAL_API_KEY": "none",
        "PROVIDERS_LOCAL_BASE_URL": f"http://{HOST}:{upstream}/v1",
        "EXTRA_MODELS": ",".join(f"local/model-{number}" for number in range(_LISTED)),
    }
    # What its own command does, but for the line that uvicorn logs for each request.
    return _served(folder / "ollama-proxy-plus", "ollama_proxy.server:app", port, env, scratch)


def _start_oai(folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    env = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://{HOST}:{upstream}/v1"}
    return _served(folder / "oai2ollama", "oai2ollama:app", port, env, scratch)  # its own command has a fixed port


def _served(home: Path, app: str, port: int, env: dict[str, str], scratch: Path) -> Command:
    argv = [str(python(home)), "-m", "uvicorn", app, "--host", HOST, "--port", str(port), *_QUIET]
    return Command(argv, {**_ALONE, **env}, scratch)


PYTHON = (
    Peer(
        name="litellm",
        front="openai",
        version=lambda _folder: _LITELLM,
        prepare=lambda folder: pip_install(folder / "litellm", [f"litellm[proxy]=={_LITELLM}"]),
        start=_start_litellm,
        about=(
            "OpenAI's dialect to OpenAI's, for it has no front for Ollama's clients; its list of models is that of its"
            " settings, here one; no retries, no cooldowns, no key of its own"
        ),
        seconds=180,
    ),
    Peer(
        name="ollama-proxy-plus",
        front="ollama",
        version=lambda _folder: _PLUS,
        prepare=lambda folder: pip_install(
            folder / "ollama-proxy-plus", [f"ollama-proxy-plus=={_PLUS}", "openai==2.54.0"]
        ),
        start=_start_plus,
        about=(
            "a connection to the upstream for each request, and one request for each text of a batch; loses tool calls;"
            " counts words for tokens; the list of models is that of its settings, not the upstream's"
        ),
        model=f"local/{MODEL}",
    ),
    Peer(
        name="oai2ollama",
        front="openai",
        version=lambda _folder: _OAI,
        prepare=lambda folder: pip_install(folder / "oai2ollama", [f"oai2ollama=={_OAI}"]),
        start=_start_oai,
        about=(
            "has no /api/chat and no embeddings: passes on OpenAI's dialect, with a client and its TLS context made for"
            " each request"
        ),
    ),
)
