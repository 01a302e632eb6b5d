"""Jobs from manifests and folders, and jobs that cannot be done together."""

from __future__ import annotations

import json
import os

import pytest
from batches import write_photos

from fastphoto.batch.jobs import Job, check_jobs, find_jobs, read_manifest
from fastphoto.errors import FileError, InputError

# ---- manifests

CSV = """content, style, output, content_mask, size, steps, preset
a.jpg, s.jpg, out/a.png,, 350, "10,5,3", painterly

/photos/b.jpg, s3://bucket/s.jpg, out/b.png, m.png,,,
"""


def test_a_csv_manifest(tmp_path):
    (tmp_path / "jobs.csv").write_text("\ufeff" + CSV, "utf-8")
    first, second = read_manifest(tmp_path / "jobs.csv")
    folder = str(tmp_path)
    assert first == Job(
        f"{folder}/a.jpg", f"{folder}/s.jpg", f"{folder}/out/a.png",
        options={"size": 350, "steps": (10, 5, 3), "preset": "painterly"},
    )  # fmt: skip
    assert second == Job("/photos/b.jpg", "s3://bucket/s.jpg", f"{folder}/out/b.png", f"{folder}/m.png")


def test_a_json_manifest(tmp_path):
    rows = [
        {"content": "a.jpg", "style": "s.jpg", "output": "a.png", "options": {"size": 350}, "strength": 0.5},
        {"content": "b.jpg", "style": None},
    ]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    defaults = {"style": "/default.jpg", "size": 200}
    first, second = read_manifest(tmp_path / "jobs.jsonl", defaults, "/results")
    assert first.style == f"{tmp_path}/s.jpg" and first.options == {"size": 350, "strength": 0.5}
    assert second == Job(f"{tmp_path}/b.jpg", "/default.jpg", "/results/b.jpg", options={"size": 200})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "content,style\na.jpg\n", "line 2: not as many values"),
        ("a.csv", "content,style\na.jpg,s.jpg,more\n", "line 2: not as many values"),
        ("a.csv", 'content,style\n"a.jpg,s.jpg\n', "line 1: no CSV"),
        ("a.csv", "content,style,output\na.jpg,s.jpg,\n", "line 2: no output"),
        ("a.csv", "content,style,output,size\na.jpg,s.jpg,o.png,big\n", "line 2: size: "),
        ("a.csv", "content,style,output,sise\na.jpg,s.jpg,o.png,9\n", "line 2: job: 'sise' is no option; did you"),
        ("a.csv", "content,style,output\na.jpg,s.jpg,o.gif\n", r"line 2: .*o\.gif: cannot write this kind of file"),
        ("a.csv", "content,style\n", "no jobs in it"),
        ("a.csv", "", "no jobs in it"),
        ("a.jsonl", "{}\n[1]\n", "line 1: no content"),
        ("a.jsonl", '{"content": "a\u2028.jpg", "style": "s.jpg"}\n', "line 1: no output"),
        ("a.jsonl", "[1]\n", "line 1: list; write one object in each line"),
        ("a.jsonl", "{\n", "line 1: no JSON"),
        ("a.jsonl", '{"content": 3, "style": "s", "output": "o.png"}\n', "line 1: job: content must be a path or"),
        ("a.jsonl", '{"content": "a", "options": 3}\n', "line 1: options: must be an object, got int"),
        ("a.txt", "", "a manifest is a .csv or .jsonl file"),
    ],
)  # fmt: skip
def test_manifests_that_cannot_be_used(name, text, message, tmp_path):
    (tmp_path / name).write_text(text or "\n")
    with pytest.raises(InputError, match=message) as refused:
        read_manifest(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_manifest_of_another_encoding(tmp_path):
    (tmp_path / "jobs.csv").write_bytes("content,style\nä.jpg,s.jpg".encode("latin-1"))
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_manifest(tmp_path / "jobs.csv")


def test_a_missing_manifest(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_manifest(tmp_path / "jobs.csv")


# ---- folders

DEFAULTS = {"style": "s.jpg", "size": 350}


@pytest.fixture
def shoot(tmp_path):
    write_photos(tmp_path, 3)
    (tmp_path / "photos" / "day 2").mkdir()
    os.rename(tmp_path / "photos" / "photo002.png", tmp_path / "photos" / "day 2" / "c.GIF")
    (tmp_path / "photos" / "notes.txt").write_text("not a photo")
    return tmp_path


def relative(jobs, folder):
    return [(os.path.relpath(job.content, folder), job.output) for job in jobs]


def test_photos_of_a_folder(shoot):
    jobs = find_jobs([f"{shoot}/photos"], "out", DEFAULTS)
    assert relative(jobs, shoot) == [
        ("photos/photo000.png", "out/photo000.png"),
        ("photos/photo001.png", "out/photo001.png"),
    ]
    assert all(job.style == "s.jpg" and job.options == {"size": 350} for job in jobs)


def test_photos_of_folders_in_a_folder_keep_them(shoot):
    jobs = find_jobs([f"{shoot}/photos"], "out", DEFAULTS, recursive=True, extension=".jpg")
    assert relative(jobs, shoot)[0] == ("photos/day 2/c.GIF", "out/day 2/c.jpg") and len(jobs) == 3


def test_patterns_and_files(shoot):
    sources = [f"{shoot}/photos/*1.png", f"{shoot}/photos/day 2/c.GIF", f"{shoot}/*/day*/*", f"{shoot}/photos/*.png"]
    jobs = find_jobs(sources, "s3://bucket/out", DEFAULTS)
    assert [job.output for job in jobs] == [
        "s3://bucket/out/photo001.png",
        "s3://bucket/out/c.png",
        "s3://bucket/out/photo000.png",
    ]


def test_masks_have_the_names_of_photos(shoot):
    jobs = find_jobs([f"{shoot}/photos"], "out", DEFAULTS | {"style_mask": "sm.png"}, content_masks="masks")
    assert [(job.content_mask, job.style_mask) for job in jobs][0] == ("masks/photo000.png", "sm.png")


def test_results_in_the_folder_of_the_photos_are_no_contents(shoot):
    (shoot / "photos" / "out").mkdir()
    (shoot / "photos" / "out" / "photo000.png").write_bytes((shoot / "style.png").read_bytes())
    jobs = find_jobs([f"{shoot}/photos"], f"{shoot}/photos/out", DEFAULTS, recursive=True)
    assert len(jobs) == 3


def test_sources_without_photos(shoot):
    with pytest.raises(FileError, match="absent: no such file, folder or match"):
        find_jobs([f"{shoot}/absent"], "out", DEFAULTS)
    os.mkdir(shoot / "empty")
    with pytest.raises(InputError, match="empty: no photos there; --recursive"):
        find_jobs([f"{shoot}/empty"], "out", DEFAULTS)
    with pytest.raises(InputError, match="no photos there; --recursive"):
        find_jobs([f"{shoot}/photos/notes.txt"], "out", DEFAULTS)
    with pytest.raises(InputError, match=r"\.gif: cannot write"):
        find_jobs([f"{shoot}/photos"], "out", DEFAULTS, extension=".gif")


def test_names_with_brackets_are_files_first(shoot):
    os.rename(shoot / "photos" / "photo000.png", shoot / "photos" / "photo[1].png")
    (job,) = find_jobs([f"{shoot}/photos/photo[1].png"], "out", DEFAULTS)
    assert job.output == "out/photo[1].png"


def test_hidden_files_are_no_photos(shoot):
    os.rename(shoot / "photos" / "photo000.png", shoot / "photos" / "._photo001.png")
    assert len(find_jobs([f"{shoot}/photos"], "out", DEFAULTS)) == 1


def test_an_object_cannot_lead_out_of_the_folder():
    memory = pytest.importorskip("fsspec.implementations.memory")
    storage = memory.MemoryFileSystem()
    for name in ("/mean/../../x.jpg", "/mean/a.jpg"):
        storage.store[name] = memory.MemoryFile(storage, name, b"1")
    with pytest.raises(FileError, match="leads out of its folder"):
        find_jobs(["memory://mean"], "out", DEFAULTS, recursive=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "350"}, "size: must be a whole number"),
        ({"steps": (1, 2)}, "steps: "),
        ({"deadline": -1}, "deadline: must be seconds"),
        ({"at_deadline": "worst"}, "at_deadline: "),
        ({"preset": "slow"}, "preset 'slow': unknown"),
    ],
    ids=str,
)
def test_options_that_cannot_be_used(options, message):
    with pytest.raises(InputError, match=message):
        Job("a.jpg", "s.jpg", "o.png", options=options)


