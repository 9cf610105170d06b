"""What every client of the native API may rely on, checked on the bytes themselves (clients.md, R3 to R9)."""

import json
import re
from typing import Any

import httpx

# RFC 3339 in UTC with at most nine decimals: what Go, java.time.Instant and JavaScript all parse.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
COUNTERS = (*DURATIONS, "prompt_eval_count", "eval_count")
# A PNG of one pixel: 70 bytes.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def user(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def tool(name: str, *parameters: str) -> dict[str, Any]:
    """A tool whose parameters are texts."""
    properties = {parameter: {"type": "string"} for parameter in parameters}
    schema = {"type": "object", "required": list(parameters), "properties": properties}
    return {"type": "function", "function": {"name": name, "description": f"The {name}", "parameters": schema}}


def no_nulls(value: Any) -> None:
    """Keys without a value are left out: a null breaks four clients (R5)."""
    assert value is not None
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        no_nulls(item)


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of a streamed chat that went well, after checking R3 to R8 on each."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "content-encoding" not in response.headers
    *lines, rest = response.text.split("\n")
    assert rest == ""
    assert "" not in lines
    parts = [json.loads(line) for line in lines]
    for part in parts:
        check_chunk(part)
    assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
    check_last(parts[-1])
    assert not any("done_reason" in line for line in lines[:-1])
    return parts


def check_chunk(part: dict[str, Any]) -> None:
    """R5, R6 and R8: what is in every chunk, and what excludes each other."""
    no_nulls(part)
    assert isinstance(part["model"], str)
    assert TIME.fullmatch(part["created_at"])
    assert part["message"]["role"] == "assistant"
    assert isinstance(part["message"]["content"], str)
    assert "type" not in part
    assert not (part["message"].get("thinking") and part["message"]["content"])
    if not part["done"]:
        assert not {*COUNTERS} & {*part}


def check_last(part: dict[str, Any]) -> None:
    """R7: the last chunk has a reason and six counters, integers of which none is zero."""
    assert part["done_reason"] in ("stop", "length")
    for counter in COUNTERS:
        assert type(part[counter]) is int
        assert part[counter] > 0


def content(parts: list[dict[str, Any]]) -> str:
    return "".join(part["message"]["content"] for part in parts)


def calls(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of a turn: all in one chunk that is not the last (R9)."""
    holding = [part for part in parts if part["message"].get("tool_calls")]
    assert len(holding) == 1
    assert holding[0]["done"] is False
    found: list[dict[str, Any]] = holding[0]["message"]["tool_calls"]
    assert [call["function"]["index"] for call in found] == list(range(len(found)))
    assert len({call["id"] for call in found}) == len(found)
    return found
