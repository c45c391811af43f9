"""Shard files for the tests: the same rows in every format, and the order in which an iteration must visit them.

Deliberately absent: randomness. A row is a function of its number, so that a batch can be checked without the files.
"""

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet

CSV_COLUMNS = [
    {"name": "id", "type": "int"},
    {"name": "image_url", "type": "text"},
    {"name": "caption", "type": "text"},
    {"name": "width", "type": "int"},
    {"name": "height", "type": "int"},
    {"name": "score", "type": "float"},
]


def row(number: int) -> dict:
    return {
        "id": number,
        "image_url": f"https://example.com/image-{number:08d}.jpg",
        "caption": f"Caption for image {number:08d}",
        "width": 640 if number % 3 else 1280,
        "height": 360 if number % 2 else 720,
        "score": (number % 1000) / 1000,
    }


def tag(number: int) -> dict:
    """What a feature shardset knows of a row."""
    return {"id": number, "tag": f"t{number % 7}"}


def location(folder: Path) -> str:
    return f"file://{folder}"


def write_shards(folder: Path, shards: int = 10, rows: int = 10, kind: str = "parquet", make=row, keep=None) -> str:
    """`shards` files of `rows` rows each, less those that `keep` refuses; returns their location."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        numbers = range(shard * rows, (shard + 1) * rows)
        found = [make(number) for number in numbers if keep is None or keep(number)]
        write_shard(folder / f"shard.{shard:05d}.{kind}", found)
    return location(folder)


def write_shard(path: Path, rows: list[dict]):
    WRITERS[path.suffix[1:]](path, rows)


def write_parquet(path: Path, rows: list[dict]):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def write_csv(path: Path, rows: list[dict]):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: list[dict]):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))


def write_arrow(path: Path, rows: list[dict]):
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)


def write_tar(path: Path, rows: list[dict]):
    """WebDataset: the members of a sample share a key; here `json`, `txt` and a blob."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for one in rows:
            key = f"{one['id']:06d}"
            members = {"json": json.dumps(one).encode(), "txt": one["caption"].encode(), "bin": blob(one["id"])}
            for suffix, content in members.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


WRITERS = {
    "parquet": write_parquet,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "arrow": write_arrow,
    "tar": write_tar,
}


def blob(number: int) -> bytes:
    return bytes([number % 256]) * (1 + number % 50) + b"\x00\xff"


def block_order(shard_rows: list[int], seed: int | None, block: int = 1) -> list[list[int]]:
    """The places of each block of an iteration in the order of the Lavender server.

    1. The generator is MT19937 with numpy's first seeding; it permutes the shards.
    2. Each run of `block` shards is a block: the places of its rows, shard after shard.
    3. The generator is seeded anew with the same seed for each block and permutes those places.
    """
    starts = numpy.concatenate([[0], numpy.cumsum(shard_rows)])
    shards = [list(range(starts[at], starts[at + 1])) for at in range(len(shard_rows))]
    if seed is None:
        return shards
    numpy.random.RandomState(seed).shuffle(shards)
    blocks = []
    for first in range(0, len(shards), block):
        places = [place for shard in shards[first : first + block] for place in shard]
        numpy.random.RandomState(seed).shuffle(places)
        blocks.append(places)
    return blocks


def order(shard_rows: list[int], seed: int | None, block: int = 1) -> list[int]:
    """The same for one rank: all blocks one after the other."""
    return [place for places in block_order(shard_rows, seed, block) for place in places]
