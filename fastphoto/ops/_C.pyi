# Types of the native library's own functions; the operators are reached through torch.ops.fastphoto.
from typing import Any

from numpy.typing import NDArray

from fastphoto.ops.library import BuildInfo

def build_info() -> BuildInfo: ...
def list_pixels(masks: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
