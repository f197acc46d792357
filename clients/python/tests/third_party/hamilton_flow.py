"""Hamilton: the nodes of a dataflow as tasks."""
# requires: sf-hamilton pandas

import importlib
import os
import sys
import tempfile

import pandas as pd
import ray
from hamilton import base, driver
from hamilton.plugins import h_ray

FLOW = """
import pandas as pd
from hamilton.htypes import Collect, Parallelizable

def doubled(spend: pd.Series) -> pd.Series:
    return spend * 2

def mean(doubled: pd.Series) -> float:
    return float(doubled.mean())

def centred(doubled: pd.Series, mean: float) -> pd.Series:
    return doubled - mean

def number(count: int) -> Parallelizable[int]:
    yield from range(count)

def square(number: int) -> int:
    return number * number

def total(square: Collect[int]) -> int:
    return sum(square)
"""
folder = tempfile.mkdtemp()
with open(os.path.join(folder, "flow.py"), "w") as file:
    file.write(FLOW)
sys.path.insert(0, folder)
flow = importlib.import_module("flow")

ray.init(num_cpus=4, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}})
inputs = {"spend": pd.Series([10.0, 20.0, 30.0])}
adapter = h_ray.RayGraphAdapter(result_builder=base.PandasDataFrameResult())
table = driver.Driver(inputs, flow, adapter=adapter).execute(["doubled", "centred", "mean"])
assert table.centred.tolist() == [-20.0, 0.0, 20.0] and table["mean"].tolist() == [40.0] * 3
builder = driver.Builder().enable_dynamic_execution(allow_experimental_mode=True).with_modules(flow)
dynamic = builder.with_remote_executor(h_ray.RayTaskExecutor(num_cpus=1, ray_init_config={"ignore_reinit_error": True})).build()
assert dynamic.execute(["total"], inputs={"count": 5}) == {"total": 30}
print("OK")
