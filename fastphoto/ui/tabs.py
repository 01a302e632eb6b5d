"""All tabs of a server: opened by pages, and closed when no page has listened to them for a while."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fastphoto.errors import InputError
from fastphoto.ui.folders import ServerFolder
from fastphoto.ui.tab import Tab
from fastphoto.ui.tab_photo import Side
from fastphoto.ui.transfers import Machine
from fastphoto.ui.worker import Chain, Worker

MOST_TABS = 32


class Tabs:
    """The tabs of a server.

    Args:
        folder: folder of the server.
        worker: the thread that computes for all of them.
        machine: device and memory of transfers.
        given: {side: path} of photos that each tab begins with.
        patience: seconds after which a tab is closed that no page listens to.
    """

    def __init__(
        self, folder: ServerFolder, worker: Worker, machine: Machine, given: Mapping[Side, Path], patience: float
    ) -> None:
        self._folder, self._worker, self._machine, self._given = folder, worker, machine, given
        self._patience = patience
        self._tabs: dict[str, Tab] = {}
        self._listened: dict[str, float] = {}

    def open(self) -> Tab:
        """Return a new tab; raises InputError if there are too many."""
        self.close_abandoned()
        if len(self._tabs) >= MOST_TABS:
            raise InputError(f"{MOST_TABS} tabs are open; close some of them")
        tab = Tab(secrets.token_urlsafe(16), self._folder.new(), self._worker, self._machine)
        self._tabs[tab.name] = tab
        self._listened[tab.name] = time.monotonic()
        return tab

    async def begin(self, tab: Tab) -> None:
        """Give a new tab the photos of the command line."""
        for side, path in self._given.items():
            copy = tab.new_path(side)
            await tab.work(Chain(), partial(shutil.copyfile, path, copy))
            await tab.set_photo(side, copy, str(path))

    def get(self, name: str) -> Tab | None:
        """Return a tab by its name."""
        if (tab := self._tabs.get(name)) is not None:
            self._listened[name] = time.monotonic()
        return tab

    def close(self, tab: Tab) -> None:
        """Close a tab and remove its files."""
        self._tabs.pop(tab.name, None)
        self._listened.pop(tab.name, None)
        tab.close()
        # Behind what the worker still does for the tab, whose files would come back otherwise.
        self._worker.submit(tab.name, Chain(), partial(shutil.rmtree, tab.folder, ignore_errors=True))

    def close_abandoned(self) -> None:
        """Close the tabs that no page has listened to for a while."""
        now = time.monotonic()
        for name, tab in list(self._tabs.items()):
            if len(tab.subscribers) or tab.uploads:
                self._listened[name] = now
            elif now - self._listened[name] > self._patience:
                self.close(tab)

    def close_all(self) -> None:
        """Close all tabs, as the server ends."""
        for tab in list(self._tabs.values()):
            self.close(tab)

    async def watch(self) -> None:
        """Close abandoned tabs for ever."""
        while True:
            await asyncio.sleep(min(5, self._patience / 2))
            self.close_abandoned()
