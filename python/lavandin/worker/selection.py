"""Filters and categorizers over a block of samples.

All filters must pass, in their order; a sample that passed gets its category. A sample on which user code raises fails
alone: the others of the block still get their outcome.
"""

import struct

from lavandin.worker.failure import ResultError, reply
from lavandin.worker.samples import columns_of, samples_of

FILTERED, PASSED, FAILED = 0, 1, 2
#: Different errors kept for one block; samples that fail in another way get the last of them.
_ERRORS_MAX = 32


def select(batch, filters, categorizer):
    """Header fields and body of the reply: an outcome byte for each sample, then for each the u32 index of its
    category or of its error, little-endian. `filters` are pairs of function and parameters, as is `categorizer`,
    which may be None."""
    state = _Codes()
    for sample in samples_of(columns_of(batch), batch.num_rows):
        _one(sample, filters, categorizer, state)
    body = bytes(state.outcomes) + struct.pack(f"<{len(state.codes)}I", *state.codes)
    return {"categories": list(state.categories), "errors": list(state.errors.values())}, body


class _Codes:
    def __init__(self):
        self.outcomes = []
        self.codes = []
        self.categories = {}
        self.errors = {}

    def put(self, outcome, code=0):
        self.outcomes.append(outcome)
        self.codes.append(code)

    def fail(self, error, function):
        told = reply(error, function.kind, function.name)
        # By the place, not by the text: messages often name the sample.
        key = (type(error), function.name, error.__traceback__ and _line(error.__traceback__))
        if key not in self.errors and len(self.errors) < _ERRORS_MAX:
            self.errors[key] = told
        places = list(self.errors)
        self.put(FAILED, places.index(key) if key in self.errors else len(places) - 1)


def _line(trace):
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code, trace.tb_lineno


def _one(sample, filters, categorizer, state):
    function = None
    try:
        for function, params in filters:
            if not function.instance.filter(sample, **params):
                state.put(FILTERED)
                return
        code = 0
        if categorizer is not None:
            function, params = categorizer
            category = function.instance.categorize(sample, **params)
            if not isinstance(category, str):
                raise ResultError(
                    f"the categorizer {function.name!r} returned {category!r} ({type(category).__name__}), and a "
                    "category must be a str"
                )
            code = state.categories.setdefault(str(category), len(state.categories))
        state.put(PASSED, code)
    except BaseException as error:  # exit() in user code fails its sample, no more
        state.fail(error, function)
