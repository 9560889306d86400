"""A route that refuses from the head whatever can be: scope, query, content type, room.

FastAPI reads a body before it looks at the dependencies; nobody's body is read here who may not
send one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from difflib import get_close_matches
from inspect import iscoroutinefunction
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.core.errors import HeadstartError
from app.core.identity import Scope
from app.core.json_objects import DoubledNameError, once
from app.http import audit
from app.http.again import handled
from app.http.body import Receive
from app.http.dependencies import scope_of, services
from app.http.strict_json import StrictJSONError, StrictRequest, require_json, unkept

_DEEP = re.compile(r"([^\[]+)\[.+\]", re.DOTALL)
"""`metadata[key]`: one member of an object in a query."""


class StrictRoute(APIRoute):
    """A route whose JSON bodies are strict, and whose other bodies are refused with 415."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the checks."""
        handler = super().get_route_handler()
        blocks = not iscoroutinefunction(self.endpoint)
        scopes, known = frozenset(_scopes(self.dependant)), self._known_queries()
        lists = frozenset(one["name"] for one in self._told_queries() if _is_list(one))

        bodiless = self._takes_no_body()

        async def strict(request: Request) -> Response:
            for scope in scopes:
                request.state.identity.require(scope)
            refuse_unkept(request)
            refuse_doubled(request, lists)
            if known is not None:
                refuse_unknown(request.query_params, known)
            if self.body_field is not None:
                require_json(request)
            asked = StrictRequest(request.scope, await self.opened(request))
            if bodiless:
                await refuse_body(asked)
            caller = getattr(request.state, "identity", None)
            if not blocks or caller is None:
                return await handled(handler, asked)
            async with services(request).turns.of(caller.organisation_id):
                return await handled(handler, asked)

        async def noted(request: Request) -> Response:
            if not audit.is_deed(request.method, self.path_format, scopes):
                return await strict(request)
            entry = audit.Pending(request, self.name)
            request.scope["fastapi_function_astack"].push_async_exit(entry.write)
            entry.answer = await strict(request)
            return entry.answer

        return noted

    async def opened(self, request: Request) -> Receive:
        """How the handler reads the body."""
        return request.receive

    def _takes_no_body(self) -> bool:
        """Whether it is asked to do something, and told by its address alone what. Label Studio
        sends a body with whatever it asks for.
        """
        told = self.body_field is not None or "requestBody" in (self.openapi_extra or {})
        asks = "POST" in (self.methods or ()) and not self.path.startswith("/label-studio/")
        return asks and not told

    def _known_queries(self) -> frozenset[str] | None:
        if any(dependant.call in _TAKES_ANY_QUERY for dependant in _flat(self.dependant)):
            return None
        return declared(self.dependant) | {one["name"] for one in self._told_queries()}

    def _told_queries(self) -> list[dict[str, Any]]:
        told = (self.openapi_extra or {}).get("parameters", ())
        return [one for one in told if one["in"] == "query"]


async def refuse_body(request: StrictRequest) -> None:
    """Raise invalid_request for a body that says something where nobody reads it, as a wish that is
    passed over looks granted; invalid_json.
    """
    try:
        says = (await request.body()).strip() and await request.json()
    except StrictJSONError as error:
        raise HeadstartError("invalid_json", str(error)) from error
    if says:
        raise HeadstartError("invalid_request", "this takes no body: what it says has no effect")


def own_queries(request: Request) -> frozenset[str]:
    """The query parameters that the request's route declares."""
    route = request.scope.get("route")
    return declared(route.dependant) if isinstance(route, APIRoute) else frozenset()


def declared(dependant: Dependant) -> frozenset[str]:
    """The query parameters that the dependant and its dependencies declare."""
    return frozenset(one.alias for part in _flat(dependant) for one in part.query_params)


def refuse_unkept(request: Request) -> None:
    """Raise invalid_request for a text that no row can have: Postgres takes no NUL and no half of a
    character, nor a question about one. What has such a name is not there: not_found.
    """
    for name, text in request.query_params.multi_items():
        if fault := unkept(name + text):
            named = _plain(name)
            raise HeadstartError("invalid_request", f"{named}: it {fault}", param=named)
    for name, value in request.path_params.items():
        if fault := unkept(str(value)):
            code = "invalid_request" if request.method == "PUT" else "not_found"
            raise HeadstartError(code, f"{name}: it {fault}", param=name)


def _plain(name: str) -> str:
    return "".join(one for one in name.partition("[")[0] if one.isprintable())


_TAKES_ANY_QUERY: set[Callable[..., object] | None] = set()


def takes_any_query(dependency: Callable[..., object]) -> None:
    """Declare that whoever depends on this checks the query itself."""
    _TAKES_ANY_QUERY.add(dependency)


def refuse_doubled(request: Request, lists: frozenset[str]) -> None:
    """Raise invalid_request for a parameter with two values that is none of the `lists`."""
    pairs_once([pair for pair in request.query_params.multi_items() if pair[0] not in lists])


def pairs_once(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a query, or fields of a form, which say each name once. Raises
    invalid_request."""
    try:
        return once(pairs)
    except DoubledNameError as error:
        raise HeadstartError("invalid_request", str(error), param=error.name[:100]) from error


def refuse_unknown(query: Iterable[str], known: frozenset[str]) -> None:
    """Raise invalid_request for a parameter that is not `known`: a slip is no wish."""
    for name in query:
        deep = _DEEP.fullmatch(name)
        if name not in known and not (deep and deep[1] in known):
            raise unknown(name, known, what="query parameter")


def unknown(name: str, known: frozenset[str], *, what: str) -> HeadstartError:
    """The refusal of a field that nobody reads, with the one that was probably meant."""
    close = get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return HeadstartError("invalid_request", f"no such {what}: {name[:100]!r}{meant}", param=name)


def _is_list(parameter: dict[str, Any]) -> bool:
    return bool(parameter["schema"].get("type") == "array")


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _flat(inner)


def _scopes(dependant: Dependant) -> Iterator[Scope]:
    for part in _flat(dependant):
        scope = scope_of(part.call) if part.call is not None else None
        if scope is not None:
            yield scope
