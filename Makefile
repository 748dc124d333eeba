# `make demo` and `make test` set up their own virtual environments; a second run finds them ready. What is installed is
# locked, with hashes (locks/, written by .ci/lock).
PYTHON ?= python3
PIP = -m pip --disable-pip-version-check -q
LOCKED = $(PIP) install --require-hashes
HERE = $(PIP) install --no-deps --no-build-isolation -e .
.PHONY: demo test test-slow test-docs lint types docs bench wheel wheels release clean

demo: .venv-demo/ready
	@echo "demo: running a rendered video as a stream, and writing the page of the report"
	@.venv-demo/bin/punctum demo --out out/demo

# One thread a process: the tests train tiny networks, and threads would wait for each other. Training that tries several
# threads must not spin while it waits, since other processes need the cores. A process more than there
# are cores, 4 at most: many tests wait for other programs.
TEST_PROCESSES ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); [ $$cores -gt 3 ] && echo 4 || echo $$((cores + 1)))
# The slow tests and the code of the documentation have targets of their own. Compiled kernels save every process the
# seconds that loading Numba takes; the tests of the kernels run both forms.
RUN_TESTS = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
test: .venv/ready kernels/_compiled.json
	$(RUN_TESTS) -m "not documentation and not slow"

# Each process would import every other file, too. tests/conftest.py checks that no slow test is left out. The files that
# take longest begin, so that at the end no process waits for one of them.
LONGEST = tests/system/test_label_training.py tests/system/test_serve.py tests/system/test_score_ray.py \
  tests/system/test_label_browser.py tests/training/test_videos.py tests/training/test_run.py
SLOW_FILES = $(LONGEST) $(filter-out $(LONGEST),$(sort $(shell grep -rlE 'mark\.slow|kernel_form' tests --include='test_*.py')))
test-slow: .venv/ready kernels/_compiled.json
	$(RUN_TESTS) -m "slow and not documentation" $(SLOW_FILES)

kernels/_compiled.json: .venv/ready $(wildcard kernels/*.py)
	@.venv/bin/python -m punctum.kernels._ahead kernels || echo 'kernels: not compiled (needs a C compiler); the tests use the JIT'

# The code blocks of README and docs, and the examples.
test-docs: .venv/ready kernels/_compiled.json
	$(RUN_TESTS) -m documentation tests/docs tests/examples

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports --no-logo

# Type checkers do not follow the editable install of a namespace package: they are shown the folders.
types: .venv/ready
	mkdir -p .venv/types/punctum
	for floor in kernels runtime training export; do ln -sfn $(CURDIR)/$$floor .venv/types/punctum/$$floor; done
	MYPYPATH=.venv/types .venv/bin/mypy --explicit-package-bases

# The documentation as a site in out/docs, offline; a warning is an error. -E: warnings of unchanged pages count, too.
docs: .venv-docs/ready
	.venv-docs/bin/sphinx-build -E -W --keep-going -n -q -d out/docs-cache docs out/docs

bench: .venv/ready
	.venv/bin/python benchmarks/kernels.py

# The wheel, and beside it the bill of materials of an installation that has it.
wheel: .venv-demo/report .venv-sbom/ready
	rm -rf dist build/lib build/bdist.*
	mkdir -p dist
	.venv-demo/bin/python -c "import setuptools.build_meta as b; b.build_wheel('dist')" >/dev/null
	.venv-sbom/bin/cyclonedx-py environment --output-reproducible --mc-type library --pyproject pyproject.toml \
	  -o "$$(ls dist/*.whl | sed 's/-py3-none-any\.whl$$//').cdx.json" .venv-demo/bin/python
	.venv-demo/bin/python .ci/inventory.py sbom dist/*.cdx.json --wheel dist/*.whl

# Wheels with compiled kernels in dist/, one for each supported Python of this machine, each tried out without Numba.
wheels: .venv-release/ready
	.venv-release/bin/python .ci/compiled dist

# Wheel and source distribution, checked and installed on every supported Python of this machine. Uploads nothing.
release: .venv/ready .venv-release/ready
	.ci/release .venv-release/bin/python

# Engine, video and page of the report: what runs in the field needs no torch. Shows what it installs. NumPy and Numba come
# first, so that the kernels of the demo are compiled while the rest is installed, by two processes: each loads what the
# other has compiled. Modules become bytecode when they are imported. The demo draws no figures, so it needs no matplotlib.
DEMO_PIP = .venv-demo/bin/python -m pip --disable-pip-version-check install --no-compile --no-deps --require-hashes
DEMO_KERNELS = $(if $(filter demo,$(MAKECMDGOALS)),.venv-demo/bin/python -c "from punctum import kernels; kernels.warm_up('$(1)')",true)
FIGURES = matplotlib|contourpy|cycler|fonttools|kiwisolver|pillow|pyparsing|python-dateutil|tzdata
.venv-demo/ready: pyproject.toml locks/demo.txt
	@echo "demo: making the environment .venv-demo"
	@$(PYTHON) -m venv .venv-demo
	@echo "demo: installing NumPy and Numba"
	@awk '/^[a-z]/ { keep = /^(numpy|numba|llvmlite|setuptools)==/ } keep' locks/demo.txt >.venv-demo/first.txt
	@$(DEMO_PIP) -r .venv-demo/first.txt
	@.venv-demo/bin/python $(HERE)
	@echo "demo: compiling kernels, while the libraries of the engine, video and report are installed"
	@awk '/^[a-z]/ { keep = !/^($(FIGURES))==/ } keep' locks/demo.txt >.venv-demo/second.txt
	@$(call DEMO_KERNELS,run) & $(call DEMO_KERNELS,demo) & $(DEMO_PIP) -r .venv-demo/second.txt; status=$$?; wait; exit $$status
	@touch $@

# Everything that `punctum[cpu,video,report]` installs.
.venv-demo/report: .venv-demo/ready
	$(DEMO_PIP) -q -r locks/demo.txt
	touch $@

.venv-docs/ready: pyproject.toml locks/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python $(LOCKED) -r locks/docs.txt
	.venv-docs/bin/python $(HERE)
	touch $@

.venv-sbom/ready: locks/sbom.txt
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/python $(LOCKED) -r locks/sbom.txt
	touch $@

.venv-release/ready: locks/release.txt
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python $(LOCKED) -r locks/release.txt
	touch $@

# torch is pinned by version, not by hash: builds of one version differ by index (CPU only, CUDA). What it needs beside it
# is in the lock, so no other requirement pulls a build of its own.
.venv/ready: pyproject.toml tests/requirements.txt locks/tests.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python $(LOCKED) -r locks/tests.txt
	.venv/bin/python $(PIP) install $(shell grep '^torch==' tests/requirements.txt)
	.venv/bin/python $(HERE)
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-docs .venv-sbom .venv-release build dist *.egg-info kernels/_compiled*
