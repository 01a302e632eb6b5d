"""`python -m fastphoto.cli`: the command of this interpreter's package."""

import sys

from . import main

sys.exit(main())
