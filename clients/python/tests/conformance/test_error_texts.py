"""The words of errors, by which programs and tests tell them apart (``pytest.raises(…, match=…)``)."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import ray
from ray.util.placement_group import get_placement_group, placement_group
from ray.util.scheduling_strategies import In, NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy, NotIn, PlacementGroupSchedulingStrategy

pytestmark = pytest.mark.usefixtures("cluster")


class Plain:
    """A class that is no actor class."""

    def __init__(self, a=1):
        self.a = a

    def m(self):
        return self.a


class Demanding:
    """A class whose constructor wants an argument."""

    def __init__(self, a):
        self.a = a


@pytest.fixture(scope="module")
def t(cluster):
    """What the expressions of the tables speak of."""

    @ray.remote
    def identity(x):
        return x

    @ray.remote
    def two(a, b=2, *, c=3):
        return a, b, c

    @ray.remote
    def nothing():
        return 1

    @ray.remote
    def gen():
        yield 1

    @ray.remote(num_cpus=0)
    class Actor:
        def __init__(self, v=0):
            self.v = v

        def get(self):
            return self.v

        def add(self, n=1):
            return n

        def five(self, a, b, c, *, d):
            return a

    return SimpleNamespace(
        identity=identity, two=two, nothing=nothing, gen=gen, Actor=Actor, actor=Actor.remote(), ref=ray.put(1), Demanding=ray.remote(Demanding)
    )


def f():
    """A function to decorate."""


def remote(target=f, **options):
    return ray.remote(**options)(target)


DIRECT = [
    (lambda t: t.identity(1), TypeError, r"Remote functions cannot be called directly\. Instead of running '.*identity\(\)', try '.*remote\(\)'"),
    (lambda t: t.Actor(), TypeError, r"Actors cannot be instantiated directly\. Instead of '.*Actor\(\)', use '.*Actor\.remote\(\)'"),
    (lambda t: t.actor.get(), TypeError, r"Actor methods cannot be called directly\. Instead of running 'object\.get\(\)', try 'object\.get\.remote"),
    (lambda t: t.actor.nosuch, AttributeError, "'ActorHandle' object has no attribute 'nosuch'"),
    (lambda t: t.actor.nosuch.remote(), AttributeError, "no attribute 'nosuch'"),
    (lambda t: t.Actor.nosuch, AttributeError, "has no attribute 'nosuch'"),
    (lambda t: t.actor(), TypeError, "'ActorHandle' object is not callable"),
    (lambda t: len(t.actor), TypeError, r"object of type 'ActorHandle' has no len\(\)"),
    (lambda t: t.ref.get(), AttributeError, "has no attribute 'get'"),
    (lambda t: t.ref + 1, TypeError, "unsupported operand"),
    (lambda t: len(t.ref), TypeError, "has no len"),
    (lambda t: iter(t.ref), TypeError, "is not iterable"),
    (lambda t: t.ref < t.ref, TypeError, "'<' not supported"),
    (lambda t: len(t.gen.remote()), TypeError, "has no len"),
    (lambda t: t.gen.remote()[0], TypeError, "is not subscriptable"),
]

SIGNATURES = [
    (lambda t: t.identity.remote(), "missing a required argument: 'x'"),
    (lambda t: t.identity.remote(1, 2), "too many positional arguments"),
    (lambda t: t.two.remote(), "missing a required argument: 'a'"),
    (lambda t: t.two.remote(1, 2, 3), "too many positional arguments"),
    (lambda t: t.two.remote(1, a=1), "multiple values for argument 'a'"),
    (lambda t: t.two.remote(1, d=1), "got an unexpected keyword argument 'd'"),
    (lambda t: t.nothing.remote(1), "too many positional arguments"),
    (lambda t: t.nothing.remote(x=1), "got an unexpected keyword argument 'x'"),
    (lambda t: t.Actor.remote(1, 2), "too many positional arguments"),
    (lambda t: t.Actor.remote(w=1), "got an unexpected keyword argument 'w'"),
    (lambda t: t.Demanding.remote(), "missing a required argument: 'a'"),
    (lambda t: t.Demanding.remote(1, 2), "too many positional arguments"),
    (lambda t: t.actor.five.remote(), "missing a required argument: 'a'"),
    (lambda t: t.actor.five.remote(1), "missing a required argument: 'b'"),
    (lambda t: t.actor.five.remote(1, 2, 3), "missing a required.* argument: 'd'"),
    (lambda t: t.actor.five.remote(1, 2, 3, 4), "too many positional arguments"),
    (lambda t: t.actor.five.remote(1, 2, 3, d=4, e=5), "got an unexpected keyword argument 'e'"),
    (lambda t: t.actor.add.remote(m=2), "got an unexpected keyword argument 'm'"),
    (lambda t: t.actor.get.remote(1), "too many positional arguments"),
]

DECORATORS = [
    (lambda: ray.remote(1), AssertionError, "The @ray.remote decorator must be applied either with no arguments and no parentheses"),
    (lambda: ray.remote(), AssertionError, "The @ray.remote decorator must be applied"),
    (lambda: ray.remote(None), AssertionError, "The @ray.remote decorator must be applied"),
    (lambda: ray.remote(f, num_cpus=1), AssertionError, "The @ray.remote decorator must be applied"),
    (lambda: ray.remote(len), TypeError, "The @ray.remote decorator must be applied to either a function or a class"),
    (lambda: ray.remote(Plain().m), TypeError, "The @ray.remote decorator must be applied to either a function or a class"),
    (lambda: ray.remote(ray.remote(f)), TypeError, "The @ray.remote decorator must be applied to either a function or a class"),
    (lambda: remote(foo=1), ValueError, "Invalid option keyword foo for remote functions"),
    (lambda: remote(Plain, foo=1), ValueError, "Invalid option keyword foo for actors"),
    (lambda: remote(max_restarts=1), ValueError, "Invalid option keyword max_restarts for remote functions"),
    (lambda: remote(lifetime="detached"), ValueError, "Invalid option keyword lifetime for remote functions"),
    (lambda: remote(Plain, max_retries=1), ValueError, "Invalid option keyword max_retries for actors"),
    (lambda: remote(Plain, num_returns=1), ValueError, "Invalid option keyword num_returns for actors"),
    (lambda: remote(num_cpus="1"), TypeError, "The type of keyword 'num_cpus' must be .*, but received type <class 'str'>"),
    (lambda: remote(num_cpus=-1), ValueError, "The quantity of resource num_cpus cannot be negative"),
    (lambda: remote(num_gpus=-1), ValueError, "The quantity of resource num_gpus cannot be negative"),
    (lambda: remote(memory=-1), ValueError, "The quantity of resource memory cannot be negative"),
    (lambda: remote(resources={"x": -1}), ValueError, "The quantity of resource x cannot be negative"),
    (lambda: remote(resources={"x": 0.00001}), ValueError, r"precision of the fractional quantity of resource x cannot go beyond 0\.0001"),
    (lambda: remote(resources={"CPU": 1}), ValueError, "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword"),
    (lambda: remote(resources=[1]), TypeError, "The type of keyword 'resources' must be"),
    (lambda: remote(accelerator_type=1), TypeError, "The type of keyword 'accelerator_type' must be"),
    (
        lambda: remote(max_retries=-2),
        ValueError,
        "The keyword 'max_retries' only accepts None, 0, -1 or a positive integer, where -1 represents infinity",
    ),
    (lambda: remote(max_retries=1.5), TypeError, "The type of keyword 'max_retries' must be"),
    (lambda: remote(max_calls=-1), ValueError, "The keyword 'max_calls' only accepts None, 0 or a positive integer"),
    (lambda: remote(retry_exceptions="x"), TypeError, "The type of keyword 'retry_exceptions' must be"),
    (lambda: remote(retry_exceptions=[1]), ValueError, "retry_exceptions must be either a boolean or a list of exceptions"),
    (lambda: remote(num_returns=-1), ValueError, "The keyword 'num_returns' only accepts None, a non-negative integer"),
    (lambda: remote(num_returns=1.5), TypeError, "The type of keyword 'num_returns' must be"),
    (lambda: remote(num_returns="streaming"), ValueError, r"num_returns='streaming' can only be used with generator functions"),
    (lambda: remote(name=1), TypeError, "The type of keyword 'name' must be"),
    (lambda: remote(runtime_env=1), TypeError, "The type of keyword 'runtime_env' must be"),
    (lambda: remote(runtime_env={"env_vars": {"a": 1}}), TypeError, "env_vars"),
    (lambda: remote(runtime_env={"working_dir": 1}), TypeError, "working_dir"),
    (lambda: remote(runtime_env={"pip": 1}), TypeError, r"runtime_env\['pip'\] must be of type str"),
    (lambda: remote(runtime_env={"pip": [], "conda": {}}), ValueError, "'conda' field of runtime_env cannot be specified at the same time"),
    (lambda: remote(scheduling_strategy=1), TypeError, "The type of keyword 'scheduling_strategy' must be"),
    (lambda: remote(label_selector=1), TypeError, "The type of keyword 'label_selector' must be"),
    (lambda: remote(label_selector={"a": "in(b"}), ValueError, r"Invalid label selector value `in\(b`"),
    (lambda: remote(label_selector={"a b": "c"}), ValueError, "Invalid label key name `a b`"),
    (lambda: remote(enable_task_events="x"), TypeError, "The type of keyword 'enable_task_events' must be"),
    (lambda: remote(Plain, max_restarts=-2), ValueError, "The keyword 'max_restarts' only accepts None, 0, -1 or a positive integer"),
    (lambda: remote(Plain, max_task_retries="x"), TypeError, "The type of keyword 'max_task_retries' must be"),
    (lambda: remote(Plain, max_concurrency=-1), ValueError, "The keyword 'max_concurrency' only accepts None, 0 or a positive integer"),
    (lambda: remote(Plain, max_pending_calls=-2), ValueError, "The keyword 'max_pending_calls' only accepts None, 0, -1 or a positive integer"),
    (lambda: remote(Plain, lifetime="x"), ValueError, "actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'"),
    (lambda: remote(Plain, namespace=1), TypeError, "The type of keyword 'namespace' must be"),
    (lambda: remote(Plain, get_if_exists=True), ValueError, "The actor name must be specified to use `get_if_exists`"),
    (lambda: ray.method(1), AssertionError, "The @ray.method decorator must be applied using no arguments or at least one of the arguments"),
    (lambda: ray.method(foo=1), AssertionError, "Unexpected keyword argument to @ray.method: 'foo'"),
    (lambda: ray.method(max_retries=1), AssertionError, "Unexpected keyword argument to @ray.method: 'max_retries'"),
]

OPTIONS = [
    (lambda t: t.identity.options(foo=1), ValueError, "Invalid option keyword foo for remote functions"),
    (lambda t: t.identity.options(num_cpus=-1), ValueError, "cannot be negative"),
    (lambda t: t.identity.options(max_calls=1), ValueError, r"Setting 'max_calls' is not supported in '\.options\(\)'"),
    (lambda t: t.identity.options(num_returns="streaming").remote(1), ValueError, "can only be used with generator functions"),
    (lambda t: t.Actor.options(foo=1), ValueError, "Invalid option keyword foo for actors"),
    (lambda t: t.Actor.options(name="").remote(), ValueError, "Actor name cannot be an empty string"),
    (lambda t: t.Actor.options(name=1).remote(), TypeError, "name"),
    (lambda t: t.Actor.options(name="x", lifetime="x").remote(), ValueError, "actor `lifetime` argument must be one of"),
    (lambda t: t.Actor.options(get_if_exists=True).remote(), ValueError, "The actor name must be specified to use `get_if_exists`"),
    (lambda t: t.Actor.options(namespace="").remote(), ValueError, '"" is not a valid namespace. Pass None to not specify a namespace'),
    (lambda t: t.Actor.options(concurrency_groups={"a": 1}), ValueError, r"Setting 'concurrency_groups' is not supported in '\.options\(\)'"),
    (lambda t: t.Actor.options(max_restarts=-5), ValueError, "The keyword 'max_restarts' only accepts"),
]

CALLS = [
    (lambda t: ray.get(1), ValueError, r"Invalid type of object refs, <class 'int'>, is given\. 'object_refs' must either be an ObjectRef or a list"),
    (lambda t: ray.get((t.ref,)), ValueError, "Invalid type of object refs, <class 'tuple'>"),
    (lambda t: ray.get({"a": t.ref}), ValueError, "Invalid type of object refs, <class 'dict'>"),
    (lambda t: ray.get([t.ref, 1]), TypeError, r"Attempting to call `get` on the value 1, which is not an ray\.ObjectRef"),
    (lambda t: ray.get(t.actor), ValueError, "Invalid type of object refs"),
    (lambda t: ray.wait(t.ref), TypeError, r"wait\(\) expected a list of ray\.ObjectRef or ray\.ObjectRefGenerator, got a single ray\.ObjectRef"),
    (lambda t: ray.wait([1]), TypeError, r"wait\(\) expected a list of ray\.ObjectRef or ray\.ObjectRefGenerator, got list containing <class 'int'>"),
    (lambda t: ray.wait((t.ref,)), TypeError, r"expected a list of ray\.ObjectRef or ray\.ObjectRefGenerator, got <class 'tuple'>"),
    (lambda t: ray.wait([t.ref, t.ref]), ValueError, "Wait requires a list of unique ray_waitables"),
    (lambda t: ray.wait([t.ref], num_returns=0), ValueError, r"Invalid number of objects to return 0\."),
    (lambda t: ray.wait([t.ref], num_returns=2), ValueError, "num_returns cannot be greater than the number of ray_waitables provided to ray.wait"),
    (lambda t: ray.wait([t.ref], timeout=-1), ValueError, "The 'timeout' argument must be nonnegative. Received -1"),
    (lambda t: ray.put(t.ref), TypeError, r"Calling 'put' on an ray\.ObjectRef is not allowed"),
    (lambda t: ray.put(1, _owner=t.actor), ValueError, "_owner"),
    (lambda t: ray.put(threading.Lock()), TypeError, "(?s)Could not serialize.*cannot pickle '_thread.lock' object"),
    (lambda t: t.identity.remote(threading.Lock()), TypeError, "(?s)Could not serialize the argument.*cannot pickle '_thread.lock' object"),
    (lambda t: t.Actor.remote(threading.Lock()), TypeError, "(?s)Could not serialize the argument.*cannot pickle '_thread.lock' object"),
    (lambda t: t.actor.add.remote(threading.Lock()), TypeError, "(?s)Could not serialize the argument.*cannot pickle '_thread.lock' object"),
    (lambda t: ray.kill(1), ValueError, r"ray\.kill\(\) only supported for actors\. For tasks, try ray\.cancel\(\)\. Got: <class 'int'>"),
    (lambda t: ray.kill(t.ref), ValueError, r"ray\.kill\(\) only supported for actors"),
    (lambda t: ray.cancel(1), TypeError, r"ray\.cancel\(\) only supported for object refs\. For actors, try ray\.kill\(\)\. Got: <class 'int'>"),
    (lambda t: ray.cancel(t.actor), TypeError, r"ray\.cancel\(\) only supported for object refs"),
    (
        lambda t: ray.get_actor("nosuch"),
        ValueError,
        "Failed to look up actor with name 'nosuch'. This could because 1. You are trying to look up a named",
    ),
    (lambda t: ray.get_actor(""), ValueError, "Please supply a non-empty value to get_actor"),
    (lambda t: ray.get_actor("x", namespace=""), ValueError, '"" is not a valid namespace'),
    (
        lambda t: ray.init(),
        RuntimeError,
        r"Maybe you called ray\.init twice by accident\? This error can be suppressed by passing in 'ignore_reinit_error=True'",
    ),
    (lambda t: ray.init(foo=1), RuntimeError, r"Unknown keyword argument\(s\): foo"),
    (lambda t: ray.actor.exit_actor(), TypeError, "exit_actor API is called on a non-actor worker"),
    (lambda t: ray.get_runtime_context().get_assigned_resources(), AssertionError, "This method is only available when the process is a"),
    (lambda t: ray.get_runtime_context().is_canceled(), RuntimeError, "This method is only available when the process is a worker"),
    (lambda t: ray.get_runtime_context().current_actor, RuntimeError, "This method is only available in an actor"),
    (lambda t: ray.ObjectRef("text"), TypeError, r"Unsupported type: <class 'str'>, expected bytes"),
    (lambda t: ray.ObjectRef(b"short"), ValueError, r"ID string needs to have length \d+, got 5"),
    (lambda t: ray.TaskID("x"), TypeError, r"Unsupported type: <class 'str'>, expected bytes"),
    (lambda t: ray.ActorID(b"x"), ValueError, r"ID string needs to have length \d+, got 1"),
]

PLACEMENT = [
    (lambda: placement_group([]), ValueError, "Bundles must be a non-empty list of resource dictionaries.*Got empty list instead"),
    (lambda: placement_group([{}]), ValueError, "Bundles cannot be an empty dictionary or resources with only 0 values"),
    (lambda: placement_group([{"CPU": 0}]), ValueError, "Bundles cannot be an empty dictionary or resources with only 0 values"),
    (lambda: placement_group([{"CPU": "1"}]), ValueError, "Bundles must be a non-empty list of resource dictionaries"),
    (lambda: placement_group([1]), ValueError, "Bundles must be a non-empty list of resource dictionaries"),
    (lambda: placement_group({"CPU": 1}), ValueError, "Placement group bundles must be a list, got <class 'dict'>"),
    (lambda: placement_group([{"CPU": 1}], strategy="X"), ValueError, "Invalid placement group strategy X. Supported strategies are:"),
    (
        lambda: placement_group([{"CPU": 1}], lifetime="x"),
        ValueError,
        "Placement group `lifetime` argument must be either `None` or 'detached'. Got x",
    ),
    (lambda: get_placement_group("nosuch"), ValueError, "Failed to look up placement group with name: nosuch"),
    (lambda: get_placement_group(""), ValueError, "Please supply a non-empty value to get_placement_group"),
    (lambda: ray.util.remove_placement_group(None), AssertionError, "^"),
    (lambda: PlacementGroupSchedulingStrategy(), TypeError, "missing 1 required positional argument: 'placement_group'"),
    (lambda: NodeAffinitySchedulingStrategy(), TypeError, "missing 2 required positional arguments"),
    (lambda: NodeAffinitySchedulingStrategy("x", soft=False), ValueError, "Invalid node_id 'x'. Node ID must be a valid hex string"),
    (lambda: NodeLabelSchedulingStrategy({}), ValueError, "The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty"),
    (lambda: In(), ValueError, "The variadic parameter of the In operator must be a non-empty tuple"),
    (lambda: NotIn(), ValueError, "The variadic parameter of the NotIn operator must be a non-empty tuple"),
    (lambda: In(1), ValueError, "Type of value in position 0 for the In operator must be str"),
]


def _ids(table):
    return [f"{i}-{row[-1][:40]}" for i, row in enumerate(table)]


@pytest.mark.parametrize(("use", "error", "words"), DIRECT, ids=_ids(DIRECT))
def test_what_is_not_there_to_be_used_so(t, use, error, words):
    with pytest.raises(error, match=words):
        use(t)


@pytest.mark.parametrize(("call", "words"), SIGNATURES, ids=_ids(SIGNATURES))
def test_arguments_that_do_not_fit(t, call, words):
    with pytest.raises(TypeError, match=words):
        call(t)


@pytest.mark.parametrize(("decorate", "error", "words"), DECORATORS, ids=_ids(DECORATORS))
def test_decorators(decorate, error, words):
    with pytest.raises(error, match=words):
        decorate()


@pytest.mark.parametrize(("call", "error", "words"), OPTIONS, ids=_ids(OPTIONS))
def test_options_of_calls(t, call, error, words):
    with pytest.raises(error, match=words):
        call(t)


@pytest.mark.parametrize(("call", "error", "words"), CALLS, ids=_ids(CALLS))
def test_functions_of_the_top_level(t, call, error, words):
    with pytest.raises(error, match=words):
        call(t)


@pytest.mark.parametrize(("call", "error", "words"), PLACEMENT, ids=_ids(PLACEMENT))
def test_placement(call, error, words):
    with pytest.raises(error, match=words):
        call()
