# `make demo` and `make test` set up their own virtual environments; a second run finds them ready.
PYTHON ?= python3
PIP = -m pip --disable-pip-version-check -q
.PHONY: demo test lint types bench clean

demo: .venv-demo/ready
	.venv-demo/bin/punctum demo --out out/demo

# One thread a process, a process a core: the tests train tiny networks, and threads would wait for each other.
test: .venv/ready
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n logical --maxprocesses 4 --dist loadfile

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/ready
	.venv/bin/mypy

bench: .venv/ready
	.venv/bin/python benchmarks/kernels.py

# Engine, video and report: what runs in the field needs no torch.
.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP) install -e '.[cpu,video,report]'
	touch $@

# torch goes first and pinned, so that no other requirement pulls a GPU build. The strict editable mode is what
# type checkers can follow.
.venv/ready: pyproject.toml tests/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) install torch==2.13.0
	.venv/bin/python $(PIP) install -r tests/requirements.txt
	.venv/bin/python $(PIP) install --no-deps -e .
	touch $@

clean:
	rm -rf .venv .venv-demo build *.egg-info
