"""Client processes: one Python process cannot load a fast server, and its threads share one lock."""

import multiprocessing
import time

BARRIER_DEADLINE_S = 120


def work(number: int, count: int, barrier, commands, results, queries):
    """Answers commands (url, collection, k, nprobe, seconds) with (searches, seconds, latencies, ids of the first of each query)."""
    from lynse import VectorDBClient

    handles = {}
    while True:
        command = commands.get()
        if command is None:
            return
        url, collection, k, nprobe, seconds = command
        try:
            if (url, collection) not in handles:
                handles[url, collection] = VectorDBClient(url).get_database("bench").get_collection(collection)
            handle = handles[url, collection]
            for query in queries[:5]:
                handle.search(query, k=k, nprobe=nprobe)
            barrier.wait(BARRIER_DEADLINE_S)
            taken, found, at = [], {}, number
            begun = now = time.perf_counter()
            while now - begun < seconds:
                result = handle.search(queries[at % len(queries)], k=k, nprobe=nprobe)
                after = time.perf_counter()
                taken.append(after - now)
                now = after
                found.setdefault(at % len(queries), [int(i) for i in result.ids])
                at += count
            results.put((len(taken), now - begun, taken, found))
        except Exception as error:
            barrier.abort()
            results.put(error)


class Clients:
    def __init__(self, count: int, queries):
        context = multiprocessing.get_context("spawn")
        self.count = count
        self.barrier = context.Barrier(count)
        self.results = context.Queue()
        self.commands = [context.Queue() for _ in range(count)]
        shared = (self.barrier,)
        self.processes = [
            context.Process(target=work, args=(number, count, *shared, self.commands[number], self.results, queries), daemon=True)
            for number in range(count)
        ]
        for process in self.processes:
            process.start()

    def search(self, url: str, collection: str, k: int, nprobe: int, seconds: float) -> dict:
        for queue in self.commands:
            queue.put((url, collection, k, nprobe, seconds))
        parts = [self.results.get(timeout=BARRIER_DEADLINE_S + 10 * seconds) for _ in self.commands]
        for part in parts:
            if isinstance(part, Exception):
                raise part
        found = {}
        for part in parts:
            found.update(part[3])
        return {
            "searches": sum(part[0] for part in parts),
            "qps": sum(part[0] / part[1] for part in parts),
            "latencies": [seconds for part in parts for seconds in part[2]],
            "found": found,
        }

    def close(self):
        for queue in self.commands:
            queue.put(None)
        for process in self.processes:
            process.join(10)
