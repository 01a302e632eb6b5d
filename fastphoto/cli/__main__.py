"""`python -m fastphoto.cli`: the command of this interpreter's package."""

from __future__ import annotations

import sys

from fastphoto.cli.command import main

sys.exit(main())
