"""Who may talk to the server: only pages that it served itself, to whoever opened the address with the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE_METHODS = ("GET", "HEAD")


class Guard:
    """Passes a request on if it comes from the server's own page; answers all others with one line.

    The address that the command prints holds a token. Opening it sets a cookie that no other site's requests carry
    (SameSite=Strict) and leads to the page without the token in its address. Every other request needs the cookie. Its
    Host must be an address or name of this machine, so that no name of a stranger's can be pointed here (DNS
    rebinding); an Origin must be the server's own, and requests that change something need one.

    Args:
        app: application behind it.
        port: port of the server.
        host: what --host says; its name is accepted too.
    """

    def __init__(self, app: App, port: int, host: str) -> None:
        self._app, self._port = app, port
        self._names = {"localhost", host.lower()}
        self.token = secrets.token_urlsafe(32)
        self._cookie = f"fastphoto-ui-{port}"  # cookies of all ports are sent to each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            status, text = refusal
            await _answer(send, status, text)
        elif scope["path"] == "/" and "token" in _query(scope):
            cookie = f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", {"Location": "/", "Set-Cookie": cookie})
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return status and text if a request may not pass."""
        host = headers.get("host", "")
        if not self._is_own_host(host):
            return 421, "This server is not reached by that name."
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return 403, "This server answers only its own page."
        given = _query(scope).get("token", [""])[0]
        if scope["path"] == "/" and scope["method"] in _SAFE_METHODS and self._is_token(given):
            return None
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "This server answers only its own page."
        if not self._is_token(_cookies(headers).get(self._cookie, "")):
            return 401, "Open the address that `fastphoto ui` printed; it holds a token."
        if scope["method"] not in _SAFE_METHODS and origin is None:
            return 403, "A request that changes something must name its origin."
        return None

    def _is_own_host(self, host: str) -> bool:
        name, _, port = host.rpartition(":")
        if port != str(self._port):
            return False
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def _cookies(headers: dict[str, str]) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _with_headers(send: Send) -> Send:
    """Return `send` with the headers of every answer added."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                *((name.lower().encode(), value.encode()) for name, value in _HEADERS.items()),
            ]
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    named = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", **_HEADERS, **(headers or {})}
    start = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": text.encode()})
