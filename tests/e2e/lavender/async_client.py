"""Iterates with `.to_async` and prints the ids; a program of its own because the client starts processes that import it again.

    python async_client.py URL ITERATION
"""

import json
import sys

import lavender_data.client as lavender

if __name__ == "__main__":
    lavender.init(api_url=sys.argv[1])
    loader = lavender.LavenderDataLoader(iteration_id=sys.argv[2], api_url=sys.argv[1])
    found = []
    for batch in loader.to_async(num_workers=1, prefetch_factor=2, poll_interval=0.02):
        found += batch["id"]
    print(json.dumps(found), flush=True)
