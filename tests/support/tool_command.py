"""A program of tools/, run in this process with the words of a command line."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest


def run_tool(tool: ModuleType, *words: object) -> None:
    """Run the tool's main() with words of a command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{tool.__name__}.py", *map(str, words)])
        tool.main()


def refusal(tool: ModuleType, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a tool that must end with exit status 2 and one line, and return that line."""
    with pytest.raises(SystemExit) as stopped:
        run_tool(tool, *words)
    assert stopped.value.code == 2
    output = capsys.readouterr()
    assert output.out == "", "printed something before the error"
    assert output.err.startswith(f"{tool.__name__}: ") and output.err.count("\n") == 1, output.err
    return output.err
