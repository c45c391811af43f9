"""Shard files for the comparison: an id, a link, a caption, two sizes and a score a row. Nothing is random."""

from pathlib import Path

import pyarrow
import pyarrow.parquet


def write(folder: Path, rows: int, shards: int) -> str:
    """`shards` parquet files with `rows` rows in all; returns their location. Existing ones are kept."""
    per_shard = rows // shards
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        path = folder / f"shard.{shard:05d}.parquet"
        if not path.exists():
            pyarrow.parquet.write_table(table(range(shard * per_shard, (shard + 1) * per_shard)), path)
    return f"file://{folder}"


def table(numbers: range) -> pyarrow.Table:
    return pyarrow.table(
        {
            "id": pyarrow.array(numbers, pyarrow.int64()),
            "image_url": [f"https://example.com/image-{number:08d}.jpg" for number in numbers],
            "caption": [f"Caption for image {number:08d}" for number in numbers],
            "width": [640 if number % 3 else 1280 for number in numbers],
            "height": [360 if number % 2 else 720 for number in numbers],
            "score": [(number % 1000) / 1000 for number in numbers],
        }
    )
