"""What helps a reader: references, glossary, teachers' page, pictures, what stands beside a chapter; and the
files for those who contribute."""

import re
import subprocess
import sys
from graphlib import CycleError
from pathlib import Path

import jinja2
import pytest
import yaml
from pybtex.database import parse_file

from benchmarks import rooms, summary

BOOK = Path("book")
TEXTS = {path: path.read_text(encoding="utf-8") for path in [*BOOK.glob("*.md"), *BOOK.glob("*.py")]}
REFERENCES = parse_file(BOOK / "references.bib", bib_format="bibtex").entries
GLOSSARY = TEXTS[BOOK / "glossary.md"]
FORMS = sorted(path for path in Path(".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))
UNNUMBERED = {"gonzalezulloa1956units"}


def roles(name):
    """What the book's texts put into a role, such as the keys of all citations."""
    found = (m for text in TEXTS.values() for m in re.findall(rf"{{{name}}}`([^`]+)`", text))
    return list(found)


def terms():
    return [line for block in re.findall(r"```{glossary}\n(.*?)```", GLOSSARY, re.S)
            for line in block.splitlines() if line and not line.startswith(" ")]  # fmt: skip


@pytest.mark.parametrize("key", REFERENCES)
def test_a_reference_can_be_found(key):
    fields = REFERENCES[key].fields
    assert REFERENCES[key].persons["author"] and fields["title"]
    assert re.fullmatch(r"(1[89]|20)\d\d", fields["year"]) and fields["year"] in key
    assert {"doi", "eprint", "url"} & set(fields) or key in UNNUMBERED
    assert re.fullmatch(r"10\.\d{4,9}/\S+", fields.get("doi", "10.1000/x"))
    assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "2303.10896"))


def test_no_reference_is_there_twice():
    titles = [re.sub(r"\W", "", entry.fields["title"].lower()) for entry in REFERENCES.values()]
    assert len(set(titles)) == len(titles) >= 30


def test_what_is_cited_is_among_the_references():
    cited = [key.strip() for role in ("cite:p", "cite:t") for keys in roles(role) for key in keys.split(",")]
    assert len(cited) > 15
    assert set(cited) <= set(REFERENCES)


def test_the_glossary_defines_each_term_once_and_every_term_that_is_used():
    known = [term.lower() for term in terms()]
    assert len(known) == len(set(known)) >= 35
    used = {re.sub(r".*<(.*)>", r"\1", use, flags=re.S).lower() for use in roles("term")}
    assert used and used <= set(known), used - set(known)


