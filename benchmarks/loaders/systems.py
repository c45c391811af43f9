"""The loaders under comparison, one function each: `name(options, state)` gives batches and a function that tells where it is.

A batch is a dict with `id` (numpy) and the other columns as the loader gives them. Each runs in a process of its own (see
bench.py, resume.py), which imports nothing of the others. Driven as a program: it reads a line of JSON for each epoch and
answers with a line; `python systems.py NAME`.
"""

import json
import os
import pickle
import resource
import sys
import time
import types
import warnings
from pathlib import Path

import numpy

warnings.filterwarnings("ignore")

STREAM = "application/vnd.apache.arrow.stream"


# --- Lavandin: Arrow over loopback, with Python's own http client and pyarrow


def ours(options, state):
    return from_node(options, state, {"order": "global"})


def ours_windowed(options, state):
    return from_node(options, state, {"order": "windowed", "window_shards": 5})


def ours_lavender(options, state):
    return from_node(options, state, {})


def ours_lists(options, state):
    """Text and blobs as Python objects, as the other loaders give them."""
    batches, tell = from_node(options, state, {"order": "global"})
    return ({name: value if name in "idabc" else value.to_pylist() for name, value in one.items()} for one in batches), tell


def from_node(options, state, order: dict):
    import http.client

    import pyarrow

    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=120)
    per_reply = options.batches_per_reply

    def ask(method: str, path: str, body=None, accept="application/json"):
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Accept": accept, "Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    if state is None:
        asked = {"dataset_id": options.dataset, "batch_size": options.batch, "rank": 0}
        asked |= {"shuffle": True, "shuffle_seed": options.seed, "shuffle_block_size": 5, **order}
        status, content = ask("POST", "/iterations/", asked)
        assert status == 200, content
        state = {"iteration": json.loads(content)["id"]}
    else:  # what was granted and not completed comes again, in order
        status, content = ask("POST", f"/iterations/{state['iteration']}/pushback")
        assert status == 200, content
    iteration, done = state["iteration"], []

    def batches():
        path = f"/iterations/{iteration}/next?rank=0&batches={per_reply}"
        while True:
            status, content = ask("GET", path, accept=STREAM)
            if status == 400 and b"No more indices" in content:
                return
            assert status == 200, content[:500]
            for batch in pyarrow.ipc.open_stream(content):
                columns = dict(zip(batch.schema.names, batch.columns))
                places = columns.pop("_lavandin_index")
                if options.completes:
                    done.append(places)
                yield {name: value.to_numpy() if name in "idabc" else value for name, value in columns.items()}

    def tell():
        """Acknowledges what was taken, so that a pushback leaves it out; the server knows the rest."""
        for places in done:
            for place in places.to_pylist():
                status, content = ask("POST", f"/iterations/{iteration}/complete/{place}")
                assert status == 200, content
        done.clear()
        return state

    return batches(), tell


# --- the others


def collated(samples: list) -> dict:
    return {
        name: [one[name] for one in samples] if isinstance(value, (str, bytes)) else numpy.asarray([one[name] for one in samples])
        for name, value in samples[0].items()
    }


def collate_of(table: str):
    """Their own where it can; blobs of different lengths have none."""
    return None if table == "rows" else collated


def mds(options, state):
    from streaming import StreamingDataLoader, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    if state is None:
        clean_stale_shared_memory()
    dataset = StreamingDataset(
        local=f"{options.data}/{options.table}/mds",
        shuffle=True,
        shuffle_algo="py1e",
        shuffle_seed=options.seed,
        batch_size=options.batch,
        num_canonical_nodes=1,
    )
    loader = StreamingDataLoader(dataset, batch_size=options.batch, num_workers=0, collate_fn=collate_of(options.table))
    if state is not None:
        loader.load_state_dict(state)
    return iter(loader), loader.state_dict


def litdata(options, state):
    import litdata as lit

    dataset = lit.StreamingDataset(f"{options.data}/{options.table}/litdata", shuffle=True, seed=options.seed)
    more = {} if options.table == "rows" else {"collate_fn": collated}
    loader = lit.StreamingDataLoader(dataset, batch_size=options.batch, num_workers=0, **more)
    if state is not None:
        loader.load_state_dict(state)
    return iter(loader), loader.state_dict


def grain(options, state):
    import grain as library

    paths = sorted(str(path) for path in Path(options.data, options.table, "arrayrecord").iterdir())
    source = library.MapDataset.source(library.sources.ArrayRecordDataSource(paths))
    reading = library.ReadOptions(num_threads=2, prefetch_buffer_size=512)
    dataset = source.seed(options.seed).shuffle().map(pickle.loads).to_iter_dataset(reading)
    iterator = iter(dataset.batch(options.batch, drop_remainder=False, batch_fn=collated))
    if state is not None:
        iterator.set_state(state)
    return iterator, iterator.get_state


SYSTEMS = {
    function.__name__.replace("_", "-"): function
    for function in (ours, ours_windowed, ours_lavender, ours_lists, mds, litdata, grain)
}
FORM_OF = {"mds": "mds", "litdata": "litdata", "grain": "arrayrecord"}


# --- one epoch


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def ids_of(batch: dict) -> numpy.ndarray:
    return numpy.asarray(batch["id"]).reshape(-1)


def epoch(system: str, options) -> dict:
    """Takes a whole epoch and tells how fast, and whether each sample came exactly once."""
    other = "text" if options.table == "rows" else "data"
    seen, spread, count, first = numpy.zeros(options.total, numpy.int32), [], 0, None
    began, cpu, size = time.perf_counter(), cpu_s(), 0
    batches, _ = SYSTEMS[system](options, None)
    for batch in batches:
        ids = ids_of(batch)
        first = first or time.perf_counter() - began
        assert len(batch[other]) == len(ids)
        numpy.add.at(seen, ids, 1)
        spread.append(len(numpy.unique(ids // options.per_file)))
        count += len(ids)
        if other == "data":
            size += sum(map(len, batch[other])) if isinstance(batch[other], list) else batch[other].nbytes
    took, spent = time.perf_counter() - began, cpu_s() - cpu
    return {
        "samples_per_s": count / took,
        "samples_per_cpu_s": count / spent,
        "mb_per_s": size / took / 1e6,
        "first_s": first,
        "files_per_batch": float(numpy.mean(spread[:-1] or spread)),
        "exactly_once": bool((seen == 1).all()),
    }


def main():
    """A line of options for each epoch from stdin, a line of figures for each to stdout."""
    system, out = sys.argv[1], os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    for line in sys.stdin:
        print(json.dumps(epoch(system, types.SimpleNamespace(**json.loads(line)))), file=out, flush=True)


if __name__ == "__main__":
    main()
