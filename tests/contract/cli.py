"""The `ollama` CLI in small: the bytes that it sends, and what it does with the answers (contract 10.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

AGENT = "ollama/0.14.0 (amd64 linux) Go/go1.24.1"
LONGEST_LINE = 8 * 1024 * 1024  # of Go's scanner


class CommandError(Exception):
    """The command ended with "Error: ..."."""


class StatusError(CommandError):
    """The server refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def text(value: object) -> bytes:
    """JSON as Go writes it: no spaces, keys in the order of the struct."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def human(size: int) -> str:
    """A size as the CLI prints it."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "KB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


@dataclass
class Cli:
    """One run of the CLI for each command; `asked` are the requests of all of them."""

    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    # What its client does

    @contextmanager
    def _open(self, method: str, path: str, body: object, *, streams: bool = False) -> Iterator[HTTPResponse]:
        parts = urlsplit(self.url)
        headers = {
            "User-Agent": AGENT,
            "Accept": "application/x-ndjson" if streams else "application/json",
            "Content-Type": "application/json",
            "Accept-Encoding": "gzip",
        }
        with closing(HTTPConnection(str(parts.hostname), parts.port, timeout=20)) as connection:
            connection.request(method, path, body=None if body is None else text(body), headers=headers)
            with connection.getresponse() as response:
                self.asked.append((method, path))
                assert response.getheader("Content-Encoding") is None
                yield response

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send a request that is answered at once; None when there is nothing in the answer."""
        with self._open(method, path, body) as response:
            data = response.read()
        if response.status >= 400:
            raise StatusError(response.status, _message(data))
        return json.loads(data) if data else None

    def stream(self, path: str, body: object) -> Iterator[dict[str, Any]]:
        """Send a request that is answered line by line. A line that is blank or too long is an error of the CLI."""
        any_line = False
        with self._open("POST", path, body, streams=True) as response:
            while line := response.readline(LONGEST_LINE + 1):
                any_line = True
                assert len(line) <= LONGEST_LINE, "bufio.Scanner: token too long"
                found = json.loads(line)
                if found.get("error"):
                    raise StatusError(response.status, found["error"])
                assert response.status < 400, f"{response.status} without an error"
                yield found
        assert any_line, "an empty answer looks like success"

    def begin(self) -> None:
        """Each command begins with a look whether the server is there."""
        with self._open("HEAD", "/", None) as response:
            response.read()
            if response.status >= 400:
                raise StatusError(response.status, "could not connect to ollama app, is it running?")

    # Commands

    def listed(self) -> list[tuple[str, str, str]]:
        """`ollama list`: rows of NAME, ID, SIZE."""
        self.begin()
        models = self.call("GET", "/api/tags")["models"]
        return [(entry["name"], cut(entry["digest"]), size(entry)) for entry in models]

    def ps(self) -> list[tuple[str, str, str, str, int]]:
        """Rows of NAME, ID, SIZE, PROCESSOR, CONTEXT; UNTIL has to be a date."""
        self.begin()
        models = self.call("GET", "/api/ps")["models"]
        assert all(entry["expires_at"][:4].isdecimal() for entry in models)
        return [
            (entry["name"], cut(entry["digest"]), human(entry["size"]), processor(entry), entry["context_length"])
            for entry in models
        ]

    def show(self, name: str) -> dict[str, Any]:
        self.begin()
        return self._show(name)

    def _show(self, name: str) -> dict[str, Any]:
        body = {"model": "", "system": "", "template": "", "verbose": False, "options": None, "name": name}
        shown: dict[str, Any] = self.call("POST", "/api/show", body)
        return shown

    def pull(self, name: str) -> list[str]:
        """Return the statuses. A bar is drawn for each digest that has something completed."""
        self.begin()
        return self._pull(name)

    def _pull(self, name: str) -> list[str]:
        body = {"model": "", "insecure": False, "username": "", "password": "", "name": name}
        statuses = []
        for line in self.stream("/api/pull", body):
            if line.get("digest") and line.get("completed"):
                assert line["completed"] <= line["total"]
                cut(line["digest"].removeprefix("sha256:"))
            if line["status"] not in statuses:
                statuses.append(line["status"])
        return statuses

    def run(self, name: str, *prompts: str, think: bool | None = None) -> list[str]:
        """An interactive session: one prompt after another. A model that is not there is pulled first."""
        self.begin()
        try:
            shown = self._show(name)
        except StatusError as error:
            if error.status != 404:
                raise
            self._pull(name)
            shown = self._show(name)
        capabilities = shown.get("capabilities") or []
        if "embedding" in capabilities:
            return [
                str(len(self.call("POST", "/api/embed", embed(name, prompt))["embeddings"][0])) for prompt in prompts
            ]
        if think is None and "thinking" in capabilities:
            think = True
        list(self.stream("/api/generate", {**generate(name, ""), **thinking(think)}))
        history: list[dict[str, Any]] = []
        answers = []
        for prompt in prompts:
            history.append({"role": "user", "content": prompt})
            chat = {"model": name, "messages": history, "options": {}, **thinking(think)}
            said = [line["message"] for line in self.stream("/api/chat", chat)]
            answers.append("".join(message["content"] for message in said))
            thought = "".join(message.get("thinking", "") for message in said)
            history.append({"role": "assistant", "content": answers[-1], **({"thinking": thought} if thought else {})})
        return answers

    def run_once(self, name: str, prompt: str) -> str:
        """`ollama run NAME PROMPT`: a generation."""
        self.begin()
        self._show(name)
        return "".join(line["response"] for line in self.stream("/api/generate", generate(name, prompt)))

    def stop(self, name: str) -> None:
        self.begin()
        self._stop(name)

    def _stop(self, name: str) -> None:
        try:
            self._show(name)
            (unloaded,) = self.stream("/api/generate", {**generate(name, ""), "keep_alive": "0s"})
        except StatusError as error:
            if "not found" in str(error):
                raise CommandError(f'couldn\'t find model "{name}" to stop') from error
            raise
        assert unloaded["done_reason"] == "unload"

    def rm(self, name: str) -> None:
        """Unload the model, of which a failure only warns, and delete it."""
        self.begin()
        try:
            self._stop(name)
        except CommandError as error:
            self.printed.append(f"Warning: unable to stop model '{name}': {error}")
        assert self.call("DELETE", "/api/delete", {"model": "", "name": name}) is None
        self.printed.append(f"deleted '{name}'")

    def cp(self, source: str, destination: str) -> None:
        self.begin()
        assert self.call("POST", "/api/copy", {"source": source, "destination": destination}) is None

    def create(self, name: str, **modelfile: object) -> list[str]:
        """What a Modelfile with FROM and without files of its own becomes."""
        self.begin()
        body = {"model": name, **modelfile, "name": ""}
        return [line["status"] for line in self.stream("/api/create", body)]

    def push(self, name: str) -> list[str]:
        self.begin()
        body = {"model": "", "insecure": False, "username": "", "password": "", "name": name}
        return [line["status"] for line in self.stream("/api/push", body)]


def generate(name: str, prompt: str) -> dict[str, Any]:
    """A generation with all that Go writes of what is not set."""
    return {"model": name, "prompt": prompt, "suffix": "", "system": "", "template": "", "context": None, "options": {}}


def embed(name: str, prompt: str) -> dict[str, Any]:
    return {"model": name, "input": prompt, "options": None}


def thinking(think: bool | None) -> dict[str, Any]:
    return {} if think is None else {"think": think}


def cut(digest: str) -> str:
    """Return twelve characters; Go panics where there are fewer."""
    assert len(digest) >= 12, "panic: runtime error: slice bounds out of range"
    return digest[:12]


def size(entry: dict[str, Any]) -> str:
    return "-" if entry.get("remote_model") else human(entry["size"])


def processor(entry: dict[str, Any]) -> str:
    """Return the share of the graphics card; what is on none is on the CPU."""
    if entry["size_vram"] == 0:
        return "100% CPU"
    if entry["size_vram"] == entry["size"]:
        return "100% GPU"
    assert entry["size_vram"] < entry["size"], "Unknown"
    share = round(100 * entry["size_vram"] / entry["size"])
    return f"{100 - share}%/{share}% CPU/GPU"


def _message(data: bytes) -> str:
    """Return what an error says: `error` of an object, or else all of it."""
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")
