"""Run the command with `python -m fastphoto.cli`."""

from __future__ import annotations

import sys

from fastphoto.cli.command import main

sys.exit(main())
