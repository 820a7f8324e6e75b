# Everything runs from the repository root, inside .venv, which the first target makes.
#   make train            train on the embedded data set (book/03_train.ipynb, executed)
#   make book             the book, its chapters executed: _build/html/index.html
#   make test             all checks; make test-notebooks, only those of the chapters
#   make lab              the chapters in JupyterLab;  make bench, where a step's time goes;  make clean
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3.11
BIN := .venv/bin
VENV := .venv/.installed

# glibc hands big blocks back to the system, and page faults then dominate element-wise work.
export MALLOC_MMAP_THRESHOLD_ := 1073741824
export MALLOC_TRIM_THRESHOLD_ := 1073741824
export MALLOC_TOP_PAD_ := 67108864
# OpenMP threads that wait by spinning starve whatever else runs.
export OMP_WAIT_POLICY := passive
# A short spin keeps them awake between the many small operations of a step (seen: up to twice as fast on two cores).
export GOMP_SPINCOUNT := 20000
export PYDEVD_DISABLE_FILE_VALIDATION := 1

CHAPTERS := $(sort $(patsubst book/%.py,%,$(wildcard book/*.py)))
NOTEBOOKS := $(CHAPTERS:%=book/%.ipynb)
SMALL := $(CHAPTERS:%=build/notebooks/%.ipynb)
FULL := $(CHAPTERS:%=build/chapters/%.ipynb)
# What each chapter's results depend on besides the chapter: a change there executes these chapters anew.
NEEDS := $(shell mkdir -p build && $(PYTHON) -m tests.book.needs > build/needs.mk && echo build/needs.mk)
include $(NEEDS)
PAGES := _config.yml _toc.yml $(shell find book -type f -not -name '*.py' -not -name '*.ipynb' \
	-not -path '*/.*')

.PHONY: help .venv notebooks outputs train weights one-part lab bench gpu book book-small test \
	test-unit test-data test-rest test-slow test-notebooks \
	lint clean
help:
	@sed -n '2,5s/^#  //p' Makefile

.venv: $(VENV)
$(VENV): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $@

# ---- chapters: book/*.py is the source, book/*.ipynb is made from it
notebooks: $(NOTEBOOKS)
book/%.ipynb: book/%.py | $(VENV)
	$(BIN)/python tests/book/pairs.py $<

train: book/03_train.ipynb | $(VENV)
	mkdir -p runs/03_train
	$(BIN)/papermill --no-progress-bar --stdout-file - --stderr-file - $< runs/03_train/03_train.ipynb

# Makes the shipped model again (some forty minutes on one core), its figures, its record and its pictures.
weights: | $(VENV)
	$(BIN)/python -m igc.train --data synthetic --images 20480 --epochs 10 --out runs/synthetic-64
	$(BIN)/python -m igc.evaluate runs/synthetic-64 --out igc/checkpoints/synthetic-64/figures.json
	cp runs/synthetic-64/{model.safetensors,config.json,record.json} igc/checkpoints/synthetic-64/
	$(BIN)/python -m benchmarks.card
	$(BIN)/python -m benchmarks.pictures
	$(BIN)/python -m benchmarks.landing
	$(BIN)/python -m benchmarks.summary

# The same recipe with a single part, for chapter 03.
one-part: | $(VENV)
	$(BIN)/python -m igc.train --data synthetic --images 20480 --epochs 10 --parts 1 --out runs/one-part
	$(BIN)/python -m igc.evaluate runs/one-part --out benchmarks/records/one-part.json

lab: $(NOTEBOOKS) | $(VENV)
	$(BIN)/jupyter lab book/

bench: | $(VENV)
	$(BIN)/python -m benchmarks.step

# What a GPU changes, checked and measured in under eight minutes; without one its path at tiny sizes.
gpu: | $(VENV)
	$(BIN)/python -m benchmarks.gpu

# ---- the book: chapters executed by papermill with their own parameters, then Jupyter Book
build/chapters/%.ipynb: book/%.py requirements.lock | book/%.ipynb $(VENV)
	mkdir -p $(@D)
	rm -rf build/book_runs/$*
	$(BIN)/papermill --no-progress-bar -p out build/book_runs/$* book/$*.ipynb $@

# Puts what the executed chapters print, text only, into the committed notebooks.
outputs: $(FULL)
	$(BIN)/python tests/book/pairs.py --outputs build/chapters $(CHAPTERS:%=book/%.py)

# build_book(executed notebooks, folder of the sources, folder of the output)
define build_book
	rm -rf $(2) $(3)/_build
	mkdir -p $(2)
	cp --parents $(PAGES) $(2)
	cp $(1) $(2)/book/
	$(BIN)/python -m igc.viewer $(2)/book/_assets
	$(BIN)/python tests/book/slim.py notebooks $(2)/book
	$(BIN)/jupyter-book build -W -n --keep-going --path-output $(3) $(2)
	$(BIN)/python tests/book/slim.py pages $(3)/_build/html
	BOOK_HTML=$(3)/_build/html $(BIN)/python -m pytest -q tests/book/test_built_book.py
endef

book: $(FULL) $(PAGES) | $(VENV)
	$(call build_book,$(FULL),build/book_src,.)

book-small: $(SMALL) $(PAGES) | $(VENV)
	$(call build_book,$(SMALL),build/small_src,build/small)

# ---- checks
lint: | $(VENV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

# The data's tests kill and resume work of their own; on a core each, both halves take as long as one.
test-unit: | $(VENV)
	$(MAKE) --output-sync=target -j2 test-data test-rest
test-data test-rest: export OMP_NUM_THREADS := 1
test-data: | $(VENV)
	$(BIN)/python -m pytest -q -m "not slow" tests/data tests/peers tests/analysis
test-rest: | $(VENV)
	$(BIN)/python -m pytest -q -m "not slow" tests --ignore=tests/data --ignore=tests/peers --ignore=tests/analysis

# What takes longer: a run killed twenty times, a hundred thousand files prepared.
test-slow: | $(VENV)
	$(BIN)/python -m pytest -q -m slow tests

# In this order: the pair check must see the notebooks before a rule makes them again.
test: | $(VENV)
	$(MAKE) lint
	$(MAKE) test-unit
	$(MAKE) test-notebooks
	$(MAKE) book-small

# Each chapter at small size, in order, since 04 and 05 take the run of 03; then the executed copies run
# again, and the cells tagged nbval-check-output must print what they printed; then the bands of the metrics.
test-notebooks: $(SMALL) | $(VENV)
	$(BIN)/python -m pytest -q --nbval-lax --nbval-current-env --nbval-cell-timeout=300 \
		--nbval-sanitize-with tests/book/nbval_sanitize.cfg $(SMALL)
	CHAPTERS_RAN=1 $(BIN)/python -m pytest -q tests/book/test_metrics.py

build/notebooks/%.ipynb: book/%.py tests/book/small/%.yaml requirements.lock | book/%.ipynb $(VENV)
	mkdir -p $(@D)
	rm -rf build/runs/$*
	$(BIN)/papermill --no-progress-bar -f tests/book/small/$*.yaml book/$*.ipynb $@
build/notebooks/04_segmentation.ipynb build/notebooks/05_face_analysis.ipynb: build/notebooks/03_train.ipynb

clean:
	rm -rf build _build
