"""One tab of the browser: its photos, regions and settings, and what follows from each change of them."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fastphoto.errors import FastPhotoError, FastPhotoWarning, InputError
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.reading import read_mask_pair
from fastphoto.ui.painting import Edit, RegionMap, colours_of, encode_mask, map_of, painted_map, read_edit, runs_of
from fastphoto.ui.recipe import Recipe, read_recipe
from fastphoto.ui.results import Result, Results
from fastphoto.ui.subscribers import Subscribers
from fastphoto.ui.tab_photo import SIDES, Side, TabPhoto, open_photo
from fastphoto.ui.transfers import (
    Inputs,
    Machine,
    calmest,
    found_regions,
    picture_event,
    preview,
    transferred,
    without_steps,
)
from fastphoto.ui.worker import Cancelled, Chain, Worker

Value = TypeVar("Value")


class Tab:
    """The state of one tab. All methods run on the server's event loop; the work itself runs on the worker's thread.

    Args:
        name: name of the tab, which is in its addresses.
        folder: folder of its files.
        worker: the thread that computes.
        machine: device and memory of transfers.
    """

    def __init__(self, name: str, folder: Path, worker: Worker, machine: Machine) -> None:
        self.name, self.folder, self.machine = name, folder, machine
        self.subscribers = Subscribers()
        self.photos: dict[Side, TabPhoto] = {}
        self.results = Results()
        self.recipe = Recipe()
        self.uploads = 0
        self._worker = worker
        self._chain = Chain()
        self._files = 0
        self._found: tuple[RegionMasks, RegionMasks] | None = None  # what the regions start from
        self._loaded = False  # whether that was read from masks
        self._start = 0  # which regions the edits are made on
        self._waiting_masks: dict[Side, bytes] = {}
        self._base: dict[Side, RegionMap] = {}
        self._edit: Edit | None = None
        self._edit_values: Any = None
        self._maps: dict[Side, RegionMap] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the page asks for

    def new_path(self, side: Side) -> Path:
        """Return the path of a new file in the tab's folder."""
        self._files += 1
        return self.folder / f"{side}-{self._files}.upload"

    async def set_photo(self, side: Side, path: Path, name: str) -> dict[str, Any]:
        """Read a photo from a file that is the tab's own from now on, and start over with it."""
        running = bool(self._tasks)
        self._chain.cancel()  # or the photo would wait for a result that nobody will look at
        try:
            photo, notes = await self._noted(Chain(), partial(open_photo, path, side, name))
        except BaseException:
            path.unlink(missing_ok=True)
            if running:
                self.refresh()
            raise
        self.photos[side] = photo
        self._start_over()
        self.remove_unused_files()
        self.subscribers.publish({"type": "photo", **photo.facts(), "notes": notes})
        self.refresh()
        return photo.facts()

    async def set_mask(self, side: Side, data: bytes) -> dict[str, Any]:
        """Take the mask of one photo; once both are there, the regions start from them."""
        if len(self.photos) < 2:
            raise InputError("masks: give both photos first")
        self._waiting_masks[side] = data
        if len(self._waiting_masks) < 2:
            other = next(each for each in SIDES if each != side)
            return {"waiting": other}
        masks = self._waiting_masks["content"], self._waiting_masks["style"]
        self._waiting_masks = {}
        photos = [self.photos[each] for each in SIDES]
        sizes = photos[0].size, photos[1].size
        work = photos[0].work.size, photos[1].work.size
        regions, notes = await self._noted(Chain(), partial(read_mask_pair, masks, sizes, work))
        colours_of(_names(regions))  # refuses more regions than colours
        self._start_over()
        self._found, self._loaded = regions, True
        self.recipe = replace(self.recipe, regions="masks")
        self.subscribers.publish({"type": "notes", "notes": notes})
        self.refresh()
        return {"waiting": None}

    def change(self, values: Any) -> None:
        """Take what a person has changed.

        Args:
            values: {"settings": see `read_recipe`, "edit": see `read_edit`, "run": bool}; each may be left out. Other
                settings of regions start over, without the edit. Without `run`, only the regions follow.
        """
        if not isinstance(values, dict):
            raise InputError("change: must be an object")
        recipe, edit = read_recipe(values.get("settings") or {}, self.recipe), values.get("edit")
        if recipe.regions == "masks" and not self._loaded:
            raise InputError("regions: masks are chosen by loading them")
        if recipe.regions != self.recipe.regions:
            self._start_over()
        elif edit is not None:
            if self._found is None:
                raise InputError("regions: they have not been found yet; wait for them")
            if isinstance(edit, dict) and edit.get("base", self._start) != self._start:
                raise InputError("regions: they have changed meanwhile; paint again")
            sizes = {side: self.photos[side].work.size for side in SIDES}
            self._edit, self._edit_values = read_edit(edit, len(_names(self._found)), sizes), edit
        self.recipe = recipe
        self.refresh(bool(values.get("run", True)))

    def cancel(self) -> None:
        """End what runs and what waits."""
        self._chain.cancel()
        self.subscribers.publish({"type": "idle", "cancelled": True})

    def close(self) -> None:
        """End everything; the server removes the folder."""
        self._chain.cancel()
        for task in self._tasks:
            task.cancel()
        self.subscribers.close()

    def refresh(self, run: bool = True) -> None:
        """Start the chain of work that follows from a change, in place of the one that runs; see `change`."""
        self._chain.cancel()
        self._chain = chain = Chain()
        if len(self.photos) == 2:
            task = asyncio.get_running_loop().create_task(self._guarded(chain, run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def state(self) -> list[dict[str, Any]]:
        """Return events that tell a page all that there is."""
        events: list[dict[str, Any]] = []
        events += [{"type": "photo", **photo.facts(), "notes": []} for photo in self.photos.values()]
        if self._maps:
            events.append(self._regions_event(whole=True))
        events += [{"type": "result", "restored": True, **result.facts()} for result in self.results]
        if len(self.photos) == 2 and not self._tasks:
            events.append({"type": "idle", "cancelled": False})
        return events

    def mask_of(self, side: Side) -> bytes:
        """Return the mask of a photo as it is now, as `fastphoto regions` writes it."""
        if side not in self._maps:
            raise InputError("regions: they have not been found yet")
        return encode_mask(self._maps[side], self._names(), self.photos[side].size)

    async def work(self, chain: Chain, function: Callable[[], Value]) -> Value:
        """Return what a function returns on the worker's thread, when this tab's turn comes."""
        future = self._worker.submit(self.name, chain, function)
        if ahead := self._worker.ahead(self.name):
            self.subscribers.publish({"type": "queue", "ahead": ahead})
        return await asyncio.wrap_future(future)

    def publish_from_worker(self) -> Callable[[dict[str, Any]], None]:
        """Return a function that publishes an event from the worker's thread."""
        loop = asyncio.get_running_loop()

        def publish(event: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(self.subscribers.publish, event)

        return publish

    # -- what follows from it

    async def _guarded(self, chain: Chain, run: bool) -> None:
        try:
            await self._run(chain, run)
            self.subscribers.publish({"type": "idle", "cancelled": False})
        except (Cancelled, asyncio.CancelledError):
            pass
        except FastPhotoError as error:
            if chain is self._chain:
                self.subscribers.publish({"type": "failed", "error": one_line(error)})
        except Exception as error:
            if chain is self._chain:
                self.subscribers.publish({"type": "failed", "error": f"{type(error).__name__}: {one_line(error)}"})
            raise

    async def _run(self, chain: Chain, run: bool) -> None:
        """Find regions, make a preview, the result, and then what sliders and the heat map need beside it."""
        content, style = self.photos["content"], self.photos["style"]
        await self._find(chain, content, style)
        await self._paint(chain)
        chain.check()
        self.subscribers.publish(self._regions_event())
        if not run:
            return
        drawn = self._drawn
        given: tuple[Any, Any] = (self._maps["content"], self._maps["style"])
        if not drawn and self._found is not None:
            given = self._found  # the regions of a style may overlap
        shown = await self.work(chain, partial(preview, content, style, given, self.machine))
        chain.check()
        self.subscribers.publish(picture_event("preview", shown))

        recipe = replace(self.recipe, regions="masks") if drawn else self.recipe
        masks = await self.work(chain, self._mask_files) if drawn else None
        inputs = Inputs(content, style, masks)
        record = (self._edit_values or {}).get("record")
        result = Result(self.results.new_number(), recipe, inputs, self._names(), record)
        publish = self.publish_from_worker()
        try:
            await self._make(chain, result, "result", recipe, publish=publish)
        except BaseException:
            result.give_up_planes()
            raise
        self.results.add(result)
        self.subscribers.publish({"type": "result", **result.facts()})
        await self._make(chain, result, "start", recipe, **without_steps(recipe))
        await self.work(chain, result.add_heat)
        self.subscribers.publish({"type": "result", **result.facts()})
        await self._make(chain, result, "calm", calmest(recipe))
        self.results.trim()
        self.subscribers.publish({"type": "result", **result.facts()})

    async def _make(self, chain: Chain, result: Result, name: str, recipe: Recipe, **options: Any) -> None:
        def make() -> None:
            _, pixels = transferred(result.inputs, recipe, self.machine, chain, **options)
            chain.check()
            result.keep(name, self.folder, pixels)

        _, notes = await self._noted(chain, make)
        if name == "result":
            result.notes = notes

    async def _find(self, chain: Chain, content: TabPhoto, style: TabPhoto) -> None:
        if self._found is None:
            if self.recipe.regions == "none":
                whole = [photo.work.pixels.new_ones(1, *photo.work.size) for photo in (content, style)]
                self._found = RegionMasks(("all",), whole[0]), RegionMasks(("all",), whole[1])
            else:
                found = await self.work(chain, partial(found_regions, content, style, self.machine))
                chain.check()  # the photos may be others by now
                self._found = found
        if not self._base:
            names = _names(self._found)
            for side, regions in zip(SIDES, self._found, strict=True):
                own = map_of(regions)
                numbers = np.array([names.index(name) for name in regions.names] + [-1], np.int16)
                self._base[side] = numbers[own]
            self._maps = dict(self._base)

    async def _paint(self, chain: Chain) -> None:
        edit = self._edit
        if edit is None:
            return
        for side in SIDES:
            base, joins, strokes = self._base[side], edit.joins.get(side, {}), edit.strokes.get(side)
            pixels = self.photos[side].work.pixels
            painted = await self.work(chain, partial(painted_map, pixels, base, joins, strokes, edit.follow))
            chain.check()
            self._maps[side] = painted

    async def _noted(self, chain: Chain, function: Callable[[], Value]) -> tuple[Value, list[str]]:
        """Return what a function returns on the worker's thread, and the warnings that it gave."""

        def noting() -> tuple[Value, list[str]]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", FastPhotoWarning)
                value = function()
            notes = [one_line(each.message) for each in caught if issubclass(each.category, FastPhotoWarning)]
            return value, [note.replace(str(self.folder), "") for note in notes]

        return await self.work(chain, noting)

    @property
    def _drawn(self) -> bool:
        """Whether the regions are a person's, so that a transfer needs them as masks."""
        return self._loaded or (self._edit is not None and not self._edit.changes_nothing)

    def _names(self) -> tuple[str, ...]:
        if self._edit is not None:
            return self._edit.names
        return _names(self._found) if self._found is not None else ()

    def _mask_files(self) -> tuple[bytes, bytes]:
        return self.mask_of("content"), self.mask_of("style")

    def _regions_event(self, whole: bool = False) -> dict[str, Any]:
        sides: Mapping[str, Any] = {
            side: {
                "width": values.shape[1],
                "height": values.shape[0],
                "runs": runs_of(values),
                "shares": [float((values == number).mean()) for number in range(len(self._names()))],
            }
            for side, values in self._maps.items()
        }
        found = len(_names(self._found)) if self._found is not None else 0
        return {
            "type": "regions",
            "regions": colours_of(self._names()),
            "found": found,
            "base": self._start,
            "maps": sides,
            "drawn": self._drawn,
            "source": "masks" if self._loaded else self.recipe.regions,
            "edit": self._edit_values if whole else None,
        }

    def _start_over(self) -> None:
        """Forget the regions, and what was painted on them."""
        self._chain.cancel()
        self._found, self._loaded, self._edit, self._edit_values = None, False, None, None
        self._waiting_masks = {}
        self._start += 1
        self._base, self._maps = {}, {}
        if self.recipe.regions == "masks":
            self.recipe = replace(self.recipe, regions="auto")

    def remove_unused_files(self) -> None:
        """Remove files of photos that neither the tab nor one of its results shows."""
        used = {path for photo in self.photos.values() for path in photo.files()}
        for result in self.results:
            used |= {*result.inputs.content.files(), *result.inputs.style.files()}
        for path in self.folder.glob("*-*.planes"):
            if path not in used and not path.name.startswith("result-"):
                path.unlink(missing_ok=True)
                path.with_suffix(".upload").unlink(missing_ok=True)


def one_line(error: object) -> str:
    """Return a message as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _names(regions: tuple[RegionMasks, RegionMasks] | None) -> tuple[str, ...]:
    """Return the names of the regions of both photos."""
    assert regions is not None
    content, style = regions
    return tuple(dict.fromkeys((*content.names, *style.names)))
