"""Reading and writing of photographs, from and to files, images, arrays and tensors, and the type `Photo`."""

from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind, write_photo

__all__ = ["Photo", "PhotoSource", "read_photo", "to_source_kind", "write_photo"]
