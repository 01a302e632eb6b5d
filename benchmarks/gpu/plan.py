"""The plan of a run on a GPU: which sections share a process, how long each may take, and how long it should take.

Seconds are those of the newest records where a section has been measured with these sizes, and otherwise computed from
times in them: milliseconds of a step, seconds of a warm call. Imports neither torch nor fastphoto.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import lookup
from benchmarks.gpu.sizes import Sizes
from benchmarks.sections import Results

# The module of each section, which has a function of the section's name, and the seconds that it may take.
SECTIONS = {
    "build": ("benchmarks.gpu.build_and_tests", 120),
    "tests": ("benchmarks.gpu.build_and_tests", 120),
    "sanitizer": ("benchmarks.gpu.build_and_tests", 120),
    "fast": ("benchmarks.gpu.whole_transfers", 40),
    "regions": ("benchmarks.gpu.whole_transfers", 20),
    "sessions": ("benchmarks.gpu.whole_transfers", 30),
    "throughput": ("benchmarks.gpu.throughput", 60),
    "ceilings": ("benchmarks.gpu.timings", 20),
    "laplacian": ("benchmarks.gpu.timings", 40),
    "gram": ("benchmarks.gpu.timings", 40),
    "local_affine": ("benchmarks.gpu.timings", 20),
    "operators": ("benchmarks.gpu.timings", 40),
    "iteration": ("benchmarks.gpu.timings", 120),
    "memory": ("benchmarks.gpu.images", 60),
    "image": ("benchmarks.gpu.images", 60),
    "batch": ("benchmarks.batch", 60),
    "video": ("benchmarks.gpu.whole_transfers", 40),
    "race": ("benchmarks.gpu.images", 200),
}
# Not before the one that is most wanted: what has never been measured comes first, what can be cut short is last.
# The tests and the sanitizer measure no times, so they run at the same time. Peak memory needs a process of its own.
STAGES = (
    (("build",),),
    (("tests",), ("sanitizer",)),
    (("fast", "regions", "sessions"),),
    (("throughput",),),
    (("ceilings", "laplacian", "gram", "local_affine", "operators", "iteration"),),
    (("memory",),),
    (("image",),),
    (("batch",),),
    (("video",),),
    (("race",),),
)
TOTAL_LIMIT = {True: 350, False: 1500}  # seconds, by whether the run is quick
LONGER = {True: 1, False: 4}  # times the seconds above, by the same
START = (
    4.0  # seconds until a process has imported torch and made its first kernel run: the section `ceilings` of records
)
COMPILING = 40.0  # seconds that torch.compile takes for the losses and their gradient on two busy CPU cores
TOGETHER = 1.3  # what the tests and the sanitizer take at the same time, divided by the longer of them alone; assumed


def chosen_stages(names: Sequence[str]) -> list[list[list[str]]]:
    """Return the stages with only these sections."""
    stages = [[[name for name in process if name in names] for process in stage] for stage in STAGES]
    return [kept for stage in stages if (kept := [process for process in stage if process])]


def expected_seconds(records: Sequence[Results], sizes: Sizes) -> dict[str, float]:
    """Return the seconds that each section should take, but for the last, which takes what is left.

    Args:
        records: all records of GPUs, the oldest first; the slower one counts where several have a section.
        sizes: sizes of the run.
    """

    def slowest(section: str, *path: str) -> float:
        values = [lookup(record, "sections", section, *path) for record in records]
        return max(value for value in values if value is not None)

    def own(section: str) -> float:
        """Return a section's seconds without the start of its process."""
        return max(1.0, slowest(section, "seconds") - START)

    warm = {encoder: slowest("image", f"default preset, {encoder}", "warm s") for encoder in ("embedded", "vgg19")}
    calls = sizes.warm_runs + 2  # a call before them, and one under the profiler
    rate = 2.0  # photos a second of one process at 700 px: the slowest record's
    large = slowest("memory", "12 MP, embedded", "s")
    kinds = len(sizes.process_counts) * len(sizes.throughput_sides)
    (_, width), seconds = sizes.clip
    frames = 2 * 25 * seconds  # two runs
    return {
        "build": slowest("build", "seconds"),
        "tests": TOGETHER * slowest("tests", "seconds"),
        "sanitizer": TOGETHER * slowest("sanitizer", "seconds"),
        # Today's `fast` takes fewer steps than `painterly`, whose times these are.
        "fast": START + calls * (4 * warm["embedded"] + warm["vgg19"] + large),
        "regions": 2 * calls * 0.5,
        "sessions": len(sizes.throughput_sides) * (sizes.throughput_seconds + 1 / rate),
        "throughput": 2 * START + len(sizes.throughput_sides) / rate * max(sizes.process_counts) / 2
        + kinds * (sizes.throughput_seconds + 1),
        "ceilings": START,
        "laplacian": own("laplacian"),
        "gram": own("gram"),
        "local_affine": own("local_affine"),
        "operators": 15 * 2 * (sizes.seconds + 0.1),
        "iteration": _step_seconds(slowest, sizes),
        "memory": slowest("memory", "seconds"),
        "image": START + slowest("image", "cold, embedded", "s") + (sizes.warm_runs + 1) * sum(warm.values()),
        # The pool and the batch each start four processes; a batch writes 5.6 photos a second, as four processes did.
        "batch": sum(4 * START + sizes.pool_seconds + count / 5.6 for count in sizes.batches.values()),
        # Two CPU cores transfer 2.2 frames of 1280 x 720 a second.
        "video": START + frames / 2.2 * (width / 1280) ** 2,
    }  # fmt: skip


def _step_seconds(slowest: object, sizes: Sizes) -> float:
    """Return the seconds of the section `iteration`, from the milliseconds of its steps in the records."""
    assert callable(slowest)
    total = 0.0
    for encoder in ("vgg19", "embedded"):
        variants = ["same losses", "default", *["published losses"] * (encoder == "vgg19")]
        for precision in sizes.precisions:
            count = sizes.float32_iterations if precision == "float32" else sizes.iterations
            for losses in variants:
                if sizes.times_step(precision, losses):
                    ms = slowest("iteration", f"ours, {encoder}, {precision}, {losses}", "ms")
                    # A pair has 3 times `count` steps, and two calls with a fixed cost of 0.3 s each.
                    total += sizes.runs * (3 * count * ms / 1e3 + 2 * 0.3)
        for precision in ("bfloat16", "tf32"):
            ms = slowest("iteration", f"B1, {encoder}, {precision}", "ms")
            total += 1.0 + 2 * sizes.repetitions * ms / 1e3  # also without a graph
            total += 0.0 if sizes.quick else COMPILING
    for precision in ("tf32",) if sizes.quick else ("tf32", "float32"):
        ms = slowest("iteration", f"B0, vgg19, {precision}", "ms")
        total += (sum(sizes.solver_steps) + sizes.repetitions) * ms / 1e3
    return total


def total_seconds(expected: dict[str, float], stages: Sequence[Sequence[Sequence[str]]]) -> float:
    """Return the seconds of all stages: of processes that run at the same time, the longest counts."""
    return sum(max(sum(expected.get(name, 0) for name in process) for process in stage) for stage in stages)
