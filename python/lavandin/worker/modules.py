"""Runs the files of the modules directory, each as a module of its own.

The node sends the files' contents, so that all workers of one generation run the same code even while the files on
disk are being changed. A file's module is named after the file where no other module has that name: then files can
import each other. A file that fails is reported, and what it had registered is taken back; the others still work.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import traceback

from lavandin.pipelines import REGISTRY
from lavandin.worker.failure import describe, shown

_PREFIX = "lavandin_module_"


class _Loader(importlib.abc.ExecutionLoader):
    """Runs one file from its source in memory."""

    def __init__(self, path, source):
        self.path = path
        self.source = source

    def get_source(self, fullname):
        return importlib.util.decode_source(self.source)

    def get_filename(self, fullname):
        return self.path

    def get_code(self, fullname):
        return self.source_to_code(self.source, self.path)

    def is_package(self, fullname):
        return False


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the files import each other by name, each being run once."""

    def __init__(self):
        self.loaders = {}

    def find_spec(self, fullname, path=None, target=None):
        loader = self.loaders.get(fullname)
        return loader and importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)


def load(directory, files, progress):
    """Runs `files`, pairs of name and source, and returns the errors as dicts for the node.

    `progress` is called with each name before the file is run: a file that ends the process is known by that.
    """
    finder = _Finder()
    loaders = []
    for name, source in files:
        path = os.path.join(directory, name)
        loader = _Loader(path, source)
        module = _module_name(name[: -len(".py")], directory)
        finder.loaders[module] = loader
        loaders.append((name, module, loader))
        _show_lines(path, source)
    sys.meta_path.insert(0, finder)
    for place in (os.getcwd(), directory):
        if place not in sys.path:
            sys.path.append(place)
    importlib.invalidate_caches()

    names = {loader.path: name for name, _, loader in loaders}
    errors = []
    REGISTRY.on_replace = lambda old, new: errors.append(_replaced(names, old, new))
    for name, module, loader in loaders:
        progress(name)
        before = REGISTRY.state()
        try:
            importlib.import_module(module)
        except BaseException as error:  # a file that calls exit() is as broken as one that raises
            _take_back(before)
            errors.append(_error(name, loader.path, error))
    REGISTRY.on_replace = None
    for function in REGISTRY.all():
        function.file = _file(names, function)
        function.md5 = function.spec()["md5"]
    return errors


def _module_name(stem, directory):
    """The file's own name if nothing else is imported by it, else one that nothing else has."""
    taken = stem in sys.modules or stem in getattr(sys, "stdlib_module_names", sys.builtin_module_names)
    if stem.isidentifier() and not taken:
        try:
            spec = importlib.machinery.PathFinder.find_spec(stem)
        except (ImportError, ValueError):
            spec = None
        if spec is None or os.path.dirname(spec.origin or "") == directory:
            return stem
    return _PREFIX + "".join(letter if letter.isalnum() else "_" for letter in stem)


def _show_lines(path, source):
    """Tracebacks show the lines that ran, not those now on disk."""
    try:
        text = importlib.util.decode_source(source)
    except (SyntaxError, UnicodeError):
        return
    linecache.cache[path] = (len(source), None, text.splitlines(True), path)


def _take_back(before):
    """Unregisters the classes of modules that did not come to their end."""
    for kind, functions in REGISTRY.functions.items():
        for name, function in list(functions.items()):
            if function.cls.__module__ not in sys.modules:
                del functions[name]
                old = before[kind].get(name)
                if old is not None and old.cls.__module__ in sys.modules:
                    functions[name] = old


def _file(names, function):
    path = getattr(sys.modules.get(function.cls.__module__), "__file__", None) or ""
    return names.get(path, os.path.basename(path))


def _replaced(names, old, new):
    message = (
        f"the {new.kind} {new.name!r} is defined in {_file(names, old) or 'another file'} and again in "
        f"{_file(names, new) or 'this file'}; the later one is used"
    )
    return {"file": _file(names, new), "line": None, "message": message, "traceback": "", "warning": True}


def _error(name, path, error):
    line = None
    if isinstance(error, SyntaxError) and error.filename == path:
        line = error.lineno
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == path:
                line = frame.lineno
    return {"file": name, "line": line, "message": describe(error), "traceback": shown(error), "warning": False}
