"""Which certificates of backends are trusted: those that OpenSSL finds, in `SSL_CERT_FILE` and `SSL_CERT_DIR` too."""

from __future__ import annotations

import ssl


def trusted(base_url: str) -> ssl.SSLContext | None:
    """Return what TLS is spoken with, None if the URL asks for none. Nothing older than TLS 1.2, and no ALPN."""
    if not base_url.lower().startswith("https:"):
        return None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
