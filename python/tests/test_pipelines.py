"""Registration and what the node learns of it."""

import hashlib
import textwrap

FILTER = "from lavender_data.server import Filter\n"


def spec(loaded, name):
    (found,) = [function for function in loaded["functions"] if function["name"] == name]
    return found


def test_names_come_from_keyword_attribute_or_class(worker, modules):
    source = """
        from lavender_data.server import Filter, Preprocessor

        class A(Filter, name="by_keyword"):
            def filter(self, sample): return True

        class B(Filter):
            name = "by_attribute"
            def filter(self, sample): return True

        class ByClass(Filter):
            def filter(self, sample): return True

        class Child(B):
            def filter(self, sample): return False

        class First(Preprocessor, depends_on=["by_class"]):
            def process(self, batch): return {}

        class Second(Preprocessor):
            depends_on = ["First"]
            def process(self, batch): return {}
    """
    loaded = worker.load(modules(names=textwrap.dedent(source)))
    assert loaded["errors"] == []
    names = [(function["kind"], function["name"]) for function in loaded["functions"]]
    filters = ["by_keyword", "by_attribute", "ByClass", "Child"]
    assert names == [("filter", name) for name in filters] + [("preprocessor", "First"), ("preprocessor", "Second")]
    assert spec(loaded, "First")["depends_on"] == ["by_class"]
    assert spec(loaded, "Second")["depends_on"] == ["First"]


def test_a_base_class_without_the_method_is_not_registered(worker, modules):
    source = FILTER + "class Base(Filter):\n    pass\nclass Real(Base):\n    def filter(self, sample): return True\n"
    loaded = worker.load(modules(base=source))
    assert [function["name"] for function in loaded["functions"]] == ["Real"]


def test_the_specification_has_arguments_types_and_the_md5_of_the_source(worker, modules):
    body = (
        'class Mod(Filter, name="mod"):\n'
        "    def filter(self, sample: dict, *, mod: int = 2, low: Optional[float] = None, tags: list, free=1):\n"
        "        return True\n"
    )
    loaded = worker.load(modules(mod=FILTER + "from typing import Optional\n" + body))
    mod = spec(loaded, "mod")
    assert mod["registry"] == "FilterRegistry"
    assert mod["args"] == [["mod", "int"], ["low", "Optional"], ["tags", "list"], ["free", "_empty"]]
    assert mod["md5"] == hashlib.md5(body.encode()).hexdigest()
    facts = [(p["name"], p["required"], p["nullable"], p["json"]) for p in mod["parameters"]]
    assert facts == [
        ("mod", False, False, "integer"),
        ("low", False, True, "number"),
        ("tags", True, False, "array"),
        ("free", False, True, "any"),
    ]


def test_annotations_as_text_are_resolved(worker, modules):
    source = (
        "from __future__ import annotations\n"
        + FILTER
        + "class A(Filter):\n    def filter(self, sample, *, a: int, b: Unknown = None): return True\n"
    )
    loaded = worker.load(modules(texts=source))
    # One name that cannot be resolved leaves all of them as they are written.
    assert spec(loaded, "A")["args"] == [["a", "int"], ["b", "Unknown"]]


def test_a_class_that_cannot_be_registered_names_itself(worker, modules):
    source = FILTER + "class Odd(Filter):\n    def filter(self): return True\n"
    (error,) = worker.load(modules(odd=source))["errors"]
    assert error["message"] == "RegistrationError: class Odd: filter() must take the sample as its first parameter"
    assert (error["file"], error["line"]) == ("odd.py", 2)

    source = FILTER + "class Odd(Filter):\n    def filter(self, sample, how, /): return True\n"
    (error,) = worker.load(modules(odd=source))["errors"]
    assert "class Odd: parameter 'how' of filter() is positional only" in error["message"]


def test_the_base_classes_import_without_numpy():
    import subprocess
    import sys

    from conftest import PACKAGE

    code = "import sys; import lavandin; assert not {'numpy', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE, check=True)
