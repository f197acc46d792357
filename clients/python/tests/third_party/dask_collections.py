"""Dask's arrays, data frames, bags and delayed functions by ray.util.dask."""
# requires: dask[array,dataframe]

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import ray
from ray.util.dask import disable_dask_on_ray, enable_dask_on_ray, ray_dask_get


@dask.delayed
def inc(x):
    return x + 1


@dask.delayed
def add(x, y):
    return x + y


@dask.delayed
def fail():
    raise KeyError("gone")


ray.init(num_cpus=4)
numbers = np.arange(40_000.0).reshape(200, 200)
array = da.from_array(numbers, chunks=(50, 50))
assert (array + array.T).mean().compute(scheduler=ray_dask_get) == (numbers + numbers.T).mean()
assert dask.config.get("scheduler", None) is None
with enable_dask_on_ray():
    assert dask.config.get("scheduler") is ray_dask_get
    assert add(inc(1), inc(2)).compute() == 5
assert dask.config.get("scheduler", None) is None
enable_dask_on_ray()

assert dask.compute(inc(1), {"a": [inc(2)]}) == (2, {"a": [3]})
assert da.linalg.svd(da.random.random((200, 20), chunks=(50, 20)))[1].compute().shape == (20,)
table = pd.DataFrame({"k": np.arange(1000) % 10, "v": np.random.default_rng(0).random(1000)})
frame = dd.from_pandas(table, npartitions=5)
pd.testing.assert_series_equal(frame.groupby("k").v.mean().compute().sort_index(), table.groupby("k").v.mean())
assert list(frame.set_index("k").compute().index) == sorted(table.k)
names = dd.from_pandas(pd.DataFrame({"k": range(10), "n": list("abcdefghij")}), npartitions=2)
assert len(frame.merge(names, on="k").compute()) == 1000
assert db.from_sequence(range(100), npartitions=4).map(lambda x: x * 2).sum().compute() == 9900

kept = array.persist()
assert kept.sum().compute() == numbers.sum()
(delayed,) = dask.persist(inc(5))
assert delayed.compute() == 6
with dask.annotate(ray_remote_args={"resources": {"missing": 1}}):
    impossible = inc(1)
try:
    impossible.compute(optimize_graph=False)
    raise AssertionError("the annotation did nothing")
except ray.exceptions.TaskUnschedulableError:
    pass
try:
    add(fail(), 1).compute()
    raise AssertionError("no error")
except KeyError as error:
    assert "gone" in str(error)
disable_dask_on_ray()
assert dask.config.get("scheduler", None) is None and inc(1).compute() == 2
print("OK")
