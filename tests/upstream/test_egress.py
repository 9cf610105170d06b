"""Outgoing proxies: what one is asked, and what is read of its answer."""

from __future__ import annotations

import asyncio
import itertools
import socket

from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.upstream.egress import Egress, dig
from support.forward_proxy import GRANTS

AUTHORIZATION = b"Basic dXNlcjpjYW5hcnk="
SECRET = Egress("proxy.test", 3128, AUTHORIZATION)


def test_credentials_are_not_shown() -> None:
    """What a proxy wants to know is in no representation of where it is."""
    assert "canary" not in f"{SECRET!r} {SECRET} {[SECRET]}"
    assert AUTHORIZATION.decode() not in f"{SECRET!r} {SECRET} {[SECRET]}"


@given(head=st.sampled_from(GRANTS), follows=st.binary(max_size=40), cuts=st.lists(st.integers(1, 60), max_size=8))
def test_what_follows_is_left_alone(head: bytes, follows: bytes, cuts: list[int]) -> None:
    """However the answer of a proxy comes in pieces, what follows its head is there to the byte for who reads next."""
    near, far = socket.socketpair()
    stream = head + follows
    edges = [0, *sorted({cut for cut in cuts if cut < len(stream)}), len(stream)]

    async def asked() -> bytes:
        loop = asyncio.get_running_loop()
        near.setblocking(False)
        digging = asyncio.create_task(dig(near, b"backend.test:443", SECRET))
        for begin, end in itertools.pairwise(edges):
            far.sendall(stream[begin:end])
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await digging
        far.shutdown(socket.SHUT_WR)
        read = bytearray()
        while more := await loop.sock_recv(near, 64):
            read += more
        return bytes(read)

    with near, far:
        assert asyncio.run(asked()) == follows
