# Types of the native functions that are no operators; those are reached through torch.ops.fastphoto.
from typing import Any

from numpy.typing import NDArray

from fastphoto.ops.library import BuildInfo

def build_info() -> BuildInfo: ...
def list_pixels(masks: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
