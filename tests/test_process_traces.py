"""Traces of the real process, as a collector gets them."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx

from support.collector import collecting
from support.command import DEMO, PROMPTLY, parsed, served

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BODY = {"model": "demo", "messages": [{"role": "user", "content": "canary-prompt"}]}


def test_spans_arrive(tmp_path: Path) -> None:
    """An exchange is two spans of the client's trace, with tokens and without content; none is lost at the end."""
    with collecting() as collector:
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        with served(tmp_path, *DEMO, DRAIN_DELAY="0", **given) as proxy:
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            answer = httpx.post(f"{proxy.url}/api/chat", json=BODY, headers=headers, trust_env=False)
            assert answer.status_code == 200
            httpx.get(f"{proxy.url}/metrics", trust_env=False)
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait(timeout=PROMPTLY) == 0
            exchange = next(line for line in parsed(proxy.out) if line["message"] == "exchange")
            assert proxy.err == ""
        server, client = collector.server, collector.client
    assert {span.trace_id for span in (server, client)} == {TRACE}
    assert exchange["trace_id"] == TRACE
    assert server.name == "POST /api/chat"
    assert client.parent_id == server.span_id
    assert client.attributes["gen_ai.usage.output_tokens"] == exchange["tokens"]["completion"]
    assert len(collector.spans) == 2
    assert "canary" not in str(collector.spans)