def test_photos_in_a_storage():
    fsspec = pytest.importorskip("fsspec")
    storage = fsspec.filesystem("memory")
    storage.pipe_file("/shoot/a.jpg", b"1")
    storage.pipe_file("/shoot/b/c.jpg", b"1")
    jobs = find_jobs(["memory://shoot"], "memory://out", DEFAULTS, recursive=True)
    assert [(job.content, job.output) for job in jobs] == [
        ("memory:///shoot/a.jpg", "memory://out/a.jpg"),
        ("memory:///shoot/b/c.jpg", "memory://out/b/c.jpg"),
    ]


# ---- jobs together


def test_two_jobs_of_one_output(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    jobs = [Job("a.jpg", "s.jpg", f"{tmp_path}/o.png"), Job("b.jpg", "s.jpg", f"{tmp_path}/link/o.png")]
    with pytest.raises(InputError, match=r"o\.png: is the output of both a\.jpg and b\.jpg"):
        check_jobs(jobs)


def test_an_output_that_another_job_reads():
    with pytest.raises(InputError, match=r"b\.png: is both an input and an output"):
        check_jobs([Job("a.jpg", "s.jpg", "b.png"), Job("b.png", "s.jpg", "c.png")])


def test_paths_may_be_objects(tmp_path):
    assert Job(tmp_path / "a.jpg", "s.jpg", "o.png").content == f"{tmp_path}/a.jpg"
