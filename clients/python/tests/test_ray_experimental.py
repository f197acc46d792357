"""What of ``ray.experimental`` and of Ray's debugger programs meet: the key-value table, progress bars, the refusals."""

from __future__ import annotations

import pytest

import mobula
from mobula.ray.experimental import internal_kv as kv
from mobula.ray.experimental import tqdm_ray
from mobula.ray.util import pdb, rpdb


def test_put_says_whether_the_key_was_there(node: None) -> None:
    assert kv._internal_kv_initialized()
    assert kv._internal_kv_put(b"said", b"1") is False
    assert kv._internal_kv_put("said", "2") is True
    assert kv._internal_kv_get(b"said") == b"2"
    assert kv._internal_kv_put("said", "3", overwrite=False) is True
    assert kv._internal_kv_get("said") == b"2"


def test_keys_that_are_not_there(node: None) -> None:
    assert kv._internal_kv_get("nothing") is None
    assert not kv._internal_kv_exists("nothing")
    assert kv._internal_kv_del("nothing") == 0
    assert kv._internal_kv_list("nothing") == []


def test_namespaces_are_apart_and_keys_are_any_bytes(node: None) -> None:
    key = b"\xff\x00/"
    kv._internal_kv_put(key, b"\x00", namespace="n\xfc")
    assert kv._internal_kv_get(key, namespace="n\xfc") == b"\x00"
    assert kv._internal_kv_get(key) is None
    assert kv._internal_kv_list(b"\xff", namespace="n\xfc".encode()) == [key]


def test_prefixes_are_listed_and_deleted(node: None) -> None:
    for key in ("p1", "p2", "q"):
        kv._internal_kv_put(key, "", namespace="prefixes")
    assert kv._internal_kv_list("p", namespace="prefixes") == [b"p1", b"p2"]
    assert kv._internal_kv_exists("p1", namespace="prefixes")
    assert kv._internal_kv_del("p", del_by_prefix=True, namespace="prefixes") == 2
    assert kv._internal_kv_list("", namespace="prefixes") == [b"q"]


def test_tasks_see_what_others_wrote(node: None) -> None:
    @mobula.remote
    def read() -> bytes | None:
        return kv._internal_kv_get("shared")

    kv._internal_kv_put("shared", "yes")
    assert mobula.get(read.remote()) == b"yes"


def test_bad_keys_and_values_are_refused() -> None:
    with pytest.raises(AssertionError, match="int"):
        kv._internal_kv_put("k", 5)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="int"):
        kv._internal_kv_get(5)  # type: ignore[arg-type]


def test_bar_prints_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tqdm_ray.tqdm(range(3), desc="work", unit="step")) == [0, 1, 2]
    assert capsys.readouterr().out.startswith("work: 100% 3/3 step [")
    bar = tqdm_ray.tqdm(total=4, flush_interval_s=0.0)
    bar.set_description("by hand")
    bar.update(2)
    assert capsys.readouterr().out.startswith("by hand: 50% 2/4 it [")
    bar.close()
    bar.close()
    assert capsys.readouterr().out.count("\n") == 1
    tqdm_ray.safe_print("a", "b", sep="-")
    assert capsys.readouterr().out == "a-b\n"


@pytest.mark.parametrize("debugger", [pdb, rpdb])
def test_debugger_says_what_to_do_instead(debugger: object) -> None:
    with pytest.raises(NotImplementedError, match="Attach one"):
        debugger.set_trace()  # type: ignore[attr-defined]
