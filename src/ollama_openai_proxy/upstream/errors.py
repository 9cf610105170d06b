"""What goes wrong between the proxy and a backend, where more than one part has to know of it."""

from __future__ import annotations

INVALID = "invalid response from upstream"
# How a call fails when its connection does, and not what came over it.
TRANSPORT = frozenset({"up_dns", "up_connect", "up_connect_timeout", "up_tls", "up_reset"})
