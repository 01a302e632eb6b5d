"""Batches on a Ray cluster of two nodes, with a real S3 server as source and target."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from batches import OPTIONS, POISON, hashes_of, jobs_of, write_photos

from fastphoto import FastPhotoError, InputError, transfer_many
from fastphoto.batch import Job, find_jobs
from fastphoto.batch.record import opened_record
from fastphoto.batch.storage import file_size, listed, read_bytes, write_bytes
from fastphoto.errors import FileError

BUCKET = "s3://fastphoto-test"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 server of its own, and a bucket in it; processes that are started later find it by their environment."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    names |= {"AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "*", "no_proxy": "*"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield BUCKET
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


# ---- storage


def test_files_of_a_storage(bucket):
    write_bytes(f"{bucket}/shoot/a.bin", b"one")
    write_bytes(f"{bucket}/shoot/b/c.bin", b"three")
    assert read_bytes(f"{bucket}/shoot/a.bin") == b"one" and file_size(f"{bucket}/shoot/b/c.bin") == 5
    write_bytes(f"{bucket}/shoot/a.bin", b"other")
    assert read_bytes(f"{bucket}/shoot/a.bin") == b"other" and file_size(f"{bucket}/shoot/a.bin") == 5
    assert file_size(f"{bucket}/shoot/absent") is None
    assert listed(f"{bucket}/shoot", recursive=True) == (f"{bucket}/shoot", ["a.bin", "b/c.bin"])
    assert listed(f"{bucket}/shoot", recursive=False) == (f"{bucket}/shoot", ["a.bin"])
    assert listed(f"{bucket}/shoot/*/*.bin", recursive=False)[1] == ["b/c.bin"]
    with pytest.raises(FileError, match="absent: no such file"):
        read_bytes(f"{bucket}/absent")
    with pytest.raises(FileError, match="no-such-bucket/x: cannot be written"):
        write_bytes("s3://no-such-bucket/x", b"1")


@pytest.mark.parametrize("path", ["nothing://a/b.jpg", "gdrive://a/b.jpg"])
def test_a_storage_that_is_unknown_or_not_installed(path):
    with pytest.raises(FileError, match=f"^{path}: ") as refused:
        read_bytes(path)
    assert "\n" not in str(refused.value)


def test_local_files_by_url(tmp_path):
    write_bytes(f"file://{tmp_path}/new/a.bin", b"one")
    assert read_bytes(f"file://{tmp_path}/new/a.bin") == b"one" and (tmp_path / "new" / "a.bin").is_file()


def test_photos_and_results_in_a_storage(bucket, tmp_path):
    """By local workers; the second run leaves out what the first has done."""
    for path in (*write_photos(tmp_path, 3), tmp_path / "style.png"):
        write_bytes(f"{bucket}/local/{path.relative_to(tmp_path)}", path.read_bytes())
    transfer_many(jobs_of(tmp_path, sorted((tmp_path / "photos").iterdir())), workers=1, **OPTIONS)
    jobs = find_jobs([f"{bucket}/local/photos"], f"{bucket}/local/out", {"style": f"{bucket}/local/style.png"})
    record = tmp_path / "r.jsonl"
    summary = transfer_many(jobs, record=record, workers=2, **OPTIONS)
    assert summary.done == 3 and not summary.failures
    for path in (tmp_path / "out").iterdir():
        assert read_bytes(f"{bucket}/local/out/{path.name}") == path.read_bytes()
    assert transfer_many(jobs, record=record, workers=1, **OPTIONS).unchanged == 3


# ---- Ray


@pytest.fixture(scope="module")
def ray_cluster(bucket, tmp_path_factory) -> Iterator[Any]:
    """Two nodes, each a set of processes; their workers die when they open a file with "poison" in its name."""
    utils = pytest.importorskip("ray.cluster_utils")
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(POISON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def test_a_cluster_of_two_nodes(ray_cluster, bucket, tmp_path):
    """Photos and results in S3; a poison photo on the nodes' own disks costs only itself; killed nodes cost nothing."""
    contents = write_photos(tmp_path, 6)
    transfer_many(jobs_of(tmp_path, contents), workers=2, **OPTIONS)
    for path in (*contents, tmp_path / "style.png"):
        write_bytes(f"{bucket}/ray/{path.relative_to(tmp_path)}", path.read_bytes())
    jobs = find_jobs([f"{bucket}/ray/photos"], f"{bucket}/ray/out", {"style": f"{bucket}/ray/style.png"})
    poison = tmp_path / "poison.png"
    poison.write_bytes(contents[0].read_bytes())
    jobs.insert(1, Job(str(poison), str(tmp_path / "style.png"), str(tmp_path / "poisoned.png")))
    record = tmp_path / "r.jsonl"
    summary = transfer_many(jobs, record=record, address=ray_cluster.address, attempts=2, **OPTIONS)
    assert summary.done == 6 and [entry["content"] for entry in summary.failures] == [str(poison)]
    assert summary.failures[0]["attempts"] == 2 and "worker was lost 2 times" in summary.failures[0]["error"]["message"]
    expected = hashes_of(tmp_path / "out")
    with opened_record(record) as kept:
        for path in contents:
            output = f"{bucket}/ray/out/{path.name}"
            assert read_bytes(output) == (tmp_path / "out" / path.name).read_bytes() and path.name in expected
            assert kept.finished(output)
    again = transfer_many(jobs[:1], record=record, address=ray_cluster.address, **OPTIONS)
    assert again.unchanged == 1


def test_no_cluster_at_the_address(monkeypatch, tmp_path):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(FastPhotoError, match=r"ray: no cluster at 127\.0\.0\.1:1 "):
        transfer_many(jobs_of(tmp_path, write_photos(tmp_path, 1)), address="127.0.0.1:1")


def test_ray_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"the engine ray needs Ray: pip install fastphoto\[ray\]"):
        transfer_many(jobs_of(tmp_path, write_photos(tmp_path, 1)), engine="ray")


def test_the_device_is_rays_to_choose(tmp_path):
    with pytest.raises(InputError, match="device: on a Ray cluster it is the machines' own; leave it out"):
        transfer_many(jobs_of(tmp_path, write_photos(tmp_path, 1)), engine="ray", device="cpu")
