"""Which certificates are trusted, and what TLS is spoken."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from ollama_openai_proxy.upstream.trust import trusted
from support.listeners import Authority


def test_d6_trust() -> None:
    """D6: certificates and host names are checked, and nothing older than TLS 1.2 is spoken."""
    context = trusted("HTTPS://backend.example/v1")
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert trusted("http://backend.example/v1") is None


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Let both speak TLS. Raises ssl.SSLError when they do not agree."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=name)
    answering = server.wrap_bio(there, back, server_side=True)
    for side in (asking, answering, asking, answering):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_d11_private_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """D11: a private authority that one of OpenSSL's variables names is trusted, and no other is."""
    authority = Authority(tmp_path)
    server = authority.issue("backend.test")
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True, timeout=30)  # noqa: S603, S607  # no shell
    monkeypatch.setenv(variable, str(authority.file if variable == "SSL_CERT_FILE" else tmp_path))
    context = trusted("https://backend.test/v1")
    monkeypatch.delenv(variable)
    stranger = trusted("https://backend.test/v1")
    assert context is not None
    assert stranger is not None
    shake_hands(context, server, "backend.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(stranger, server, "backend.test")
