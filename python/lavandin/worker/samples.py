"""Samples and batches as dicts of Python values.

A column is converted when its values are first needed, once. Columns of small plain values are converted at once, and
user code gets plain dicts. Heavy columns (large texts and bytes) and nested ones are converted when user code first
reads their key: a column that is not looked at costs nothing, and is known not to have been changed. Then user code
gets a `LazyDict`, which is a dict whose values arrive when they are read.
"""

import json
import operator
import threading

from lavandin.worker.failure import ResultError
from lavandin.worker.values import is_mutable, to_list

#: A column is heavy from this many bytes on, if they are also this many a row.
_HEAVY_BYTES = 64 * 1024
_HEAVY_ROW_BYTES = 2 * 1024


#: Metadata of a field that says what its nulls become, and the values meant; None where there is none.
_NULL_KEY = b"lavandin.null"
_NULLS = {b"nan": lambda: float("nan"), b"text": str, b"bytes": bytes, b"list": list, b"dict": dict}
#: Metadata of a field whose cells are JSON texts that stand for the values.
_CELLS_KEY = b"lavandin.cells"


class Column:
    """A column of a request."""

    def __init__(self, name, array, metadata=None):
        metadata = metadata or {}
        self.name = name
        self.array = array
        self._null = _NULLS.get(metadata.get(_NULL_KEY)) if array.null_count else None
        self._json = metadata.get(_CELLS_KEY) == b"json"
        self.mutable = self._json or is_mutable(array.type)
        heavy = array.nbytes >= _HEAVY_BYTES and array.nbytes >= _HEAVY_ROW_BYTES * len(array)
        self.lazy = heavy or self.mutable
        self._lock = threading.Lock()
        self._cells = {}
        self._values = None
        self._kept = None

    def values(self):
        """The values, in a list that is the same at each call."""
        if self._values is None:
            with self._lock:
                if self._values is None:
                    values = self._converted()
                    self._kept = values.copy()
                    self._values = values
        return self._values

    def value(self, row):
        """The value of one row."""
        if self.mutable or not self.lazy:
            return self.values()[row]
        if self._kept is not None:
            return self._kept[row]
        with self._lock:
            if row not in self._cells:
                value = self.array[row].as_py()
                self._cells[row] = self._null() if value is None and self._null else value
            return self._cells[row]

    def holds(self, value):
        """Whether `value` is a list of just this column's values, so that the column may be sent instead."""
        if type(value) is not list or len(value) != len(self.array):
            return False
        if self.mutable:
            # Someone who has seen its values may have changed them deep inside.
            return False
        if self._kept is not None:
            return all(map(operator.is_, value, self._kept))
        if len(self._cells) != len(value):
            return False
        return all(value[row] is self._cells[row] for row in range(len(value)))

    def _converted(self):
        try:
            values = to_list(self.array)
        except (ValueError, OverflowError, NotImplementedError) as error:
            raise ResultError(f"column {self.name!r} ({self.array.type}) has no Python values: {error}") from error
        if self._json:
            values = [value if value is None else json.loads(value) for value in values]
        if self._null is not None:
            values = [self._null() if value is None else value for value in values]
        for row, value in self._cells.items():
            values[row] = value
        return values


def columns_of(batch):
    """The columns of an Arrow record batch."""
    return [
        Column(field.name, array, field.metadata) for field, array in zip(batch.schema, batch.columns)
    ]


class _Pending:
    """Stands in a `LazyDict` for a value that was not read yet."""

    __slots__ = ("column", "row")

    def __init__(self, column, row):
        self.column = column
        self.row = row

    def get(self):
        return self.column.values() if self.row is None else self.column.value(self.row)


class LazyDict(dict):
    """A dict whose values may be pending. All that reads values goes through `__getitem__` here; `__iter__` is
    overridden because that is what makes `dict(x)` and `{**x}` do so too."""

    __slots__ = ()

    def __getitem__(self, key):
        value = dict.__getitem__(self, key)
        if type(value) is _Pending:
            value = value.get()
            dict.__setitem__(self, key, value)
        return value

    def __iter__(self):
        return dict.__iter__(self)

    def get(self, key, default=None):
        return self[key] if key in self else default

    def items(self):
        return self._plain().items()

    def values(self):
        return self._plain().values()

    def pop(self, key, *default):
        value = dict.pop(self, key, *default)
        return value.get() if type(value) is _Pending else value

    def popitem(self):
        key, value = dict.popitem(self)
        return key, value.get() if type(value) is _Pending else value

    def setdefault(self, key, default=None):
        dict.setdefault(self, key, default)
        return self[key]

    def copy(self):
        return LazyDict(self.raw_items())

    __copy__ = copy

    def raw_items(self):
        """The items, values that were not read yet being `_Pending`."""
        return dict.items(self)

    def _plain(self):
        for key in self:
            self[key]
        return dict(dict.items(self))

    def __eq__(self, other):
        return self._plain() == other

    def __ne__(self, other):
        return self._plain() != other

    def __or__(self, other):
        return self._plain() | other if isinstance(other, dict) else NotImplemented

    def __ror__(self, other):
        return other | self._plain() if isinstance(other, dict) else NotImplemented

    def __repr__(self):
        return repr(self._plain())

    def __reduce__(self):
        return dict, (self._plain(),)

    __hash__ = None


def batch_of(columns):
    """The batch that the default collater makes: each column's values as a list."""
    if any(column.lazy for column in columns):
        return LazyDict((column.name, _Pending(column, None) if column.lazy else column.values()) for column in columns)
    return {column.name: column.values() for column in columns}


def samples_of(columns, count):
    """Each sample as a dict."""
    if not columns:
        return [{} for _ in range(count)]
    names = [column.name for column in columns]
    kind = LazyDict if any(column.lazy for column in columns) else dict
    cells = [
        [_Pending(column, row) for row in range(count)] if column.lazy else column.values() for column in columns
    ]
    return [kind(zip(names, row)) for row in zip(*cells)]


def read(value):
    """A value of a `LazyDict`'s `raw_items`, converted if it is pending."""
    return value.get() if type(value) is _Pending else value


def untouched(columns, by_name, key, value):
    """The name of the input column whose values `value` (of key `key`) still is, else None."""
    if type(value) is _Pending:
        return value.column.name if value.row is None else None
    if type(value) is not list:
        return None
    same = by_name.get(key)
    if same is not None and same.holds(value):
        return key
    for column in columns:
        if column is not same and column._values is value and column.holds(value):
            return column.name
    return None
