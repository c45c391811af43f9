"""Base classes of user code, and the registry that their subclasses enter when they are defined.

A subclass is registered under its class keyword ``name``, else the attribute ``name`` of its own body (or of a mixin),
else its class name. A subclass that does not define the method of its kind is an intermediate base class and is not
registered. Nothing here imports numpy or pyarrow.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
import typing
from dataclasses import dataclass, field


class RegistrationError(TypeError):
    """A class cannot be registered; the message names the class and what is wrong with it."""


@dataclass(frozen=True)
class Parameter:
    """A parameter that an iteration may set: one beyond ``self`` and the sample, batch or list of samples."""

    name: str
    type_name: str
    required: bool
    nullable: bool
    #: What JSON value fits: integer, number, string, boolean, array, object or any.
    json: str


@dataclass
class Function:
    """A registered class."""

    kind: str
    name: str
    cls: type
    parameters: list
    #: Whether the method takes parameters by any name (``**params``).
    open: bool
    depends_on: list
    file: str = ""
    md5: str = ""
    instance: object = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def get(self):
        """The one instance of the class in this process, made when it is first needed."""
        with self.lock:
            if self.instance is None:
                self.instance = self.cls()
            return self.instance

    def accepted(self, params):
        """Those of ``params`` that the method takes."""
        if self.open:
            return params
        names = {parameter.name for parameter in self.parameters}
        return {name: value for name, value in params.items() if name in names}

    def spec(self):
        return {
            "kind": self.kind,
            "registry": self.kind.capitalize() + "Registry",
            "name": self.name,
            "args": [[parameter.name, parameter.type_name] for parameter in self.parameters],
            "md5": self.md5 or _md5(self.cls),
            "parameters": [vars(parameter) for parameter in self.parameters],
            "open": self.open,
            "depends_on": list(self.depends_on),
            "file": self.file,
        }


class Registry:
    """The registered classes of one process, by kind and name. A later class of the same name takes the place."""

    def __init__(self):
        self.functions = {kind: {} for kind in ("filter", "categorizer", "collater", "preprocessor")}
        #: Called with the old and the new function when a name is taken over; set while modules are loaded.
        self.on_replace = None

    def add(self, function):
        old = self.functions[function.kind].get(function.name)
        if old is not None and self.on_replace is not None:
            self.on_replace(old, function)
        self.functions[function.kind][function.name] = function

    def find(self, kind, name):
        """The function of that name, or None."""
        return self.functions[kind].get(name)

    def all(self):
        return [function for functions in self.functions.values() for function in functions.values()]

    def state(self):
        """What `restore` takes to undo later registrations."""
        return {kind: dict(functions) for kind, functions in self.functions.items()}

    def restore(self, state):
        self.functions = state


REGISTRY = Registry()


class _Base:
    _kind = ""
    _method = ""

    def __init_subclass__(cls, *, name=None, depends_on=None, **keywords):
        super().__init_subclass__(**keywords)
        if "_method" in vars(cls):  # one of the four below
            return
        cls.name = _name(cls, name)
        if depends_on is not None:
            cls.depends_on = depends_on
        base = next(base for base in cls.__mro__ if "_method" in vars(base))
        if getattr(cls, base._method) is not getattr(base, base._method):
            REGISTRY.add(_function(cls))


class Filter(_Base):
    """Chooses samples: those for which `filter` answers something true stay."""

    _kind = "filter"
    _method = "filter"

    def filter(self, sample, **params):
        raise NotImplementedError


class Categorizer(_Base):
    """Sorts samples into categories, one text each; the samples of a batch are of one category."""

    _kind = "categorizer"
    _method = "categorize"

    def categorize(self, sample, **params):
        raise NotImplementedError


class Collater(_Base):
    """Makes a batch (a dict) of a list of samples (dicts)."""

    _kind = "collater"
    _method = "collate"

    def collate(self, samples, **params):
        raise NotImplementedError


class Preprocessor(_Base):
    """Changes a batch: the keys of the dict that `process` returns are put into it.

    ``depends_on`` (class keyword or attribute) names preprocessors of the same iteration that run before it.
    """

    _kind = "preprocessor"
    _method = "process"
    depends_on = []

    def process(self, batch, **params):
        raise NotImplementedError


def _name(cls, keyword):
    name = keyword
    if name is None:
        for base in cls.__mro__:
            # The name of a registered parent is the parent's own.
            is_parent = base is not cls and issubclass(base, _Base)
            if not is_parent and "name" in vars(base):
                name = vars(base)["name"]
                break
        else:
            name = cls.__name__
    if not isinstance(name, str) or not name:
        raise RegistrationError(f"class {cls.__name__}: its name must be a text, not {name!r}")
    return name


def _function(cls):
    depends_on = getattr(cls, "depends_on", None) or []
    if isinstance(depends_on, str) or not all(isinstance(name, str) for name in depends_on):
        raise RegistrationError(f"class {cls.__name__}: depends_on must be a list of names, not {depends_on!r}")
    parameters, is_open = _parameters(cls, getattr(cls, cls._method))
    return Function(cls._kind, cls.name, cls, parameters, is_open, list(depends_on))


def _parameters(cls, method):
    hints = _hints(method)
    signature = list(inspect.signature(method).parameters.values())
    if not isinstance(inspect.getattr_static(cls, cls._method), (staticmethod, classmethod)):
        signature = signature[1:]
    if not signature or signature[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise RegistrationError(
            f"class {cls.__name__}: {cls._method}() must take {_FIRST[cls._kind]} as its first parameter"
        )
    parameters = []
    is_open = False
    for parameter in signature[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise RegistrationError(
                f"class {cls.__name__}: parameter {parameter.name!r} of {cls._method}() is positional only; "
                "parameters are given by name"
            )
        elif parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            parameters.append(_parameter(parameter, hints))
    return parameters, is_open


_FIRST = {
    "filter": "the sample",
    "categorizer": "the sample",
    "collater": "the list of samples",
    "preprocessor": "the batch",
}


def _hints(method):
    """Annotations with texts (`from __future__ import annotations`) turned into types where that is possible."""
    try:
        return typing.get_type_hints(method)
    except Exception:  # an annotation may be any expression, and names in it may exist for type checkers only
        return {}


def _parameter(parameter, hints):
    annotation = hints.get(parameter.name, parameter.annotation)
    required = parameter.default is parameter.empty
    nullable = parameter.default is None or _is_optional(annotation) or annotation is parameter.empty
    return Parameter(parameter.name, _type_name(annotation), required, nullable, _json(annotation))


def _is_union(annotation):
    union = getattr(sys.modules.get("types"), "UnionType", None)
    return typing.get_origin(annotation) is typing.Union or (union is not None and isinstance(annotation, union))


def _is_optional(annotation):
    return annotation in (None, typing.Any, object) or (
        _is_union(annotation) and type(None) in typing.get_args(annotation)
    )


def _type_name(annotation):
    if isinstance(annotation, str):
        return annotation
    if _is_union(annotation):
        return "Optional" if len(typing.get_args(annotation)) == 2 and _is_optional(annotation) else "Union"
    name = getattr(annotation, "__name__", None) or getattr(annotation, "_name", None)
    return name if isinstance(name, str) else str(annotation)


_JSON = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array", tuple: "array", dict: "object"}


def _json(annotation):
    if _is_union(annotation):
        kinds = {_json(part) for part in typing.get_args(annotation) if part is not type(None)}
        return kinds.pop() if len(kinds) == 1 else "any"
    try:
        return _JSON.get(typing.get_origin(annotation) or annotation, "any")
    except TypeError:  # an annotation that cannot be hashed
        return "any"


def _md5(cls):
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        source = cls.__qualname__
    return hashlib.md5(source.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
