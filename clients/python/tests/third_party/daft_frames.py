"""Daft: data frames by its distributed runner, whose plans run in async actors that stream partitions."""
# requires: daft

import daft
import ray

ray.init(num_cpus=4)
daft.set_runner_ray()
frame = daft.from_pydict({"k": [i % 3 for i in range(100)], "v": list(range(100))})
sums = frame.groupby("k").agg(daft.col("v").sum().alias("s")).sort("k").to_pydict()
assert sums == {"k": [0, 1, 2], "s": [sum(range(k, 100, 3)) for k in range(3)]}


@daft.udf(return_dtype=daft.DataType.int64())
def square(values):
    return [x * x for x in values.to_pylist()]


squares = frame.into_partitions(4).with_column("q", square(daft.col("v"))).where(daft.col("q") > 9000)
assert sorted(squares.to_pydict()["q"]) == [x * x for x in range(95, 100)]
assert frame.into_partitions(4).sort("v", desc=True).limit(3).to_pydict()["v"] == [99, 98, 97]
print("OK")
