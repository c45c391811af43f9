"""An S3-compatible server of a test: moto's, in a process of its own, on a free port.

It keeps its objects in memory and does not check keys. The protocol is spoken through `object_store` by the program under test
and through boto3 (which moto brings) by the test. Invariant: every wait is a poll with a deadline.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from node import free_port, poll

KEY_ID = "testing"
SECRET = "testing"
REGION = "us-east-1"
STOP_DEADLINE_S = 10.0


class S3Server:
    """Started by `with` or `start()`; `environment()` makes a node use it."""

    def __init__(self, bucket: str = "bucket"):
        self.bucket = bucket
        self.port = free_port()
        self.process = None
        self._log = tempfile.TemporaryFile()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "S3Server":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        # A key of its own, so that moto looks for none in the caller's files.
        environment = {**os.environ, **self.environment()}
        self.process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        poll(self._makes_bucket, "the S3 server's first bucket")
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self) -> "S3Server":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    def environment(self) -> dict:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
        }

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
        )

    def location(self, prefix: str = "") -> str:
        return f"s3://{self.bucket}/{prefix}" if prefix else f"s3://{self.bucket}"

    def put(self, key: str, content: bytes) -> None:
        self.client().put_object(Bucket=self.bucket, Key=key, Body=content)

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Uploads the files of a folder; returns their location."""
        client = self.client()
        for path in sorted(folder.iterdir()):
            client.upload_file(str(path), self.bucket, f"{prefix}/{path.name}")
        return self.location(prefix)

    def get(self, key: str) -> bytes:
        return self.client().get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str = "") -> list:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _makes_bucket(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the S3 server ended with {self.process.returncode}:\n{self.log()}")
        try:
            self.client().create_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError):
            return False
        return True


def main() -> int:
    """Runs the command that follows with LAVANDIN_TEST_S3 set: see crates/feed/tests/locations/s3_server.rs."""
    with S3Server() as server:
        environment = {**os.environ, "LAVANDIN_TEST_S3": f"{server.endpoint}/{server.bucket}"}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
