"""Modin: pandas on tasks, compared with pandas itself."""
# requires: modin pyarrow

import tempfile

import modin.config
import modin.pandas as pd
import numpy as np
import pandas
import ray
from ray.util.state import list_tasks

ray.init(num_cpus=4)
modin.config.Engine.put("ray")

rng = np.random.default_rng(0)
rows = 20_000
data = {"k": rng.integers(0, 50, rows), "v": rng.random(rows), "w": rng.integers(0, 1000, rows), "s": rng.choice(list("abcdef"), rows)}
folder = tempfile.mkdtemp()
pandas.DataFrame(data).to_csv(f"{folder}/in.csv", index=False)
ours, theirs = pd.read_csv(f"{folder}/in.csv"), pandas.read_csv(f"{folder}/in.csv")
names = pandas.DataFrame({"k": range(50), "name": [f"n{i}" for i in range(50)]})


def same(made, expected):
    made = made._to_pandas()
    check = pandas.testing.assert_frame_equal if isinstance(expected, pandas.DataFrame) else pandas.testing.assert_series_equal
    check(made, expected)


same(ours, theirs)
same(ours.groupby("k").agg({"v": "mean", "w": "sum"}), theirs.groupby("k").agg({"v": "mean", "w": "sum"}))
same(ours[["v", "w"]].apply(lambda row: row.v + row.w, axis=1), theirs[["v", "w"]].apply(lambda row: row.v + row.w, axis=1))
same(ours.merge(pd.DataFrame(names), on="k"), theirs.merge(names, on="k"))
same(ours.sort_values(["k", "v"]), theirs.sort_values(["k", "v"]))
same(ours[ours.v > 0.5], theirs[theirs.v > 0.5])
same(ours.describe(), theirs.describe())
same(pd.concat([ours, ours]), pandas.concat([theirs, theirs]))
same(ours.v.map(lambda x: x * 2), theirs.v.map(lambda x: x * 2))
same(ours.v.rolling(7).mean(), theirs.v.rolling(7).mean())
same(ours.groupby("s").v.transform("sum"), theirs.groupby("s").v.transform("sum"))
ours.to_parquet(f"{folder}/out.parquet")
order = ["k", "v"]
same(pd.read_parquet(f"{folder}/out.parquet").sort_values(order).reset_index(drop=True), theirs.sort_values(order).reset_index(drop=True))
ours.to_csv(f"{folder}/out.csv", index=False)
pandas.testing.assert_frame_equal(pandas.read_csv(f"{folder}/out.csv"), theirs)
assert list_tasks()
print("OK")
