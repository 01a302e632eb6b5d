"""The addresses of the server, and what each answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fastphoto.errors import FastPhotoError, InputError
from fastphoto.photos.formats import WRITE_FORMATS
from fastphoto.ui.recipe import PRESETS_SHOWN, read_recipe
from fastphoto.ui.results import Result
from fastphoto.ui.tab import Tab, one_line
from fastphoto.ui.tab_photo import SIDES, VIEW_SIDE, Side, cut, read_pixels, shown_name
from fastphoto.ui.tabs import Tabs
from fastphoto.ui.transfers import transferred, write_look_of, write_lut_of, write_result
from fastphoto.ui.uploads import MASK_BYTES, PHOTO_BYTES, RefusedBody, read_body, read_json, save_body
from fastphoto.ui.worker import Cancelled, Chain

_PAGE = Path(__file__).with_name("page")
_TOKENS = Path(__file__).parents[1] / "reports" / "tokens.css"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_UPLOADS_OF_A_TAB = 4
_FORMATS = {"png": ".png", "jpg": ".jpg", "tif": ".tif", "webp": ".webp"}

Answer = Callable[[Request, Tab], Awaitable[Response]]


class Missing(Exception):
    """What an address names does not exist."""


def make_app(tabs: Tabs, device: str) -> Starlette:
    """Return the application; `Guard` belongs before it.

    Args:
        tabs: the tabs of the server.
        device: what --device says, for the commands that are shown.
    """
    addresses = _Addresses(tabs, device)
    of_tab, of_result = "/api/tabs/{tab}", "/api/tabs/{tab}/results/{result:int}"
    routes = [
        Route("/", addresses.page),
        Route("/page/{name}", addresses.page),
        Route("/api/tabs", addresses.open_tab, methods=["POST"]),
        *(
            Route(path, addresses.of_tab(answer), methods=[method])
            for method, path, answer in (
                ("GET", of_tab, addresses.is_open),
                ("GET", f"{of_tab}/events", addresses.events),
                ("PUT", f"{of_tab}/photos/{{side}}", addresses.put_photo),
                ("GET", f"{of_tab}/photos/{{side}}/view", addresses.photo_view),
                ("PUT", f"{of_tab}/masks/{{side}}", addresses.put_mask),
                ("GET", f"{of_tab}/masks/{{side}}", addresses.mask),
                ("POST", f"{of_tab}/change", addresses.change),
                ("POST", f"{of_tab}/cancel", addresses.cancel),
                ("GET", f"{of_tab}/photos/{{side}}/cut", addresses.cut_photo),
                ("GET", f"{of_result}/cut/{{picture}}", addresses.cut_result),
                ("GET", f"{of_result}/view/{{picture}}", addresses.result_view),
                ("GET", f"{of_result}/commands", addresses.commands),
                ("GET", f"{of_result}/file", addresses.result_file),
                ("GET", f"{of_result}/mask/{{side}}", addresses.result_mask),
                ("GET", f"{of_result}/lut", addresses.lut),
                ("GET", f"{of_result}/look", addresses.look),
            )
        ),
    ]
    handlers: dict[Any, Any] = {
        FastPhotoError: lambda request, error: _refused(422, error),
        RefusedBody: lambda request, error: _refused(error.status, error),
        Missing: lambda request, error: _refused(404, error),
        Cancelled: lambda request, error: _refused(409, "cancelled"),
        404: lambda request, error: _refused(404, "there is nothing at this address"),
        405: lambda request, error: _refused(405, "this address is not used like that"),
        Exception: lambda request, error: _refused(500, f"{type(error).__name__}: {one_line(error)}"),
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def _refused(status: int, error: object) -> Response:
    return JSONResponse({"error": one_line(error)}, status)


class _Addresses:
    """The functions behind the addresses."""

    def __init__(self, tabs: Tabs, device: str) -> None:
        self._tabs, self._device = tabs, device
        self._tasks: set[asyncio.Task[None]] = set()
        # Read once: what a client asks for is only ever looked up here.
        files = [_TOKENS, *(path for path in _PAGE.iterdir() if path.suffix in _TYPES)]
        self._page = {path.name: path.read_bytes() for path in files}

    def of_tab(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """Return a function that finds the tab of a request and lets another answer it."""

        async def answering(request: Request) -> Response:
            tab = self._tabs.get(request.path_params["tab"])
            if tab is None:
                raise Missing("this tab has been closed; reload the page")
            return await answer(request, tab)

        return answering

    # -- the page

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in self._page:
            raise Missing("there is nothing at this address")
        return Response(self._page[name], media_type=_TYPES[Path(name).suffix])

    async def open_tab(self, request: Request) -> Response:
        tab = self._tabs.open()
        task = asyncio.create_task(self._begin(tab))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return JSONResponse({"tab": tab.name, "presets": PRESETS_SHOWN, "photo_bytes": PHOTO_BYTES})

    async def _begin(self, tab: Tab) -> None:
        try:
            await self._tabs.begin(tab)
        except (FastPhotoError, OSError) as error:
            tab.subscribers.publish({"type": "failed", "error": one_line(error)})

    async def events(self, request: Request, tab: Tab) -> Response:
        return StreamingResponse(tab.subscribers.stream(tab.state()), media_type="text/event-stream")

    async def is_open(self, request: Request, tab: Tab) -> Response:
        return JSONResponse({"tab": tab.name})

    # -- what goes in

    async def put_photo(self, request: Request, tab: Tab) -> Response:
        side = _side(request)
        if tab.uploads >= _UPLOADS_OF_A_TAB:
            raise RefusedBody(429, "this tab is busy with other files; wait for them")
        path = tab.new_path(side)
        tab.uploads += 1
        try:
            await save_body(request, path)
        finally:
            tab.uploads -= 1
        name = shown_name(unquote(request.headers.get("x-file-name", ""), errors="replace"), side)
        return JSONResponse(await tab.set_photo(side, path, name))

    async def put_mask(self, request: Request, tab: Tab) -> Response:
        side = _side(request)
        return JSONResponse(await tab.set_mask(side, await read_body(request, MASK_BYTES)))

    async def change(self, request: Request, tab: Tab) -> Response:
        tab.change(await read_json(request))
        return JSONResponse({})

    async def cancel(self, request: Request, tab: Tab) -> Response:
        tab.cancel()
        return JSONResponse({})

    # -- what comes out, to look at

    async def photo_view(self, request: Request, tab: Tab) -> Response:
        return _image(_photo(request, tab).view)

    async def cut_photo(self, request: Request, tab: Tab) -> Response:
        photo = _photo(request, tab)
        return _image(await asyncio.to_thread(cut, photo.planes, photo.size, _box(request)))

    async def result_view(self, request: Request, tab: Tab) -> Response:
        views = _result(request, tab).views
        if (name := request.path_params["picture"]) not in views:
            raise Missing("there is no such picture")
        return _image(views[name])

    async def cut_result(self, request: Request, tab: Tab) -> Response:
        result = _result(request, tab)
        if request.path_params["picture"] == "content":
            photo = result.inputs.content
            return _image(await asyncio.to_thread(cut, photo.planes, photo.size, _box(request)))
        if (name := request.path_params["picture"]) not in result.planes:
            raise Missing("this result is no longer kept at full size; run it again")
        size = result.inputs.content.size
        return _image(await asyncio.to_thread(cut, result.planes[name], size, _box(request)))

    # -- what comes out, to keep

    async def commands(self, request: Request, tab: Tab) -> Response:
        result = _result(request, tab)
        recipe = _recipe(request, result)
        content, style = (photo.name for photo in (result.inputs.content, result.inputs.style))
        names = content, f"style-{style}" if style == content else style, f"result{_extension(request, result)}"
        return JSONResponse(
            {"command": recipe.command(*names, self._device), "python": recipe.python(*names, self._device)}
        )

    async def result_file(self, request: Request, tab: Tab) -> Response:
        result, extension = _result(request, tab), _extension(request, _result(request, tab))
        chain, path = Chain(), tab.new_path("content").with_suffix(extension)
        recipe = _recipe(request, result)
        await tab.work(chain, partial(_write, tab, result, recipe, chain, path))
        return _file(path, f"result{extension}")

    async def lut(self, request: Request, tab: Tab) -> Response:
        result, chain, path = _result(request, tab), Chain(), tab.new_path("content").with_suffix(".cube")
        closeness = await tab.work(chain, partial(_write, tab, result, _recipe(request, result), chain, path))
        return _file(path, "result.cube", {"X-Closeness": str(closeness)})

    async def look(self, request: Request, tab: Tab) -> Response:
        result, path = _result(request, tab), tab.new_path("style").with_suffix(".fastphoto")
        await tab.work(Chain(), partial(write_look_of, path, result.inputs))
        return _file(path, "style.fastphoto")

    async def mask(self, request: Request, tab: Tab) -> Response:
        side = _side(request)
        data = await tab.work(Chain(), partial(tab.mask_of, side))
        return _image(data, f"{side}_mask.png")

    async def result_mask(self, request: Request, tab: Tab) -> Response:
        masks, side = _result(request, tab).inputs.masks, _side(request)
        if masks is None:
            raise Missing("this result has no masks; its regions were found automatically")
        return _image(masks[SIDES.index(side)], f"{side}_mask.png")


def _write(tab: Tab, result: Result, recipe: Any, chain: Chain, path: Path) -> str | None:
    """Write the result that a recipe gives, or its LUT; what has been computed already is not computed again."""
    if recipe == result.recipe and "result" in result.planes:
        from fastphoto.photos.read import read_photo

        content = read_photo(result.inputs.content.path, "content")
        pixels = read_pixels(result.planes["result"], result.inputs.content.size)
    else:
        content, pixels = transferred(result.inputs, recipe, tab.machine, chain)
    if path.suffix == ".cube":
        return write_lut_of(path, content, pixels)
    write_result(path, content, pixels)
    return None


def _side(request: Request) -> Side:
    side: Side
    for side in SIDES:
        if request.path_params["side"] == side:
            return side
    raise Missing("there is content and style, and nothing else")


def _photo(request: Request, tab: Tab) -> Any:
    side = _side(request)
    if side not in tab.photos:
        raise Missing("there is no such photo yet")
    return tab.photos[side]


def _result(request: Request, tab: Tab) -> Result:
    try:
        return tab.results.get(request.path_params["result"])
    except InputError as error:
        raise Missing(str(error)) from None


def _recipe(request: Request, result: Result) -> Any:
    """Return the recipe of a result with the sliders of a request."""
    sliders = ("strength", "blend", "photorealism")
    try:
        values = {name: float(request.query_params[name]) for name in sliders if name in request.query_params}
    except ValueError:
        raise InputError("strength, blend and photorealism are numbers") from None
    return replace(read_recipe(values, result.recipe))


def _extension(request: Request, result: Result) -> str:
    name = request.query_params.get("format", result.inputs.content.output)
    if name not in _FORMATS or _FORMATS[name] not in WRITE_FORMATS:
        raise InputError(f"format: must be one of {', '.join(_FORMATS)}")
    return _FORMATS[name]


def _box(request: Request) -> tuple[int, int, int, int]:
    try:
        left, top, width, height = (int(request.query_params[name]) for name in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        raise InputError("a cut has x, y, width and height in pixels") from None
    if not (0 < width <= 2 * VIEW_SIDE and 0 < height <= 2 * VIEW_SIDE and 0 <= left < 2**20 and 0 <= top < 2**20):
        raise InputError(f"a cut has at most {2 * VIEW_SIDE} pixels on each side")
    return left, top, width, height


def _image(data: bytes, name: str | None = None) -> Response:
    kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    return Response(data, media_type=kind, headers=_attached(name) if name else None)


def _file(path: Path, name: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a file to keep, which is removed from the server afterwards."""
    remove = BackgroundTask(partial(path.unlink, missing_ok=True))
    named = {**_attached(name), **(headers or {})}
    return FileResponse(path, media_type="application/octet-stream", headers=named, background=remove)


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
