"""Loading files: what is reported, what still works."""

import pytest
from conftest import worker_in

GOOD = "from lavender_data.server import Filter\nclass Good(Filter):\n    def filter(self, sample): return True\n"


@pytest.mark.parametrize(
    "source, line, message",
    [
        ("x = 1\ndef broken(:\n    pass\n", 2, "SyntaxError: "),
        ("import no_such_module\n", 1, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    raise ValueError('in vain')\n\nf()\n", 2, "ValueError: in vain"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: the code called exit(3)"),
        (b"# -*- coding: utf-8 -*-\nx = '\xff'\n", None, "SyntaxError: "),
    ],
)
def test_a_broken_file_is_reported_and_the_others_work(worker, modules, source, line, message):
    directory = modules(zz_good=GOOD)
    (directory / "broken.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    loaded = worker.load(directory)
    (error,) = loaded["errors"]
    assert error["file"] == "broken.py" and error["message"].startswith(message) and not error["warning"]
    assert error["line"] == line or line is None
    assert [function["name"] for function in loaded["functions"]] == ["Good"]
    assert worker.progress == ["broken.py", "zz_good.py"]


def test_classes_of_a_file_that_fails_later_are_taken_back(worker, modules):
    loaded = worker.load(modules(a=GOOD, b=GOOD.replace("True", "False") + "raise ValueError\n"))
    (function,) = loaded["functions"]
    assert function["file"] == "a.py"
    assert worker.select({"id": [1]}, ["Good"])[0] == [""]


def test_a_name_that_is_defined_twice_is_told(worker, modules):
    loaded = worker.load(modules(a=GOOD, b=GOOD))
    (warning,) = loaded["errors"]
    assert warning["warning"] and warning["file"] == "b.py"
    assert warning["message"] == "the filter 'Good' is defined in a.py and again in b.py; the later one is used"


def test_files_import_each_other_and_are_run_once(worker, modules):
    a = "import b\nfrom b import Good\nclass Better(Good):\n    def filter(self, sample): return True\n"
    loaded = worker.load(modules(a=a, b=GOOD + "print('b runs')\n"))
    assert loaded["errors"] == []
    assert {function["name"]: function["file"] for function in loaded["functions"]} == {
        "Good": "b.py",
        "Better": "a.py",
    }
    assert worker.output().count("b runs") == 1


def test_a_file_named_as_a_library_does_not_hide_it(worker, modules):
    numpy = GOOD + "import numpy\nassert numpy.arange(2).sum() == 1\nimport json; json.dumps(1)\n"
    loaded = worker.load(modules(numpy=numpy, json="raise ValueError('the wrong json')\n"))
    assert [error["file"] for error in loaded["errors"]] == ["json.py"]
    assert [function["name"] for function in loaded["functions"]] == ["Good"]


def test_packages_in_the_directory_and_in_the_working_directory_can_be_imported(worker, modules, tmp_path):
    directory = modules(uses="import helpers.one, beside\n" + GOOD)
    (directory / "helpers").mkdir()
    (directory / "helpers" / "one.py").write_text("")
    (tmp_path / "beside.py").write_text("")
    assert worker.load(directory)["errors"] == []


def test_tracebacks_show_the_lines_that_ran(worker, modules):
    source = GOOD.replace("return True", "raise KeyError('x')")
    directory = modules(bad=source)
    worker.load(directory)
    (directory / "bad.py").write_text("# changed\n" * 9)
    _, header = worker.select({"id": [1]}, ["Good"])
    assert "raise KeyError('x')" in header["errors"][0]["traceback"]


def test_the_shim_answers_and_leaves_the_rest_to_an_installed_package(modules, tmp_path, monkeypatch):
    installed = tmp_path / "packages" / "lavender_data"
    (installed / "client").mkdir(parents=True)
    (installed / "__init__.py").write_text("raise ImportError('its start-up code needs what is not there')\n")
    (installed / "client" / "__init__.py").write_text("init = 'the installed one'\n")
    (installed / "server").mkdir()
    (installed / "server" / "__init__.py").write_text("raise ImportError('not this one')\n")
    source = (
        "import lavender_data, lavender_data.client\n"
        "assert lavender_data.client.init == 'the installed one'\n"
        "import lavender_data.server as server\n"
        "from lavender_data.server.registries import Preprocessor\n"
        "assert server.Preprocessor is Preprocessor\n"
    )
    # Before the interpreter's own packages, among which the published one may be.
    monkeypatch.setenv("PYTHONPATH", str(installed.parent))
    with worker_in(tmp_path) as worker:
        assert worker.load(modules(shim=source))["errors"] == []


def test_the_application_of_the_original_is_refused_with_a_sentence(worker, modules):
    (error,) = worker.load(modules(app="from lavender_data.server import app\n"))["errors"]
    assert "lavender_data.server.app is not there in a Lavandin worker" in error["message"]


def test_nothing_user_code_prints_or_reads_meets_the_protocol(worker, modules):
    noisy = (
        "import os, sys\nprint('loaded'); os.write(1, b'raw\\n'); sys.stderr.write('to stderr\\n')\n"
        "assert sys.stdin.read() == ''\n"
    )
    assert worker.load(modules(noisy=noisy + GOOD))["errors"] == []
    assert worker.select({"id": [1]}, ["Good"])[0] == [""]
    assert set(worker.output().split("\n")) >= {"loaded", "raw", "to stderr"}