def anchors(page):
    """The anchors of a page's headings, as MyST makes them from their text."""
    text = (
        (BOOK / page).with_suffix(".py" if (BOOK / page).with_suffix(".py").exists() else ".md").read_text()
    )
    headings = re.findall(r"^(?:# )?#{2,3} (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_teachers_links_lead_to_headings():
    links = re.findall(r"\]\(([\w.]+)#([\w-]+)\)", TEXTS[BOOK / "teachers.md"])
    assert len(links) >= 8
    assert [(page, anchor) for page, anchor in links if anchor not in anchors(page)] == []


def test_each_of_twelve_questions_has_a_page_and_a_hidden_answer():
    questions = re.split(r"^\*\*(\d+)\. ", TEXTS[BOOK / "teachers.md"], flags=re.M)[1:]
    assert questions[::2] == [str(n) for n in range(1, 13)]
    for question in questions[1::2]:
        assert question.count("```{dropdown} Answer") == 1 and re.search(r"\?\*\*\s+\[", question)


def test_the_picture_of_the_rooms_is_up_to_date():
    drawn = Path("book/_assets/rooms.svg").read_text(encoding="utf-8")
    assert drawn == rooms.picture(Path(".")), "make it anew: python -m benchmarks.rooms"


def test_the_rooms_are_read_from_imports(tmp_path):
    sources = {"igc/a.py": "from igc import IGCNet, b\n", "igc/b.py": "def f():\n    import igc.model\n",
               "igc/model.py": "import numpy\n", "igc/__init__.py": "from igc import a\n",
               "peers/x.py": "from igc.a import f\n"}  # fmt: skip
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = rooms.read_rooms(tmp_path)
    assert graph == {"a": {"b", "model"}, "b": {"model"}, "model": set(), "peers": {"a"}}
    assert rooms.without_shortcuts(graph)["a"] == {"b"}


def test_arrows_between_rooms_point_down_and_boxes_do_not_overlap():
    graph = rooms.without_shortcuts(rooms.read_rooms(Path(".")))
    floor = rooms.floors_of(graph)
    assert all(floor[room] > floor[other] for room in graph for other in graph[room])
    at = rooms.places(floor, rooms.routes(graph, floor))
    for one in at:
        for other in at.keys() - {one}:
            apart = abs(at[one][0] - at[other][0]) - (rooms.width(one) + rooms.width(other)) / 2
            assert at[one][1] != at[other][1] or apart > 0, (one, other)


def test_rooms_in_a_circle_are_not_drawn():
    with pytest.raises(CycleError):
        rooms.without_shortcuts({"a": {"b"}, "b": {"a"}})


def test_the_summary_is_one_small_page_of_letters_from_the_present_figures():
    page = summary.TARGET.read_bytes()
    assert page.startswith(b"%PDF") and len(page) < 500_000
    assert len(re.findall(rb"/Type /Page\b", page)) == 1 and b"/FontFile2" in page
    assert summary.inputs().encode() in page, "make it anew: python -m benchmarks.summary"


def beside(**context):
    loader = jinja2.FileSystemLoader(BOOK / "_templates")
    known = {"pathto": lambda target, _: target, "body": "", "meta": None} | context
    return jinja2.Environment(loader=loader).get_template("reading-aids.html").render(known).strip()


def test_beside_a_chapter_stand_its_times_its_command_and_its_notebook():
    prose = "<p>" + "word " * 540 + "</p><script>" + "number " * 9000 + "</script>"
    recorded = {"papermill": '{"default_parameters": {}, "duration": 301.5, "parameters": {}}'}
    shown = beside(pagename="book/03_train", sourcename="book/03_train.ipynb", body=prose, meta=recorded)
    text = " ".join(re.sub(r"<.*?>", " ", shown).split())
    assert "3 min to read, 5 min to run" in text
    assert "papermill book/03_train.ipynb out.ipynb" in text
    assert 'href="_sources/book/03_train.ipynb"' in shown


def test_beside_a_chapter_that_was_not_executed_stands_no_running_time():
    shown = beside(pagename="book/03_train", sourcename="book/03_train.ipynb", body="<p>word</p>")
    assert "1 min to read" in shown and "to run" not in shown


def test_beside_other_pages_stands_nothing():
    assert beside(pagename="book/index", sourcename="book/index.md", body="<p>word</p>") == ""
    assert beside(pagename="search", body="") == ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_official_actions_and_targets_that_exist(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    targets = [target for step in steps for target in re.findall(r"make (\S+)", step.get("run", ""))]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    rules = Path("Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", rules, re.M) for target in targets)
    assert {"checks": "test", "pages": "book"}[path.stem] in targets


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_whole(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert form["name"] and form["description"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)


def test_who_reports_another_result_is_asked_for_what_it_takes_to_look():
    form = yaml.safe_load(Path(".github/ISSUE_TEMPLATE/different_result.yml").read_text(encoding="utf-8"))
    required = {field["id"] for field in form["body"] if field.get("validations", {}).get("required")}
    assert required >= {"figures", "versions", "seeds", "machine"}


def test_the_hooks_name_what_is_there():
    hooks = yaml.safe_load(Path(".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    entries = [hook["entry"] for repo in hooks if repo["repo"] == "local" for hook in repo["hooks"]]
    assert len(entries) >= 4
    for entry in entries:
        program, *rest = entry.split()
        assert program.removeprefix(".venv/bin/") in ("ruff", "codespell", "python")
        assert all(Path(word).exists() for word in rest if "/" in word)


def spelled(*arguments):
    return subprocess.run([sys.executable, "-m", "codespell_lib", *arguments], capture_output=True, text=True)


def test_no_word_of_the_repository_is_known_to_be_misspelt():
    found = spelled()
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_misspelling_is_found(tmp_path):
    (tmp_path / "page.md").write_text("How to " + "rec" + "ieve a face.\n")
    assert spelled(str(tmp_path)).returncode != 0
