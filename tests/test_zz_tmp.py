"""Reading a store: what opens, what a query may do, and how results are printed and written."""

import csv
import hashlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sample_store import DINNER, sample_run

from folkways import main
from scenarios.errors import UserError
from simulation.query import Result, find_episode, open_reader, run_query, write_parquet
from simulation.result import print_table, write_csv, write_json

HOLD = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(flush=1); time.sleep({})"
SHELL = "import sys; from folkways import main; main(sys.argv[1:])"


@given(st.lists(st.tuples(st.text(), st.none() | st.text(), st.lists(st.text())), max_size=5))
def test_csv_and_json_bring_back_any_text(rows: list[tuple[Any, ...]]) -> None:
    def result() -> Result:
        return Result(["a", "b", "c"], ["VARCHAR", "VARCHAR", "VARCHAR[]"], iter(rows))

    stream = io.StringIO(newline="")
    write_json(result(), stream)
    assert json.loads(stream.getvalue()) == [dict(zip("abc", row, strict=True)) for row in rows]
    stream = io.StringIO(newline="")
    write_csv(result(), stream)
    read = [*csv.reader(io.StringIO(stream.getvalue(), newline=""))][1:]
    assert [(a, b, json.loads(c)) for a, b, c in read] == [(a, b or "", c) for a, b, c in rows]


