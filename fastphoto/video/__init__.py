"""Moving pictures: clips and sequences of images that take on the look of a style photo without flicker."""

from fastphoto.video.flicker_measure import Flicker, flicker
from fastphoto.video.progress import VideoProgress
from fastphoto.video.transfer import transfer_video

__all__ = ["Flicker", "VideoProgress", "flicker", "transfer_video"]
