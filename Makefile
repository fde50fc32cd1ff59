# On a fresh clone:
#
#   make demo    ten processes share one promise on disk; watch them
#   make test    lint, types, and all tests
#   make lab     the notebooks, in JupyterLab
#   make docs    the documentation, in docs/_build/html
#   make dist    wheel and sdist, in dist
#
# Each makes the environment it needs in .venv, from the versions in
# constraints.txt. Done once, it needs no network; a step that failed is done
# again. Another Python, or some tests only:
#
#   make demo PYTHON=python3.13
#   make test ARGS="-k cli"

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) -m pip install -qq --disable-pip-version-check \
	--no-build-isolation --constraint constraints.txt

# From npm. Without it the tests that need one of these skip, and say so.
RESTATE := 1.7.12
PYRIGHT := 1.1.414
TYPESCRIPT := 7.0.2

# Tests start thousands of processes: each would compile this tree anew without it.
unexport PYTHONDONTWRITEBYTECODE

LAB_CONFIG := $(VENV)/etc/jupyter/labconfig

.PHONY: demo test coverage torture lab notebooks docs dist release-check lint programs \
	bench clean public-api constraints

demo: $(VENV)/.demo
	@$(PY) examples/demo.py

test: lint programs $(VENV)/.npm
	$(PY) -m pytest -m "" $(ARGS)

# All tests, with the branches counted that they take, in this process and in those
# they start; pyproject.toml says how many are required. It takes an hour on two cores.
coverage: $(VENV)/.test programs $(VENV)/.npm
	$(PY) -m pytest -m "" --cov --cov-report=term $(ARGS)

# The same and more of it: every system call, ten thousand histories, power cuts.
# It takes its time, and prints what it covered and the seeds.
torture: $(VENV)/.test programs $(VENV)/.npm
	DP_TORTURE=1 $(PY) -m pytest -m "" -n 0 -s tests/testing tests/backends tests/mutants

# Jupyter does not run as root unless it is told to. Announcements would ask for
# permission to fetch news before anything else is seen.
lab: $(VENV)/.lab
	@$(PY) -m jupyterlab --ServerApp.root_dir=notebooks \
		--LabApp.default_url=/lab/tree/00_start_here.ipynb \
		$$([ "$$(id -u)" != 0 ] || echo --allow-root) $(LAB)

# Runs all notebooks and stores their outputs; NAMES=04_example3 runs one.
notebooks: $(VENV)/.test
	PYTHONPATH=tests $(PY) -m support.notebook.execute $(NAMES)

# Warnings are errors. Nothing is fetched; notebooks are shown as they are stored.
docs: $(VENV)/.test
	$(PY) -m sphinx -q -W --keep-going -j 2 -b html docs docs/_build/html

# Of what is committed: what lies about would be in the sdist, too. The wheel is built
# from the sdist.
dist: $(VENV)/.test
	@test -z "$$(git status --porcelain)" || { \
		echo "commit first, or stash: git status --short" >&2; exit 1; }
	rm -rf dist
	$(PY) -m build --no-isolation
	$(PY) -m twine check --strict dist/*

# The wheel as its users get it: in an environment of each Python that is supported, with
# packages from the index, without extras and with all of them; on the oldest Python also
# with the oldest versions that the library asks for.
release-check: dist
	PYTHONPATH=tests $(PY) -m support.core.release.installation dist/*.whl

lint: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy examples tests/packaging/typing docs/conf.py docs/from_code

programs:
	@sh .ci/programs

bench: $(VENV)/.test
	for bench in benchmarks/bench_*.py; do $(PY) $$bench || exit; done

# Not the promises: they are somebody's.
clean:
	rm -rf $(VENV) dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps are written last, so that nothing half made counts as made. What
# builds packages is pinned too, and so not fetched anew for each of them.

$(VENV)/.base: constraints.txt
	@sh .ci/python $(PYTHON)
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	$(INSTALL) editables hatchling setuptools
	@touch $@

$(VENV)/.demo: $(VENV)/.base pyproject.toml
	$(INSTALL) --editable '.[server]'
	@touch $@

$(VENV)/.lab: $(VENV)/.demo
	$(INSTALL) --editable '.[notebook,postgresql,server,sqlite,testing]' standardwebhooks trio
	@mkdir -p $(LAB_CONFIG)
	@echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \
		> $(LAB_CONFIG)/page_config.json
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(INSTALL) --editable '.[notebook,server,testing]' --group dev
	@touch $@

$(VENV)/.npm: Makefile $(VENV)/.base | programs
	@! command -v npm > /dev/null || npm install --silent --no-fund --no-audit \
		--prefix $(VENV) @restatedev/restate-server@$(RESTATE) \
		pyright@$(PYRIGHT) typescript@$(TYPESCRIPT)
	@! command -v npm > /dev/null || touch $@

# What a review sees of a change to the public names.
public-api: $(VENV)/.test
	PYTHONPATH=docs:tests $(PY) -m support.core.release.public_api

# The newest versions that fit together become the pinned ones.
constraints:
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --upgrade editables hatchling setuptools \
		--editable . --group dev
	{ sed -n '/^#/p' constraints.txt; $(PY) -m pip list --format=freeze --exclude-editable; } \
		> constraints.new
	mv constraints.new constraints.txt
