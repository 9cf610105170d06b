"""What stands between a request and an application, as plain ASGI."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """Answers some requests in the place of an application.

    Guards around guards are all asked before anything is awaited: they cost a request one coroutine, however many
    there are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.passed = who_answers(app)
        """Who answers a request that this guard lets pass."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.answering(scope) if scope["type"] == "http" else self._app
        await app(scope, receive, send)

    def answering(self, scope: Scope) -> ASGIApp:
        """Return who answers the request: what `passed` says, if nothing is wrong with it."""
        raise NotImplementedError


def who_answers(app: ASGIApp) -> Callable[[Scope], ASGIApp]:
    """Return what tells who answers a request: the application, or what its guards say, if it has any."""
    return app.answering if isinstance(app, Guard) else lambda _: app
