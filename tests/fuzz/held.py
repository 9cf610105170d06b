"""What holds for any input of any parser: what may be raised, and what an error may look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.translate.ollama.errors import error_body, error_record


@contextmanager
def only_our_errors() -> Iterator[None]:
    """The block raises nothing but an error of ours, which can be told to a client."""
    try:
        yield
    except ProxyError as error:
        is_told(error)


def is_told(error: ProxyError) -> None:
    """Check that the error makes one line, of JSON, and a status that says it is one."""
    assert 400 <= error.status <= 599
    record = error_record(error)
    assert record.endswith(b"\n")
    assert record.count(b"\n") == 1
    for written in (record, error_body(error, "/api/chat")):
        assert isinstance(json.loads(written.decode())["error"], str)


def is_lines(output: bytes) -> None:
    """Check that what a client is sent is one JSON object in each line, and that no other sign ends a line."""
    text = output.decode()
    assert text == "" or text.endswith("\n")
    for line in text.splitlines():  # which counts U+2028 and its like as ends, as some clients do
        assert isinstance(json.loads(line), dict)
