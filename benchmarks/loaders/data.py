"""The two tables of the comparison of loaders, in the form that each loader reads.

`rows`: 200,000 of an id, three floats and some 200 bytes of text, 10,000 a file. `blobs`: 5,000 of an id and some 100 KB that
cannot be compressed, 250 a file. The samples are the same in all forms and depend on nothing but their number.

    python benchmarks/loaders/data.py --data DIR --forms parquet,mds,litdata,arrayrecord
"""

import argparse
import pickle
import shutil
import time
from pathlib import Path

import numpy

ROWS, ROWS_PER_FILE = 200_000, 10_000
BLOBS, BLOBS_PER_FILE = 5_000, 250
WORDS = 4096
SIZES = {"rows": (ROWS, ROWS_PER_FILE), "blobs": (BLOBS, BLOBS_PER_FILE)}
PIECE_BYTES = {"rows": 1 << 21, "blobs": 1 << 26}  # a loader's own files hold about as many samples as ours


def words() -> numpy.ndarray:
    at_random = numpy.random.default_rng(11)
    lengths = at_random.integers(3, 9, WORDS)
    return numpy.array(["".join(chr(97 + letter) for letter in at_random.integers(0, 26, length)) for length in lengths], dtype=object)


def columns(table: str, first: int, count: int, vocabulary: numpy.ndarray | None) -> dict:
    at_random = numpy.random.default_rng([len(table), first])
    ids = numpy.arange(first, first + count, dtype=numpy.int64)
    if table == "blobs":
        return {"id": ids, "data": [at_random.bytes(int(size)) for size in at_random.integers(90_000, 110_001, count)]}
    texts = [" ".join(vocabulary[picked]) for picked in at_random.integers(0, WORDS, (count, 31))]
    floats = {name: at_random.random(count) for name in "abc"}
    return {"id": ids, **floats, "text": texts}


def files(table: str):
    total, per_file = SIZES[table]
    vocabulary = words() if table == "rows" else None
    for number, first in enumerate(range(0, total, per_file)):
        yield number, columns(table, first, per_file, vocabulary)


def samples(table: str):
    for _, one in files(table):
        names = list(one)
        for values in zip(*one.values()):
            yield {name: value if isinstance(value, (str, bytes)) else value.item() for name, value in zip(names, values)}


def write_parquet(table: str, out: Path):
    import pyarrow
    import pyarrow.parquet

    for number, one in files(table):
        made = pyarrow.table({name: pyarrow.array(value) for name, value in one.items()})
        compression, group = ("snappy", 2000) if table == "rows" else ("none", 50)
        pyarrow.parquet.write_table(made, out / f"shard.{number:05d}.parquet", compression=compression, row_group_size=group)


def write_mds(table: str, out: Path):
    from streaming import MDSWriter

    kinds = {"id": "int64", "data": "bytes"}
    if table == "rows":
        kinds = {"id": "int64", "a": "float64", "b": "float64", "c": "float64", "text": "str"}
    with MDSWriter(out=str(out), columns=kinds, size_limit=PIECE_BYTES[table], progress_bar=False) as writer:
        for sample in samples(table):
            writer.write(sample)


def write_litdata(table: str, out: Path):
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(out), chunk_bytes=PIECE_BYTES[table])
    for number, sample in enumerate(samples(table)):
        writer[number] = sample
    writer.done()
    writer.merge()


def write_arrayrecord(table: str, out: Path):
    from array_record.python.array_record_module import ArrayRecordWriter

    per_file = SIZES[table][1]
    writer = None
    for number, sample in enumerate(samples(table)):
        if number % per_file == 0:
            if writer is not None:
                writer.close()
            writer = ArrayRecordWriter(str(out / f"shard-{number // per_file:05d}.array_record"), "group_size:1,uncompressed")
        writer.write(pickle.dumps(sample, protocol=5))
    writer.close()


FORMS = {"parquet": write_parquet, "mds": write_mds, "litdata": write_litdata, "arrayrecord": write_arrayrecord}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--forms", default="parquet")
    parser.add_argument("--tables", default="rows,blobs")
    options = parser.parse_args()
    for table in options.tables.split(","):
        for form in options.forms.split(","):
            out = options.data / table / form
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            began = time.perf_counter()
            FORMS[form](table, out)
            size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            print(f"{table} as {form}: {size / 1e6:.1f} MB in {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
