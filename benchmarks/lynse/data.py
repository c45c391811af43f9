"""Vectors, exact answers and figures. The same seed gives every server the same data."""

import numpy as np


def clustered(rows: int, dim: int, queries: int = 200, centers: int = 200, spread: float = 0.35, seed: int = 42):
    """Points around random centres, as embeddings lie; queries are drawn from the same mixture."""
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal((centers, dim)).astype(np.float32)

    def draw(count):
        noise = spread * rng.standard_normal((count, dim)).astype(np.float32)
        return (middle[rng.integers(0, centers, count)] + noise).astype(np.float32)

    return draw(rows), draw(queries)


def metric_of(mode: str) -> str:
    name = mode.upper().split("-")[1]
    return "COS" if name.startswith("COS") else name


def exact(rows: np.ndarray, queries: np.ndarray, metric: str, k: int, mask=None) -> np.ndarray:
    """The ids (row numbers) of the k nearest rows of each query, among those in `mask`."""
    ids = np.arange(len(rows)) if mask is None else np.nonzero(mask)[0]
    among = rows[ids].astype(np.float64)
    dots = queries.astype(np.float64) @ among.T
    if metric == "L2":
        scores = 2 * dots - (among**2).sum(axis=1)
    elif metric == "COS":
        scores = dots / np.linalg.norm(among, axis=1)
    else:
        scores = dots
    top = np.argpartition(-scores, k, axis=1)[:, :k] if scores.shape[1] > k else np.argsort(-scores, axis=1)
    return ids[top]


def recall(found, truth, k: int) -> float:
    return float(np.mean([len(set(map(int, f[:k])) & set(map(int, t))) / max(1, min(k, len(t))) for f, t in zip(found, truth)]))


def latencies(seconds) -> dict:
    ms = np.asarray(seconds) * 1e3
    return {"p50_ms": float(np.percentile(ms, 50)), "p99_ms": float(np.percentile(ms, 99)), "qps": float(1000 / ms.mean())}


def median(values) -> float:
    return float(np.median(values))
