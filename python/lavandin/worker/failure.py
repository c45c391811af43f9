"""Errors of user code as the node gets them."""

import os
import traceback

#: A traceback beyond it keeps its beginning and its end.
_TRACEBACK_CHARS_MAX = 16 * 1024
_MESSAGE_CHARS_MAX = 2 * 1024
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class PipelineError(Exception):
    """What was asked for cannot be run: an unknown name, a dependency that is missing or goes in a circle."""


class ResultError(Exception):
    """User code returned something that cannot be sent; the message names the key."""


def describe(error):
    """An error in one line."""
    if isinstance(error, (PipelineError, ResultError)):
        return str(error)
    text = str(error) if not isinstance(error, SystemExit) else f"the code called exit({error.code!r})"
    name = type(error).__name__
    return _cut(f"{name}: {text}" if text else name, _MESSAGE_CHARS_MAX)


def shown(error):
    """The traceback without the worker's own frames."""
    if isinstance(error, (PipelineError, ResultError)):
        return describe(error)
    summary = traceback.TracebackException.from_exception(error)
    seen = set()
    todo = [summary]
    while todo:
        part = todo.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        own = [frame for frame in part.stack if not _is_ours(frame.filename)]
        part.stack = traceback.StackSummary.from_list(own)
        todo += [part.__cause__, part.__context__]
    return _cut("".join(summary.format()), _TRACEBACK_CHARS_MAX)


def reply(error, kind="", name=""):
    """The part of a reply that tells of an error in the function `name` (empty when it was none in particular)."""
    what = {PipelineError: "pipeline", ResultError: "result"}.get(type(error), "raised")
    return {"kind": what, "function": [kind, name], "message": describe(error), "traceback": shown(error)}


def _is_ours(filename):
    return filename.startswith(_PACKAGE) or filename.startswith("<frozen importlib")


def _cut(text, limit):
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n  … {len(text) - 2 * half} characters left out …\n{text[-half:]}"
