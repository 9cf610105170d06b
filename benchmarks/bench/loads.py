"""The loads: what is asked, how often at once, and what the backend then answers."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from benchmarks.bench.results import LoadInfo, Unit

Front = Literal["ollama", "openai"]
Kind = Literal["chat", "embed", "models"]

MODELS = 500
DIMENSIONS = 1536
PROMPT = "The rain in Lisbon came early that year, and nobody had brought the chairs in. "
_LONG = 100_000
_TOOLS = 5


class Plan(msgspec.Struct, frozen=True):
    """What the backend does with each request until it is told otherwise.

    `events`: of a stream, 0 answers whole. `pause`: seconds between them; then each carries its place and the time at
    which it was made. `batch`: embeddings. `tools`: it calls tools instead of talking.
    """

    events: int = 0
    pause: float = 0.0
    batch: int = 0
    tools: bool = False


class Load(NamedTuple):
    """`at_once`: connections, on each of which one request follows the other. `prompt`: characters of what is asked."""

    name: str
    title: str
    unit: Unit
    at_once: int
    plan: Plan = Plan()
    kind: Kind = "chat"
    prompt: int = 0

    @property
    def streamed(self) -> bool:
        return self.kind == "chat" and (self.plan.events > 0 or self.plan.tools)

    def info(self) -> LoadInfo:
        return LoadInfo(self.name, self.title, self.unit, self._about())

    def request(self, front: Front, model: str, headers: dict[str, str]) -> bytes:
        """Return a request of HTTP/1.1, with its body."""
        method = "GET" if self.kind == "models" else "POST"
        body = b"" if method == "GET" else msgspec.json.encode(self._body(front, model))
        given = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"{method} {PATHS[front][self.kind]} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def units(self, requests: int, events: int) -> int:
        return {"request": requests, "event": events, "embedding": requests * self.plan.batch}[self.unit]

    def _body(self, front: Front, model: str) -> dict[str, object]:
        if self.kind == "embed":
            body: dict[str, object] = {"model": model, "input": [f"{at} {PROMPT}" for at in range(self.plan.batch)]}
            return body | ({"encoding_format": "float"} if front == "openai" else {})
        content = (PROMPT * (self.prompt // len(PROMPT) + 1))[: self.prompt] if self.prompt else "Hello"
        messages = [{"role": "user", "content": content}]
        body = {"model": model, "messages": messages, "stream": self.streamed}
        return body | ({"tools": [_tool(number) for number in range(_TOOLS)]} if self.plan.tools else {})

    def _about(self) -> str:
        """In words, of what it consists."""
        many = f"{self.at_once} connections" if self.at_once > 1 else "one connection"
        if self.kind == "models":
            return f"{many}, the list of {MODELS} models"
        if self.kind == "embed":
            return f"{many}, {self.plan.batch} texts a request, {DIMENSIONS} numbers each"
        if self.plan.tools:
            return f"{many}, {_TOOLS} tools in the request, two calls in the answer, in fragments"
        if self.plan.events:
            apart = f"{self.plan.pause * 1000:g} ms apart" if self.plan.pause else "each written as soon as it can be"
            return f"{many}, streams of {self.plan.events} events, {apart}"
        return f"{many}, not streamed" + (f", prompts of {self.prompt // 1000} KB" if self.prompt else "")


PATHS: dict[Front, dict[Kind, str]] = {
    "ollama": {"chat": "/api/chat", "embed": "/api/embed", "models": "/api/tags"},
    "openai": {"chat": "/v1/chat/completions", "embed": "/v1/embeddings", "models": "/v1/models"},
}

LOADS = (
    Load("whole", "Not streamed", "request", 64),
    Load("b2b", "Streamed, back to back", "event", 32, Plan(events=100)),
    Load("paced", "Streamed, 20 ms apart", "event", 100, Plan(events=100, pause=0.02)),
    Load("embed-1", "Embeddings, 1 a request", "embedding", 32, Plan(batch=1), "embed"),
    Load("embed-16", "Embeddings, 16 a request", "embedding", 8, Plan(batch=16), "embed"),
    Load("embed-256", "Embeddings, 256 a request", "embedding", 2, Plan(batch=256), "embed"),
    Load("long", "Prompts of 100 KB", "request", 32, prompt=_LONG),
    Load("tools", "Tool calls, streamed", "request", 32, Plan(tools=True)),
    Load("models", "List of 500 models", "request", 16, kind="models"),
    Load("one", "Not streamed, one connection", "request", 1),
)


def _tool(number: int) -> dict[str, object]:
    """Return one of the tools of a request; the first is that which is called."""
    name = f"look_up_{number}" if number else "get_weather"
    properties = {
        "city": {"type": "string", "description": "Where, by the name of the place"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "description": "How many days ahead"},
    }
    parameters = {"type": "object", "properties": properties, "required": ["city"]}
    about = "Tell the weather of a place for some days ahead"
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}
