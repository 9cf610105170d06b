"""The table of malformed requests: one module per kind of route, and one row per request."""
