"""transfer_video(): what is kept of a clip, cuts, flicker, memory, and ends."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_photos import dusk
from tiny_clips import HEIGHT, WIDTH, av, decoded, packets_of, panned, two_shots, values_of, write_clip

import fastphoto
from fastphoto.video import flicker

STYLE = dusk(48, 64)
FAST = {"size": 64, "steps": 1, "scales": 1.0, "regions": "none"}


def transferred(clip: Path, name: str = "result.mp4", **options: object) -> Path:
    result = clip.with_name(name)
    fastphoto.transfer_video(clip, STYLE.array, result, **FAST | options)
    return result


def clip_of(folder: Path, frames: int = 8, name: str = "clip.mp4", **options: object) -> Path:
    return write_clip(folder / name, panned("day", frames), **options)


def test_every_frame_takes_on_the_look(tmp_path):
    clip = clip_of(tmp_path)
    before, after = decoded(clip), decoded(transferred(clip))
    assert len(after) == len(before) == 8
    style = STYLE.pixels.mean((1, 2)).numpy()
    for content, result in zip(before, after, strict=True):
        distances = [np.abs(values_of(each).mean((0, 1)) - style).max() for each in (content, result)]
        assert distances[1] < 0.5 * distances[0]


def test_keyframes_look_like_photos(tmp_path):
    """The first frame is that of `transfer`, but for the grid, 8 bits and the codec."""
    clip = clip_of(tmp_path, 3)
    result = values_of(decoded(transferred(clip, "result.mkv", codec="ffv1"))[0])
    photo = fastphoto.transfer(values_of(decoded(clip)[0]).astype(np.float32), STYLE.array, **FAST)
    assert np.abs(result - photo).mean() < 0.03


def test_a_cut_is_not_smeared(tmp_path):
    """Each shot is as if it were a clip of its own."""
    whole = decoded(transferred(write_clip(tmp_path / "whole.mkv", two_shots(12), codec="ffv1"), "a.mkv", codec="ffv1"))
    for part, frames in ((whole[:6], two_shots(12)[:6]), (whole[6:], two_shots(12)[6:])):
        alone = decoded(transferred(write_clip(tmp_path / "part.mkv", frames, codec="ffv1"), "b.mkv", codec="ffv1"))
        for one, other in zip(part, alone, strict=True):
            assert np.abs(values_of(one) - values_of(other)).max() < 2 / 255


def test_progress_counts_shots_and_keyframes(tmp_path):
    seen = []
    done = fastphoto.transfer_video(
        write_clip(tmp_path / "clip.mp4", two_shots(12)),
        STYLE.array,
        tmp_path / "result.mp4",
        interval=3,
        callback=seen.append,
        **FAST,
    )
    assert [each.frames for each in seen] == list(range(1, 13)) and seen[-1] == done
    assert (done.shots, done.total) == (2, 12) and 4 <= done.keyframes <= 6
    assert done.seconds_left == 0 and seen[5].seconds_left > 0 and done.frames_per_second > 0


@pytest.mark.parametrize("interval", [2, 5, 24])
def test_there_is_no_flicker(interval, tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", two_shots(24), codec="ffv1")
    measured = flicker(clip, transferred(clip, "result.mkv", codec="ffv1", interval=interval))
    assert measured.fine < 1.2


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """No more decoded frames are alive at a time than the interval and the few that are in work."""
    import gc

    from fastphoto.video.reading import VideoFrame

    alive = []

    def count(progress: fastphoto.VideoProgress) -> None:
        alive.append(sum(type(each) is VideoFrame for each in gc.get_objects()))

    fastphoto.transfer_video(
        clip_of(tmp_path, 30), STYLE.array, tmp_path / "result.mp4", interval=4, callback=count, **FAST
    )
    assert max(alive) <= 6


def test_sound_is_copied_and_metadata_kept(tmp_path):
    clip = clip_of(tmp_path, sound="aac", metadata={"title": "Dunes", "comment": "by the sea"})
    result = transferred(clip)
    assert packets_of(result, "audio") == packets_of(clip, "audio")
    with av.open(str(result)) as container:
        assert container.metadata["title"] == "Dunes" and container.metadata["comment"] == "by the sea"


@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_times_of_a_variable_frame_rate_are_kept(extension, tmp_path):
    times = [0, 100, 150, 400, 450, 900]
    clip = clip_of(tmp_path, 6, f"clip{extension}", times=times)
    result = transferred(clip, f"result{extension}")
    assert [frame.time for frame in decoded(result)] == pytest.approx([t / 1200 for t in times], abs=1e-3)


def test_colour_tags_pixel_aspect_and_rotation_are_kept(tmp_path):
    tags = {"color_primaries": 1, "color_trc": 1, "colorspace": 1, "color_range": 1}
    clip = clip_of(tmp_path, 4, tags=tags, pixel_aspect=Fraction(4, 3), rotation=90)
    first = decoded(transferred(clip))[0]
    assert [int(getattr(first, name)) for name in tags] == [1, 1, 1, 1]
    assert first.rotation == decoded(clip)[0].rotation == 90
    with av.open(str(clip.with_name("result.mp4"))) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize(("matrix", "colour_range"), [(1, 1), (5, 1), (1, 2), (9, 1)])
def test_colours_survive_conversion(matrix, colour_range, tmp_path):
    """The identity, as a flat clip gives it, changes no plane by more than rounding."""
    grey = [np.full((HEIGHT, WIDTH, 3), [0.7, 0.4, 0.2])] * 3
    tags = {"colorspace": matrix, "color_range": colour_range}
    clip = write_clip(tmp_path / "flat.mkv", grey, codec="ffv1", pixel_format="yuv444p", tags=tags)
    before, after = (
        np.stack([frame.to_ndarray() for frame in decoded(path)]).astype(int)
        for path in (clip, transferred(clip, "result.mkv", codec="ffv1"))
    )
    assert np.abs(after - before).max() <= 1


def test_ten_bits_stay_ten_bits(tmp_path):
    clip = clip_of(tmp_path, 4, codec="libx265", pixel_format="yuv420p10le")
    frames = decoded(transferred(clip))
    assert frames[0].format.name == "yuv420p10le"
    luma = np.frombuffer(bytes(frames[0].planes[0]), np.uint16)
    assert len(np.unique(luma % 4)) == 4, "only multiples of 4: 8 bits in a frame of 10"


@pytest.mark.parametrize(("codec", "extension"), [("hevc", ".mp4"), ("vp9", ".webm"), ("ffv1", ".mkv")])
def test_codecs(codec, extension, tmp_path):
    result = transferred(clip_of(tmp_path, 3), f"result{extension}", codec=codec)
    with av.open(str(result)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
    assert len(decoded(result)) == 3


def test_a_file_that_is_cut_off_gives_the_frames_so_far(tmp_path):
    clip = clip_of(tmp_path, 36, "clip.mkv")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.warns(fastphoto.FastPhotoWarning, match=r"ends after \d\.\d of 3\.\d s") as caught:
        result = transferred(clip, "result.mkv")
    assert len(caught) == 1 and 4 < len(decoded(result)) < 32


def test_a_callback_ends_the_output(tmp_path):
    clip = clip_of(tmp_path, 20, sound="aac")
    done = fastphoto.transfer_video(
        clip, STYLE.array, tmp_path / "result.mp4", callback=lambda p: p.frames == 5, interval=4, **FAST
    )
    assert done.frames == len(decoded(tmp_path / "result.mp4")) == 5


def test_an_error_leaves_nothing(tmp_path):
    def fail(progress: fastphoto.VideoProgress) -> None:
        raise RuntimeError("the caller's own")

    clip = clip_of(tmp_path)
    (tmp_path / "result.mp4").write_bytes(b"an older result")
    with pytest.raises(RuntimeError, match="own"):
        fastphoto.transfer_video(clip, STYLE.array, tmp_path / "result.mp4", callback=fail, **FAST)
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "result.mp4"}
    assert (tmp_path / "result.mp4").read_bytes() == b"an older result"


def test_black_frames_stay_black(tmp_path):
    frames = [np.zeros((HEIGHT, WIDTH, 3))] * 3 + list(panned("day", 3))
    result = decoded(transferred(write_clip(tmp_path / "clip.mp4", frames)))
    assert max(values_of(frame).max() for frame in result[:3]) < 0.05
    assert values_of(result[3]).mean() > 0.1


def test_upright_keyframes_are_transferred(tmp_path):
    """A clip that is stored on its side gives the pixels of the upright one."""
    upright = list(panned("day", 3))
    turned = [np.rot90(each, -1).copy() for each in upright]  # a player turns it back, counter-clockwise
    plain = write_clip(tmp_path / "plain.mov", upright, pixel_format="yuv444p")
    stored = write_clip(tmp_path / "stored.mov", turned, pixel_format="yuv444p", rotation=90)
    options = {"codec": "h264", "quality": 0}
    one = decoded(transferred(plain, "a.mov", **options))
    other = decoded(transferred(stored, "b.mov", **options))
    for first, second in zip(one, other, strict=True):
        assert np.abs(np.rot90(values_of(second), 1) - values_of(first)).mean() < 0.02


def test_tensors_of_the_caller_do_not_matter(tmp_path):
    clip = write_clip(tmp_path / "clip.mkv", panned("day", 3), codec="ffv1")
    expected = transferred(clip, "a.mkv", codec="ffv1")
    with torch.inference_mode():
        other = transferred(clip, "b.mkv", codec="ffv1")
    for one, two in zip(decoded(expected), decoded(other), strict=True):
        assert np.array_equal(one.to_ndarray(), two.to_ndarray())


def with_subtitles(folder: Path) -> Path:
    """A Matroska file of pictures, a line of subtitles, and a chapter."""
    (folder / "words.srt").write_text("1\n00:00:00,200 --> 00:00:00,700\nHello\n")
    return clip_of(folder, 12, "clip.mkv", subtitles=folder / "words.srt", chapter="Dawn")


def test_subtitles_and_chapters_are_kept(tmp_path):
    clip = with_subtitles(tmp_path)
    result = transferred(clip, "result.mkv")
    assert packets_of(result, "subtitle") == packets_of(clip, "subtitle") != []
    with av.open(str(result)) as container:
        assert container.streams.subtitles[0].language == "eng"
        assert [each["metadata"]["title"] for each in container.chapters()] == ["Dawn"]


def test_subtitles_that_a_container_cannot_hold_are_left_out_with_a_warning(tmp_path):
    with pytest.warns(fastphoto.FastPhotoWarning, match=r"without the streams .*subtitle (srt|subrip)"):
        result = transferred(with_subtitles(tmp_path))
    with av.open(str(result)) as container:
        assert not container.streams.subtitles and container.chapters()
