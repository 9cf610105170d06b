"""What the backend tells of its models beside the list, asked for in the background and remembered.

None of it is needed: an endpoint that is missing, slow or odd costs the list nothing, and counts for nothing in what
is thought of the backend.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlencode

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.catalog_local import EVERY
from ollama_openai_proxy.translate.openai.facts import Facts, learnt
from ollama_openai_proxy.translate.openai.sources import Source
from ollama_openai_proxy.upstream.client import Upstream

_MAX_BODY = 16 * 1024 * 1024
_SECONDS = 2.0
_SILENCE_SECONDS = 3600.0
# The backend has no such endpoint, does not let us in, or has something else there. The rest may pass.
_LASTING = frozenset({"not_found", "bad_request", "up_4xx", "up_protocol"})
_log = logging.getLogger(__name__)


class Learning:
    """Asks the sources that a list points to, and knows what they said last."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._upstream = upstream
        self._clock = clock
        self._sources: tuple[Source, ...] = ()
        self._told: dict[Source, Mapping[str, Facts]] = {}
        self._silent: dict[str, float] = {}  # until when a path is not asked again

    def follow(self, sources: tuple[Source, ...]) -> None:
        """Ask these from now on, and forget what others said."""
        self._sources = sources
        self._told = {source: self._told[source] for source in sources if source in self._told}
        self._silent = {path: until for path, until in self._silent.items() if until > self._clock()}

    def applied(self, models: Iterable[Model]) -> list[Model]:
        """Return the models with what was said of them."""
        told = [self._told[source] for source in self._sources if source in self._told]
        return [_described(model, told) for model in models]

    async def ask(self) -> bool:
        """Ask each source, and return whether there was any.

        One that does not answer now keeps its last answer, and those after it wait for the next time.
        """
        for source in self._sources:
            try:
                answer = await self._answer(source)
            except ProxyError as error:
                _log.debug("no facts about models now: %s", error.message)
                break
            if answer is None:
                self._told.pop(source, None)
            else:
                shared = answer.get(EVERY)
                self._told[source] = dict.fromkeys(source.ids, shared) if shared else answer
        return bool(self._sources)

    async def _answer(self, source: Source) -> Mapping[str, Facts] | None:
        """Return what the source says; None if there is no such thing. Raises ProxyError if it may answer yet."""
        query = f"?{urlencode(source.query)}" if source.query else ""
        for path in source.paths:
            if self._silent.get(path + query, 0.0) > self._clock():
                continue
            call = Call(path + query, rooted=source.rooted, no_route="no such endpoint", aside=True)
            try:
                return source.decode(await self._upstream.fetch(call, _MAX_BODY, _SECONDS))
            except ProxyError as error:
                if error.outcome not in _LASTING:
                    raise
                self._silent[path + query] = self._clock() + _SILENCE_SECONDS
                _log.info("the backend tells nothing about its models at %s: %s", path, error.message)
        return None


def _described(model: Model, told: list[Mapping[str, Facts]]) -> Model:
    for each in told:  # the later ones are closer to the truth
        if facts := each.get(model.id):
            model = learnt(model, facts)
    return model
