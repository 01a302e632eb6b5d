# Every task of the project. On a fresh machine `make demo` or `make test` is enough: Python 3.10 or later and a
# C++17 compiler are all it takes, everything else is installed into .venv, once.
#
#   PYTHON=python3.12             the interpreter to make .venv with
#   TORCH="torch==2.13.0"         what is given to `pip install` for PyTorch; where CPU wheels are on an index of
#                                 their own: TORCH="--index-url <that index> torch==2.13.0"
#   NVCC=/path/to/nvcc            the CUDA compiler for cuda-compile
#   TEACHERS=folder               the weight files that encoder is taught by, see fastphoto/embedded/MODEL_CARD.md

PYTHON ?= python3
TORCH ?= torch==2.13.0
NVCC ?= nvcc
BUILD_TOOLS = "setuptools>=77" "pybind11>=2.13" ninja
# Every release of a formatter has its own taste, so these two are pinned.
LINTERS = ruff==0.17.6 clang-format==23.1.5

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := $(wildcard csrc/*.cpp csrc/*.h csrc/cpu/*.cpp csrc/cpu/*.h csrc/cuda/*.cu csrc/cuda/*.h)
EMULATION := $(wildcard tests/cuda_emulation/*)
CUDA_SOURCES := $(wildcard csrc/cuda/*.cu)

.PHONY: help demo test lint format bench encoder teachers cuda-compile clean
help:
	@echo "make demo          transfer the photo pairs in the package, results in ./fastphoto-demo"
	@echo "make test          run the tests"
	@echo "make lint          check style and formatting; make format mends the formatting"
	@echo "make bench         run the benchmarks"
	@echo "make encoder       train the embedded encoder anew from TEACHERS=folder, into build/encoder.safetensors"
	@echo "make cuda-compile  compile the CUDA kernels, without a GPU"
	@echo "make clean         delete .venv and everything built"

demo: $(VENV)/.package
	$(BIN)/fastphoto demo

test: $(VENV)/.development
	$(BIN)/python -m pytest -q

bench: $(VENV)/.development
	$(BIN)/python -m pytest -q benchmarks

encoder: teachers $(VENV)/.package
	$(BIN)/python tools/train_encoder.py --teachers "$(TEACHERS)" -o build/encoder.safetensors

teachers:
	@test -d "$(TEACHERS)" || { echo "encoder: give the folder of the teachers' weights, TEACHERS=folder"; exit 1; }

lint: $(VENV)/.linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(SOURCES) $(filter %.h %.cpp,$(EMULATION))

format: $(VENV)/.linters
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(SOURCES) $(filter %.h %.cpp,$(EMULATION))

# Compiles only: needs nvcc and torch's headers, but neither a GPU nor a torch with CUDA.
cuda-compile: $(if $(CUDA_SOURCES),$(VENV)/.torch)
ifeq ($(CUDA_SOURCES),)
	@echo "cuda-compile: no CUDA kernels in csrc/cuda, nothing to compile"
else
	@command -v $(NVCC) >/dev/null || { echo "cuda-compile: no $(NVCC) here, kernels NOT compiled"; exit 1; }
	@include=$$($(BIN)/python -c 'import torch.utils.cpp_extension as e; print(" ".join("-I" + p for p in e.include_paths()))') && \
	for file in $(CUDA_SOURCES); do \
	  echo "$(NVCC) $$file"; \
	  $(NVCC) -std=c++17 -O3 --expt-relaxed-constexpr -DTORCH_TARGET_VERSION=0x020a000000000000 -DUSE_CUDA -DFASTPHOTO_CUDA \
	    -Icsrc $$include -c $$file -o /dev/null || exit 1; \
	done
endif

clean:
	rm -rf $(VENV) build fastphoto.egg-info fastphoto/_C.*.so

# Each step leaves a stamp, and is taken again only when what it was made from has changed.
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

$(VENV)/.linters: $(VENV)/.made Makefile
	$(PIP) $(LINTERS)
	@touch $@
