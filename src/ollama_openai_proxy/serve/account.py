"""What only ollama.com can do: accounts, search in the web (contract 5.3, 5.17, 5.18)."""

from __future__ import annotations

from fastapi import Request, Response

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.serve.handlers import Handlers, Route, json_answer
from ollama_openai_proxy.serve.recorder import record_of

_STATUS = b'{"cloud":{"disabled":true,"source":"env"}}'
# Ollama adds its machine's name and key, with which to sign in; there is none here.
_STRANGER = b'{"error":"unauthorized","signin_url":"https://ollama.com/connect"}'
_SPACE = b" \t\r\n"


class Account(Handlers):
    """The routes of ollama.com's services, which this server does not use."""

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/api/status", ("GET",), self.status),
            Route("/api/me", ("POST",), self.me),
            Route("/api/signout", ("POST",), self.sign_out),
            Route("/api/user/keys/{key}", ("DELETE",), self.sign_out),
            Route("/api/experimental/web_search", ("POST",), self.search),
            Route("/api/experimental/web_fetch", ("POST",), self.fetch),
            Route("/api/experimental/model-recommendations", ("GET",), self.recommendations),
        )

    async def status(self, http: Request) -> Response:
        return json_answer(_STATUS)

    async def me(self, http: Request) -> Response:
        record_of(http.scope).outcome = "auth"
        return json_answer(_STRANGER, 401)

    async def sign_out(self, http: Request) -> Response:
        raise InvalidRequest("you are not currently signed in", status=401, outcome="auth")

    async def search(self, http: Request) -> Response:
        return await self._refuse(http, "web search")

    async def fetch(self, http: Request) -> Response:
        return await self._refuse(http, "web fetch")

    async def recommendations(self, http: Request) -> Response:
        return json_answer(b'{"recommendations":[]}')

    async def _refuse(self, http: Request, what: str) -> Response:
        if not (await self.body(http)).strip(_SPACE):
            raise InvalidRequest("missing request body")
        raise InvalidRequest(f"ollama cloud is disabled: {what} is unavailable", status=403)
